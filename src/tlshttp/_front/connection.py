"""One connection on its way through the front.

Theory of operation. A connection is in one `Phase` and belongs to one thread at a time:

*   Parked, it belongs to the loop thread, which takes it up again when its socket is ready, its
    deadline has passed or its place is needed.
*   Taken up, it belongs to the thread inside `advance` (the loop's, or a worker's), which takes
    one step after the other as far as they go without waiting. A step returns what is to happen:
    go on, wait for the peer, or nothing more, because the connection has been ended or has been
    handed to somebody else.
*   While a handler runs it belongs to whoever runs the handler. Mostly that is `advance` itself.
    With `socketserver.ThreadingMixIn`, `ForkingMixIn` or a ``process_request()`` of the user's own
    it is another thread or process; ``shutdown_request()`` is how the connection comes back.

Rules:

1.  After `Parking.park`, `begin_close` and any hook that may call them, the connection belongs to
    somebody else. Do not touch it again.
2.  A step must bear being called when nothing has happened: a poller may report a descriptor that
    has been closed and given to a new connection.
3.  The end comes through ``server.shutdown_request()`` (orderly) and ``server.close_request()``
    (the socket), each once, because users override them. `abort` is for when there is no hope.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import ssl
import sys
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from tlshttp._front.channel import Channel
from tlshttp._front.greeting import Greeting, Unwelcome, refuse_finite_field
from tlshttp._front.handshake import handshake_error
from tlshttp._front.hello import ClientHello
from tlshttp._front.hello import alert as alert_record
from tlshttp._front.poller import READ, WRITE, wait_for
from tlshttp._front.records import FirstBytes
from tlshttp._front.registry import HANDSHAKING, Phase
from tlshttp._front.stream import Stream
from tlshttp._seam import HEAD_MISSING
from tlshttp.errors import (
    ClientCertificateError,
    ConnectionCut,
    HandshakeCrowdedOut,
    HandshakeDisconnected,
    HandshakeError,
    HandshakeTimeout,
    PeerDisconnected,
    RequestCrowdedOut,
    RequestTimeout,
)

if TYPE_CHECKING:
    from tlshttp._front.front import Front

__all__ = ["Connection"]

_GO_ON = 0
_GONE = -1
_OTHERS_FIRST = -2
# besides READ and WRITE: wait for that

_HANDLER, _IDLE, _REQUEST = Phase.HANDLER, Phase.IDLE, Phase.REQUEST
_HANDSHAKE, _HELLO = Phase.HANDSHAKE, Phase.HELLO
_SERVING = frozenset({Phase.HANDLER, Phase.REQUEST, Phase.BODY, Phase.IDLE})

_DRAINS_AT_ONCE = 16  # reads of 64 KiB while closing, before others have their turn


class Connection:
    """The state machine of one connection.

    Args:
        front: Where it came in.
        sock: The accepted socket, non-blocking from now on.
        address: The peer's address, as ``get_request()`` returned it.
    """

    __slots__ = (
        "_ending",
        "_failure_reported",
        "_front",
        "_greeting",
        "_socket",
        "address",
        "armed",
        "deadline",
        "fd",
        "parked",
        "phase",
        "queue",
        "server_name",
        "stream",
    )

    def __init__(self, front: Front, sock: socket.socket, address: object) -> None:
        self._front = front
        self._socket = sock
        self._greeting = Greeting(sock)
        self._ending = False
        self._failure_reported = False
        self.address = address
        self.fd = sock.fileno()
        self.phase = Phase.HELLO
        self.deadline = _after(front.limits.handshake_timeout)
        self.parked = False
        self.armed = 0
        """For which event the poller has it; 0 where it does not."""
        self.queue: OrderedDict[Connection, None]
        """Where the registry has it."""
        self.server_name: str | None = None
        self.stream: Stream | None = None

    def advance(self, others: frozenset[Phase]) -> None:
        """Go as far as possible without waiting for the peer; then park, hand on, or end.

        Args:
            others: The phases in which this thread hands the connection on.
        """
        front = self._front
        try:
            while True:
                phase = self.phase
                if others and phase in others:
                    front.submit(self)
                    return
                stream = self.stream
                if stream is None or phase not in _SERVING:
                    event = self._step(phase)
                elif phase is _HANDLER:
                    event = self._serve(stream)
                else:
                    event = self._receive(stream)
                if event != _GO_ON:
                    break
            if event > 0:
                self._park(event)
            elif event == _OTHERS_FIRST:
                front.resume_later(self)
        except BaseException:
            if not self._ending:  # it may belong to the loop again
                self.abort()
            raise

    def _park(self, event: int) -> None:
        # Whoever drips keeps the connection from being parked when the loop looks for the overdue
        # ones, so it is looked at here, too.
        if self.deadline <= time.monotonic():
            self.expire()
        else:
            self._front.parking.park(self, event)

    def _step(self, phase: Phase) -> int:
        """Take a step in a phase without requests."""
        if phase is _HANDSHAKE:
            return self._shake_hands()
        if phase is _HELLO:
            return self._look()
        if phase is Phase.PLAIN:
            return self._hear_plain_request()
        return self._drain() if phase is Phase.CLOSING else _GONE

    def _enter(self, phase: Phase, timeout: float | None) -> None:
        self._front.registry.move(self, phase, _after(timeout))

    # Before TLS ------------------------------------------------------------------------------

    def _look(self) -> int:
        """Look at the first bytes without taking them."""
        try:
            kind = self._greeting.look()
        except BlockingIOError:
            return READ
        except Unwelcome as end:
            return self._fail(end.error, last_words=end.last_words)
        if kind is FirstBytes.PARTIAL_HELLO:
            return READ
        if kind is FirstBytes.TEXT:
            self._front.registry.move(self, Phase.PLAIN, self.deadline)
            return _GO_ON
        return self._judge(self._greeting.hello)

    def _judge(self, seen: ClientHello) -> int:
        """Go on to the handshake, unless the context refuses what the peer asks for."""
        self.server_name = seen.server_name
        managed = self._front.managed
        if managed is None:
            refusal = refuse_finite_field(seen)
        else:
            refusal = managed.refusal(seen.raw_server_name, seen.alpn_protocols, seen.groups)
        if refusal:
            error, alert = refusal
            error.server_name = self.server_name
            return self._fail(error, last_words=alert_record(alert))
        self._front.registry.move(self, Phase.HANDSHAKE, self.deadline)
        return _GO_ON

    def _hear_plain_request(self) -> int:
        """Read a request that came without TLS, and answer it."""
        front = self._front
        try:
            self._greeting.hear(front.hooks.url, redirect=front.redirect_plain_http)
        except BlockingIOError:
            return READ
        except Unwelcome as end:
            return self._fail(end.error, last_words=end.last_words)

    # TLS -------------------------------------------------------------------------------------

    def _shake_hands(self) -> int:
        """Take the handshake as far as the peer's bytes go."""
        try:
            if self.stream is None:
                self.stream = self._begin_tls()
            self._front.before_handshake()
            tls = self.stream.do_handshake()
        except ssl.SSLWantReadError:
            return READ
        except ssl.SSLWantWriteError:
            return WRITE
        except OSError as error:
            return self._fail(handshake_error(error, self.server_name))
        may_serve = getattr(tls, "may_serve", None)
        if self.server_name and may_serve is not None and not may_serve(self.server_name):
            # OpenSSL lets TLS 1.2 resume a session for another name than the one now asked for, and
            # tells of the session's.
            message = "the client showed no certificate for the name that it asks for"
            return self._fail(ClientCertificateError(message, server_name=self.server_name))
        self._front.counters.handshake(bool(tls.session_reused))
        self._enter(Phase.REQUEST, self._front.limits.header_timeout)
        return _GO_ON  # with TLS 1.3 the first request has mostly come, too

    def _begin_tls(self) -> Stream:
        front, greeting = self._front, self._greeting
        greeting.end()
        ssl_context = front.ssl_context
        if front.managed is not None:
            seen = greeting.hello
            address = None if seen.has_name else greeting.local_address()
            ssl_context = front.managed.context_for(seen.groups, seen.key_shares, address)
        channel = Channel(ssl_context, self._socket, greeting.take_data())
        stream = Stream(channel, front.limits, self, self.server_name)
        stream.goodbye_with_response = front.goodbye_with_response
        return stream

    def _fail(self, error: HandshakeError, *, last_words: bytes = b"") -> int:
        """Report a failed handshake and close, such that a last alert or answer arrives.

        A client that is refused when the engine's part is over, by the context's own check, gets
        ``close_notify``. ``access_denied`` (RFC 8446, section 6.2) would say more, but the `ssl`
        module sends no alert that OpenSSL does not send by itself.
        """
        self._front.report_handshake(error, self.address)
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
            return _GONE
        self._enter(Phase.CLOSING, self._front.limits.linger_timeout)
        return _GO_ON

    def _established(self) -> Stream:
        if self.stream is None:
            raise RuntimeError(f"phase {self.phase} before TLS")
        return self.stream

    # Requests --------------------------------------------------------------------------------

    def _receive(self, stream: Stream) -> int:
        """Take in what has arrived until a request is ready for a handler."""
        find_request = self._front.find_request
        if self.phase is _IDLE or not stream.buffered:
            missing = HEAD_MISSING
        else:
            missing = stream.find(find_request)
        while missing < 0:
            try:
                if not stream.fill():
                    return self._leave(stream)
            except ssl.SSLWantWriteError:
                return WRITE
            except ssl.SSLWantReadError:
                self._expect(stream, missing)
                return READ
            except ConnectionCut:
                return self._leave(stream)
            missing = stream.find(find_request)
        self.phase = _HANDLER
        return _GO_ON

    def _expect(self, stream: Stream, missing: int) -> None:
        """Enter the phase in which the missing is waited for, unless it is this one."""
        if not stream.buffered and self.phase is _IDLE:
            return
        phase = _REQUEST if missing == HEAD_MISSING else Phase.BODY
        if phase is self.phase:
            return
        limits = self._front.limits
        timeout = limits.body_timeout if phase is Phase.BODY else limits.header_timeout
        self._enter(phase, self._shortened(timeout))

    def _shortened(self, timeout: float | None) -> float | None:
        """Return the limit, or the handler's own ``timeout`` where that is shorter."""
        own = self.stream.timeout if self.stream is not None else None
        if not own:
            return timeout
        self._front.registry.in_order = False
        return own if timeout is None else min(own, timeout)

    def _leave(self, stream: Stream) -> int:
        """The peer has ended: silently between two requests, else that is an event."""
        if stream.buffered:
            cut = stream.failure or PeerDisconnected("the peer left in the middle of a request")
            self._front.report_cut(cut, self.address)
        self._end(stream)
        return _GONE

    def _serve(self, stream: Stream) -> int:
        """Run the handler for the request that is ready."""
        front = self._front
        front.before_handler()
        if stream.handler is None:
            self._begin(stream)
        if stream.handler is None:
            return _GONE  # served, or handed on, by whoever overrode a hook
        keep = False
        try:
            keep = stream.handler.serve_ready_request()
        except Exception:
            self._report_exception(stream)
        except BaseException:
            self._end(stream)
            raise
        stream.requests += 1
        if front.counts_answers:
            front.answered()
        cut = stream.failure or stream.fault
        if cut is not None:
            self._report_failure(stream)
        if not keep or cut is not None or front.closing or self.phase is Phase.CLOSED:
            self._end(stream)
            return _GONE
        event = stream.awaited_event()
        if event == _GO_ON:
            self._enter(_REQUEST, self._shortened(front.limits.header_timeout))
            return _OTHERS_FIRST
        timeout = front.limits.keep_alive_timeout
        self._enter(_IDLE, timeout if stream.timeout is None else self._shortened(timeout))
        front.parking.park(self, event)
        return _GONE

    def _begin(self, stream: Stream) -> None:
        """Have the server make a handler, as `socketserver` does it for a new connection."""
        hooks = self._front.hooks
        try:
            hooks.process_request(stream, self.address)
        except Exception:
            self._report_exception(stream)
            hooks.shutdown_request(stream)
        except BaseException:
            hooks.shutdown_request(stream)
            raise
        if stream.handler is None:
            self._front.counters.add("requests")
            self._front.answered()

    def _report_exception(self, stream: Stream) -> None:
        """Report what a handler raised, unless it is only the peer's fault passed on."""
        if stream.failure is None or not _comes_from(sys.exception(), stream.failure):
            self._front.hooks.handle_error(stream, self.address)

    def _report_failure(self, stream: Stream) -> None:
        """Report, once, what the peer did wrong while a handler was at work."""
        cut = stream.cut
        if cut is not None and not self._failure_reported:
            self._failure_reported = True
            self._front.report_cut(cut, self.address)

    # The end ---------------------------------------------------------------------------------

    def _end(self, stream: Stream) -> None:
        """End in an orderly way: let the handler finish, then shut down."""
        handler, stream.handler = stream.handler, None  # nothing is left for the garbage collector
        try:
            if handler is not None:
                handler.finish()
        except Exception:
            self._report_exception(stream)
        finally:
            self._front.hooks.shutdown_request(stream)

    def begin_close(self) -> None:
        """Say goodbye; then close, at once or when the peer has had its say."""
        if self._ending:
            return
        self._ending = True
        stream = self._established()
        if self.phase in (Phase.HANDLER, Phase.CLOSED):
            self._report_failure(stream)
        if self.phase is Phase.CLOSED:  # by the handler itself
            self._front.hooks.close_request(stream)
            return
        if os.getpid() != self._front.pid:
            self._close_here(stream)
            return
        event = READ
        try:
            stream.say_goodbye()
            if self._may_close_now(stream):
                self._close()
                return
            stream.end_sending()
        except ssl.SSLWantWriteError:
            event = WRITE
        self._enter(Phase.CLOSING, self._front.limits.linger_timeout)
        self._front.parking.park(self, event)

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
        """Close while waiting for the peer in this process, a child that has no loop."""
        with contextlib.suppress(OSError):
            stream.shutdown(socket.SHUT_WR)
        end = _after(self._front.limits.linger_timeout)
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
                    return _GONE
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
        limits = self._front.limits
        if self.phase in HANDSHAKING:
            message = f"no TLS handshake within {limits.handshake_timeout:g} s"
            self._fail(HandshakeTimeout(message, server_name=self.server_name))
        elif self.phase is Phase.CLOSING:
            self._close()
        else:
            self._end_early(RequestTimeout("the request was not finished in time"))

    def crowd_out(self) -> None:
        """End a connection whose place is needed."""
        message = f"more than {self._front.max_connections} connections"
        if self.phase in HANDSHAKING:
            self._fail(HandshakeCrowdedOut(message, server_name=self.server_name))
        elif self.phase is Phase.CLOSING:
            self._close()
        else:
            self._front.counters.add("evicted")
            self._end_early(RequestCrowdedOut(message))

    def leave_with_server(self) -> None:
        """End a connection that nobody is at work on, because the server closes."""
        if self.stream is None or self.phase in HANDSHAKING | {Phase.CLOSING}:
            self._close()
        else:
            self.stream.input_complete = True
            self._end(self.stream)

    def _end_early(self, cut: ConnectionCut) -> None:
        """End between two requests, which is no event, or inside one, which is."""
        stream = self._established()
        if stream.buffered:
            self._front.report_cut(cut, self.address)
        stream.input_complete = True  # the peer had its time: no lingering
        self._end(stream)

    def _close(self) -> None:
        """Close the socket through the server's hook."""
        self.closed()  # before it is: then its number may be another connection's
        stream, self.stream = self.stream, None  # nothing is left for the garbage collector
        self._front.hooks.close_request(stream or self._socket)
        if stream is not None:
            stream.before_send = None

    def before_wait(self) -> None:
        """Take note that a handler is going to wait for the peer."""
        self._front.step_aside()

    def closed(self) -> None:
        """Take note that the socket is closed, or just about to be."""
        if self.phase is not Phase.CLOSED:
            self._front.forget(self)

    def abort(self) -> None:
        """Close the socket without any ceremony."""
        self.closed()
        (self.stream or self._socket).close()


def _after(timeout: float | None) -> float:
    return math.inf if timeout is None else time.monotonic() + timeout


def _comes_from(error: BaseException | None, origin: BaseException) -> bool:
    """Return whether `error` is `origin`, or was raised ``from`` it.

    What a handler raises while it deals with a lost peer (its ``__context__``) may be a mistake of
    its own.
    """
    seen = 0
    while error is not None and seen < 100:
        if error is origin:
            return True
        error, seen = error.__cause__, seen + 1
    return False
