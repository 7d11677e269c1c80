"""Room for connections, and on disk: whether there is some, and who gives way where there is none.

`Eviction` chooses; here it is done. A connection that waits for its peer may be parked, in the
middle of a handler, or in the queue of those that have had their turn and are never parked. Others
wait for the server: for room on disk, or for their turn with a large response.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from tlshttp._machinery.eviction import Eviction
from tlshttp._machinery.registry import Phase
from tlshttp.errors import RequestCrowdedOut

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection
    from tlshttp._machinery.loop import Loop
    from tlshttp._machinery.order import Order
    from tlshttp._machinery.waiting import Waiting

__all__ = ["Room"]

_MOST_LEAVING = 8
"""How many more connections there are than there may be, at most, while threads end those that they
replace. A handler may be long in coming to its end, and is not to keep all others out."""


class Room:
    """The room of one server.

    Args:
        loop: Whose connections there are.
        waiting: Those of which a handler waits for the peer.
        order: Those that wait for their turn with something large.
        again: Those that have had a turn, and wait for another.
    """

    def __init__(
        self, loop: Loop, waiting: Waiting, order: Order, again: deque[Connection]
    ) -> None:
        self._loop = loop
        self._waiting = waiting
        self._order = order
        self._again = again
        self._eviction = Eviction(lambda: loop.registry)
        self.leaving: set[Connection] = set()
        """Those that have been made to give way."""

    def has_room(self) -> bool:
        """Return whether there is a place, or one that can be made."""
        if len(self._loop.registry.by_fd) < self._loop.max_connections:  # as nearly always
            return True
        if self._places_left() < 0:  # who was to give way was at work again just then
            self.make_room()
        left = self._places_left()
        return left > 0 or (left == 0 and self._eviction.find() is not None)

    def is_full(self) -> bool:
        """Return whether another connection can only take the place of one."""
        loop = self._loop
        return len(loop.registry.by_fd) >= loop.max_connections and self._places_left() <= 0

    def _places_left(self) -> int:
        """Return how many more there may be; those are not counted that threads are ending."""
        leaving = sum(1 for connection in [*self.leaving] if not connection.parked)
        open_now = len(self._loop.registry.by_fd)
        return self._loop.max_connections - open_now + min(leaving, _MOST_LEAVING)

    def give_way(self, connection: Connection) -> bool:
        """Have a connection give back what it has on disk; tell if it has done so, not soon will.

        It may be called by anybody who writes to disk, in the middle of a handler.
        """
        if os.getpid() != self._loop.pid:
            return False
        if self._loop.registry.take_back(connection) or self._loop.roomless.take(connection):
            if connection.phase in (Phase.BODY, Phase.RESPONSE):
                connection.give_way()
                return True
            self._loop.resume_later(connection)  # it has moved on just now
        elif connection in self._waiting:
            connection.cut_waiting(RequestCrowdedOut("others need the room on disk"))
        return False

    def make_room(self) -> None:
        """Close the connection that can best be spared, if there is one."""
        while (connection := self._eviction.find()) is not None:
            self._eviction.forget(connection)
            if self._evict(connection):
                return

    def waits_as(self, connection: Connection) -> Phase | None:
        """Return the phase in which one that is not parked may be closed for another.

        Its handler waits for the peer, or it waits until the server has room or time for it. Who
        pipelines without end is never parked, but has had a turn, and waits for another.
        """
        if connection in self._again:
            return connection.phase
        if connection in self._waiting:
            return connection.handler_waits_as
        if connection in self._loop.roomless:
            return Phase.BODY
        return Phase.RESPONSE if connection in self._order.large else None

    def _take_again(self, connection: Connection) -> bool:
        """Take one that waits for another turn, to end it; false where it does not."""
        try:
            self._again.remove(connection)
        except ValueError:
            return False
        return True

    def _evict(self, connection: Connection) -> bool:
        """End a connection that nobody is at work for; false where somebody is, by now."""
        if (
            self._loop.registry.take_back(connection)
            or self._loop.roomless.take(connection)
            or self._order.take(connection)
            or self._take_again(connection)
        ):
            self.leaving.add(connection)
            self._loop.dismiss(connection, connection.crowd_out)
        elif self._waiting.take(connection) or connection.spared_as is Phase.LATER:
            self.leaving.add(connection)
            self._loop.counters.add("evicted")
            connection.cut_waiting(
                RequestCrowdedOut(f"more than {self._loop.max_connections} connections")
            )
        else:
            return False
        if connection.phase is Phase.CLOSED:  # its thread has ended it just then
            self.leaving.discard(connection)
        return True
