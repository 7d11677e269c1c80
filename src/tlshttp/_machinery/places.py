"""How many handlers may be at work, and who waits for that.

A *place* is what a handler at work has. One that waits for its peer gives it back, so that peers
that are slow take none; when its peer has moved it goes on at once, even where all places are taken
meanwhile: to wait for one could be to wait for a handler that waits for what this one holds, such
as a lock. So the bound is kept when handlers begin.

Who has more than a share gives way to others who wait, and to nobody else: where all clients come
from one address, as behind a proxy, it has all places. (Handlers at work cannot be made to give
theirs back, so some places more are there for others then.)
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tlshttp._machinery.eviction import FAIR_PART

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection

__all__ = ["Hold", "Places"]


_MORE = 4
"""One of so many places is there besides where somebody has more than a share, for others: handlers
that are at work cannot be made to give their places back."""


class Hold:
    """Whether a thread has a place."""

    __slots__ = ("connection", "group", "held")

    def __init__(self, connection: Connection | None = None, *, held: bool = False) -> None:
        self.held = held
        self.connection = connection
        """Whom its handler serves, until it has a place."""
        self.group = b""
        """To whose places that counts."""


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
        self._more = maximum // _MORE if maximum >= FAIR_PART else 0
        self._held: collections.Counter[bytes] = collections.Counter()
        self._resume = resume
        self._lock = threading.RLock()
        self.waiting: dict[Connection, None] = {}
        """Who waits for one; read it, and leave changing it to the methods."""
        self._queues: dict[bytes, collections.deque[Connection]] = {}
        self._full_since: float | None = None
        self._mine = threading.local()

    def queue_up(self, connection: Connection) -> bool:
        """Have a connection wait for a place; false where there is one for it."""
        if self.taken < self.maximum and not self.waiting:
            return False
        with self._lock:
            if self._has_one_for(connection.group) and not self._gives_way(connection.group):
                return False
            if not self.waiting:
                self._full_since = time.monotonic()
            self.waiting[connection] = None
            self._queues.setdefault(connection.group, collections.deque()).append(connection)
            return True

    def _has_one_for(self, group: bytes) -> bool:
        """Return whether there is a place for somebody of that address; the lock is held."""
        if self.taken < self.maximum:
            return True
        if self.taken >= self.maximum + self._more:
            return False
        most = max(self._held.values(), default=0)
        return most * FAIR_PART >= self.maximum and self._held[group] * _MORE < self._more

    def _gives_way(self, group: bytes) -> bool:
        """Return whether somebody waits who holds less; the lock is held."""
        held = self._held[group]
        return any(self._held[other] < held for other in self._queues)

    def take(self, hold: Hold) -> None:
        """Take a place, even where there is none."""
        connection = hold.connection
        with self._lock:
            if not hold.held:
                hold.held = True
                if connection is not None:
                    hold.group = connection.group
                self._held[hold.group] = self._held.get(hold.group, 0) + 1
                self.taken += 1

    def give_back(self, hold: Hold) -> None:
        """Give a place back: to the address that holds least, and who has waited longest there."""
        hold.connection = None  # nothing is kept alive by an idle thread
        with self._lock:
            if not hold.held:
                return
            hold.held = False
            self.taken -= 1
            left = self._held.pop(hold.group) - 1
            if left:
                self._held[hold.group] = left
        if self.waiting:
            self.resume_one()

    def resume_one(self) -> None:
        """Take up who is next, if there is a place; a leader's is free in between."""
        connection = None
        with self._lock:
            if self._queues:
                group = min(self._queues, key=self._held.__getitem__)
                if self._has_one_for(group):
                    connection = self._take_first(group)
        if connection is not None:
            self._resume(connection)

    def _take_first(self, group: bytes) -> Connection:
        """Take who has waited longest of an address, which is last in its turn from now on."""
        queue = self._queues.pop(group)
        connection = queue.popleft()
        if queue:
            self._queues[group] = queue
        del self.waiting[connection]
        if not self.waiting:
            self._full_since = None
        return connection

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
            self._queues.clear()
        return waiting
