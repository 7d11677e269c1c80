"""Where connections wait: in the registry by their deadlines, in a poller by their descriptors.

A connection stays in the poller while it is in somebody's hands: nearly always it is parked again
before there is anything to report, and then nothing has to be changed. Only when it is reported
meanwhile it is taken out, until it is parked again. `Connection.armed` says which of the two holds;
that changes under a lock, `Parking.park` asks without one:

*   Whoever parks a connection sets `parked` first and then looks at `armed`.
*   Whoever disarms it clears `armed` first and then looks at `parked`.

So at least one of the two sees what the other has done. The same holds for the end of the server:
`Parking.close` says so first, and then whoever closes ends what is parked; who parks a connection
looks afterwards whether it has been said.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tlshttp._machinery.poller import READ, Poller

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection
    from tlshttp._machinery.registry import Registry

__all__ = ["Parking"]


class Parking:
    """The connections of a server as its poller sees them.

    Args:
        registry: All of them.
        poller: What reports them.
    """

    def __init__(self, registry: Registry, poller: Poller) -> None:
        self.poller = poller
        self._registry = registry
        self._arming = threading.Lock()
        self._closed = False

    def let_in(self, connection: Connection) -> None:
        """Take in a new connection, which is not parked yet: its peer may have said something.

        Raises:
            OSError: The system cannot watch one more.
        """
        self._registry.add(connection)
        connection.armed = READ
        try:
            self.poller.add(connection.fd, READ)
        except OSError:
            self._registry.remove(connection)
            raise

    def park(self, connection: Connection, event: int) -> None:
        """Let a connection be taken up again when `event` comes or its time is over.

        It belongs to somebody else from then on.
        """
        connection.parked = True
        if connection.armed != event:
            self._arm(connection, event)
        if self._closed and self._registry.take_back(connection):
            connection.leave_with_server()

    def close(self) -> None:
        """Have whoever parks a connection from now on end it: nobody would take it up again."""
        self._closed = True

    def take(self, fds: Iterable[int], *, in_passing: bool = False) -> list[Connection]:
        """Return the connections of reported descriptors, no longer parked.

        Args:
            fds: The descriptors.
            in_passing: Whether others are known to be ready, and will be reported again: they are
                not taken out of the poller for that.
        """
        taken, not_parked = self._registry.take(fds)
        if not in_passing:
            for fd in not_parked:
                self._disarm(fd)
        return taken

    def forget(self, connection: Connection) -> None:
        """Let go of a connection whose socket is going to be closed."""
        with self._arming:
            if self._registry.remove(connection):
                self.poller.remove(connection.fd)

    def _arm(self, connection: Connection, event: int) -> None:
        try:
            with self._arming:
                (self.poller.change if connection.armed else self.poller.add)(connection.fd, event)
                connection.armed = event
        except OSError:  # the server was closed meanwhile
            if self._registry.take_back(connection):
                connection.abort()

    def _disarm(self, fd: int) -> None:
        with self._arming:
            connection = self._registry.get(fd)
            if connection is None or connection.parked or not connection.armed:
                return
            event, connection.armed = connection.armed, 0
            self.poller.remove(fd)
            if self._registry.is_parked(fd):  # since just now
                connection.armed = event
                self.poller.add(fd, event)
