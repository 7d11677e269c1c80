"""All open connections, by phase, each phase in the order of its deadlines.

A phase has one duration, so the connection that entered it first has the earliest deadline and is
the oldest: the same queue answers who is overdue and how many there are. (While a body is collected
or a response sent, a deadline moves with what the peer does, and who drives a connection that has
been taken over sets its own. These queues are looked through.)
Hello, plain request and handshake share one duration and one queue, because their
deadline runs from accepting the connection and must not start anew in between.
"""

from __future__ import annotations

import enum
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tlshttp._forked import begin_anew_in_children

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection

__all__ = ["Phase", "Registry"]


class Phase(enum.Enum):
    """Where on its way a connection is; ``Stats.parked`` counts some of these together."""

    HELLO = "hello"
    """Accepted, nothing usable sent yet: a bare socket."""
    PLAIN = "plain"
    """Sending an HTTP request without TLS."""
    HANDSHAKE = "handshake"
    """Inside the TLS handshake."""
    REQUEST = "request"
    """A request has been begun, or the first one is awaited."""
    BODY = "body"
    """The request head is there; the body is being collected."""
    RESPONSE = "response"
    """The handler has returned; what is left of its response is being sent."""
    HANDLER = "handler"
    """In a handler, or handed to whoever overrides ``process_request()``."""
    LATER = "later"
    """The handler has returned, and somebody else answers in its place (`later.py`)."""
    IDLE = "idle"
    """Between two requests."""
    TAKEN_OVER = "taken-over"
    """No longer HTTP, and driven by the loop; see `tlshttp._machinery.driven`."""
    CLOSING = "closing"
    """Response and ``close_notify`` sent; taking in what the peer still sends."""
    CLOSED = "closed"
    """Over."""

    # By identity, as members are compared: quicker than by name, as `enum` has it.
    __hash__ = object.__hash__


HANDSHAKING = frozenset({Phase.HELLO, Phase.PLAIN, Phase.HANDSHAKE})

_QUEUES: dict[Phase, int] = {
    Phase.HELLO: 0,
    Phase.PLAIN: 0,
    Phase.HANDSHAKE: 0,
    Phase.REQUEST: 1,
    Phase.BODY: 2,
    Phase.IDLE: 3,
    Phase.CLOSING: 4,
    Phase.RESPONSE: 5,
    Phase.LATER: 6,
    Phase.TAKEN_OVER: 7,
}

_PACED = frozenset(_QUEUES[phase] for phase in (Phase.BODY, Phase.RESPONSE, Phase.TAKEN_OVER))
"""The queues in which deadlines move with what the peer does: no order is kept there."""

_CLOSED = Phase.CLOSED


class Registry:
    """The queues; safe to use from any thread."""

    def __init__(self) -> None:
        self.in_order = True
        """Whether no connection has had a shorter deadline than its phase gives it."""
        self._renew_lock()
        begin_anew_in_children(self, Registry._renew_lock)
        self.by_fd: dict[int, Connection] = {}
        """All of them; read it, and leave changing it to the methods."""
        self._queues: tuple[OrderedDict[Connection, None], ...] = tuple(
            OrderedDict() for _ in set(_QUEUES.values())
        )
        self._queue_of = {phase: self._queues[number] for phase, number in _QUEUES.items()}

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    def __iter__(self) -> Iterator[Connection]:
        with self._lock:
            return iter(list(self.by_fd.values()))

    def add(self, connection: Connection) -> None:
        """Take in a new connection in the phase it is in."""
        with self._lock:
            self.by_fd[connection.fd] = connection
            connection.queue = self._queue_of[connection.phase]
            connection.queue[connection] = None

    def move(self, connection: Connection, phase: Phase, deadline: float) -> None:
        """Let an open connection enter a phase, at the end of its queue.

        Within the handshake's phases a connection keeps its place. Only a phase that has a deadline
        has a queue: in `Phase.HANDLER` a connection stays where it was, and is passed over.
        """
        queue = self._queue_of[phase]
        # Not by `with`, which makes two bound methods and takes twice as long. It is another lock
        # afterwards if a signal's handler forks meanwhile, in the child.
        lock = self._lock
        lock.acquire()
        try:
            if connection.phase is _CLOSED:
                return
            if connection.queue is not queue:
                del connection.queue[connection]
                connection.queue = queue
                queue[connection] = None
            elif phase not in HANDSHAKING:
                queue.move_to_end(connection)
            connection.phase = phase
            connection.deadline = deadline
        finally:
            lock.release()

    def remove(self, connection: Connection) -> bool:
        """Let a connection go; return whether its descriptor was still its own.

        It is not when the connection has gone before, or when its socket was closed behind its
        back and the system has given the number to a new one.
        """
        with self._lock:
            if connection.phase is _CLOSED:
                return False
            del connection.queue[connection]
            connection.phase = _CLOSED
            if self.by_fd.get(connection.fd) is not connection:
                return False
            del self.by_fd[connection.fd]
            return True

    def get(self, fd: int) -> Connection | None:
        """Return the connection of a descriptor, `None` if there is none."""
        return self.by_fd.get(fd)

    def is_parked(self, fd: int) -> bool:
        """Return whether a descriptor has a connection that is parked."""
        connection = self.by_fd.get(fd)
        return connection is not None and connection.parked

    def take(self, fds: Iterable[int]) -> tuple[list[Connection], list[int]]:
        """Return the parked connections of descriptors, no longer parked, and the other ones."""
        taken, others = [], []
        with self._lock:
            for fd in fds:
                connection = self.by_fd.get(fd)
                if connection is not None and connection.parked:
                    connection.parked = False
                    taken.append(connection)
                else:
                    others.append(fd)
        return taken, others

    def take_back(self, connection: Connection) -> bool:
        """Have a connection no longer parked; return false if it is not, or has gone."""
        with self._lock:
            if connection.phase is _CLOSED or not connection.parked:
                return False
            connection.parked = False
            return True

    def take_overdue(self, now: float) -> list[Connection]:
        """Return the parked connections whose deadline has passed, no longer parked."""
        overdue = []
        with self._lock:
            for number, queue in enumerate(self._queues):
                in_order = self.in_order and number not in _PACED
                for connection in queue:
                    if connection.deadline > now:
                        if in_order:
                            break
                    elif connection.parked:
                        connection.parked = False
                        overdue.append(connection)
        return overdue

    def while_open(self, connection: Connection, do: Callable[[], None]) -> None:
        """Do something with the descriptor of a connection, if it still is that, and quickly."""
        with self._lock:
            if self.by_fd.get(connection.fd) is connection:
                do()

    def take_all(self) -> list[Connection]:
        """Return every parked connection, no longer parked."""
        with self._lock:
            parked = [connection for connection in self.by_fd.values() if connection.parked]
            for connection in parked:
                connection.parked = False
        return parked

    def count(self) -> Counter[Phase]:
        """Return how many connections are in each phase."""
        with self._lock:
            return Counter(connection.phase for connection in self.by_fd.values())
