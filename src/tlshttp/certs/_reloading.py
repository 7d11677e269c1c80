"""Certificates and revocation lists that are replaced while they are in use.

A store has no thread. Whoever serves drives it: `ReloadingStore.poll` costs one comparison until
the interval is over, then a few ``stat`` calls, and never waits for another thread. Reading
`current` is one attribute access. So an unused store does nothing at all.

Something new is taken only when it can be used as a whole; anything else leaves the old in place.
(A file with the lists of several authorities is several things: `ReloadingStore._salvage`.)
Certificate and key are replaced one after the other, so a pair that does not belong together is
normal for a moment: what is wrong is said at the second look, and then once.
"""

from __future__ import annotations

import abc
import contextlib
import functools
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar, Generic, TypeVar, cast

from tlshttp._forked import begin_anew_in_children
from tlshttp._members import require_function, require_instance
from tlshttp.certs._looking import Look
from tlshttp.certs._sources import FileSource, FixedSource, Source
from tlshttp.errors import ConfigurationError

__all__ = ["CALLABLE_POLL_INTERVAL", "FILE_POLL_INTERVAL", "IN_A_LOOK", "ReloadingStore"]

_log = logging.getLogger("tlshttp.certs")

FILE_POLL_INTERVAL = 5.0
"""Seconds between two looks at files; a look costs about 0.3 ms."""

STALL_SECONDS = 2.0
"""Seconds that reading files may take before the log says that they cannot be read."""

CALLABLE_POLL_INTERVAL = 60.0
"""Seconds between two calls of a user's function, which may ask over the network."""


IN_A_LOOK: ContextVar[bool] = ContextVar("in_a_look", default=False)
"""Whether what is new is examined during a poll, which must not wait."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound=ConfigurationError)


@dataclass(frozen=True, eq=False)
class _Subscription(Generic[_T, _E]):
    on_change: Callable[[_T], object]
    on_error: Callable[[_E], object] | None


class ReloadingStore(abc.ABC, Generic[_T, _E]):
    """What stores have in common: a source, what was last taken from it, and when to look again."""

    _noun: ClassVar[str]
    """What is kept, for sentences."""
    _unusable: type[_E]
    """What a source raises for something that cannot be used."""

    _source: Source[_T]
    _current: _T
    _next_poll: float
    _subscriptions: tuple[_Subscription[_T, _E], ...]
    _asked: bool
    _is_looking: bool
    """Whether a thread that has the lock is at something that has not come to its end."""
    _suspicion: str | None
    _last_error: _E | None
    _pending: Look[tuple[_T] | None] | None
    """A look that has not come to its end."""

    @property
    @abc.abstractmethod
    def current(self) -> _T:
        """What to use now. No input or output."""

    @abc.abstractmethod
    def _describe(self, value: _T) -> str:
        """Name what is kept in a line of the log."""

    @property
    def last_error(self) -> _E | None:
        """Why the newest cannot be used, as the log has it; `None` while all is well."""
        return self._last_error

    @property
    def poll_interval(self) -> float:
        """Seconds between two looks; infinite where there is nothing to look at."""
        return self._poll_interval

    def poll(self, now: float | None = None) -> bool:
        """Look whether there is something new, if the interval is over.

        Never raises, and never waits for another thread that is just looking. Files are looked at
        in a thread of their own, and what takes longer than 50 ms is taken at a later poll.

        Args:
            now: The time in seconds, from `time.monotonic`; `None` means to ask for it.

        Returns:
            Whether `current` is another one now.
        """
        now = time.monotonic() if now is None else now
        if now < self._next_poll and not self._asked:
            return False
        lock = self._lock  # another one if a signal's handler forks meanwhile, in the child
        if not lock.acquire(blocking=False):
            return False
        try:
            with self._looking():
                asked, self._asked = self._asked, False
                self._next_poll = now + self._poll_interval
                salvaged, event = self._look(asked=asked)
        finally:
            lock.release()
        self._announce(salvaged)
        self._announce(event)
        return any(
            one is not None and not isinstance(one, self._unusable) for one in (salvaged, event)
        )

    def reload(self) -> bool:
        """Load it now, whether or not something seems to have changed.

        Returns:
            Whether `current` is another one now.

        Raises:
            ConfigurationError: The new one cannot be used; `current` is still the old one. It is a
                `~tlshttp.errors.CertificateError` for a certificate. Of several revocation lists
                those have been taken that can be used. What the user's own function for certificate
                or password raises comes out, too.
        """
        failure: _E | None = None
        with self._lock, self._looking():
            try:
                value = self._source.load()
                self._examine(value)
                event = self._take(value)
            except self._unusable as error:
                failure, event = error, self._salvage(error)
        self._announce(event)
        if failure is not None:
            raise failure
        return event is not None

    def _replace(self, value: _T) -> None:
        with self._lock, self._looking():
            self._examine(value)
            self._source = FixedSource(value)
            self._pending = None
            self._next_poll = float("inf")
            event = self._take(value)
        self._announce(event)

    def subscribe(
        self,
        on_change: Callable[[_T], object],
        on_error: Callable[[_E], object] | None = None,
    ) -> Callable[[], None]:
        """Have functions called when `current` changes or cannot be renewed.

        Args:
            on_change: Called with the new `current`, in the thread that polled.
            on_error: Called once for each thing that keeps a new one from being used; `None` means
                that the log is enough.

        Returns:
            A function that ends the subscription.
        """
        require_function("on_change", on_change, "takes what is new")
        if on_error is not None:
            require_function("on_error", on_error, "takes an error")
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
        return f"<{type(self).__name__} {self._describe(self._current)}>"

    def _begin(self, source: Source[_T], poll_interval: float) -> None:
        due = "a number of seconds"
        require_instance("poll_interval", poll_interval, (int, float), due)
        if not poll_interval > 0:
            raise ConfigurationError(f"a poll_interval of {poll_interval} seconds is no interval")
        self._lock = threading.Lock()
        self._source = source
        self._poll_interval = poll_interval
        self._next_poll = time.monotonic() + poll_interval
        self._subscriptions = ()
        self._asked = self._is_looking = False
        self._pending = None
        self._suspicion = None
        self._last_error = None
        self._current = source.load()
        begin_anew_in_children(self, ReloadingStore._begin_anew)

    def _begin_anew(self) -> None:
        """Look again, in a forked child: a look that was going on is its parent's."""
        self._lock = threading.Lock()
        self._pending = None
        if self._is_looking:  # it may have taken note already of what it was to look at
            self._is_looking, self._asked = False, True
        if isinstance(self._source, FileSource):
            self._source.forget()

    @contextlib.contextmanager
    def _looking(self) -> Iterator[None]:
        """Have a child that is forked meanwhile look at its next poll."""
        self._is_looking = True
        try:
            yield
        finally:
            self._is_looking = False

    def _look(self, *, asked: bool) -> tuple[_T | None, _T | _E | None]:
        """Load what may be new; return what is to be announced: what is salvaged, and the rest."""
        try:
            found = self._find(asked=asked)
        except self._unusable as error:
            return self._salvage(error), self._doubt(error, asked=asked)
        except Exception as error:  # noqa: BLE001
            # The user's function for certificate or password. Only the type: the text may quote
            # what the function was given.
            kind = type(error).__name__
            failure = self._unusable(f"the source of the {self._noun} failed ({kind})")
            return None, self._doubt(failure, asked=asked)
        if found is None:
            return None, None
        token = IN_A_LOOK.set(True)
        try:
            self._examine(found[0])
        except self._unusable as error:
            # It is whole, so that there is something to say. What a user of the store misses may
            # come by itself, an OCSP response for one.
            if isinstance(self._source, FileSource):
                self._source.forget()
            return None, self._doubt(error, asked=True)
        finally:
            IN_A_LOOK.reset(token)
        return None, self._take(found[0])

    def _find(self, *, asked: bool) -> tuple[_T] | None:
        """Return what there is now, if it may be new; raises what the source does.

        Raises:
            ConfigurationError: It cannot be used, or the file system does not answer.
        """
        find = functools.partial(_load_if_new, self._source, asked=asked)
        if not isinstance(self._source, FileSource):
            return find()
        look = self._pending or Look(find)
        if look.is_over:
            if self._pending is not None and look.seconds > STALL_SECONDS:
                self._suspicion = self._last_error = None  # that it did not answer
            self._pending = None
            return look.result()
        if look.is_lost:
            self._pending, self._asked = None, True
            return None
        self._pending = look
        self._next_poll = 0.0  # for whoever polls: it costs nothing now
        if look.seconds > STALL_SECONDS:
            raise self._unusable(
                f"the file system of {self._source.describe()} does not answer: it has been read"
                f" for more than {STALL_SECONDS:g} s"
            )
        return None

    def _examine(self, value: _T) -> None:
        """Raise where those who use the store cannot use something new."""

    def _salvage(self, error: _E) -> _T | None:  # noqa: ARG002
        """Take what can be used in spite of an error; return `current` if it is another one now."""
        return None

    def _take(self, value: _T) -> _T | None:
        self._suspicion = self._last_error = None
        if value == self._current:
            return None
        self._current = value
        return value

    def _doubt(self, error: _E, *, asked: bool) -> _E | None:
        """Return an error to announce: at the second look, or when asked; each once."""
        text = str(error)
        seen_before, self._suspicion = self._suspicion == text, text
        if str(self._last_error) == text or not (seen_before or asked):
            return None
        self._last_error = error
        return error

    def _announce(self, event: _T | _E | None) -> None:
        """Tell the log and the subscribers, without the lock."""
        if event is None:
            return
        if isinstance(event, self._unusable):
            old = self._describe(self._current)
            _log.warning("keeping %s, since the new one cannot be used: %s", old, event)
        else:
            _log.info("now using %s", self._describe(cast("_T", event)))
        for subscription in self._subscriptions:
            try:
                if not isinstance(event, self._unusable):
                    subscription.on_change(cast("_T", event))
                elif subscription.on_error is not None:
                    subscription.on_error(event)
            except Exception:  # noqa: BLE001
                _log.exception("a subscriber of %r failed", self)


def _load_if_new(source: Source[_T], *, asked: bool) -> tuple[_T] | None:
    return (source.load(),) if asked or source.has_changed() else None


def _restore_sighup(previous: Any) -> None:
    # Not a method, so that the undo function keeps no store alive.
    signal.signal(signal.SIGHUP, previous)
