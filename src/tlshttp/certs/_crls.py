"""Revocation lists that are replaced while they are in use (RFC 5280, section 5)."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeAlias, TypeVar

from cryptography import x509

from tlshttp._own_files import OWN_FILES
from tlshttp.certs._reading import read_file
from tlshttp.certs._reloading import FILE_POLL_INTERVAL, ReloadingStore
from tlshttp.certs._sources import FileSource, FixedSource
from tlshttp.errors import ConfigurationError

__all__ = ["CRLStore", "newest_lists"]

_MAXIMUM_SIZE = 64 * 1024 * 1024  # bytes; the largest public lists have some 10 MB
_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_Lists: TypeAlias = tuple[x509.CertificateRevocationList, ...]


class CRLStore(ReloadingStore[_Lists, ConfigurationError]):
    """A source of revocation lists that reloads; accepted wherever a list is.

    The lists are loaded at once, so that mistakes show at start-up. A new file is refused if it
    would lock out clients, or let in somebody who is revoked. That is so if it is damaged; if a
    list has expired, is not valid yet, or is older than the one that it replaces; if an authority
    that had a list has none any more; and if a check by a user of the store (`require`) refuses it.
    Then the old lists stay, and one line in the log says why. Threads may share a store.

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
        """Use other lists from now on; the file, if there was one, is not read any more.

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
        """Refuse lists that would lock out the clients of an authority."""
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
    """Ask a list everything that is ever asked: it is read lazily, and is to fail here or never."""
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
    """Refuse no list at all, a delta, and a list that is not valid now.

    With a list that is not valid now OpenSSL would refuse every client. Deltas (RFC 5280, section
    5.2.4) it does not read, so whoever is revoked in a delta alone would be let in.
    """
    crls = tuple(lists)
    ConfigurationError.raise_if([] if crls else [f"{label}: there is none"])
    ConfigurationError.raise_if(
        f"{label} of {crl.issuer.rfc4514_string()!r} is a delta, which has changes only: give the"
        " complete list"
        for crl in crls
        if _extension(crl, x509.DeltaCRLIndicator) is not None
    )
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
    """Refuse a list that is older than the one it would replace: it revokes less."""
    effective = newest_lists(lists)
    ConfigurationError.raise_if(
        f"{label} of {_moment(crl.last_update_utc)} is older than the one in use, of"
        f" {_moment(old.last_update_utc)}"
        for crl in effective
        for old in newest_lists(current)
        if _replaces(crl, old) and _order(crl) < _order(old)
    )


def newest_lists(lists: _Lists) -> _Lists:
    """Return lists without those that another one of them replaces.

    OpenSSL takes the first that fits, which may be one from before somebody was revoked.
    """
    return tuple(
        crl
        for number, crl in enumerate(lists)
        if not any(
            _replaces(other, crl) and (_order(other), at) > (_order(crl), number)
            for at, other in enumerate(lists)
        )
    )


def _replaces(one: x509.CertificateRevocationList, other: x509.CertificateRevocationList) -> bool:
    """Return whether two lists are of one key and for the same certificates.

    An authority may have several keys (RFC 5280, section 5.2.1) and lists for parts of what it
    has issued (section 5.2.5). A list that does not name its key may be of any.
    """
    keys = [_extension(crl, x509.AuthorityKeyIdentifier) for crl in (one, other)]
    return (
        one.issuer == other.issuer
        and _extension(one, x509.IssuingDistributionPoint)
        == _extension(other, x509.IssuingDistributionPoint)
        and (None in keys or keys[0] == keys[1])
    )


def _extension(crl: x509.CertificateRevocationList, kind: type[_Extension]) -> _Extension | None:
    try:
        return crl.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _order(crl: x509.CertificateRevocationList) -> tuple[datetime, int]:
    """Return what rises from list to list: the time, and within a second the number."""
    number = _extension(crl, x509.CRLNumber)
    return crl.last_update_utc, 0 if number is None else number.crl_number


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
