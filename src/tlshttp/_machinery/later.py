"""An exchange that ends later than its handler returns.

Theory of operation. A handler that waits for something (a timer, a database, another server, its
own peer) need not keep a thread for that. It returns, having said who goes on: its *answerer*,
mostly a coroutine in an asyncio loop. The connection is then in `Phase.LATER`: it holds no place
and no thread, and the answerer reads the request and writes the response from a thread of its own,
without ever waiting there. When it has done so it calls `Later.end`, and the connection goes on
from that thread as it would have from a handler's: next request, rest of the response, or close.

Rules:

1.  All that is read is read by the answerer's thread. The loop only reports, once, that something
    has come (`Later.report`); then the answerer looks (`Later.look`) and watches again. So what a
    peer sends ahead, or sends of a body that nobody reads, is taken in up to 64 KiB and no further.
    Then the answerer looks again from time to time: it may have been read. What nobody will read
    has to be thrown away in the end (`Later.drop_what_comes`): the peer's end is behind it, and the
    system does not tell of that either once its own buffers are full.
2.  A connection that is being reported is in the hands of whoever reports it. Where the answerer
    comes to its end at that very moment, `Later.end` leaves the rest to the report.
3.  What the socket does not take the drainer sends; it says so when all has left
    (`Later.report_sent`).
4.  `Later.break_off` may be called from any thread. It only takes note of why, and wakes the
    answerer, whose next read or write fails.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

from tlshttp._machinery.minimum_rate import MinimumRate
from tlshttp._machinery.patience import WANTS
from tlshttp._machinery.poller import READ, WRITE
from tlshttp.errors import ConnectionCut, PeerDisconnected, TunnelTimeout

if TYPE_CHECKING:
    from tlshttp._interfaces import Answerer
    from tlshttp._machinery.answering import AnsweringConnection
    from tlshttp._machinery.stream import Stream

__all__ = ["Later"]

_AHEAD = 65_536
"""Bytes that are taken in from a peer whom nobody reads: what the loop fills at once."""


class Later:
    """One such exchange, from the connection's side.

    Args:
        connection: Whose it is.
        answerer: Who goes on with it.
    """

    __slots__ = (
        "_answerer", "_connection", "_drops", "_error", "_is_ending", "_is_reported", "_is_watched",
        "began", "is_over", "server_ends", "stream", "waits_for_peer",
    )  # fmt: skip

    def __init__(self, connection: AnsweringConnection, stream: Stream, answerer: Answerer) -> None:
        self._connection = connection
        self.stream = stream
        self._answerer = answerer
        self.began = time.monotonic()
        self._error: BaseException | None = None
        self._is_watched = self._is_reported = False
        self._is_ending = self._drops = False
        self.is_over = False
        """Whether the exchange has ended, and the answerer is told nothing more."""
        self.waits_for_peer = False
        """Whether the answerer waits for its peer, and not for something else."""
        self.server_ends = False
        """Whether the connection has been taken over, and is to come to its end with the server."""

    # Called by the loop ----------------------------------------------------------------------

    def begin(self) -> None:
        """Have the answerer go on; the connection is its own from now on."""
        self._answerer.begin(self)

    def report(self) -> None:
        """Tell that something has come, or the end; the connection is no longer parked."""
        self._is_reported = True
        self._answerer.wake()

    def report_sent(self) -> None:
        """Tell that all that was to be sent has left, or that it cannot leave."""
        self._answerer.wake()

    def end_with_server(self) -> None:
        """Have the answerer say goodbye, if the connection has been taken over."""
        if self.is_tunnel and not self.server_ends:
            self.server_ends = True
            self._answerer.wake()

    def break_off(self, cut: ConnectionCut) -> None:
        """Have the answerer end: its next read or write fails with this."""
        self.fail(cut)
        self._answerer.wake()

    # Called by the answerer, in its thread ----------------------------------------------------

    @property
    def has_left(self) -> bool:
        """Whether the peer is gone, or sends no more, or has been cut off."""
        return self.stream.at_end or self.stream.failure is not None

    @property
    def cut(self) -> ConnectionCut | None:
        """What has broken the connection, if it is broken."""
        return self.stream.failure

    @property
    def backlog(self) -> int:
        """Bytes of the response that the peer has still to take."""
        return self.stream.backlog

    @property
    def buffered(self) -> int:
        """Bytes that have come and have not been read."""
        return self.stream.buffered

    @property
    def is_tunnel(self) -> bool:
        """Whether the connection has been taken over, and is no longer HTTP."""
        return self.stream.tunnel

    @property
    def is_unwatched(self) -> bool:
        """Whether so much has come that, when last looked at, no more was taken in."""
        return not (self._is_watched or self.is_over or self._is_ending or self.has_left)

    @property
    def header_timeout(self) -> float | None:
        """Seconds in which a request head has to come; `None`: no limit."""
        return self._connection.limits.header_timeout

    def drop_what_comes(self) -> None:
        """Throw away what has come, and what comes: only the peer's end is still waited for.

        The connection must not be kept after that.
        """
        self._drops = True

    def look(self) -> None:
        """See what has come; ask to be told of what comes next."""
        if self._is_reported:
            self._is_reported = self._is_watched = False
            if self._is_ending:
                self._end()
        if self.is_over or self._is_watched or self._is_ending:
            return
        stream = self.stream
        self._drop()
        try:
            while not self.has_left and stream.buffered < _AHEAD:
                stream.fill()
                if stream.buffered and not stream.has_undecrypted:
                    break
        except ssl.SSLWantWriteError:
            return  # `report_sent` comes first
        except WANTS:
            pass
        except ConnectionCut:
            return  # it is remembered
        self._drop()
        self._watch()

    def _drop(self) -> None:
        if self._drops:
            self.stream.take(self.stream.buffered)

    def _watch(self) -> None:
        """Ask to be told of what comes next, unless no more is taken in."""
        stream = self.stream
        if self._drops and stream.has_undecrypted:
            self._answerer.wake()  # after others have had their turn
        elif not self.has_left and stream.buffered < _AHEAD:
            self._is_watched = True
            self._connection.park_later(READ)

    def reading_rate(self) -> MinimumRate:
        """Return how long the peer may take with the rest of the request, or to say something."""
        if self.stream.tunnel:
            timeout = self._connection.limits.tunnel_timeout
            return MinimumRate(timeout, None, TunnelTimeout, "said something", self.moved_in)
        return self.stream.begin_rate(READ)

    def writing_rate(self) -> MinimumRate:
        """Return how long the peer may take to accept what waits for it."""
        return self.stream.begin_rate(WRITE)

    @property
    def moved_in(self) -> int:
        """Bytes that have come so far."""
        return self.stream.bytes_in

    @property
    def taken(self) -> int:
        """Bytes of responses that the peer has taken so far."""
        return self.stream.taken

    def fail(self, cut: ConnectionCut) -> None:
        """Take note of what is wrong with the peer; nothing more is sent to it."""
        if self.stream.failure is None:
            self.stream.failure = cut

    def give_up(self) -> None:
        """End the exchange because the peer has left."""
        self.fail(PeerDisconnected("the peer left before it had its answer"))
        self.end(None)

    def end(self, error: BaseException | None) -> None:
        """End the exchange, and have the connection go on.

        Args:
            error: What the answerer has failed with; `None`: it has not.
        """
        if self.is_over or self._is_ending:
            return
        self._error = error
        if self._is_watched and not self._connection.take_back_later():
            self._is_ending = True  # it is about to be reported
            return
        self._end()

    def _end(self) -> None:
        self.is_over = True
        error, self._error = self._error, None
        self._connection.end_later(self, error)
