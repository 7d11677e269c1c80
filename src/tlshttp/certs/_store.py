"""A certificate that is replaced while it is in use.

A store has no thread. Whoever serves drives it: `CertificateStore.poll` costs one comparison until
the interval is over, then a few ``stat`` calls, and never waits for another thread. Reading
`current` is one attribute access. So an unused store does nothing at all.

A new pair is taken only when it can be used as a whole; anything else leaves the old one in place.
Certificate and key are replaced one after the other, so a pair that does not belong together is
normal for a moment: what is wrong is said at the second look, and then once.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

from tlshttp.certs._certificate import Certificate
from tlshttp.certs._keys import Password
from tlshttp.certs._sources import CallableSource, CertificateSource, FileSource, FixedSource
from tlshttp.errors import CertificateError, ConfigurationError

_log = logging.getLogger("tlshttp.certs")

FILE_POLL_INTERVAL = 5.0
"""Seconds between two looks at files; a look costs about 0.1 ms."""

CALLABLE_POLL_INTERVAL = 60.0
"""Seconds between two calls of a user's function, which may ask over the network."""


@dataclass(frozen=True, eq=False)
class _Subscription:
    on_change: Callable[[Certificate], object]
    on_error: Callable[[CertificateError], object] | None


class CertificateStore:
    """A source of certificates that reloads; accepted wherever a `Certificate` is.

    The certificate is loaded at once, so that mistakes show at start-up. Threads may share a store.

    Args:
        certfile: The file of the leaf, then each one's issuer.
        keyfile: The file of the private key; `None` means it is in ``certfile``.
        password: What opens an encrypted key, or a function that returns it; `None` means the key
            is not encrypted.
        poll_interval: Seconds between two looks at the files.
        tolerate: Codes of findings to log as warnings instead, as for `tlshttp.certs.load`.

    Raises:
        CertificateError: The certificate cannot be used; the findings list everything.
    """

    _source: CertificateSource
    _next_poll: float
    _subscriptions: tuple[_Subscription, ...]
    _asked: bool
    _suspicion: str | None
    _reported: str | None

    def __init__(
        self,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None = None,
        password: Password | None = None,
        *,
        poll_interval: float = FILE_POLL_INTERVAL,
        tolerate: Iterable[str] = (),
    ) -> None:
        self._begin(FileSource(certfile, keyfile, password, tolerate), poll_interval)

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
        store = cls.__new__(cls)
        store._begin(CallableSource(source), poll_interval)  # noqa: SLF001
        return store

    @classmethod
    def from_certificate(cls, certificate: Certificate) -> Self:
        """Return a store that keeps a certificate in memory until `replace` brings another one."""
        store = cls.__new__(cls)
        store._begin(FixedSource(certificate), float("inf"))  # noqa: SLF001
        return store

    @property
    def current(self) -> Certificate:
        """The certificate to show now. No input or output."""
        return self._current

    @property
    def poll_interval(self) -> float:
        """Seconds between two looks; infinite where there is nothing to look at."""
        return self._poll_interval

    def poll(self, now: float | None = None) -> bool:
        """Look whether there is a new certificate, if the interval is over.

        Never raises, and never waits for another thread that is just looking.

        Args:
            now: The time in seconds, from `time.monotonic`; `None` means to ask for it.

        Returns:
            Whether `current` is another one now.
        """
        now = time.monotonic() if now is None else now
        if now < self._next_poll and not self._asked:
            return False
        if not self._lock.acquire(blocking=False):
            return False
        try:
            asked, self._asked = self._asked, False
            self._next_poll = now + self._poll_interval
            event = self._look(asked=asked)
        finally:
            self._lock.release()
        self._announce(event)
        return isinstance(event, Certificate)

    def reload(self) -> bool:
        """Load the certificate now, whether or not something seems to have changed.

        Returns:
            Whether `current` is another one now.

        Raises:
            CertificateError: The new certificate cannot be used; `current` is still the old one.
                What the user's own function for certificate or password raises comes out, too.
        """
        with self._lock:
            certificate = self._source.load()
            event = self._take(certificate)
        self._announce(event)
        return event is not None

    def replace(self, certificate: Certificate) -> None:
        """Use another certificate from now on; where the first one came from counts no more."""
        with self._lock:
            self._source = FixedSource(certificate)
            self._next_poll = float("inf")
            event = self._take(certificate)
        self._announce(event)

    def subscribe(
        self,
        on_change: Callable[[Certificate], object],
        on_error: Callable[[CertificateError], object] | None = None,
    ) -> Callable[[], None]:
        """Have functions called when the certificate changes or cannot be renewed.

        Args:
            on_change: Called with each new certificate, in the thread that polled.
            on_error: Called once for each thing that keeps a new certificate from being used;
                `None` means that the log is enough.

        Returns:
            A function that ends the subscription.
        """
        subscription = _Subscription(on_change, on_error)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)

        def unsubscribe() -> None:
            with self._lock:
                self._subscriptions = tuple(
                    other for other in self._subscriptions if other is not subscription
                )

        return unsubscribe

    def reload_on_sighup(self) -> Callable[[], None]:
        """Let the next `poll` after a SIGHUP look at once; call this in the main thread.

        A handler that was there before is still called.

        Returns:
            A function that puts the handler of before back.

        Raises:
            ConfigurationError: The system has no SIGHUP, or this is not the main thread.
        """
        if not hasattr(signal, "SIGHUP"):
            raise ConfigurationError("this system has no SIGHUP: call reload() instead")
        if threading.current_thread() is not threading.main_thread():
            raise ConfigurationError("reload_on_sighup() must be called in the main thread")
        previous = signal.getsignal(signal.SIGHUP)

        def note(number: int, frame: FrameType | None) -> None:
            # Nothing more: a signal may interrupt whoever holds the lock.
            self._asked = True
            if callable(previous):
                previous(number, frame)

        signal.signal(signal.SIGHUP, note)
        return functools.partial(_restore_sighup, previous)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._current!r}>"

    def _begin(self, source: CertificateSource, poll_interval: float) -> None:
        if not poll_interval > 0:
            raise ConfigurationError(f"a poll_interval of {poll_interval} seconds is no interval")
        self._lock = threading.Lock()
        self._source = source
        self._poll_interval = poll_interval
        self._next_poll = time.monotonic() + poll_interval
        self._subscriptions = ()
        self._asked = False
        self._suspicion = None
        self._reported = None
        self._current = source.load()

    def _look(self, *, asked: bool) -> Certificate | CertificateError | None:
        """Load what may be new; return what is to be announced."""
        if not asked and not self._source.has_changed():
            return None
        try:
            certificate = self._source.load()
        except CertificateError as error:
            return self._doubt(error, asked=asked)
        except Exception as error:  # noqa: BLE001
            # The user's function for certificate or password. Only the type: the text may quote
            # what the function was given.
            kind = type(error).__name__
            failure = CertificateError(f"the source of the certificate failed ({kind})")
            return self._doubt(failure, asked=asked)
        return self._take(certificate)

    def _take(self, certificate: Certificate) -> Certificate | None:
        self._suspicion = self._reported = None
        if certificate == self._current:
            return None
        self._current = certificate
        return certificate

    def _doubt(self, error: CertificateError, *, asked: bool) -> CertificateError | None:
        """Return an error to announce: at the second look, or when asked; each once."""
        text = str(error)
        seen_before, self._suspicion = self._suspicion == text, text
        if self._reported == text or not (seen_before or asked):
            return None
        self._reported = text
        return error

    def _announce(self, event: Certificate | CertificateError | None) -> None:
        """Tell the log and the subscribers, without the lock."""
        if event is None:
            return
        if isinstance(event, CertificateError):
            _log.warning("keeping %r, since the new one cannot be used: %s", self._current, event)
        else:
            _log.info("now using %r", event)
        for subscription in self._subscriptions:
            try:
                if isinstance(event, Certificate):
                    subscription.on_change(event)
                elif subscription.on_error is not None:
                    subscription.on_error(event)
            except Exception:  # noqa: BLE001
                _log.exception("a subscriber of %r failed", self)


def _restore_sighup(previous: Any) -> None:
    # Not a method, so that the undo function keeps no store alive.
    signal.signal(signal.SIGHUP, previous)
