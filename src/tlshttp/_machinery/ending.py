"""The end of a connection, in good order or before its time.

It comes through ``server.shutdown_request()`` (orderly) and ``server.close_request()`` (the
socket), each once, because users override them. `Connection.abort` is for when there is no
hope.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import ssl
import time

from tlshttp._machinery.connection import GO_ON, GONE, Connection
from tlshttp._machinery.poller import READ, WRITE, wait_for
from tlshttp._machinery.registry import HANDSHAKING, Phase
from tlshttp._machinery.stream import Stream
from tlshttp.errors import (
    BodyTimeout,
    ConnectionCut,
    HandshakeCrowdedOut,
    HandshakeDisconnected,
    HandshakeError,
    HandshakeTimeout,
    RequestCrowdedOut,
    RequestTimeout,
    ResponseAborted,
)

__all__ = ["EndingConnection"]

_DRAINS_AT_ONCE = 16  # reads of 64 KiB while closing, before others have their turn

_GIVES_WAY = "others need the room on disk, of which this address has most"

_BODY, _RESPONSE, _HANDLER = Phase.BODY, Phase.RESPONSE, Phase.HANDLER
_CLOSING, _CLOSED = Phase.CLOSING, Phase.CLOSED


class EndingConnection(Connection):
    """How a connection ends."""

    __slots__ = ()

    def _fail(self, error: HandshakeError, *, last_words: bytes = b"") -> int:
        """Report a failed handshake and close, such that a last alert or answer arrives.

        A client that is refused when the engine's part is over, by the context's own check, gets
        ``close_notify``. ``access_denied`` (RFC 8446, section 6.2) would say more, but the `ssl`
        module sends no alert that OpenSSL does not send by itself.
        """
        self._loop.events.handshake_failed(error, self.address)
        if self.stream is not None:
            with contextlib.suppress(ssl.SSLWantWriteError):  # tried again while closing
                self.stream.say_goodbye()
                self.stream.end_sending()
        else:
            # A new connection has room for a few hundred bytes; if not, the peer is not worth
            # waiting for.
            with contextlib.suppress(OSError):
                self._socket.send(last_words)
                self._socket.shutdown(socket.SHUT_WR)
        if isinstance(error, (HandshakeDisconnected, HandshakeTimeout, HandshakeCrowdedOut)):
            self._close()
            return GONE
        self._enter(_CLOSING, self._loop.limits.linger_timeout)
        return GO_ON

    def _end(self, stream: Stream) -> None:
        """End in an orderly way: let the handler finish, then shut down."""
        handler, stream.handler = stream.handler, None  # nothing is left for the garbage collector
        try:
            if handler is not None:
                handler.finish()
        except Exception:
            self._report_exception(stream)
        finally:
            self._loop.hooks.shutdown_request(self.request)
        if self.stream is None:  # it is closed, and nobody is at work on it
            stream.forget_exchange()

    def begin_close(self) -> None:
        """Say goodbye; then close, at once or when the peer has had its say."""
        if self._ending:
            return
        self._ending = True
        if self.taken:
            self._take_back()
        stream = self._established()
        if stream.watched:
            self._loop.drainer.forget(stream)
        self._end_exchange(stream)
        is_broken = stream.failure is not None or stream.fault is not None
        if is_broken and self.phase in (_HANDLER, _CLOSED):
            self._report_failure(stream)
        if self.phase is _CLOSED:  # by the handler itself
            self._loop.hooks.close_request(self.request)
            return
        if os.getpid() != self._loop.pid:
            self._close_here(stream)
            return
        if self._loop.departure.is_over:  # nobody sees to it any more
            self._close_here(stream)
        elif not (stream.backlog and stream.failure is None):
            self._finish_close(stream)
        elif not self._loop.departure.hand_over(lambda: self._park_response(stream)):
            self._close_here(stream)

    def _park_response(self, stream: Stream) -> None:
        """Have the loop send what is left of a response."""
        self._rate = stream.begin_rate(WRITE)
        self._waits_since = self._loop.clock.now()
        self._enter(_RESPONSE, self._rate.left)
        self._loop.parking.park(self, WRITE)

    def _end_exchange(self, stream: Stream) -> None:
        """End the response of a handler in blocking mode; of others it has been ended."""
        if stream.exchange is None:
            return
        try:
            stream.exchange.end()
        except ConnectionCut:
            pass  # it is remembered
        except Exception:
            self._report_exception(stream)

    def _finish_close(self, stream: Stream) -> int:
        """Say goodbye after all else, and see to the peer's end."""
        event = READ
        try:
            stream.say_goodbye()
            if self._may_close_now(stream):
                self._close()
                return GONE
            stream.end_sending()
        except ssl.SSLWantWriteError:
            event = WRITE
        if self._loop.departure.is_over:
            self._close()
            return GONE
        self._enter(_CLOSING, self._loop.limits.linger_timeout)
        self._loop.parking.park(self, event)
        return GONE

    def _may_close_now(self, stream: Stream) -> bool:
        """Return whether nothing of the peer's is unread or expected.

        Closing with unread input makes the kernel send a reset, which may destroy the response
        before the peer has read it.
        """
        try:
            return stream.failure is not None or not stream.discard(1)
        except BlockingIOError:
            return stream.input_complete

    def _close_here(self, stream: Stream) -> None:
        """Close while waiting for the peer in this thread, where there is no loop any more."""
        with contextlib.suppress(OSError):
            stream.shutdown(socket.SHUT_WR)
        timeout = self._loop.limits.linger_timeout
        end = math.inf if timeout is None else time.monotonic() + timeout
        more = not self._may_close_now(stream)
        while more and wait_for(self.fd, READ, max(0.0, end - time.monotonic())):
            with contextlib.suppress(BlockingIOError):
                more = stream.discard() and time.monotonic() < end
        self._close()

    def _drain(self) -> int:
        """Throw away what the peer still sends, after a goodbye that had to wait for room."""
        try:
            if self.stream is not None:
                self.stream.say_goodbye()
                self.stream.end_sending()
            for _ in range(_DRAINS_AT_ONCE):
                if not self._discard():
                    self._close()
                    return GONE
        except BlockingIOError:
            pass
        except ssl.SSLWantWriteError:
            return WRITE
        return READ

    def _discard(self) -> bool:
        if self.stream is not None:
            return self.stream.discard()
        try:
            return bool(self._socket.recv(65_536))
        except BlockingIOError:
            raise
        except OSError:
            return False

    def expire(self) -> None:
        """End a connection whose deadline has passed."""
        limits = self._loop.limits
        if self.phase in HANDSHAKING:
            message = f"no TLS handshake within {limits.handshake_timeout:g} s"
            self._fail(HandshakeTimeout(message, server_name=self.server_name))
        elif self.phase is _CLOSING:
            self._close()
        elif self._rate is not None and self.phase in (_BODY, _RESPONSE):
            self._rate.spend(self._loop.clock.now() - self._waits_since)
            if self.phase is _BODY and self._rate.left:
                self._tell_handler_of_its_timeout()
                return
            self._end_early(self._rate.used_up())
        else:
            self._end_early(RequestTimeout("the request was not finished in time"))

    def _tell_handler_of_its_timeout(self) -> None:
        """Call a handler although its body is not there, as its own timeout has passed.

        On a socket it would be reading, and may have something to say to its client.
        """
        self._failure_reported = True
        cut = BodyTimeout("the request body did not go on within the handler's own timeout")
        self._loop.events.cut(cut, self.address)
        self._rate = None
        self._exchange(self._established()).time_out()
        self.phase = _HANDLER
        self._loop.resume_later(self)

    def crowd_out(self) -> None:
        """End a connection whose place is needed."""
        message = f"more than {self._loop.max_connections} connections"
        if self.phase in HANDSHAKING:
            self._fail(HandshakeCrowdedOut(message, server_name=self.server_name))
        elif self.phase is _CLOSING:
            self._close()
        elif self.phase is Phase.LATER:
            self._cut_later(RequestCrowdedOut(message))
        else:
            self._loop.counters.add("evicted")
            self._end_early(RequestCrowdedOut(message))

    def _cut_later(self, cut: ConnectionCut) -> None:
        """End a connection whose answerer waits for its peer."""
        self._loop.counters.add("evicted")
        later = self.later
        if later is not None:
            later.break_off(cut)
            later.report()

    def give_way(self) -> None:
        """Give back at once what is on disk, because others need the room; then end."""
        stream = self._established()
        if self.phase is _RESPONSE:
            stream.failure = stream.failure or RequestCrowdedOut(_GIVES_WAY)
            stream.drop_backlog()
        else:
            self._exchange(stream).refuse_for_room()
        self._loop.resume_later(self)
        self._loop.wake()

    def leave_with_server(self) -> None:
        """End a connection that nobody is at work on, because the server closes."""
        if self.stream is None or self.phase in HANDSHAKING | {_CLOSING}:
            self._close()
        elif self.phase is Phase.LATER:
            self._report_later()  # the answer may still come, while the server waits for handlers
        elif self.phase is not _RESPONSE:  # else the server sees to the rest of it
            self.stream.input_complete = True
            self._end(self.stream)

    def end_unsent(self) -> None:
        """End though the peer has not taken all of a response: the server closes."""
        self._end_early(ResponseAborted("the server has closed before the peer had it all"))

    def _end_early(self, cut: ConnectionCut) -> None:
        """End between two requests, which is no event, or inside one, which is."""
        stream = self._established()
        if self.phase is _RESPONSE:
            stream.failure = stream.failure or cut
            stream.drop_backlog()
            self._report_failure(stream)
            if self._ending:
                self._finish_close(stream)
                return
        elif self._exchange(stream).begun:
            self._loop.events.cut(cut, self.address)
        stream.input_complete = True  # the peer had its time: no lingering
        self._end(stream)
