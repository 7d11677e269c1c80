"""Connections whose bodies wait until the server has room on disk."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection

__all__ = ["Roomless"]

_ABSENT = object()


class Roomless:
    """A queue of them.

    Args:
        wake: Called, from any thread, when there is room again.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._queue: collections.OrderedDict[Connection, object] = collections.OrderedDict()
        self.has_freed_room = False
        """Whether there is more room than before, for who waits."""

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._queue)

    def __contains__(self, connection: object) -> bool:
        """Return whether it waits."""
        return connection in self._queue

    def add(self, connection: Connection) -> None:
        """Have a connection wait."""
        self._queue[connection] = None

    def take(self, connection: Connection) -> bool:
        """Take one that waits; false where it does not."""
        return self._queue.pop(connection, _ABSENT) is None

    def room_freed(self) -> None:
        """Take note that there is more room."""
        if self._queue:
            self.has_freed_room = True
            self._wake()

    def take_resumed(self) -> list[Connection]:
        """Take all who wait, where there is more room than before."""
        self.has_freed_room = False
        return self.take_all()

    def take_all(self) -> list[Connection]:
        """Take all who wait."""
        taken = []
        with contextlib.suppress(KeyError):
            while True:
                taken.append(self._queue.popitem(last=False)[0])
        return taken

    def look_after(self, resume: Callable[[Connection], None]) -> None:
        """Have all who wait try again, and one of them give up if it is time.

        Now and then, because room may be freed just before somebody begins to wait for it, and
        because those that wait may hold what the others wait for: so one at a time.
        """
        has_given_up = False
        for connection in self.take_all():
            has_given_up = has_given_up or connection.give_up_room()
            resume(connection)
