"""Revocation lists that are replaced while they are in use (RFC 5280, section 5)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeAlias

from cryptography import x509

from tlshttp._own_files import OWN_FILES
from tlshttp.certs._reloading import FILE_POLL_INTERVAL, ReloadingStore
from tlshttp.certs._sources import FileSource, FixedSource
from tlshttp.errors import ConfigurationError

__all__ = ["CRLStore"]

_MAXIMUM_SIZE = 64 * 1024 * 1024  # bytes; the largest public lists have some 10 MB
_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"

_Lists: TypeAlias = tuple[x509.CertificateRevocationList, ...]


class CRLStore(ReloadingStore[_Lists, ConfigurationError]):
    """A source of revocation lists that reloads; accepted wherever a list is.

    The lists are loaded at once, so that mistakes show at start-up. A new file that is damaged, has
    expired, or has a list older than the one it replaces is not taken: the old one stays, and one
    line in the log says so. Threads may share a store.

    Args:
        crlfile: A file with one list in DER, or one or more in PEM.
        poll_interval: Seconds between two looks at the file.

    Raises:
        ConfigurationError: The file cannot be read, is no list or has expired.
    """

    _noun = "CRL"
    _unusable = ConfigurationError

    def __init__(
        self, crlfile: str | os.PathLike[str], *, poll_interval: float = FILE_POLL_INTERVAL
    ) -> None:
        path = Path(crlfile)
        self._current = ()

        def load() -> _Lists:
            lists = _parse(_read(path), path)
            _refuse_older(lists, self._current, path)
            return lists

        self._begin(FileSource([path], _read, load), poll_interval)

    @classmethod
    def from_crl(cls, *crls: x509.CertificateRevocationList) -> Self:
        """Return a store that keeps lists in memory until `replace` brings others.

        Raises:
            ConfigurationError: A list has expired.
        """
        _refuse_expired(crls, "the CRL given")
        store = cls.__new__(cls)
        store._begin(FixedSource(crls), float("inf"))  # noqa: SLF001
        return store

    @property
    def current(self) -> _Lists:
        """The lists that count now. No input or output."""
        return self._current

    def replace(self, *crls: x509.CertificateRevocationList) -> None:
        """Use other lists from now on; where the first ones came from counts no more.

        Raises:
            ConfigurationError: A list has expired; those of before still count.
        """
        _refuse_expired(crls, "the CRL given")
        self._replace(crls)

    def _describe(self, value: _Lists) -> str:
        return "; ".join(
            f"the CRL of {crl.issuer.rfc4514_string()!r} of {_moment(crl.last_update_utc)}"
            for crl in value
        )


def _read(path: Path) -> bytes:
    OWN_FILES.add(path)
    try:
        with path.open("rb") as file:
            content = file.read(_MAXIMUM_SIZE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read CRL {path}: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"{str(path)!r} cannot be the path of a CRL") from None
    if len(content) > _MAXIMUM_SIZE:
        raise ConfigurationError(f"CRL {path} is larger than 64 MiB")
    return content


def _parse(content: bytes, path: Path) -> _Lists:
    """Read every list in a file, DER or PEM."""
    try:
        lists = tuple(x509.load_pem_x509_crl(block) for block in _blocks(content))
        if not lists:
            lists = (x509.load_der_x509_crl(content),)
    except ValueError:
        raise ConfigurationError(f"{path} is not a CRL in PEM or DER") from None
    _refuse_expired(lists, f"the CRL {path}")
    return lists


def _blocks(content: bytes) -> list[bytes]:
    parts = content.split(_BEGIN)[1:]
    return [_BEGIN + part.partition(_END)[0] + _END + b"\n" for part in parts]


def _refuse_expired(lists: Iterable[x509.CertificateRevocationList], label: str) -> None:
    """Refuse a list that has expired: OpenSSL would refuse every client because of it."""
    now = datetime.now(UTC)
    ConfigurationError.raise_if(
        f"{label} expired at {_moment(crl.next_update_utc)}: publish a new one"
        for crl in lists
        if crl.next_update_utc is not None and crl.next_update_utc < now
    )


def _refuse_older(lists: _Lists, current: _Lists, path: Path) -> None:
    """Refuse a list from before the one that it would replace, in which less is revoked."""
    newest = {crl.issuer: crl for crl in current}
    ConfigurationError.raise_if(
        f"the CRL {path} of {_moment(crl.last_update_utc)} is older than the one in use, of"
        f" {_moment(newest[crl.issuer].last_update_utc)}"
        for crl in lists
        if crl.issuer in newest and _order(crl) < _order(newest[crl.issuer])
    )


def _order(crl: x509.CertificateRevocationList) -> tuple[datetime, int]:
    """Return what rises from list to list: the time, and within a second the number."""
    try:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        number = 0
    return crl.last_update_utc, number


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
