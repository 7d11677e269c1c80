"""The revocation lists of a context, from wherever they come."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp.certs import CRLStore
from tlshttp.errors import ConfigurationError

__all__ = ["CRLSource", "RevocationLists"]

CRLSource: TypeAlias = str | os.PathLike[str] | x509.CertificateRevocationList | CRLStore
"""A path of a file, which stands for a store of it; a list; or a store."""

_Lists: TypeAlias = tuple[x509.CertificateRevocationList, ...]


class RevocationLists:
    """All the lists of a context, as they are now.

    Args:
        sources: Where they come from.

    Raises:
        ConfigurationError: A file cannot be read, is no list or has expired; all are named.
    """

    def __init__(self, sources: Iterable[CRLSource] = ()) -> None:
        self._stores: list[CRLStore] = []
        findings: list[str] = []
        for source in sources:
            try:
                self._stores.append(_store_of(source))
            except ConfigurationError as error:
                findings += error.findings
        ConfigurationError.raise_if(findings)
        self._seen = self._collect()
        self.may_change: bool = bool(self._stores)
        """Whether it is of any use to `poll`."""

    @property
    def current(self) -> _Lists:
        """The lists that count since the last look."""
        return tuple(crl for lists in self._seen for crl in lists)

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

    def to_pem(self) -> bytes:
        """Return all lists as PEM."""
        return b"".join(crl.public_bytes(Encoding.PEM) for crl in self.current)

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


def _store_of(source: CRLSource) -> CRLStore:
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
