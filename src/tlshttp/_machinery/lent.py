"""What a ``process_request()`` of the user's own gets: a connection that ends when it is let go of.

It gives the connection to a thread, a pool or a queue. On `http.server` nobody else holds the
socket then: a thread that ends by an exception, or never calls ``shutdown_request()``, closes it
all the same, as it is collected. Here the loop knows all connections, so it lends one, and what it
has lent tells it when nobody holds it any more.

What the loop knows must not hold it either: not a handler, whose ``request`` is the stream itself
(`TLSRequestHandler`), nor the frames of an exception that is remembered (`let_frames_go`).
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection
    from tlshttp._machinery.stream import Stream

__all__ = ["Lent", "Loans", "let_frames_go"]


class Lent:
    """A stream, by another reference.

    Args:
        stream: Which one.
    """

    __slots__ = ("__weakref__", "lent_stream")

    lent_stream: Stream
    """Which one."""

    def __init__(self, stream: Stream) -> None:
        object.__setattr__(self, "lent_stream", stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lent_stream, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.lent_stream, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.lent_stream, name)

    def __eq__(self, other: object) -> bool:
        return self.lent_stream is (other.lent_stream if isinstance(other, Lent) else other)

    def __hash__(self) -> int:
        return hash(self.lent_stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; what has gone wrong before is reported, since nobody else will."""
        stream = self.lent_stream
        stream.close()
        if stream.fd < 0:
            stream.owner.begin_close()

    def __repr__(self) -> str:
        """Show what is lent."""
        return repr(self.lent_stream)

    def __del__(self) -> None:
        """Tell the connection; it acts in a thread of its own choice."""
        self.lent_stream.owner.let_go_by_borrower()


class Loans:
    """All that is lent by a loop.

    Args:
        wake: Called, from any thread, when one is to be ended.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._pid = os.getpid()
        self._connections: set[Connection] = set()
        self.ended: deque[Connection] = deque()
        """Those that are to be ended."""
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._connections)

    def add(self, connection: Connection) -> None:
        """Take note that a connection is lent."""
        self._connections.add(connection)

    def forget(self, connection: Connection) -> None:
        """Take note that it is closed, lent or not."""
        self._connections.discard(connection)

    def end(self, connection: Connection) -> None:
        """Have it ended: nobody holds it. Whoever let go of it may be in the middle of anything."""
        if os.getpid() != self._pid:
            return
        if self._is_closed:
            connection.abort()
            return
        self.ended.append(connection)
        with contextlib.suppress(OSError, ValueError):  # just closed
            self._wake()

    def take_ended(self) -> Iterator[Connection]:
        """Yield those that are to be ended."""
        while self.ended:
            yield self.ended.popleft()

    def let_frames_go(self) -> None:
        """Have nothing that is remembered keep what is lent; from time to time."""
        for connection in [*self._connections]:
            connection.let_frames_go()

    def close(self) -> None:
        """Close what nobody holds, from now on at once."""
        self._is_closed = True
        for connection in self.take_ended():
            connection.abort()


def let_frames_go(error: BaseException | None) -> None:
    """Have an exception that is remembered hold no frames: what their variables hold lives on."""
    seen = 0
    while error is not None and seen < 100:
        error.__traceback__ = None
        error, seen = error.__cause__ or error.__context__, seen + 1
