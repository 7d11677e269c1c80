"""Revocation lists, from memory or from files that are replaced while they are in use."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp.certs._store import FILE_POLL_INTERVAL
from tlshttp.errors import ConfigurationError

__all__ = ["CRLSource", "RevocationLists"]

_log = logging.getLogger("tlshttp.context")

CRLSource: TypeAlias = "str | os.PathLike[str] | x509.CertificateRevocationList"
"""A path of a file in PEM or DER, which is read again when it changes, or a list."""

_MAXIMUM_SIZE = 64 * 1024 * 1024  # bytes; the largest public lists have some 10 MB
_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"

_Lists: TypeAlias = "tuple[x509.CertificateRevocationList, ...]"


class RevocationLists:
    """All the lists of a context, as they are now.

    Args:
        sources: Where they come from.
        poll_interval: Seconds between two looks at the files.

    Raises:
        ConfigurationError: A file cannot be read, is no list or has expired; all are named.
    """

    def __init__(
        self, sources: Iterable[CRLSource] = (), poll_interval: float = FILE_POLL_INTERVAL
    ) -> None:
        self.poll_interval = poll_interval
        self._fixed: _Lists = ()
        self._files: list[_File] = []
        self._next_poll = time.monotonic() + poll_interval
        findings: list[str] = []
        for source in sources:
            try:
                self._add(source)
            except ConfigurationError as error:
                findings += error.findings
        ConfigurationError.raise_if(findings)
        self.current: _Lists = self._collect()

    def poll(self, now: float) -> bool:
        """Look at the files, if the interval is over; tell whether `current` has changed."""
        if now < self._next_poll or not self._files:
            return False
        self._next_poll = now + self.poll_interval
        news = [file.look() for file in self._files]
        if not any(news):
            return False
        self.current = self._collect()
        return True

    def to_pem(self) -> bytes:
        """Return all lists as PEM."""
        return b"".join(crl.public_bytes(Encoding.PEM) for crl in self.current)

    def revoked(self) -> frozenset[tuple[bytes, int]]:
        """Return issuer and serial number of every certificate that is revoked."""
        return frozenset(
            (crl.issuer.public_bytes(), entry.serial_number)
            for crl in self.current
            for entry in crl
        )

    def _add(self, source: CRLSource) -> None:
        if isinstance(source, x509.CertificateRevocationList):
            _check([source], "the CRL given")
            self._fixed = (*self._fixed, source)
        elif isinstance(source, (str, os.PathLike)):
            self._files.append(_File(Path(source)))
        else:
            raise TypeError(
                "a CRL must be a path or an x509.CertificateRevocationList,"
                f" not {type(source).__name__}"
            )

    def _collect(self) -> _Lists:
        return (*self._fixed, *(crl for file in self._files for crl in file.lists))


class _File:
    """One file of lists."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = self._read()
        self._refused: bytes | str = b""
        self.lists: Sequence[x509.CertificateRevocationList] = _parse(self._content, path)

    def look(self) -> bool:
        """Read the file again; tell whether there is something new that can be used."""
        content: bytes | str = ""
        try:
            content = self._read()
            if content == self._content:
                return False
            self.lists, self._content = _parse(content, self._path), content
        except ConfigurationError as error:
            if self._refused != (content or str(error)):
                self._refused = content or str(error)
                _log.warning("keeping the old CRL: %s", error)
            return False
        _log.info("now using a new CRL from %s", self._path)
        return True

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAXIMUM_SIZE + 1)
        except OSError as error:
            raise ConfigurationError(f"cannot read CRL {self._path}: {error.strerror}") from None
        if len(content) > _MAXIMUM_SIZE:
            raise ConfigurationError(f"CRL {self._path} is larger than 64 MiB")
        return content


def _parse(content: bytes, path: Path) -> list[x509.CertificateRevocationList]:
    """Read every list in a file, DER or PEM."""
    try:
        lists = [x509.load_pem_x509_crl(block) for block in _blocks(content)]
        if not lists:
            lists = [x509.load_der_x509_crl(content)]
    except ValueError:
        raise ConfigurationError(f"{path} is not a CRL in PEM or DER") from None
    _check(lists, f"the CRL {path}")
    return lists


def _blocks(content: bytes) -> list[bytes]:
    parts = content.split(_BEGIN)[1:]
    return [_BEGIN + part.partition(_END)[0] + _END + b"\n" for part in parts]


def _check(lists: Iterable[x509.CertificateRevocationList], label: str) -> None:
    """Refuse a list that has expired: OpenSSL would refuse every client because of it."""
    now = datetime.now(UTC)
    ConfigurationError.raise_if(
        f"{label} expired at {crl.next_update_utc:%Y-%m-%d %H:%M} UTC: publish a new one"
        for crl in lists
        if crl.next_update_utc is not None and crl.next_update_utc < now
    )
