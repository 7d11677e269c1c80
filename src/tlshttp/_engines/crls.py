"""The revocation lists of a context, from wherever they come."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509

from tlshttp._engines.anchors import NOBODY, TrustAnchors
from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp.certs import CertificateStore, CRLStore

__all__ = ["CRLSource", "RevocationLists"]

CRLSource: TypeAlias = "str | os.PathLike[str] | x509.CertificateRevocationList | CRLStore"
"""A path of a file, which stands for a store of it; a list; or a store."""

_Lists: TypeAlias = tuple[x509.CertificateRevocationList, ...]


class RevocationLists:
    """All the lists of a context, as they are now.

    Args:
        sources: Where they come from.
        anchors: Whose clients are verified against them.

    Raises:
        ConfigurationError: A file cannot be read, is no list, counts at another time or is not
            signed by its issuer, none is of these authorities, or it is not known who is between
            two of them; all are named.
    """

    def __init__(self, sources: Iterable[CRLSource] = (), anchors: TrustAnchors = NOBODY) -> None:
        self._stores: list[CRLStore] = []
        findings: list[str] = []
        for source in sources:
            try:
                store = _store_of(source)
                self._stores.append(store)
                findings += [one for crl in store.current for one in anchors.list_findings(crl)]
            except ConfigurationError as error:
                findings += error.findings
        if self._stores:
            from tlshttp._engines.gaps import gap_findings

            findings += gap_findings(anchors.certificates)
        ConfigurationError.raise_if(findings)
        self._seen = self._collect()
        ConfigurationError.raise_if(anchors.lists_findings(self.current) if self._stores else ())
        for store in self._stores:
            # Not a method of ours, which would keep this alive for as long as the store.
            weakref.finalize(self, store.require(anchors.refuse_foreign_list)).atexit = False

    @property
    def may_change(self) -> bool:
        """Whether there is any source of lists, so that to `poll` is of use."""
        return bool(self._stores)

    @property
    def current(self) -> _Lists:
        """The lists that count since the last look; of two for the same, the newer."""
        if not self._stores:
            return ()
        from tlshttp.certs._crl_succession import newest_lists

        return newest_lists(tuple(crl for lists in self._seen for crl in lists))

    def poll(self, now: float) -> bool:
        """Look where the interval is over; tell whether `current` has changed.

        A store may have been replaced, or polled by another context, in between.
        """
        for store in self._stores:
            store.poll(now)
        found = self._collect()
        if all(new is old for new, old in zip(found, self._seen, strict=True)):
            return False
        self._seen = found
        return True

    def reload(self) -> list[str]:
        """Load all lists now; return what is wrong with those that cannot be used."""
        return reload_all(self._stores)

    def revoked(self) -> frozenset[tuple[bytes, int]]:
        """Return issuer and serial number of every certificate that is revoked."""
        return frozenset(
            (issuer, entry.serial_number)
            for crl in self.current
            for issuer in [crl.issuer.public_bytes()]
            for entry in crl
        )

    def _collect(self) -> list[_Lists]:
        return [store.current for store in self._stores]


def reload_all(stores: Iterable[CRLStore | CertificateStore]) -> list[str]:
    """Have stores load what they have anew; return why some could not."""
    findings: list[str] = []
    for store in stores:
        try:
            store.reload()
        except ConfigurationError as error:
            findings += error.findings
        except Exception as error:  # noqa: BLE001 (of the user's own function)
            findings.append(f"{store!r}: {type(error).__name__}")
    return findings


def _store_of(source: CRLSource) -> CRLStore:
    from tlshttp.certs import CRLStore

    if isinstance(source, CRLStore):
        return source
    if isinstance(source, x509.CertificateRevocationList):
        return CRLStore.from_crl(source)
    if isinstance(source, (str, os.PathLike)):
        return CRLStore(source)
    raise TypeError(
        "a CRL must be a path, an x509.CertificateRevocationList or a certs.CRLStore,"
        f" not {type(source).__name__}"
    )
