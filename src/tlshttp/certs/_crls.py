"""Revocation lists that are replaced while they are in use (RFC 5280, section 5)."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from cryptography import x509

from tlshttp._own_files import OWN_FILES
from tlshttp._paths import require_path
from tlshttp.certs._crl_succession import Check, Lists, Succession, describe_moment, succeed
from tlshttp.certs._files import MAXIMUM_LIST_SIZE
from tlshttp.certs._reading import read_file
from tlshttp.certs._reloading import FILE_POLL_INTERVAL, ReloadingStore
from tlshttp.certs._sources import FileSource, FixedSource
from tlshttp.errors import ConfigurationError

__all__ = ["CRLStore"]

_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


class CRLStore(ReloadingStore[Lists, ConfigurationError]):
    """A source of revocation lists that reloads; accepted wherever a list is.

    The lists are loaded at once, so that mistakes show at start-up. Later each list is judged by
    itself. It is not taken if it would lock out clients, or let in somebody who is revoked. That is
    so if it is damaged; if it has expired, is not valid yet, or is older than the one that it
    replaces; and if a check by a user of the store (`require`) refuses it. Then the old list of
    that authority stays, as it does where there is none of the authority any more; those of others
    are taken; and one line in the log says what is wrong. Threads may share a store.

    Args:
        crlfile: A file with one list in DER, or one or more in PEM.
        poll_interval: Seconds between two looks at the file.

    Raises:
        ConfigurationError: The file cannot be read, is no list, has expired or is not valid yet.
    """

    _noun = "CRL"
    _unusable = ConfigurationError
    _checks: dict[object, tuple[Check, tuple[x509.Certificate, ...]]]
    _partly: tuple[ConfigurationError, Lists] | None = None
    """Why not all that was read last can be used; and what can, with what stays."""

    def __init__(
        self, crlfile: str | bytes | os.PathLike[Any], *, poll_interval: float = FILE_POLL_INTERVAL
    ) -> None:
        path = Path(require_path("crlfile", crlfile))
        self._current = ()
        self._checks = {}

        def load() -> Lists:
            label = f"the CRL {path}"
            lists, damage = _parse(_read(path), path)
            found = self._succeed(lists, label, damage)
            if found.findings:
                error = ConfigurationError(*found.findings)
                self._partly = error, found.taken + found.kept
                raise error
            return found.taken

        self._begin(FileSource([path], _read, load), poll_interval)
        self._take(self._current)

    @classmethod
    def from_crl(cls, *crls: x509.CertificateRevocationList) -> Self:
        """Return a store that keeps lists in memory until `replace` brings others.

        Raises:
            ConfigurationError: There is no list, or one that counts at another time than now.
            TypeError: One is none.
        """
        _require_lists(crls)
        ConfigurationError.raise_if(succeed(crls, (), label="the CRL given").findings)
        store = cls.__new__(cls)
        store._checks = {}  # noqa: SLF001
        store._begin(FixedSource(crls), float("inf"))  # noqa: SLF001
        store._take(crls)  # noqa: SLF001
        return store

    @property
    def current(self) -> Lists:
        """The lists that count now. No input or output."""
        return self._current

    def replace(self, *crls: x509.CertificateRevocationList) -> None:
        """Use other lists from now on; the file, if there was one, is not read any more.

        Raises:
            ConfigurationError: Some cannot be used, or an authority that had a list has none any
                more; those of before still count in their place, which the log and `last_error`
                say, too. The others have been taken.
            TypeError: One is no list.
        """
        _require_lists(crls)
        found = self._succeed(crls, "the CRL given")
        if found.taken:
            self._replace(found.taken + found.kept)
        if found.findings:
            self._last_error = error = ConfigurationError(*found.findings)
            self._announce(error)
            raise error

    def require(
        self,
        check: Callable[[x509.CertificateRevocationList], object],
        issuers: Iterable[x509.Certificate] = (),
    ) -> Callable[[], None]:
        """Have new lists pass a check before they are taken.

        Args:
            check: Called with each list, in the thread that loads it. It refuses the list by a
                `~tlshttp.errors.ConfigurationError`.
            issuers: Authorities by whose keys it can be told which lists replace which, whatever
                the lists say of it.

        Returns:
            A function that ends this.
        """
        # Without the lock: the end may come from the garbage collector, while this thread holds it.
        token = object()
        self._checks[token] = check, tuple(issuers)
        return functools.partial(_forget, self._checks, token)

    def _succeed(self, new: Lists, label: str, damage: tuple[str, ...] = ()) -> Succession:
        users = tuple(self._checks.values())
        return succeed(
            new,
            self._current,
            label=label,
            checks=[check for check, _ in users],
            damage=damage,
            issuers=[issuer for _, issuers in users for issuer in issuers],
        )

    def _salvage(self, error: ConfigurationError) -> Lists | None:
        if self._partly is None or self._partly[0] is not error:
            return None
        lists, self._partly = self._partly[1], None
        if lists == self._current:
            return None
        self._current = lists
        return lists

    def _describe(self, value: Lists) -> str:
        return "; ".join(
            f"the CRL of {crl.issuer.rfc4514_string()!r} of {describe_moment(crl.last_update_utc)}"
            for crl in value
        )


def _forget(checks: dict[object, Any], token: object) -> None:
    checks.pop(token, None)


def _require_lists(given: tuple[object, ...]) -> None:
    for one in given:
        if not isinstance(one, x509.CertificateRevocationList):
            raise TypeError(
                "each must be an x509.CertificateRevocationList, and several are several arguments:"
                f" not {type(one).__name__}"
            )


def _read(path: Path) -> bytes:
    OWN_FILES.add(path)
    try:
        content = read_file(path, MAXIMUM_LIST_SIZE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read CRL {path}: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"{str(path)!r} cannot be the path of a CRL") from None
    if len(content) > MAXIMUM_LIST_SIZE:
        raise ConfigurationError(f"CRL {path} is larger than 64 MiB")
    return content


def _parse(content: bytes, path: Path) -> tuple[Lists, tuple[str, ...]]:
    """Read every list in a file, DER or PEM; say that some are damaged, if they are."""
    found, damaged = [], False
    for block in _blocks(content) or [content]:
        try:
            read = x509.load_der_x509_crl if block is content else x509.load_pem_x509_crl
            crl = read(block)
            _examine(crl)
            found.append(crl)
        except Exception:  # noqa: BLE001
            # `cryptography` has no closed list of what it raises.
            damaged = True
    damage = f"{path} is not a CRL in PEM or DER, or is damaged"
    return tuple(found), (damage,) if damaged else ()


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
