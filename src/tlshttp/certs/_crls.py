"""Revocation lists that are replaced while they are in use (RFC 5280, section 5)."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeAlias

from cryptography import x509

from tlshttp._own_files import OWN_FILES
from tlshttp.certs._reading import read_file
from tlshttp.certs._reloading import FILE_POLL_INTERVAL, ReloadingStore
from tlshttp.certs._sources import FileSource, FixedSource
from tlshttp.errors import ConfigurationError

__all__ = ["CRLStore"]

_MAXIMUM_SIZE = 64 * 1024 * 1024  # bytes; the largest public lists have some 10 MB
_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"

_Lists: TypeAlias = tuple[x509.CertificateRevocationList, ...]


class CRLStore(ReloadingStore[_Lists, ConfigurationError]):
    """A source of revocation lists that reloads; accepted wherever a list is.

    The lists are loaded at once, so that mistakes show at start-up. A new file is not taken where
    it would lock out clients, or let in again who is revoked: where it is damaged, where a list
    has expired, is not valid yet or is older than the one it replaces, where an authority that had
    a list has none, and where a check of those who use the store refuses it (`require`). The old
    one stays then, and one line in the log says so. Threads may share a store.

    Args:
        crlfile: A file with one list in DER, or one or more in PEM.
        poll_interval: Seconds between two looks at the file.

    Raises:
        ConfigurationError: The file cannot be read, is no list, has expired or is not valid yet.
    """

    _noun = "CRL"
    _unusable = ConfigurationError
    _checks: dict[object, Callable[[_Lists], object]]

    def __init__(
        self, crlfile: str | os.PathLike[str], *, poll_interval: float = FILE_POLL_INTERVAL
    ) -> None:
        path = Path(crlfile)
        self._current = ()
        self._checks = {}

        def load() -> _Lists:
            lists = _parse(_read(path), path)
            _refuse_older(lists, self._current, f"the CRL {path}")
            self._check(lists, f"the CRL {path}")
            return lists

        self._begin(FileSource([path], _read, load), poll_interval)

    @classmethod
    def from_crl(cls, *crls: x509.CertificateRevocationList) -> Self:
        """Return a store that keeps lists in memory until `replace` brings others.

        Raises:
            ConfigurationError: There is no list, or one that counts at another time than now.
        """
        _refuse_unusable(crls, "the CRL given")
        store = cls.__new__(cls)
        store._checks = {}  # noqa: SLF001
        store._begin(FixedSource(crls), float("inf"))  # noqa: SLF001
        return store

    @property
    def current(self) -> _Lists:
        """The lists that count now. No input or output."""
        return self._current

    def replace(self, *crls: x509.CertificateRevocationList) -> None:
        """Use other lists from now on; where the first ones came from counts no more.

        Raises:
            ConfigurationError: They cannot be used; those of before still count.
        """
        _refuse_unusable(crls, "the CRL given")
        _refuse_older(crls, self._current, "the CRL given")
        self._check(crls, "the CRL given")
        self._replace(crls)

    def require(self, check: Callable[[_Lists], object]) -> Callable[[], None]:
        """Have new lists pass a check before they are taken.

        Args:
            check: Called with all the lists, in the thread that loads them. It refuses them by a
                `~tlshttp.errors.ConfigurationError`.

        Returns:
            A function that ends this.
        """
        # Without the lock: the end may come from the garbage collector, while this thread holds it.
        token = object()
        self._checks[token] = check
        return functools.partial(_forget, self._checks, token)

    def _check(self, lists: _Lists, label: str) -> None:
        """Refuse lists by which clients of somebody would be locked out."""
        issuers = {crl.issuer for crl in lists}
        ConfigurationError.raise_if(
            f"{label} is of another authority: there is none of {crl.issuer.rfc4514_string()!r}"
            " any more, without which no client of it could be verified"
            for crl in self._current
            if crl.issuer not in issuers
        )
        for check in tuple(self._checks.values()):
            check(lists)

    def _describe(self, value: _Lists) -> str:
        return "; ".join(
            f"the CRL of {crl.issuer.rfc4514_string()!r} of {_moment(crl.last_update_utc)}"
            for crl in value
        )


def _forget(checks: dict[object, Callable[[_Lists], object]], token: object) -> None:
    checks.pop(token, None)


def _read(path: Path) -> bytes:
    OWN_FILES.add(path)
    try:
        content = read_file(path, _MAXIMUM_SIZE + 1)
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
        for crl in lists:
            _examine(crl)
    except Exception:  # noqa: BLE001
        # `cryptography` has no closed list of what it raises.
        raise ConfigurationError(f"{path} is not a CRL in PEM or DER, or is damaged") from None
    _refuse_unusable(lists, f"the CRL {path}")
    return lists


def _examine(crl: x509.CertificateRevocationList) -> None:
    """Ask a list everything that is ever asked: it is read lazily, and shall fail here or never."""
    repr(list(crl.extensions))
    crl.issuer.public_bytes()
    crl.issuer.rfc4514_string()
    crl.signature_hash_algorithm  # noqa: B018
    f"{crl.last_update_utc:%Y}{crl.next_update_utc or crl.last_update_utc:%Y}"
    for entry in crl:
        repr(list(entry.extensions))
        f"{entry.serial_number}{entry.revocation_date_utc:%Y}"


def _blocks(content: bytes) -> list[bytes]:
    parts = content.split(_BEGIN)[1:]
    return [_BEGIN + part.partition(_END)[0] + _END + b"\n" for part in parts]


def _refuse_unusable(lists: Iterable[x509.CertificateRevocationList], label: str) -> None:
    """Refuse no list at all, and one of another time: OpenSSL would refuse every client."""
    crls = tuple(lists)
    ConfigurationError.raise_if([] if crls else [f"{label}: there is none"])
    now = datetime.now(UTC)
    ConfigurationError.raise_if(
        f"{label} is not valid before {_moment(crl.last_update_utc)}: the clock of"
        f" {crl.issuer.rfc4514_string()!r}, or that of this machine, is wrong"
        for crl in crls
        if crl.last_update_utc > now
    )
    ConfigurationError.raise_if(
        f"{label} expired at {_moment(crl.next_update_utc)}: have a new one published by"
        f" {crl.issuer.rfc4514_string()!r}"
        for crl in crls
        if crl.next_update_utc is not None and crl.next_update_utc < now
    )


def _refuse_older(lists: _Lists, current: _Lists, label: str) -> None:
    """Refuse a list from before the one that it would replace, in which less is revoked."""
    newest = {crl.issuer: crl for crl in current}
    ConfigurationError.raise_if(
        f"{label} of {_moment(crl.last_update_utc)} is older than the one in use, of"
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
