"""A connection that has been taken over and that the loop drives: it costs no thread while idle.

Theory of operation. Its driver (`tlshttp.ConnectionDriver`) is called by whoever has the connection
in hand, as handlers are: one call at a time, since a connection belongs to one thread at a time.
Everything else, writing and closing included, may come from any thread. Such a thread changes what
is here, says so (`Driven.touch`) and has the connection taken up if it is parked. Whoever parks a
connection looks afterwards whether it has been touched meanwhile; so one of the two sees the other.

What is written waits in the stream's outbox. A peer whose socket has no room is not read from; one
that is far behind (`Driven.mark`) not until it has taken most of that; one for which more than
`Driven.most` waits is cut.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from tlshttp._machinery.poller import NOTHING, READ, WRITE

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._machinery.stream import Stream
    from tlshttp._taken_over import ConnectionDriver
    from tlshttp._tls_info import TLSInfo
    from tlshttp.errors import ConnectionCut

__all__ = ["Driven"]

_AT_ONCE = 16_384
"""Bytes that a driver gets at once, before others have their turn: those of a full record."""


class Driven:
    """One such connection.

    Args:
        stream: Its bytes.
        driver: What they are for.
        mark: Bytes waiting for the peer above which it is not read from.
        most: Bytes that may wait for it.
    """

    __slots__ = (
        "_closing", "_has_left", "_is_paused", "_knows_end", "_leaving", "_stream", "_was_full",
        "driver", "due_at", "error", "has_begun", "is_over", "mark", "most", "moved",
        "moved_at", "touched",
    )  # fmt: skip

    def __init__(self, stream: Stream, driver: ConnectionDriver, mark: int, most: int) -> None:
        self._stream = stream
        self.driver = driver
        self.mark = mark
        self.most = most
        self.due_at = math.inf
        """When the driver wants to be called, by `time.monotonic`."""
        self.touched = False
        """Whether somebody has changed something since the connection was looked at."""
        self.error: BaseException | None = None
        """What the driver has raised."""
        self.moved = 0
        self.moved_at = 0.0
        """Bytes moved either way, and when that was last seen to change."""
        self.has_begun = self.is_over = False
        """Whether the driver has been told of the beginning, and of the end."""
        self._closing = self._is_paused = self._knows_end = self._was_full = False
        self._leaving = self._has_left = False

    # For the driver, from any thread ----------------------------------------------------------

    @property
    def tls(self) -> TLSInfo:
        """What the handshake agreed on."""
        return self._stream.tls

    @property
    def backlog(self) -> int:
        """Bytes that were written and that the peer has not taken."""
        return self._stream.backlog

    @property
    def is_full(self) -> bool:
        """Whether the peer is so far behind that it is not read from."""
        if self._stream.backlog > self.mark:
            self._was_full = True
        return self._was_full

    def write(self, data: Buffer) -> None:
        """Send `data`, or have it sent as soon as the peer takes it; never wait."""
        try:
            if not self._stream.enqueue(data, self.most):
                return
        except BaseException:
            self._touch()
            raise
        self._touch()

    def wake_after(self, seconds: float | None) -> None:
        """Have the driver's ``due()`` called in so many seconds; `None`: not at all."""
        self.due_at = math.inf if seconds is None else time.monotonic() + seconds
        self._touch()

    def pause(self) -> None:
        """Receive nothing more until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        """Receive again."""
        self._is_paused = False
        self._touch()

    def close(self, fault: ConnectionCut | None = None) -> None:
        """End the connection when all that was written has gone."""
        if self._stream.fault is None:
            self._stream.fault = fault
        self._closing = True
        self._touch()

    def leave(self) -> None:
        """Have the driver say goodbye, because the server comes to its end; again, do nothing."""
        if not (self._leaving or self._has_left):
            self._leaving = True
            self._touch()

    def _touch(self) -> None:
        self.touched = True
        self._stream.owner.take_up()

    # For whoever has the connection in hand ----------------------------------------------------

    @property
    def receives(self) -> bool:
        """Whether bytes that arrive are wanted now."""
        return not (self._is_paused or self.is_full or self._closing)

    def has_news(self, now: float) -> bool:
        """Return whether there is something to tell the driver."""
        stream = self._stream
        return (
            stream.failure is not None
            or self._closing
            or not self.has_begun
            or self._leaving
            or self.due_at <= now
            or (self._was_full and self._has_room())
            or (self.receives and (stream.buffered > 0 or (stream.at_end and not self._knows_end)))
        )

    def _has_room(self) -> bool:
        return self._stream.backlog <= self.mark // 2

    def tell(self, now: float) -> bool:
        """Tell the driver of what comes first; return whether that was the end."""
        stream, driver = self._stream, self.driver
        if stream.failure is not None or self._closing:
            self.tell_end(stream.cut)
        elif not self.has_begun:
            self.has_begun = True
            driver.began(self)
        elif self.due_at <= now:
            self.due_at = math.inf
            driver.due()
        elif self._leaving:
            self.tell_leave()
        elif self._was_full and self._has_room():
            self._was_full = False
            driver.writable()
        elif self.receives and stream.buffered:
            driver.received(stream.take(_AT_ONCE))
        elif self.receives and stream.at_end:
            self._knows_end = True
            driver.peer_ended()
        return self.is_over

    def tell_leave(self) -> None:
        """Have the driver say goodbye, if it has not been asked to yet."""
        if not self._has_left and self.has_begun and self._stream.failure is None:
            self._leaving, self._has_left = False, True
            self.driver.leave()

    def tell_end(self, error: BaseException | None) -> None:
        """Tell the driver, once, of the end."""
        if not self.is_over:
            self.is_over = True
            error = self.error or error
            self.driver.ended(error if isinstance(error, Exception) else None)

    def awaited(self) -> int:
        """Return the event to wait for."""
        stream = self._stream
        # What the kernel has no room for has to leave before anything is read.
        wants = READ if self.receives and not (stream.at_end or stream.is_blocked()) else 0
        return wants | (WRITE if stream.backlog else 0) or NOTHING

    def left_of(self, limit: float | None, now: float) -> float:
        """Return for how many seconds nothing more need move.

        Args:
            limit: How long in all; `None`: for ever.
            now: The time.
        """
        stream = self._stream
        moved = stream.bytes_in + stream.moved_out
        if moved != self.moved:
            self.moved, self.moved_at = moved, now
        return math.inf if limit is None else self.moved_at + limit - now
