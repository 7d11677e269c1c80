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

from tlshttp._front.allowance import Allowance
from tlshttp._front.channel import Channel
from tlshttp._front.eviction import group_of
from tlshttp._front.greeting import Greeting, Unwelcome, refuse_finite_field
from tlshttp._front.handshake import handshake_error
from tlshttp._front.hello import ClientHello
from tlshttp._front.hello import alert as alert_record
from tlshttp._front.poller import READ, WRITE, wait_for
from tlshttp._front.records import FirstBytes
from tlshttp._front.registry import HANDSHAKING, Phase
from tlshttp._front.stream import Stream
from tlshttp._seam import BODY_MISSING, HEAD_MISSING, OTHERS_FIRST, ROOM_MISSING
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
    from tlshttp._seam import Exchange

__all__ = ["Connection"]

_GO_ON = 0
_GONE = -11
_OTHERS_FIRST = -12
# besides READ and WRITE: wait for that

_HANDLER, _IDLE, _REQUEST = Phase.HANDLER, Phase.IDLE, Phase.REQUEST
_HANDSHAKE, _HELLO = Phase.HANDSHAKE, Phase.HELLO
_BODY, _RESPONSE = Phase.BODY, Phase.RESPONSE
_SERVING = frozenset({Phase.HANDLER, Phase.REQUEST, Phase.BODY, Phase.IDLE, Phase.RESPONSE})

_FILLS_AT_ONCE = 4
"""How often a connection is read, up to a record or 64 small ones each, before others have their
turn: what a 64 KiB head or body takes."""

_DRAINS_AT_ONCE = 16  # reads of 64 KiB while closing, before others have their turn


class _Served(Exception):
    """A connection is somebody else's now, or over."""


class Connection:
    """The state machine of one connection.

    Args:
        front: Where it came in.
        sock: The accepted socket, non-blocking from now on.
        address: The peer's address, as ``get_request()`` returned it.
    """

    __slots__ = (
        "_allowance",
        "_ending",
        "_failure_reported",
        "_front",
        "_greeting",
        "_keeps",
        "_socket",
        "_waits_since",
        "address",
        "armed",
        "deadline",
        "fd",
        "group",
        "parked",
        "paused",
        "phase",
        "queue",
        "server_name",
        "since",
        "stream",
    )

    def __init__(self, front: Front, sock: socket.socket, address: object) -> None:
        self._front = front
        self._socket = sock
        self._greeting = Greeting(sock)
        self._ending = False
        self._failure_reported = False
        self._keeps = False
        self._allowance: Allowance | None = None
        self._waits_since = 0.0
        self.address = address
        self.group = group_of(address)
        """Whose it is, among all who hold connections."""
        self.since = time.monotonic()
        """When it was accepted."""
        self.fd = sock.fileno()
        self.phase = Phase.HELLO
        self.deadline = front.after(front.limits.handshake_timeout)
        self.parked = False
        self.paused = False
        """Whether its handler's thread has given its place back, to wait."""
        self.armed = 0
        """For which event the poller has it; 0 where it does not."""
        self.queue: OrderedDict[Connection, None]
        """Where the registry has it."""
        self.server_name: str | None = None
        self.stream: Stream | None = None

    def advance(self, others: frozenset[Phase] | None) -> None:
        """Go as far as possible without waiting for the peer; then park, hand on, or end.

        Args:
            others: The phases in which this thread hands the connection on, besides handlers that
                may have to wait; `None`: it hands on none.
        """
        front = self._front
        try:
            while True:
                phase = self.phase
                stream = self.stream
                if phase is _HANDLER and others is not None and self._needs_thread(others, stream):
                    front.submit(self)
                    return
                if stream is None or phase not in _SERVING:
                    event = self._step(phase)
                elif phase is _HANDLER:
                    event = self._serve(stream)
                elif phase is _RESPONSE:
                    event = self._send_on(stream)
                else:
                    event = self._receive(stream)
                if event != _GO_ON:
                    break
            self._settle(event)
        except BaseException:
            if not self._ending:  # it may belong to the loop again
                self.abort()
            raise

    def _settle(self, event: int) -> None:
        """Park, or wait for a turn, as the last step has said."""
        if event > 0:
            self._park(event)
        elif event == _OTHERS_FIRST:
            self._front.resume_later(self)

    def _needs_thread(self, others: frozenset[Phase], stream: Stream | None) -> bool:
        """Return whether the handler may have to wait, and this thread must not."""
        exchange = stream.exchange if stream is not None else None
        return bool(others) or (exchange is not None and exchange.streams)

    def _park(self, event: int) -> None:
        # Whoever drips keeps the connection from being parked when the loop looks for the overdue
        # ones, so it is looked at here, too.
        if self.deadline <= self._front.now():
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
        self._front.registry.move(self, phase, self._front.after(timeout))

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
            self._greeting.hear(front.url(), redirect=front.redirect_plain_http)
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
        limits, first = self._front.limits, self._front.first_timeout
        self._enter(Phase.REQUEST, _shorter(limits.header_timeout, first))
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
        stream = Stream(channel, front.limits, self, self.server_name, front.budget)
        stream.exchange = front.create_exchange(stream)
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
        exchange = self._exchange(stream)
        if self.phase is _IDLE or not (stream.buffered or self.phase is _BODY):
            missing = HEAD_MISSING
        else:
            missing = exchange.receive()
        fills = _FILLS_AT_ONCE
        while missing < 0:
            if missing == ROOM_MISSING:
                return self._await_room()
            try:
                if missing != OTHERS_FIRST:
                    if not stream.fill():
                        return self._leave(stream)
                    fills -= 1
            except ssl.SSLWantWriteError:
                return WRITE
            except ssl.SSLWantReadError:
                self._expect(stream, missing)
                return READ
            except ConnectionCut:
                return self._leave(stream)
            if not fills or missing == OTHERS_FIRST:
                return self._look_again(stream, missing)
            missing = exchange.receive()
        self.phase = _HANDLER
        return _GO_ON

    def _look_again(self, stream: Stream, missing: int) -> int:
        """Go on when others have had their turn, unless the peer has had its time."""
        missing = BODY_MISSING if missing == OTHERS_FIRST else missing
        self._expect(stream, missing)
        if self.deadline <= self._front.now():
            self.expire()
            return _GONE
        return _OTHERS_FIRST

    def _await_room(self) -> int:
        """Wait until the server has room for more of a body; the peer's time stands still."""
        if self.phase is not _BODY or self._allowance is not None:
            self._waits_since = self._front.now()
            self._enter(_BODY, None)
        self._allowance = None
        self._front.await_room(self)
        return _GONE

    def give_up_room(self) -> bool:
        """Have the request refused if it has waited for room too long; tell if it has."""
        timeout = self._front.limits.body_timeout
        if timeout is None or self._front.now() - self._waits_since < timeout:
            return False
        self._exchange(self._established()).refuse_for_room()
        return True

    def _expect(self, stream: Stream, missing: int) -> None:
        """Enter the phase in which the missing is waited for, unless it is this one."""
        if missing == BODY_MISSING:
            self._expect_body(stream)
        elif self.phase is not _REQUEST and (stream.buffered or self.phase is not _IDLE):
            self._enter(_REQUEST, self._shortened(self._front.limits.header_timeout))

    def _expect_body(self, stream: Stream) -> None:
        """Give the peer time for more of the body, as its rate allows."""
        if self.phase is not _BODY or self._allowance is None:
            self._allowance = stream.begin_allowance(READ)
            self._waits_since = self._front.now()
            self._enter(_BODY, self._shortened(self._allowance.left))
            self._own_timeout(stream)
            return
        self._keep_pace(self._allowance, stream.bytes_in)
        self._own_timeout(stream)

    def _own_timeout(self, stream: Stream) -> None:
        """Have the handler's ``timeout`` bound the wait, before there is a handler, too."""
        own = stream.timeout or (self._front.first_timeout if stream.handler is None else None)
        if own:
            self.deadline = min(self.deadline, self._front.after(own))

    def _keep_pace(self, allowance: Allowance, total: int) -> None:
        """Move the deadline with what the peer has done."""
        now = self._front.now()
        allowance.spend(now - self._waits_since)
        allowance.earn(total)
        self._waits_since = now
        self.deadline = now + allowance.left

    def _exchange(self, stream: Stream) -> Exchange:
        if stream.exchange is None:
            raise RuntimeError("a connection without a protocol")
        return stream.exchange

    def _shortened(self, timeout: float | None) -> float | None:
        """Return the limit, or the handler's own ``timeout`` where that is shorter."""
        own = self.stream.timeout if self.stream is not None else None
        if not own:
            return timeout
        self._front.registry.in_order = False
        return _shorter(timeout, own)

    def _leave(self, stream: Stream) -> int:
        """The peer has ended: silently between two requests, else that is an event."""
        if self._exchange(stream).begun:
            cut = stream.failure or PeerDisconnected("the peer left in the middle of a request")
            self._front.report_cut(cut, self.address)
        self._end(stream)
        return _GONE

    def _serve(self, stream: Stream) -> int:
        """Run the handler for the request that is ready."""
        front = self._front
        exchange = stream.exchange
        if exchange is None or not front.may_handle(self):
            return _GONE  # until there is a place for it
        keep = False
        try:
            if stream.handler is None:
                keep = self._begin(stream)
            if stream.handler is not None:
                keep = exchange.run(stream.handler)
        except _Served:
            return _GONE
        except Exception:
            self._report_exception(stream)
        except BaseException:
            self._end(stream)
            raise
        return self._after_handler(stream, keep)

    def _after_handler(self, stream: Stream, keep: bool) -> int:
        """Report what went wrong; see to what is left of the response, then go on or end."""
        front = self._front
        stream.requests += 1
        if front.counts_answers:
            front.answered()
        if stream.watched:
            front.drainer.forget(stream)
        cut = stream.failure or stream.fault
        if cut is not None:
            self._report_failure(stream)
        self._keeps = keep and cut is None and not front.closing and self.phase is not Phase.CLOSED
        if stream.failure is None and stream.backlog and self.phase is not Phase.CLOSED:
            self._allowance = stream.begin_allowance(WRITE)
            self._waits_since = front.now()
            self._enter(_RESPONSE, self._allowance.left)
            return WRITE
        return self._after_response(stream)

    def _send_on(self, stream: Stream) -> int:
        """Send what is left of a response; then go on, or end."""
        front = self._front
        try:
            done = stream.pump()
        except ConnectionCut:
            self._report_failure(stream)
            self._end(stream)
            return _GONE
        if done:
            self._allowance = None
            self._keeps = self._keeps and not front.closing
            if self._ending:
                return self._finish_close(stream)
            return self._after_response(stream)
        if self._allowance is not None:
            self._keep_pace(self._allowance, stream.moved_out)
        return WRITE if stream.is_blocked() else _OTHERS_FIRST

    def _after_response(self, stream: Stream) -> int:
        """Await the next request, or end."""
        front = self._front
        if not self._keeps:
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

    def _begin(self, stream: Stream) -> bool:
        """Have the server make a handler; where that has served its request, tell whether to go on.

        Raises:
            _Served: The connection has been handed to somebody else, or is over.
        """
        front = self._front
        hooks, exchange = front.hooks, self._exchange(stream)
        exchange.begin_handler()
        try:
            hooks.process_request(stream, self.address)
        except Exception as error:
            if not exchange.bear(error):
                self._report_exception(stream)
            if exchange.one_shot:
                exchange.end()
                return False
            hooks.shutdown_request(stream)
        except BaseException:
            hooks.shutdown_request(stream)
            raise
        else:
            if stream.handler is not None:
                return False  # it has not been called yet
            if exchange.one_shot and not self._ending:
                return exchange.end()
        front.counters.add("requests")
        front.answered()
        raise _Served

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
        if stream.watched:
            self._front.drainer.forget(stream)
        self._end_exchange(stream)
        if self.phase in (Phase.HANDLER, Phase.CLOSED):
            self._report_failure(stream)
        if self.phase is Phase.CLOSED:  # by the handler itself
            self._front.hooks.close_request(stream)
            return
        if os.getpid() != self._front.pid:
            self._close_here(stream)
            return
        if stream.backlog and stream.failure is None:
            self._allowance = stream.begin_allowance(WRITE)
            self._waits_since = self._front.now()
            self._enter(_RESPONSE, self._allowance.left)
            self._front.parking.park(self, WRITE)
            return
        self._finish_close(stream)

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
                return _GONE
            stream.end_sending()
        except ssl.SSLWantWriteError:
            event = WRITE
        self._enter(Phase.CLOSING, self._front.limits.linger_timeout)
        self._front.parking.park(self, event)
        return _GONE

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
        timeout = self._front.limits.linger_timeout
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
        elif self._allowance is not None and self.phase in (_BODY, _RESPONSE):
            self._allowance.spend(self._front.now() - self._waits_since)
            self._end_early(self._allowance.used_up())
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

    @property
    def request_line(self) -> str:
        """The first line of the request that a handler is at work on."""
        exchange = self.stream.exchange if self.stream is not None else None
        return exchange.request_line if exchange is not None else ""

    def send_on_closing(self) -> None:
        """Send more of a response while the server closes; then end."""
        stream = self._established()
        self._keeps = False
        if self._send_on(stream) == _GONE:
            return
        if self._allowance is not None and self.deadline <= self._front.now():
            self.expire()

    def leave_with_server(self) -> None:
        """End a connection that nobody is at work on, because the server closes."""
        if self.stream is None or self.phase in HANDSHAKING | {Phase.CLOSING}:
            self._close()
        elif self.phase is not _RESPONSE:  # else the server sees to the rest of it
            self.stream.input_complete = True
            self._end(self.stream)

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
            self._front.report_cut(cut, self.address)
        stream.input_complete = True  # the peer had its time: no lingering
        self._end(stream)

    def _close(self) -> None:
        """Close the socket through the server's hook."""
        self.closed()  # before it is: then its number may be another connection's
        stream, self.stream = self.stream, None  # nothing is left for the garbage collector
        self._front.hooks.close_request(stream or self._socket)
        if stream is not None:
            stream.let_go()

    # Called by the stream ---------------------------------------------------------------------

    def may_wait(self) -> bool:
        """Return whether the handler's thread may wait for the peer."""
        return self._front.may_wait()

    def before_wait(self) -> None:
        """Take note that a handler is going to wait for the peer."""
        self._front.before_wait(self)

    def after_wait(self) -> None:
        """Take note that it goes on."""
        self._front.after_wait(self)

    def watch(self) -> None:
        """Have somebody send what the handler has written while it goes on."""
        if self.stream is not None and os.getpid() == self._front.pid:
            self._front.drainer.watch(self.stream)

    def unwatch(self) -> None:
        """Leave that to the handler's own thread."""
        if self.stream is not None:
            self._front.drainer.forget(self.stream)

    def report_exception(self) -> None:
        """Report an exception of a handler's, in its ``except`` clause."""
        self._front.hooks.handle_error(self.stream, self.address)

    def cut_waiting(self, cut: ConnectionCut) -> None:
        """Have a handler that waits for the peer, in another thread, wait no more."""
        stream = self.stream
        if stream is not None and not stream.idle and stream.failure is None:
            stream.failure = cut
        self._front.hang_up_one(self)

    def closed(self) -> None:
        """Take note that the socket is closed, or just about to be."""
        if self.stream is not None and self.stream.watched:
            self._front.drainer.forget(self.stream)
        if self.phase is not Phase.CLOSED:
            self._front.forget(self)

    def abort(self) -> None:
        """Close the socket without any ceremony."""
        self.closed()
        (self.stream or self._socket).close()


def _shorter(one: float | None, other: float | None) -> float | None:
    """Return the shorter of two limits, of which `None` is none."""
    return min((limit for limit in (one, other) if limit is not None), default=None)


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
