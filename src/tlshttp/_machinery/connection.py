"""One connection on its way through the loop.

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
import os
import socket
import sys
import time
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from tlshttp._machinery.eviction import group_of
from tlshttp._machinery.first_bytes import FirstBytes
from tlshttp._machinery.lent import Lent, let_frames_go
from tlshttp._machinery.minimum_rate import MinimumRate
from tlshttp._machinery.registry import Phase
from tlshttp._machinery.stream import Stream
from tlshttp._passed_on import passes_on
from tlshttp.errors import ConnectionCut

if TYPE_CHECKING:
    from tlshttp._interfaces import Exchange
    from tlshttp._machinery.later import Later
    from tlshttp._machinery.loop import Loop
    from tlshttp._proxied import ProxyInfo

__all__ = ["GONE", "GO_ON", "OTHERS_FIRST", "Connection"]

GO_ON = 0
GONE = -11
OTHERS_FIRST = -12
"""What a step returns, besides READ and WRITE: to wait for that."""

_HELLO, _CLOSED = Phase.HELLO, Phase.CLOSED


class Connection:
    """The facts of one connection.

    Args:
        loop: Where it came in.
        sock: The accepted socket, non-blocking from now on.
        address: The peer's address, as ``get_request()`` returned it.
    """

    __slots__ = (
        "_ending", "_failure_reported", "_first_bytes", "_keeps", "_loop", "_rate", "_socket",
        "_waits_since", "address", "armed", "awaits_proxy", "deadline", "fd", "group",
        "handler_waits_since", "is_lent", "lent", "parked", "paused", "phase", "proxy", "queue",
        "server_name", "since", "stream", "taken",
    )  # fmt: skip

    def __init__(self, loop: Loop, sock: socket.socket, address: object) -> None:
        self._loop = loop
        self._socket = sock
        self._first_bytes = FirstBytes(sock)
        self._ending = False
        self._failure_reported = False
        self._keeps = False
        self._rate: MinimumRate | None = None
        self._waits_since = 0.0
        self.address = address
        self.group = group_of(address)
        """Whose it is, among all who hold connections."""
        self.since = time.monotonic()
        """When it was accepted."""
        self.fd = sock.fileno()
        self.phase = _HELLO
        self.deadline = loop.clock.after(loop.limits.handshake_timeout)
        self.parked = False
        self.lent: weakref.ref[Lent] | None = None
        """What a ``process_request()`` of the user's own was given instead of the stream."""
        self.is_lent = False
        """Whether it belongs to whoever holds that."""
        self.paused = False
        """Whether its handler's thread has given its place back, to wait."""
        self.handler_waits_since = 0.0
        """Since when its handler's thread has waited, where it does; 0: it does not."""
        self.taken = False
        """Whether its handler has taken it over: that thread is no worker at work any more."""
        self.armed = 0
        """For which event the poller has it; 0 where it does not."""
        self.queue: OrderedDict[Connection, None]
        """Where the registry has it."""
        self.awaits_proxy = False
        """Whether a PROXY protocol header has to come first."""
        self.proxy: ProxyInfo | None = None
        """What that has said."""
        self.server_name: str | None = None
        self.stream: Stream | None = None

    def _enter(self, phase: Phase, timeout: float | None) -> None:
        self._loop.registry.move(self, phase, self._loop.clock.after(timeout))

    def _established(self) -> Stream:
        if self.stream is None:
            raise RuntimeError(f"phase {self.phase} before TLS")
        return self.stream

    def _exchange(self, stream: Stream) -> Exchange:
        if stream.exchange is None:
            raise RuntimeError("a connection without a protocol")
        return stream.exchange

    @property
    def later(self) -> Later | None:
        """What answers in the place of a handler that has returned; `None`: nothing does."""
        return self.stream.later if self.stream is not None else None

    @property
    def spared_as(self) -> Phase | None:
        """The phase in which it may be closed for another; `None`: somebody is at work for it."""
        if self.phase is not Phase.LATER:
            return self.phase if self.parked else self._loop.room.waits_as(self)
        later = self.later  # it is not parked while its peer sends too far ahead
        waits = later is not None and later.waits_for_peer and later.cut is None
        return self.phase if waits else None

    @property
    def handler_waits_as(self) -> Phase | None:
        """The phase that a handler which waits is in, by what it waits for.

        `None`: it has taken the connection over, and has a thread of its own that does something
        else.
        """
        stream = self.stream
        if self.taken or stream is None or stream.tunnel:
            return Phase.TAKEN_OVER if self.handler_waits_since else None
        if stream.backlog:
            return Phase.RESPONSE
        return Phase.IDLE if stream.idle else Phase.BODY

    @property
    def request_line(self) -> str:
        """The first line of the request that a handler is at work on."""
        exchange = self.stream.exchange if self.stream is not None else None
        return exchange.request_line if exchange is not None else ""

    @property
    def subject(self) -> str:
        """What is, or was last, asked for."""
        exchange = self.stream.exchange if self.stream is not None else None
        return exchange.subject if exchange is not None else ""

    @property
    def is_idle(self) -> bool:
        """Whether a handler in blocking mode waits for a request to begin."""
        return self.stream is not None and self.stream.idle

    @property
    def has_said_nothing(self) -> bool:
        """Whether it waits for the first byte, or for the first one after the handshake."""
        if self.phase is Phase.HELLO:
            return True
        exchange = self.stream.exchange if self.stream is not None else None
        return self.phase is Phase.REQUEST and exchange is not None and not exchange.begun

    @property
    def request(self) -> Any:
        """What `socketserver`'s hooks have it as."""
        lent = self.lent() if self.lent is not None else None
        return self.stream or self._socket if lent is None else lent

    # What those who hold a connection may ask of it ------------------------------------------

    def advance(self, others: frozenset[Phase] | None) -> None:
        """Go as far as possible without waiting for the peer; then park, hand on, or end.

        Args:
            others: The phases in which this thread hands the connection on, besides handlers that
                may have to wait; `None`: it hands on none.
        """
        raise NotImplementedError

    def expire(self) -> None:
        """End a connection whose deadline has passed."""
        raise NotImplementedError

    def crowd_out(self) -> None:
        """End a connection whose place is needed."""
        raise NotImplementedError

    def leave_with_server(self) -> None:
        """End a connection that nobody is at work on, because the server closes."""
        raise NotImplementedError

    def send_on_closing(self) -> None:
        """Send more of a response while the server closes; then end."""
        raise NotImplementedError

    def end_unsent(self) -> None:
        """End though the peer has not taken all of a response: the server closes."""
        raise NotImplementedError

    def give_up_room(self) -> bool:
        """Have the request refused if it has waited for room too long; tell if it has."""
        raise NotImplementedError

    def _tell_end(self, error: BaseException | None) -> None:
        """Tell a driver of an end that it does not know of yet."""
        raise NotImplementedError

    def _report_later(self) -> int:
        """Tell who answers later that something has come; return what a step returns."""
        raise NotImplementedError

    def give_way(self) -> None:
        """Give back at once what is on disk, because others need the room; then end."""
        raise NotImplementedError

    def end_after_loan(self) -> None:
        """End a connection that nobody holds any more, to whom it was lent."""
        raise NotImplementedError

    def let_frames_go(self) -> None:
        """Have nothing that is remembered keep what was lent."""
        stream = self.stream
        if stream is not None and stream.exchange is not None:
            for error in (stream.cut, stream.last_timeout, stream.exchange.refused):
                let_frames_go(error)

    def begin_close(self) -> None:
        """Say goodbye; then close, at once or when the peer has had its say."""
        raise NotImplementedError

    # Called by the stream ---------------------------------------------------------------------

    def may_wait(self) -> bool:
        """Return whether the handler's thread may wait for the peer."""
        return self.later is None and self._loop.may_wait()

    def may_linger(self) -> bool:
        """Return whether it may wait for a moment, as nobody else wants its thread."""
        return self._loop.lingering.may(self)

    def linger(self, seconds: float) -> bool:
        """Wait so long, at most, until the peer takes more; tell whether it does."""
        return self._loop.lingering.wait(self, seconds)

    def before_wait(self) -> None:
        """Take note that a handler is going to wait for the peer."""
        if self.taken:
            self._loop.wait_again(self)
        elif self.stream is not None and self.stream.tunnel:
            self.lend()
            self._loop.wait_again(self)
        else:
            self._loop.before_wait(self)

    def after_wait(self) -> None:
        """Take note that it goes on."""
        if self.taken:
            self.handler_waits_since = 0.0
        else:
            self._loop.after_wait(self)

    def turn(self) -> contextlib.AbstractContextManager[object]:
        """Return what is entered by one thread at a time, of those that have waited for peers."""
        loop = self._loop
        # Another thread may have been in there when this process was forked.
        return loop.turn_after_wait if os.getpid() == loop.pid else contextlib.nullcontext()

    def lend(self) -> None:
        """Have the handler's thread be no worker at work until the handler returns."""
        stream = self.stream
        if stream is None or stream.driven_by is not None or self.taken:
            return
        if os.getpid() == self._loop.pid:
            self.taken = True
            self._loop.before_wait(self)
            self.handler_waits_since = 0.0

    def _take_back(self) -> None:
        """Have it be one again, where it is `taken`, in the same thread."""
        self.taken = False
        self._loop.after_wait(self)

    def take_up(self) -> None:
        """Look at a connection that is driven, if it is parked: something has been done to it."""
        self._loop.take_up(self)

    def watch(self) -> None:
        """Have somebody send what the handler has written while it goes on."""
        if self.stream is not None and os.getpid() == self._loop.pid:
            self._loop.drainer.watch(self.stream)

    def watch_head(self) -> None:
        """Have somebody send the head that is held back, if the handler is long in going on."""
        stream = self.stream
        if stream is None:
            return
        if os.getpid() == self._loop.pid:
            self._loop.heads.watch(stream, stream.held_head)
        else:  # in a forked child nobody is there for that
            stream.transmit(b"")

    def unwatch(self) -> None:
        """Leave that to the handler's own thread."""
        if self.stream is not None:
            self._loop.drainer.forget(self.stream)

    def let_go_by_borrower(self) -> None:
        """Take note that nobody holds any more what was lent."""
        if self.is_lent:
            self._loop.loans.end(self)

    def report_exception(self) -> None:
        """Report an exception of a handler's, in its ``except`` clause."""
        self._loop.hooks.handle_error(self.request, self.address)

    def end_waiting_for_request(self) -> None:
        """Have a handler in blocking mode, in another thread, wait for no further request."""
        if self.stream is not None:
            self.stream.end_waiting_for_request()

    def await_no_other(self) -> None:
        """Have a handler in blocking mode, in another thread, end after this request."""
        if self.stream is not None:
            self.stream.awaits_no_other = True

    def tell_of_end(self) -> None:
        """Have who has taken the connection over say goodbye, if it wants to know."""
        stream = self.stream
        if stream is not None and stream.ends_with_server and stream.awaits_more:
            stream.end_waiting_for_request()

    def cut_waiting(self, cut: ConnectionCut) -> None:
        """Have a handler that waits for the peer, in another thread, wait no more."""
        stream = self.stream
        if stream is not None and stream.rests:
            self.end_waiting_for_request()  # one that has come just now is answered
            return
        if stream is not None and stream.failure is None:
            stream.failure = cut
        self._loop.hang_up_one(self)

    def _report_exception(self, stream: Stream) -> None:
        """Report what a handler raised, unless it is only the peer's fault passed on."""
        failure = stream.failure
        if failure is None or not passes_on(sys.exception(), lambda each: each is failure):
            self._loop.hooks.handle_error(self.request, self.address)

    def _report_failure(self, stream: Stream) -> None:
        """Report, once, what the peer did wrong while a handler was at work."""
        cut = stream.cut
        if cut is not None and not self._failure_reported:
            self._failure_reported = True
            self._loop.events.cut(cut, self.address)

    def _close(self) -> None:
        """Close the socket through the server's hook."""
        self.closed()  # before it is: then its number may be another connection's
        request = self.request
        stream, self.stream = self.stream, None  # nothing is left for the garbage collector
        self._loop.hooks.close_request(request)
        if stream is not None and self._socket.fileno() >= 0:  # left open by the user's own hook
            stream.let_go()

    def closed(self) -> None:
        """Take note that the socket is closed, or just about to be; a driver is told of that."""
        stream = self.stream
        if stream is not None and stream.driven_by is not None:
            self._tell_end(stream.cut)
        if stream is not None and stream.watched:
            self._loop.drainer.forget(stream)
        if self.phase is not _CLOSED:
            self._loop.forget(self)

    def abort(self) -> None:
        """Close the socket without any ceremony."""
        self.closed()
        if self.stream is not None:
            self.stream.abandon()
        else:
            self._socket.close()
