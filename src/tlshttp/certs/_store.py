"""A certificate that is replaced while it is in use."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import MethodType
from typing import Any, Self

from tlshttp._members import require_function, require_instance
from tlshttp._paths import require_path
from tlshttp._several import require_texts
from tlshttp.certs._certificate import Certificate
from tlshttp.certs._documents import read_source
from tlshttp.certs._expiry import is_near_end
from tlshttp.certs._keys import Password
from tlshttp.certs._load import load
from tlshttp.certs._reloading import CALLABLE_POLL_INTERVAL, FILE_POLL_INTERVAL, ReloadingStore
from tlshttp.certs._sources import CallableSource, FileSource, FixedSource
from tlshttp.errors import CertificateError

__all__ = ["CertificateStore"]

_MENDED_LATER = ("key-exposed",)
"""Findings that weigh less than an outage, and are in the log all the same."""


class CertificateStore(ReloadingStore[Certificate, CertificateError]):
    """A source of certificates that reloads; accepted wherever a `Certificate` is.

    The certificate is loaded at once, so that mistakes show at start-up. Threads may share a store.

    Args:
        certfile: The file of the leaf, then each one's issuer, in PEM, DER or PKCS#12.
        keyfile: The file of the private key; `None` means it is in ``certfile``.
        password: What opens an encrypted key or PKCS#12, or a function that returns it; `None`
            means that nothing is encrypted.
        poll_interval: Seconds between two looks at the files.
        tolerate: Codes of findings to log as warnings instead, as for `tlshttp.certs.load`.

    Raises:
        CertificateError: The certificate cannot be used; the findings list everything.
    """

    _noun = "certificate"
    _unusable = CertificateError
    _judges: tuple[Callable[[], Callable[[Certificate], Iterable[str]] | None], ...] = ()

    def __init__(
        self,
        certfile: str | bytes | os.PathLike[Any],
        keyfile: str | bytes | os.PathLike[Any] | None = None,
        password: Password | None = None,
        *,
        poll_interval: float = FILE_POLL_INTERVAL,
        tolerate: Iterable[str] = (),
    ) -> None:
        codes = require_texts("tolerate", tolerate)
        certfile = require_path("certfile", certfile, wrong=CertificateError)
        if keyfile is not None:
            keyfile = require_path("keyfile", keyfile, wrong=CertificateError)
        paths = [Path(path) for path in (certfile, keyfile) if path is not None]
        read = functools.partial(load, certfile, keyfile, password)
        source = FileSource(paths, read_source, lambda: self._load(read, codes))
        self._begin(source, poll_interval)

    @classmethod
    def from_callable(
        cls,
        source: Callable[[], Certificate],
        *,
        poll_interval: float = CALLABLE_POLL_INTERVAL,
    ) -> Self:
        """Return a store that asks a function, a client of a secret manager for example.

        Args:
            source: Returns the certificate of now. It is called in whatever thread polls the store,
                so it should answer within milliseconds, from a cache if need be.
            poll_interval: Seconds between two calls.

        Raises:
            CertificateError: The function failed.
        """
        require_function("source", source, "returns a certificate")
        store = cls.__new__(cls)
        store._begin(CallableSource(source), poll_interval)  # noqa: SLF001
        return store

    @classmethod
    def from_certificate(cls, certificate: Certificate) -> Self:
        """Return a store that keeps a certificate in memory until `replace` brings another one."""
        _require_certificate(certificate)
        store = cls.__new__(cls)
        store._begin(FixedSource(certificate), float("inf"))  # noqa: SLF001
        return store

    def require(self, judge: Callable[[Certificate], Iterable[str]]) -> None:
        """Have a function look at each new certificate before it is taken.

        A context does this to ask its profile and OpenSSL, so that the store never takes a
        certificate that the context could not show.

        Args:
            judge: Returns what is wrong with a certificate, in sentences; then the old one stays
                and `last_error` has them. A method is held weakly: it counts no more when its
                object is gone.
        """
        require_function("judge", judge, "says what is wrong with a certificate")
        held = weakref.WeakMethod(judge) if isinstance(judge, MethodType) else lambda: judge
        with self._lock:
            self._judges = (*(one for one in self._judges if one() is not None), held)

    @property
    def current(self) -> Certificate:
        """The certificate to show now. No input or output."""
        return self._current

    def replace(self, certificate: Certificate) -> None:
        """Use another certificate from now on; its files or function are not asked any more.

        Raises:
            CertificateError: A context that shows the store's certificates cannot use it; the old
                one stays.
        """
        _require_certificate(certificate)
        self._replace(certificate)

    def _load(self, read: Callable[..., Certificate], tolerate: tuple[str, ...]) -> Certificate:
        """Load the pair; where time presses, permissions are no reason to stay with the old one."""
        try:
            return read(tolerate=tolerate)
        except CertificateError:
            current = getattr(self, "_current", None)
            if current is None or not is_near_end(current.leaf, datetime.now(UTC)):
                raise
            return read(tolerate=(*tolerate, *_MENDED_LATER))

    def _examine(self, value: Certificate) -> None:
        if value != self._current:
            judges = [judge for held in self._judges if (judge := held()) is not None]
            CertificateError.raise_if(
                dict.fromkeys(sentence for judge in judges for sentence in judge(value))
            )

    def _describe(self, value: Certificate) -> str:
        return repr(value)


def _require_certificate(given: object) -> None:
    require_instance("certificate", given, Certificate, "a certs.Certificate, which has its key")
