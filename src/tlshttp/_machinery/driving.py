"""A connection on which the loop drives what a handler has left there; see `driven`."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from tlshttp._machinery.beginning import BeginningConnection
from tlshttp._machinery.connection import GO_ON, GONE, OTHERS_FIRST
from tlshttp._machinery.poller import WRITE
from tlshttp._machinery.registry import Phase
from tlshttp.errors import ConnectionCut, RequestCrowdedOut, TunnelTimeout

if TYPE_CHECKING:
    from tlshttp._machinery.driven import Driven
    from tlshttp._machinery.minimum_rate import MinimumRate
    from tlshttp._machinery.stream import Stream

__all__ = ["DrivingConnection"]

_HANDLER, _TAKEN_OVER = Phase.HANDLER, Phase.TAKEN_OVER


class DrivingConnection(BeginningConnection):
    """How a connection is driven."""

    __slots__ = ()

    def _look_at_driven(self, stream: Stream) -> int:
        """Send and receive what can be; then have the driver called, or wait."""
        driven = stream.driven_by
        if driven is None:
            raise RuntimeError("nobody drives a connection that has been taken over")
        now = self._loop.clock.now()
        driven.touched = False
        self._move(stream, driven, now)
        if driven.has_news(now):
            self.phase = _HANDLER
            return GO_ON
        return self._wait_driven(driven, now)

    def _move(self, stream: Stream, driven: Driven, now: float) -> None:
        """Send and receive without waiting; what is wrong is remembered."""
        try:
            if stream.backlog:
                stream.pump()
            self._see_to_pace(stream, driven, now)
            if driven.receives and not (stream.buffered or stream.is_blocked()):
                stream.fill()
        except (ConnectionCut, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass

    def _see_to_pace(self, stream: Stream, driven: Driven, now: float) -> None:
        """Cut a peer that does not take what it is sent, or does nothing for too long.

        Raises:
            ConnectionCut: It is cut.
        """
        limit = self._loop.limits.tunnel_timeout
        if stream.backlog:
            if self._rate is None:
                self._rate = stream.begin_rate(WRITE)
                self._waits_since = now
            self._keep_pace(self._rate, stream.taken)
            if not self._rate.left:
                stream.fail(self._rate.used_up())
            return
        self._rate = None
        if driven.left_of(limit, now) <= 0:
            stream.fail(TunnelTimeout(f"nothing has moved for {limit:g} s"))

    def _wait_driven(self, driven: Driven, now: float) -> int:
        """Park until something moves, or the next deadline."""
        loop = self._loop
        if self._rate is not None:
            left = self._rate.left
        else:
            left = driven.left_of(loop.limits.tunnel_timeout, now)
        loop.registry.move(self, _TAKEN_OVER, min(driven.due_at, now + left))
        loop.parking.park(self, driven.awaited())
        # Somebody may have done something since it was looked at, and found it not parked yet.
        if driven.touched:
            loop.take_up(self)
        return GONE

    def _call_driver(self, stream: Stream, driven: Driven) -> int:
        """Tell the driver of one thing; there is a place for that."""
        try:
            over = driven.tell(self._loop.clock.now())
        except (KeyboardInterrupt, SystemExit) as error:  # which end a thread, or the server
            driven.error = error
            self._tell_end(error)
            self._end(stream)
            raise
        except BaseException as error:
            self._report_exception(stream)
            over = driven.is_over
            driven.error = error
            driven.close()
        if over:
            self._end(stream)
            return GONE
        if self.phase is not _HANDLER or self._ending:  # it has been closed by the driver
            return GONE
        self.phase = _TAKEN_OVER
        # Whoever sends without end is always ready.
        return OTHERS_FIRST if stream.buffered else GO_ON

    def _give_up_driving(self, stream: Stream, error: BaseException) -> None:
        """Close what a handler has left to be driven, and raised an exception then."""
        if stream.driven_by is not None:
            stream.driven_by.error = error
            stream.driven_by.close()

    def _keep_pace(self, rate: MinimumRate, total: int) -> None:
        """Move the deadline with what the peer has done."""
        now = self._loop.clock.now()
        rate.spend(now - self._waits_since)
        rate.earn(total)
        self._waits_since = now
        self.deadline = now + rate.left

    def _tell_end(self, error: BaseException | None) -> None:
        """Tell a driver of an end that it does not know of yet."""
        stream = self.stream
        driven = stream.driven_by if stream is not None else None
        if stream is None or driven is None or driven.is_over:
            return
        try:
            driven.tell_leave()
            driven.tell_end(error)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self._report_exception(stream)

    def tell_of_end(self) -> None:
        """Have who has taken the connection over say goodbye, if it wants to know."""
        stream = self.stream
        if stream is not None and stream.driven_by is not None:
            stream.driven_by.leave()
        else:
            super().tell_of_end()

    def expire(self) -> None:
        """End a connection whose deadline has passed; one that is driven is looked at."""
        if self.phase is _TAKEN_OVER:
            self._loop.resume_later(self)
        else:
            super().expire()

    def crowd_out(self) -> None:
        """End a connection whose place is needed."""
        if self.phase is _TAKEN_OVER:
            self._tell_end(RequestCrowdedOut(f"more than {self._loop.max_connections} connections"))
        super().crowd_out()

    def leave_with_server(self) -> None:
        """End a connection that nobody is at work on, because the server closes."""
        self._tell_end(None)
        super().leave_with_server()
