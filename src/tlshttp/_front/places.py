"""How many handlers may be at work, and who waits for that.

A *place* is what a handler at work has. One that waits for its peer gives it back, so that peers
that are slow take none; when its peer has moved it goes on at once, even where all places are taken
meanwhile: to wait for one could be to wait for a handler that waits for what this one holds, such
as a lock. So the bound is kept when handlers begin.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlshttp._front.connection import Connection

__all__ = ["Hold", "Places"]


class Hold:
    """Whether a thread has a place."""

    __slots__ = ("held",)

    def __init__(self, *, held: bool = False) -> None:
        self.held = held


class Places:
    """The places of a server.

    Args:
        maximum: How many there are.
        resume: Called with a connection that has waited, when there is a place for it.
    """

    def __init__(self, maximum: int, resume: Callable[[Connection], None]) -> None:
        self.maximum = maximum
        self.taken = 0
        """How many are taken; more than there are where handlers went on after a wait."""
        self._resume = resume
        self._lock = threading.RLock()
        self.waiting: collections.deque[Connection] = collections.deque()
        """Who waits for one; read it, and leave changing it to the methods."""
        self._full_since: float | None = None
        self._mine = threading.local()

    def queue_up(self, connection: Connection) -> bool:
        """Have a connection wait for a place; false where there is one."""
        if self.taken < self.maximum:
            return False
        with self._lock:
            if self.taken < self.maximum:
                return False
            if not self.waiting:
                self._full_since = time.monotonic()
            self.waiting.append(connection)
            return True

    def take(self, hold: Hold) -> None:
        """Take a place, even where there is none."""
        with self._lock:
            if not hold.held:
                hold.held = True
                self.taken += 1

    def give_back(self, hold: Hold) -> None:
        """Give a place back to whoever has waited longest."""
        with self._lock:
            if not hold.held:
                return
            hold.held = False
            self.taken -= 1
        if self.waiting:
            self.resume_one()

    def resume_one(self) -> None:
        """Take up who has waited longest, if there is a place; a leader's is free in between."""
        connection = None
        with self._lock:
            if self.waiting and self.taken < self.maximum:
                connection = self.waiting.popleft()
            if not self.waiting:
                self._full_since = None
        if connection is not None:
            self._resume(connection)

    def begin(self, hold: Hold) -> None:
        """Take note of what this thread's place is written down in."""
        self._mine.hold = hold

    def pause(self) -> bool:
        """Give this thread's place back for a while; tell if it had one."""
        hold: Hold | None = getattr(self._mine, "hold", None)
        if hold is None or not hold.held:
            return False
        self.give_back(hold)
        return True

    def go_on(self) -> None:
        """Take it again."""
        self.take(self._mine.hold)

    def full_for(self, now: float) -> float:
        """Return for how many seconds connections have had to wait for a place."""
        since = self._full_since
        return 0.0 if since is None else now - since

    def take_all(self) -> list[Connection]:
        """Return who waits, and have nobody wait any more: the server closes."""
        with self._lock:
            waiting = list(self.waiting)
            self.waiting.clear()
        return waiting
