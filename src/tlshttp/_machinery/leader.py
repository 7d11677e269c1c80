"""Which worker takes up the connections that are ready: leader and followers.

One worker at a time leads. It asks which connections are ready and advances them one after the
other; the loop's thread and all other workers sleep. While handlers are quick nothing is handed
from thread to thread, which would cost more than a request does. The leader must not be kept from
its office, so another is appointed

*   before it waits for a peer in the middle of a handler (`Leaders.step_aside`),
*   before a handshake where there are more cores for this process and more work (the engine lets
    go of the interpreter's lock), unless somebody wants turn after turn,
*   when one handler has kept it for longer than `_LONG_SECONDS`, which the loop sees
    (`Leaders.watch`).

Handlers that wait for something else (a database, a disk) are rarely alone. When a leader is found
to have waited rather than worked, then for some time, which grows when it proves true again, every
leader steps aside before each handler: the pool works as pools do, a thread for each request. A
leader that only had no processor, on a machine with much else to do, has not waited (`Starving`).
"""

from __future__ import annotations

import collections
import contextlib
import functools
import math
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tlshttp._machinery.places import Hold, Places
from tlshttp._machinery.starving import Starving

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection

__all__ = ["LOOK_SECONDS", "Leaders"]

LOOK_SECONDS = 0.005
"""How often `Leaders.watch` is to be called while there is a leader."""

_LONG_SECONDS = 0.004
_TOO_LONG_SECONDS = 0.05
"""After that much a leader is replaced even if all it lacks is a processor: another thread may be
luckier. Before that another thread would only have to share the same processor."""

_WAITED_SECONDS = 0.001
_WAITED_SHARE = 0.5
"""What a leader may have waited since it last asked what is ready: so long, or that share. (The
system does not count all that it does for a thread as the thread's own time.)"""

_FIRST_CAUTION_SECONDS = 0.1
_LONGEST_CAUTION_SECONDS = 1.6
# While handlers stay slow, less than a tenth of the time is spent on finding that out.


_CONNECTIONS_AT_ONCE = 64
_SECONDS_AT_ONCE = 0.002
"""After how many connections, or how much time, a leader asks who else is ready, though some are
known to be: whoever pipelines is ready again and again."""


class _Term(Hold):
    """One worker's time as the leader, and its place once another leads."""

    __slots__ = (
        "advanced", "asked", "asked_cpu", "asked_cpu_at", "began", "called", "looked", "native",
        "thread",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.thread: int | None = None
        """Whose it is; `None` until a worker was free for it."""
        self.native = 0
        """The system's number of that thread."""
        self.advanced = 0
        """Connections taken up since it last looked at the others."""
        self.looked = 0.0
        """When it did that."""
        self.called = time.monotonic()
        self.began = math.inf
        """When it took up the connection it is at work on."""
        self.asked = 0.0
        """When it last knew what is ready."""
        self.asked_cpu = self.asked_cpu_at = 0.0
        """Its own processor time then, or shortly before, and when that was looked at."""


class Leaders:
    """The leader, and how it changes.

    Args:
        submit: Has a worker call something, as `tlshttp._machinery.workers.Workers.submit`.
        ask: Adds what is ready to `ready`, waiting a moment if nothing is; called by the leader.
        advance: Takes a connection as far as it goes.
        resigned: Called when the last leader has left because nothing was ready.
        places: Where whoever is at work and no longer leads has a place.
        processes: How many serve the same, and share the cores.
    """

    def __init__(
        self,
        submit: Callable[[Callable[[], None]], None],
        ask: Callable[[], None],
        advance: Callable[[Connection], None],
        resigned: Callable[[], None],
        places: Places | None = None,
        processes: int = 1,
    ) -> None:
        self._submit = submit
        self._places = places
        self._ask = ask
        self._advance = advance
        self._resigned = resigned
        self._lock = threading.RLock()
        self._term: _Term | None = None
        self._cautious_until = 0.0
        self._caution = _FIRST_CAUTION_SECONDS
        self._starving = Starving()
        self._many_cores = _cores() >= 2 * processes
        self.ready: collections.deque[Connection] = collections.deque()
        """Connections that wait for the leader, whoever it is."""
        self.again: collections.deque[Connection] = collections.deque()
        """Those that have had their turn and want another. They come after the others; but each
        time when the leader looks who else is ready, one of them is no longer made to wait."""

    @property
    def present(self) -> bool:
        """Whether there is a leader, or one has been called."""
        return self._term is not None

    def is_vacant(self, now: float) -> bool:
        """Return whether a leader was called some time ago, and no worker was free yet."""
        term = self._term
        return term is not None and term.thread is None and now - term.called > _LONG_SECONDS

    def call(self) -> None:
        """See to it that there is a leader.

        Raises:
            RuntimeError: There are no workers.
        """
        with self._lock:
            if self._term is None:
                self._appoint()

    def step_aside(self) -> None:
        """Have another worker lead, if it is this one that leads: it may be kept."""
        term = self._term
        if term is not None and term.thread == threading.get_ident():
            self._depose(term)

    def before_handler(self) -> None:
        """Step aside if handlers have been found to be slow."""
        term = self._term
        if term is not None and term.began < self._cautious_until:
            self.step_aside()

    def before_handshake(self) -> None:
        """Step aside if there is work and a core for another.

        Not if somebody wants turn after turn, and so has another thread compute without a pause.
        This one would have to wait for the interpreter's lock, 5 ms each time that it has let go of
        it; a handshake does so a dozen times.
        """
        if self._many_cores and self.ready and not self.again:
            self.step_aside()

    def watch(self, now: float, late: float = 0.0) -> None:
        """Look whether the leader is kept by a handler; called on the loop's tick.

        Args:
            now: The time in seconds, from `time.monotonic`.
            late: By how many seconds the loop itself comes late: what kept it (no processor, or the
                interpreter's lock, which it may have held itself) has kept the leader, too.
        """
        term = self._term
        if term is None or now - term.began <= _LONG_SECONDS:
            return
        kept = now - term.began - late
        if kept > _LONG_SECONDS and self._has_waited(term, kept):
            self._be_cautious(now)
            self._depose(term)
        elif now - term.began > _TOO_LONG_SECONDS:
            self._depose(term)

    def _has_waited(self, term: _Term, kept: float) -> bool:
        """Return whether a leader that has been kept did not lack a processor alone."""
        if self._starving.starves_now(term.native):
            return False
        return kept - self._starving.look(term.native) > _LONG_SECONDS

    def _depose(self, term: _Term) -> None:
        with self._lock:
            if self._term is term:
                # While the server closes there is no other.
                with contextlib.suppress(RuntimeError):
                    if self._places is not None:
                        self._places.take(term)  # before another could take it for free
                    self._appoint()

    def _appoint(self) -> None:
        """Have a worker lead as soon as one is free; the lock is held."""
        self._term = term = _Term()
        try:
            self._submit(functools.partial(self._lead, term))
        except RuntimeError:
            self._term = None
            raise

    def _lead(self, term: _Term) -> None:
        """Lead until nothing is ready, or another has been appointed."""
        term.native = threading.get_native_id()
        term.thread = threading.get_ident()
        places = self._places
        waiting = places.waiting if places is not None else ()
        if places is not None:
            places.begin(term)
        self._begin(term)
        try:
            while self._term is term and (self.ready or self._ask_for_more(term)):
                try:
                    connection = self.ready.popleft()
                except IndexError:
                    continue
                term.connection = connection
                now = term.began = time.monotonic()
                self._advance(connection)
                term.began = math.inf
                if waiting and places is not None:
                    places.resume_one()
                term.advanced += 1
                if term.advanced >= _CONNECTIONS_AT_ONCE or now - term.looked > _SECONDS_AT_ONCE:
                    term.advanced, term.looked = 0, now
                    self._ask()
                    self._take_again()
        finally:
            self._leave(term)
            if places is not None:
                places.give_back(term)

    def _ask_for_more(self, term: _Term) -> bool:
        """Ask what is ready, when nothing is known to be; false where nothing is."""
        if self._take_again():
            return True
        self._judge(term)
        self._ask()
        self._begin(term)
        return bool(self.ready)

    def _take_again(self) -> bool:
        """Have one that has had its turn be ready for another; false where there is none."""
        try:
            self.ready.append(self.again.popleft())
        except IndexError:
            return False
        return True

    def _begin(self, term: _Term) -> None:
        term.advanced = 0
        term.asked = term.looked = now = time.monotonic()
        if now - term.asked_cpu_at > _WAITED_SECONDS:  # it is a system call
            term.asked_cpu_at, term.asked_cpu = now, time.thread_time()

    def _judge(self, term: _Term) -> None:
        """Take note if the leader has waited since it last asked."""
        now = time.monotonic()
        passed = now - term.asked
        if passed <= _WAITED_SECONDS:
            return
        waited = passed - (time.thread_time() - term.asked_cpu)
        most = max(_WAITED_SECONDS, _WAITED_SHARE * passed)
        if waited > most and waited - self._starving.look(term.native) > most:
            self._be_cautious(now)

    def _be_cautious(self, now: float) -> None:
        again = now < self._cautious_until + self._caution
        if not again:
            self._caution = _FIRST_CAUTION_SECONDS
        elif now >= self._cautious_until:
            self._caution = min(2 * self._caution, _LONGEST_CAUTION_SECONDS)
        self._cautious_until = now + self._caution

    def _leave(self, term: _Term) -> None:
        with self._lock:
            if self._term is not term:
                return
            self._term = None
        self._resigned()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
