"""A connection while it serves: requests come, handlers run, responses leave."""

from __future__ import annotations

import logging
import ssl
import time
import weakref
from typing import Any

from tlshttp._interfaces import BODY_MISSING, HEAD_MISSING, ROOM_MISSING
from tlshttp._interfaces import OTHERS_FIRST as MORE_TO_LOOK_AT
from tlshttp._machinery.answering import AnsweringConnection
from tlshttp._machinery.beginning import shorter
from tlshttp._machinery.connection import GO_ON, GONE, OTHERS_FIRST
from tlshttp._machinery.lent import Lent, let_frames_go
from tlshttp._machinery.order import LARGE
from tlshttp._machinery.poller import READ, WRITE
from tlshttp._machinery.registry import Phase
from tlshttp._machinery.report import peer_name
from tlshttp._machinery.stream import Stream
from tlshttp.errors import ConnectionCut, PeerDisconnected

__all__ = ["ServingConnection"]

_log = logging.getLogger("tlshttp.server")

_HANDLER, _IDLE, _REQUEST = Phase.HANDLER, Phase.IDLE, Phase.REQUEST
_HANDSHAKE, _HELLO = Phase.HANDSHAKE, Phase.HELLO
_BODY, _RESPONSE, _CLOSED = Phase.BODY, Phase.RESPONSE, Phase.CLOSED
_PLAIN, _LATER, _TAKEN_OVER, _CLOSING = Phase.PLAIN, Phase.LATER, Phase.TAKEN_OVER, Phase.CLOSING
_SERVING = frozenset({Phase.HANDLER, Phase.REQUEST, Phase.BODY, Phase.IDLE, Phase.RESPONSE})

_FILLS_AT_ONCE = 4
"""How often a connection is read, up to a record or 64 small ones each, before others have their
turn: what a 64 KiB head or body takes."""


class _Served(Exception):
    """A connection is somebody else's now, or over."""


class ServingConnection(AnsweringConnection):
    """The state machine of one connection."""

    __slots__ = ()

    def advance(self, others: frozenset[Phase] | None) -> None:
        """Go as far as possible without waiting for the peer; then park, hand on, or end.

        Args:
            others: The phases in which this thread hands the connection on, besides handlers that
                may have to wait; `None`: it hands on none.
        """
        loop = self._loop
        event = GO_ON
        try:
            while event == GO_ON:
                phase = self.phase
                stream = self.stream
                if phase is _HANDSHAKE:
                    event = self._shake_hands()
                elif stream is None or phase not in _SERVING:
                    event = self._step(phase)
                elif phase is _HANDLER:
                    exchange = stream.exchange or self._exchange(stream)
                    if others is not None and (others or exchange.streams):
                        loop.submit(self)  # it may have to wait, and this thread must not
                        return
                    event = self._serve(stream)
                elif phase is _RESPONSE:
                    event = self._send_on(stream)
                else:
                    event = self._receive(stream)
            if event != GONE:
                self._settle(event)
        except BaseException:
            if not self._ending:  # it may belong to the loop again
                self.abort()
            raise

    def _settle(self, event: int) -> None:
        """Park, or wait for a turn, as the last step has said."""
        if event > 0:
            self._park(event)
        elif event == OTHERS_FIRST:
            self._loop.resume_again(self)

    def _park(self, event: int) -> None:
        # Whoever drips keeps the connection from being parked when the loop looks for the overdue
        # ones, so it is looked at here, too.
        if self.deadline <= self._loop.clock.now():
            self.expire()
        else:
            self._loop.parking.park(self, event)

    def _step(self, phase: Phase) -> int:
        """Take a step in another phase without requests."""
        if phase is _HELLO:
            return self._look()
        if phase is _PLAIN:
            return self._hear_plain_request()
        if phase is _LATER:
            return self._report_later()
        if phase is _TAKEN_OVER:
            return self._look_at_driven(self._established())
        return self._drain() if phase is _CLOSING else GONE

    def _receive(self, stream: Stream) -> int:
        """Take in what has arrived until a request is ready for a handler."""
        exchange = stream.exchange or self._exchange(stream)
        if self.phase is _IDLE or not (stream.buffered or self.phase is _BODY):
            missing = HEAD_MISSING
        else:
            missing = exchange.receive()
        fills = _FILLS_AT_ONCE
        while missing < 0:
            if missing == ROOM_MISSING:
                return self._await_room()
            try:
                if missing != MORE_TO_LOOK_AT:
                    if not stream.fill(between=self.phase is _IDLE):
                        return self._leave(stream)
                    fills -= 1
            except ssl.SSLWantWriteError:
                return WRITE
            except ssl.SSLWantReadError:
                self._expect(stream, missing)
                return READ
            except ConnectionCut:
                return self._leave(stream)
            if not fills or missing == MORE_TO_LOOK_AT:
                return self._look_again(stream, missing)
            missing = exchange.receive()
        self.phase = _HANDLER
        return GO_ON

    def _look_again(self, stream: Stream, missing: int) -> int:
        """Go on when others have had their turn, unless the peer has had its time."""
        missing = BODY_MISSING if missing == MORE_TO_LOOK_AT else missing
        self._expect(stream, missing)
        if self.deadline <= self._loop.clock.now():
            self.expire()
            return GONE
        return OTHERS_FIRST

    def _await_room(self) -> int:
        """Wait until the server has room for more of a body; the peer's time stands still."""
        if self.phase is not _BODY or self._rate is not None:
            self._waits_since = self._loop.clock.now()
            self._enter(_BODY, None)
        self._rate = None
        self._loop.roomless.add(self)
        return GONE

    def give_up_room(self) -> bool:
        """Have the request refused if it has waited for room too long; tell if it has."""
        timeout = self._loop.limits.body_timeout
        if timeout is None or self._loop.clock.now() - self._waits_since < timeout:
            return False
        self._exchange(self._established()).refuse_for_room()
        return True

    def _expect(self, stream: Stream, missing: int) -> None:
        """Enter the phase in which the missing is waited for, unless it is this one."""
        if missing == BODY_MISSING:
            self._expect_body(stream)
        elif stream.buffered or not stream.requests:
            if self.phase is not _REQUEST:
                self._enter(_REQUEST, self._shortened(self._loop.limits.header_timeout))
        elif self.phase is not _IDLE:  # there was nothing but an empty line
            self._enter(_IDLE, self._between_requests(stream))

    def _expect_body(self, stream: Stream) -> None:
        """Give the peer time for more of the body, as its rate allows."""
        if self.phase is not _BODY or self._rate is None:
            self._rate = stream.begin_rate(READ)
            self._waits_since = self._loop.clock.now()
            self._enter(_BODY, self._shortened(self._rate.left))
            self._own_timeout(stream)
            return
        self._keep_pace(self._rate, stream.bytes_in)
        self._own_timeout(stream)

    def _own_timeout(self, stream: Stream) -> None:
        """Have the handler's ``timeout`` bound the wait, before there is a handler, too."""
        own = stream.timeout or (self._loop.first_timeout if stream.handler is None else None)
        if own:
            self.deadline = min(self.deadline, self._loop.clock.after(own))

    def _shortened(self, timeout: float | None) -> float | None:
        """Return the limit, or the handler's own ``timeout`` where that is shorter."""
        own = self.stream.timeout if self.stream is not None else None
        if not own:
            return timeout
        self._loop.registry.in_order = False
        return shorter(timeout, own)

    def _leave(self, stream: Stream) -> int:
        """The peer has ended: silently between two requests, else that is an event."""
        exchange = stream.exchange or self._exchange(stream)
        if exchange.begun:
            cut = stream.failure or PeerDisconnected("the peer left in the middle of a request")
            self._loop.events.cut(cut, self.address)
        else:
            let_frames_go(stream.failure)  # which have the stream
        self._end(stream)
        return GONE

    def _serve(self, stream: Stream) -> int:
        """Run the handler for the request that is ready."""
        loop = self._loop
        exchange = stream.exchange
        if exchange is None or not loop.may_handle(self):
            return GONE  # until there is a place for it
        if stream.driven_by is not None:
            return self._call_driver(stream, stream.driven_by)
        keep: bool | None = False
        began = time.monotonic()
        try:
            if stream.handler is None:
                keep = self._begin(stream)
            if stream.handler is not None:
                keep = exchange.run(stream.handler)
        except _Served:
            return GONE
        except Exception as error:
            self._report_exception(stream)
            self._give_up_driving(stream, error)
        except BaseException as error:
            self._give_up_driving(stream, error)
            self._tell_end(error)
            self._end(stream)
            raise
        if keep is None:
            return self._leave_to_later(stream)
        loop.counters.handler_latency.add(time.monotonic() - began)
        return self._after_handler(stream, keep)

    def _after_handler(self, stream: Stream, keep: bool) -> int:
        """Report what went wrong; see to what is left of the response, then go on or end."""
        loop = self._loop
        stream.requests += 1
        if self.taken:
            self._take_back()
        if loop.answers.counted:
            loop.answers.add()
        if stream.watched:
            loop.drainer.forget(stream)
        if stream.driven_by is not None and self.phase is _HANDLER and not self._ending:
            self.phase = _TAKEN_OVER
            return GO_ON
        if stream.failure is not None or stream.fault is not None:
            self._report_failure(stream)
            keep = False
        self._keeps = keep and not loop.closing and self.phase is not _CLOSED
        if self._keeps and stream.has_nothing_left():
            # As after nearly every response that leaves the connection open; below for one case.
            timeout = loop.limits.keep_alive_timeout
            timeout = timeout if stream.timeout is None else self._shortened(timeout)
            loop.registry.move(self, _IDLE, loop.clock.after(timeout))
            loop.parking.park(self, READ)
            return GONE
        if stream.failure is None and stream.backlog and self.phase is not _CLOSED:
            if stream.backlog >= LARGE:
                loop.note_large(self)
            self._rate = stream.begin_rate(WRITE)
            self._waits_since = loop.clock.now()
            self._enter(_RESPONSE, self._rate.left)
            return WRITE
        return self._after_response(stream)

    def _send_on(self, stream: Stream) -> int:
        """Send what is left of a response; then go on, or end."""
        loop = self._loop
        try:
            done = stream.pump()
        except ConnectionCut:
            self._report_failure(stream)
            if self._ending:
                return self._finish_close(stream)
            self._end(stream)
            return GONE
        if done:
            self._rate = None
            self._keeps = self._keeps and not loop.closing
            if self._ending:
                return self._finish_close(stream)
            return self._after_response(stream)
        if self._rate is not None:
            self._keep_pace(self._rate, stream.taken)
        return WRITE if stream.is_blocked() else OTHERS_FIRST

    def _after_response(self, stream: Stream) -> int:
        """Await the next request, or end."""
        loop = self._loop
        if not self._keeps:
            self._end(stream)
            return GONE
        event = stream.awaited_event()
        if event == GO_ON:
            self._enter(_REQUEST, self._shortened(loop.limits.header_timeout))
            return OTHERS_FIRST
        self._enter(_IDLE, self._between_requests(stream))
        loop.parking.park(self, event)
        return GONE

    def _between_requests(self, stream: Stream) -> float | None:
        """Return for how long the next request may be awaited."""
        timeout = self._loop.limits.keep_alive_timeout
        return timeout if stream.timeout is None else self._shortened(timeout)

    def _begin(self, stream: Stream) -> bool:
        """Have the server make a handler; where that has served its request, tell whether to go on.

        Raises:
            _Served: The connection has been handed to somebody else, or is over.
        """
        loop = self._loop
        hooks, exchange = loop.hooks, stream.exchange or self._exchange(stream)
        request: Any = self._lend(stream) if loop.lends else stream
        exchange.begin_handler()
        try:
            hooks.process_request(request, self.address)
        except Exception as error:
            if not exchange.bear(error):
                self._report_exception(stream)
            if exchange.one_shot:
                exchange.end()
                return False
            hooks.shutdown_request(request)
        except BaseException:
            hooks.shutdown_request(request)
            raise
        else:
            if stream.handler is not None:
                return False  # it has not been called yet
            if exchange.one_shot and not self._ending:
                return exchange.end()
        loop.counters.add("requests")
        loop.answers.add()
        if loop.lends and self.phase is _HANDLER and not self._ending:
            self.is_lent = True
            loop.loans.add(self)
            request = None  # if nobody else holds it, that is the end
        raise _Served

    def _lend(self, stream: Stream) -> Lent:
        """Return what a ``process_request()`` of the user's own gets."""
        lent = Lent(stream)
        self.lent = weakref.ref(lent)
        return lent

    def end_after_loan(self) -> None:
        """End a connection that nobody holds any more, to whom it was lent."""
        if self._ending or self.phase is not _HANDLER or self.stream is None:
            return
        wfile: Any = self._exchange(self.stream).wfile
        if not (wfile.started or wfile.is_in_doubt):
            _log.warning(
                "process_request() has let go of %r of %s without an answer",
                self.request_line, peer_name(self.address),
            )  # fmt: skip
        self.begin_close()

    def send_on_closing(self) -> None:
        """Send more of a response while the server closes; then end."""
        stream = self._established()
        self._keeps = False
        if self._send_on(stream) == GONE:
            return
        if self._rate is not None and self.deadline <= self._loop.clock.now():
            self.expire()
