"""Handlers that wait for their peers, each in a thread of its own."""

from __future__ import annotations

import collections
import threading
import time
from typing import TYPE_CHECKING

from tlshttp._machinery.eviction import FAIR_PART
from tlshttp._machinery.places import Places
from tlshttp._machinery.workers import Workers
from tlshttp.errors import RequestCrowdedOut

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection

__all__ = ["Waiting"]

_ABSENT = object()


class Waiting:
    """Who waits, in the order in which they began.

    Args:
        places: Whose places they give back meanwhile.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._connections: collections.OrderedDict[Connection, object] = collections.OrderedDict()
        self._lock = threading.RLock()

    def begin(self, connection: Connection) -> None:
        """Take note that this thread waits for a peer, in the middle of a handler."""
        connection.handler_waits_since = time.monotonic()
        with self._lock:
            self._connections[connection] = None
        connection.paused = self._places.pause()

    def end(self, connection: Connection) -> None:
        """Take note that it goes on."""
        with self._lock:
            self._connections.pop(connection, None)
        if connection.paused:
            connection.paused = False
            self._places.go_on()

    def touch(self, connection: Connection) -> None:
        """Take note that a wait has come to an end, and another begins."""
        with self._lock:
            if connection in self._connections:
                connection.handler_waits_since = time.monotonic()
                self._connections.move_to_end(connection)

    def __contains__(self, connection: object) -> bool:
        """Return whether it waits."""
        return connection in self._connections

    def take(self, connection: Connection) -> bool:
        """Have a connection wait no more, to end it; false where it does not wait."""
        with self._lock:
            return self._connections.pop(connection, _ABSENT) is None

    def cut_longest(self, workers: Workers) -> None:
        """Have one thread of those that wait end its connection, because others need threads.

        One that waits for another request of its peer, if there is one; and of the address with
        most of them, if that is a fair part.
        """
        with self._lock:
            found = [one for one in self._connections if one.is_idle] or [*self._connections]
            if not found:
                return
            holders = collections.Counter(one.group for one in found)
            holder, count = holders.most_common(1)[0]
            if count * FAIR_PART < len(found):
                holder = found[0].group
            connection = next(one for one in found if one.group == holder)
            del self._connections[connection]
        message = f"more than {workers.maximum} handlers wait for their peers"
        connection.cut_waiting(RequestCrowdedOut(message))
