"""What a bad server shows and negotiates; it is made for the first connection that needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp.errors import ConfigurationError
from tlshttp.testing._authority import authority
from tlshttp.testing._bad.catalogue import find_fault
from tlshttp.testing._bad.engine import Engine, prepare
from tlshttp.testing._bad.recipes import RECIPES, Bench, Shown, honest
from tlshttp.testing._bad.revocation import Registry
from tlshttp.testing._bad.vocabulary import Show, Terms, Trait
from tlshttp.testing._bad.workshop import root

__all__ = ["Scenery"]

_PUBLISHED = frozenset({"revoked", "revoked-stapled"})
"""The certificates that are revoked somewhere."""


class Scenery:
    """Certificates and TLS terms of one server. Threads share it.

    Args:
        traits: What the server is made of; only `Show` and `Terms` matter here.
        honest: Whether the good twins are wanted.

    Raises:
        ConfigurationError: There is no certificate of a name that is to be shown.
    """

    def __init__(self, traits: Sequence[Trait], *, honest: bool) -> None:
        shows = sorted(
            (one for one in traits if isinstance(one, Show)), key=lambda one: one.connection
        )
        if not shows or shows[0].connection > 1:
            shows.insert(0, Show("honest"))
        terms = [one for one in traits if isinstance(one, Terms)]
        ConfigurationError.raise_if([*_unknown(shows), *_impossible(terms)])
        self._shows = shows
        self._terms = terms[0] if terms else Terms()
        self._honest = honest
        self._lock = threading.Lock()
        self._shown: dict[Show, Shown] = {}
        self._makers: dict[Show, Callable[[], Engine]] = {}
        published = any(show.certificate in _PUBLISHED for show in shows)
        self._registry = Registry() if published else None
        if self._registry is not None:
            for show in shows:  # so that a revocation is in the list before a client looks
                shown = self._make(show)
                self._registry.publish_list_of(shown.issuer, shown.leaf)

    def engine(self, connection: int) -> Engine:
        """Return the server side of TLS for a connection."""
        show = [one for one in self._shows if one.connection <= connection][-1]
        with self._lock:
            maker = self._makers.get(show)
            if maker is None:
                maker = self._makers[show] = self._prepare(self._make(show))
        return maker()

    def certificates(self) -> tuple[bytes, ...]:
        """Return what the first connection is shown, in DER."""
        with self._lock:
            shown = self._make(self._shows[0])
        return tuple(one.public_bytes(Encoding.DER) for one in shown.certificates)

    def crl_pem(self) -> str | None:
        """Return all revocation lists; `None`: nothing is published."""
        if self._registry is None:
            return None
        lists = [one.public_bytes(Encoding.PEM) for one in self._registry.crls()]
        return b"".join(lists).decode("ascii")

    def close(self) -> None:
        """End what was begun."""
        if self._registry is not None:
            self._registry.close()

    def _make(self, show: Show) -> Shown:
        if show not in self._shown:
            self._shown[show] = self._cook(show)
        return self._shown[show]

    def _cook(self, show: Show) -> Shown:
        own = show.certificate
        if isinstance(own, str):
            return RECIPES[own](Bench(good=self._honest, registry=self._registry))
        return Shown((own.leaf, *own.chain), own.private_key, root())

    def _prepare(self, shown: Shown) -> Callable[[], Engine]:
        # The honest twin still staples: that the certificate is good.
        staple = None
        if self._terms.staple and self._registry is not None:
            staple = self._registry.staple(shown.leaf.serial_number)
        terms = Terms() if self._honest else self._terms
        return prepare(terms, shown, authority().ca_pem, staple)


def _unknown(shows: Sequence[Show]) -> list[str]:
    found: list[str] = []
    for show in shows:
        if isinstance(show.certificate, str) and show.certificate not in RECIPES:
            try:
                fault = find_fault(show.certificate)
            except ConfigurationError as error:
                found.extend(error.findings)
            else:
                found.append(f"the fault {fault.name!r} has no certificate of its own")
    return found


def _impossible(all_terms: Sequence[Terms]) -> list[str]:
    """Say what this machine's OpenSSL cannot negotiate, before a client finds out."""
    found: list[str] = []
    for terms in all_terms:
        try:
            prepare(terms, honest(), authority().ca_pem, None)
        except ConfigurationError as error:
            found.extend(error.findings)
    return found
