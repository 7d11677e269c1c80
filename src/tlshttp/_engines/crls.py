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
    from tlshttp.certs._crl_scope import Entry

__all__ = ["CRLSource", "Counting", "RevocationLists"]

CRLSource: TypeAlias = "str | os.PathLike[str] | x509.CertificateRevocationList | CRLStore"
"""A path of a file, which stands for a store of it; a list; or a store."""

_Lists: TypeAlias = tuple[x509.CertificateRevocationList, ...]

Counting: TypeAlias = "tuple[tuple[x509.CertificateRevocationList, frozenset[Entry]], ...]"
"""Lists, each with what it revokes."""


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
        self._anchors = anchors
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
            end = store.require(anchors.refuse_foreign_list, anchors.certificates)
            weakref.finalize(self, end).atexit = False

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

        lists = tuple(crl for lists in self._seen for crl in lists)
        return newest_lists(lists, self._anchors.certificates)

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

    def in_force(self, before: Counting = ()) -> Counting:
        """Return the lists that count, each with what it revokes.

        Args:
            before: What this returned last: what has not changed need not be read again.
        """
        if not self._stores:
            return ()
        from tlshttp.certs._crl_scope import revoked_by

        known = {id(crl): revoked for crl, revoked in before}
        return tuple(
            (crl, known[id(crl)] if id(crl) in known else frozenset(revoked_by(crl)))
            for crl in self.current
        )

    def revoke_more(self, before: Counting, now: Counting) -> bool:
        """Tell whether somebody may be refused now who was let in before.

        That is so where a list revokes what another one of that authority does not that was or is
        for the same certificates; and where there is none for some certificates any more. What the
        list of one authority says is nothing to another one's, though they share a name.
        """
        if not (before or now):
            return False
        from tlshttp.certs._crl_makers import Makers
        from tlshttp.certs._crl_scope import Scope

        makers = Makers((crl for crl, _ in (*before, *now)), self._anchors.certificates)
        for crl, revoked in now:
            scope = Scope.of(crl)
            known = [
                its
                for one, its in before
                if makers.are_one(one, crl) and Scope.of(one).overlaps(scope)
            ]
            if not revoked <= frozenset.intersection(*known or [frozenset()]):
                return True
        return not all(
            Scope.of(crl).is_within(Scope.of(one) for one, _ in now if makers.are_one(one, crl))
            for crl, _ in before
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
