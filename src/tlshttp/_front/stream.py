"""One TLS connection: bytes in, bytes out; and the socket that handlers know as ``self.request``.

Rules:

1.  What has been received and not yet been asked for stands in one buffer, here. The connection
    fills it without waiting, the protocol looks for requests there. Nobody else reads ahead.
2.  What is sent leaves at once as far as the socket takes it. The rest stands in the outbox, and
    somebody sends it on: the thread that writes next, the drainer while a handler goes on, the loop
    when the handler has returned. There are several of them, so sending and receiving have a lock.
3.  The channel underneath never waits. Where a handler has to wait for its peer, it waits here,
    under an `Allowance`, and has given back its place among the workers meanwhile.
4.  A peer's fault is remembered in `Stream.failure` before it is raised, so that the connection can
    tell it from the handler's own exceptions, however the handler dealt with it. After a failure
    no more of a response is sent: the peer may have got half a record.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from tlshttp._front.allowance import Allowance
from tlshttp._front.outbox import FilePart, Outbox
from tlshttp._front.poller import READ, WRITE, wait_for
from tlshttp._front.socket_like import SocketLike
from tlshttp._spool import Budget, NoRoom, Spool
from tlshttp._tls import TLSInfo, TLSObject
from tlshttp.errors import (
    BodyTimeout,
    ConnectionCut,
    PeerDisconnected,
    RequestRefused,
    RequestTimeout,
    ResponseAborted,
    ResponseBacklog,
    TunnelTimeout,
    WriteTimeout,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._seam import DrivenHandler, Exchange
    from tlshttp.limits import Limits

__all__ = ["PUMPED_AT_ONCE", "Stream", "StreamOwner"]

_WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

_RECORD = 16_384

_FILLED_AT_ONCE = 65_536
"""Bytes that are received at once where so many are there."""

_RECORDS_AT_ONCE = 64
"""How many records are read before others have their turn, however little is in each."""

_AHEAD = 65_536
"""Bytes that a response of unknown length may be ahead of its peer where its handler can wait: a
stream is worth nothing when it is old, so its handler is to notice that its peer does not keep up,
as it would on a socket."""

_PIECE = 65_536
"""Bytes read from a file, or the outbox, at once: as many as the channel encrypts at once."""

PUMPED_AT_ONCE = 524_288
"""Bytes of a waiting response that are sent before others have their turn: some hundred
microseconds of encryption."""


class WouldBlock(ssl.SSLWantReadError, BlockingIOError):
    """What a connection in non-blocking mode raises, be it taken for an SSL socket or for none."""


class StreamOwner(Protocol):
    """The connection of a stream, as far as the stream needs it."""

    def may_wait(self) -> bool: ...
    def before_wait(self) -> None: ...
    def after_wait(self) -> None: ...
    def watch(self) -> None: ...
    def unwatch(self) -> None: ...
    def report_exception(self) -> None: ...
    def begin_close(self) -> None: ...
    def closed(self) -> None: ...


class StreamChannel(Protocol):
    """What a stream asks of a `tlshttp._front.channel.Channel`."""

    unsent: bytes
    by_record: bool
    tls: TLSObject
    socket: socket.socket

    @property
    def has_input(self) -> bool: ...
    def fileno(self) -> int: ...
    def do_handshake(self) -> None: ...
    def recv(self, size: int) -> bytes: ...
    def send(self, data: Buffer, *, hold: bool = False) -> int: ...
    def flush(self) -> None: ...
    def say_goodbye(self) -> None: ...
    def close(self) -> None: ...


class Stream(SocketLike):
    """A TLS connection.

    Args:
        channel: What encrypts and decrypts.
        limits: How long the peer may keep somebody waiting.
        owner: Who is told of waits and of the end.
        server_name: The host name the client asks for, `None` without one.
        budget: What all connections may have waiting; `None`: any amount.
    """

    def __init__(
        self,
        channel: StreamChannel,
        limits: Limits,
        owner: StreamOwner,
        server_name: str | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._channel = channel
        self._limits = limits
        self._server_name = server_name
        self.budget = budget or Budget(None, None)
        self._info: TLSInfo | None = None
        self.timeout = None
        self._last_timeout: TimeoutError | None = None
        self._buffer = b""
        self._position = 0
        self._is_over = False
        self._lock = threading.Lock()
        self._outbox: Outbox | None = None
        self._allowance: Allowance | None = None
        self._reading = True
        self.owner = owner
        self.exchange: Exchange | None = None
        """What the protocol makes of the bytes; `None` until somebody has set it."""
        self.handler: DrivenHandler | None = None
        """The handler that the connection drives; `None` until there is one."""
        self.failure: ConnectionCut | None = None
        """What broke the connection, once it is broken."""
        self.fault: RequestRefused | None = None
        """What was wrong with a request that was answered nevertheless."""
        self.idle = False
        """Whether a handler in blocking mode is waiting for a request to begin."""
        self.tunnel = False
        """Whether a handler has taken the connection over, which is no longer HTTP."""
        self.known_length = False
        """Whether the response being sent has an end that is known."""
        self.goodbye_with_response = False
        """Whether the goodbye may leave with the last response, before anybody asks for it."""
        self.watched = False
        """Whether the drainer looks after what is in the outbox."""
        self.at_end = False
        """Whether the peer has said that it sends no more."""
        self.input_complete = False
        """Whether the last request has been read to its end, as far as HTTP tells."""
        self.requests = 0
        """Requests answered, and bytes moved either way, that are not in the server's counters."""
        self.bytes_in = 0
        self.bytes_out = 0

    # What there is to know --------------------------------------------------------------------

    @property
    def tls(self) -> TLSInfo:
        """What the handshake agreed on."""
        if self._info is None:
            self._info = TLSInfo(self._channel.tls, self._server_name)
        return self._info

    @property
    def restricted(self) -> bool:
        """Whether there are hosts that may not be asked for here (`TLSInfo.may_serve`)."""
        return getattr(self._channel.tls, "may_serve", None) is not None

    @property
    def cut(self) -> ConnectionCut | None:
        """What the peer did wrong, whether or not that broke the connection."""
        return self.failure or self.fault

    @property
    def fd(self) -> int:
        """The file descriptor, -1 once closed."""
        return self._channel.fileno()

    @property
    def buffered(self) -> int:
        """Bytes received and not read."""
        return len(self._buffer) - self._position

    @property
    def backlog(self) -> int:
        """Bytes that were written and that the peer's socket has not taken."""
        outbox = self._outbox
        return len(self._channel.unsent) + (outbox.size if outbox is not None else 0)

    def awaited_event(self) -> int:
        """Return what comes before anything can be read here; 0 where there may be something.

        What has been taken from the kernel already no poller sees. What the kernel had no room for
        must leave first.
        """
        if self._buffer or self._channel.has_input:
            return 0
        return WRITE if self._channel.unsent else READ

    def has_more(self) -> bool:
        """Return whether more can be received without the network."""
        return self._channel.has_input

    def do_handshake(self) -> TLSObject:
        """Take one step of the handshake; return what knows its outcome.

        Raises:
            OSError: What the engine raises.
        """
        self._channel.do_handshake()
        return self._channel.tls

    def fail(self, cut: ConnectionCut) -> NoReturn:
        """Take note of what broke the connection, and raise it."""
        if self.failure is None:
            self.failure = cut
        raise self.failure

    def raised(self, error: TimeoutError) -> bool:
        """Return whether this is a time limit of this connection, not one of the handler's own."""
        return error in (self.failure, self._last_timeout)

    # Receiving ----------------------------------------------------------------------------------

    def fill(self) -> bool:
        """Receive what has arrived, without waiting; false at the peer's end.

        Raises:
            ssl.SSLWantReadError, ssl.SSLWantWriteError: Nothing has arrived.
            PeerDisconnected: The connection is broken.
        """
        data = self._receive(_RECORD)
        if self._channel.has_input or len(data) == _RECORD:
            data = self._receive_more(data)
        if self._buffer:
            data = self._buffer[self._position :] + data
            self._position = 0
        self._buffer = data
        return not self.at_end

    def _receive_more(self, data: bytes) -> bytes:
        """Receive what else is there: the rest of many small records, or of a large body."""
        pieces, size = [data], len(data)
        with contextlib.suppress(*_WANTS, ConnectionCut):  # the latter is raised again next time
            for _ in range(_RECORDS_AT_ONCE):
                is_large = len(data) == _RECORD  # then there may be more in the kernel
                if size >= _FILLED_AT_ONCE or not (self._channel.has_input or is_large):
                    break
                data = self._receive(_RECORD)
                pieces.append(data)
                size += len(data)
        return b"".join(pieces)

    def look(self, find: Callable[[bytes, int], Any]) -> Any:
        """Return ``find(buffer, position)`` for the bytes received and not read."""
        return find(self._buffer, self._position)

    def take(self, size: int) -> bytes:
        """Take up to `size` bytes of those received and not read."""
        start, buffer = self._position, self._buffer
        if not start and size >= len(buffer):  # as nearly always
            self._buffer = b""
            return buffer
        data = buffer[start : start + size]
        self._position = start + len(data)
        if self._position == len(buffer):
            self._buffer = b""
            self._position = 0
        return data

    def give_back(self, data: bytes) -> None:
        """Put bytes back that have been taken last."""
        self._buffer = data + self._buffer[self._position :]
        self._position = 0

    def fill_waiting(self) -> bool:
        """Receive something, waiting for it under the allowance; false at the peer's end."""
        return bool(self._waiting(self.fill))

    def wait_for_request(self) -> bool:
        """Wait until a request begins; false where none will.

        Raises:
            TimeoutError: The handler's own timeout, or ``Limits.keep_alive_timeout``, has passed.
        """
        self.idle = True
        self._allowance = None
        try:
            times = (self.timeout, self._limits.keep_alive_timeout)
            return self._fill_until(min(filter(None, times), default=None), None)
        finally:
            self.idle = False

    def wait_for_head(self, deadline: float) -> bool:
        """Wait for more of a request head, up to a moment by `time.monotonic`.

        Raises:
            RequestTimeout: It has come.
        """
        left = max(0.0, deadline - time.monotonic())
        if self.timeout:
            left = min(left, self.timeout)
        return self._fill_until(left, RequestTimeout("the request was not finished in time"))

    def _fill_until(self, timeout: float | None, cut: ConnectionCut | None) -> bool:
        while True:
            try:
                return self.fill()
            except _WANTS as want:
                event = READ if isinstance(want, ssl.SSLWantReadError) else WRITE
            if self.timeout == 0:
                raise WouldBlock("the operation would have to wait for the peer")
            began = time.monotonic()
            if not self._wait_here(event, timeout):
                if cut is not None:
                    self.fail(cut)
                self._last_timeout = TimeoutError("timed out")
                raise self._last_timeout
            if timeout is not None:
                timeout = max(0.0, timeout - (time.monotonic() - began))

    def raw_recv(self, size: int) -> bytes:
        """Receive up to `size` bytes, waiting for them; empty at the peer's end."""
        if not self.buffered and size and not self.fill_waiting():
            return b""
        return self.take(size)

    def peek(self) -> bytes:
        """Return what has been received and not read, waiting if that is nothing."""
        if not self.buffered:
            self.fill_waiting()
        return self._buffer[self._position :]

    def _receive(self, size: int) -> bytes:
        """Receive once, without waiting."""
        if self.failure is not None:
            raise self.failure
        if self.at_end:
            return b""
        with self._lock:
            try:
                data = self._channel.recv(size)
            except _WANTS:
                raise
            except OSError as error:
                if not self.idle or self.fd < 0:
                    self._break(error)
                data = b""  # to leave between two requests, in whatever way, is nothing
        self.at_end = not data
        self.bytes_in += len(data)
        return data

    # Sending --------------------------------------------------------------------------------------

    def transmit(self, data: Buffer, *, is_last: bool = False) -> None:
        """Send `data`, or have it sent as soon as the peer takes it.

        Args:
            data: What to send.
            is_last: Whether nothing follows, either way: the goodbye then leaves with it.
        """
        with self._lock:
            if self.failure is not None or self._is_over:
                self._refuse_to_send()
            is_last = is_last and self.goodbye_with_response
            outbox = self._outbox
            rest: Any = data
            if outbox is None or not outbox.size:
                rest = self._send(data, hold=is_last)
                if rest is None:
                    if is_last:
                        self._end_with_response()
                    return
            stored = self._put(rest)
        if not stored:
            self._send_waiting(memoryview(rest))
        self._see_to_backlog()

    def transmit_file(self, fd: int, start: int, size: int) -> None:
        """Send a part of a file, which need not stay open for that.

        Args:
            fd: The descriptor of a regular file.
            start: Where the part begins, in bytes.
            size: How many bytes it has.
        """
        part = FilePart(fd, start, size)
        with self._lock:
            if self.failure is not None or self._is_over:
                self._refuse_to_send()
            self._box().put_file(part)
            self._pump(PUMPED_AT_ONCE)
        self._see_to_backlog()

    def pump(self, most: int = PUMPED_AT_ONCE) -> bool:
        """Send what waits, without waiting and at most so many bytes; tell whether it has all gone.

        Raises:
            ConnectionCut: The connection is broken, or was before.
        """
        with self._lock:
            return self._pump(most)

    def _refuse_to_send(self) -> NoReturn:
        if self.failure is not None:
            raise self.failure
        raise BrokenPipeError(errno.EPIPE, "this end of the connection has been closed")

    def _send(self, data: Buffer, *, hold: bool) -> Any:
        """Send as far as the socket takes it; return the rest, `None` where all has left."""
        left: Any = data if type(data) is bytes else memoryview(data).cast("B")
        channel = self._channel
        while left:
            try:
                sent = channel.send(left, hold=hold)
            except _WANTS:
                return left
            except OSError as error:
                self._break(error)
            self.bytes_out += sent
            if channel.unsent:
                return memoryview(left)[sent:]
            if sent == len(left):
                return None
            left = memoryview(left)[sent:]
        return None

    def _box(self) -> Outbox:
        if self._outbox is None:
            self._outbox = Outbox(Spool(self.budget, self._limits.max_buffer_memory))
        return self._outbox

    def _put(self, rest: Buffer) -> bool:
        """Add to the outbox; tell whether it could be added."""
        view = memoryview(rest).cast("B")
        if not view:
            return True
        try:
            self._box().put(view)
        except (NoRoom, OSError) as error:
            if not self.owner.may_wait():
                self._abort(error)
            return False
        return True

    def _abort(self, error: Exception) -> NoReturn:
        why = "the server has too much on disk" if isinstance(error, NoRoom) else str(error)
        self.fail(ResponseAborted(f"the rest of a response cannot be kept or read: {why}"))

    def _pump(self, most: int) -> bool:
        """Do what `pump` does; the lock is held."""
        if self.failure is not None:
            raise self.failure
        channel, outbox = self._channel, self._outbox
        try:
            if channel.unsent:
                channel.flush()
            while outbox is not None and outbox.size and most > 0:
                data = self._next(outbox)
                sent = channel.send(data)
                outbox.took(sent)
                most -= sent
                self.bytes_out += sent
                if channel.unsent:
                    return False
        except _WANTS:
            return False
        except ConnectionCut:
            raise
        except OSError as error:
            self._break(error)
        return outbox is None or not outbox.size

    def _next(self, outbox: Outbox) -> Any:
        try:
            return outbox.next(_PIECE)
        except OSError as error:
            self._abort(error)

    def _see_to_backlog(self) -> None:
        """Have what waits be sent, and wait for the peer if that is too much."""
        backlog = self.backlog
        if not backlog:
            return
        may_wait = self.owner.may_wait()
        most = self._limits.max_response_backlog
        if may_wait and not self.known_length:
            most = _AHEAD if most is None else min(most, _AHEAD)
        if most is None or backlog <= most:
            if not self.watched:
                self.owner.watch()
        elif may_wait:
            self._wait_for_room(most // 2)
        else:
            message = f"the peer has {backlog} bytes of a response still to take"
            self.fail(ResponseBacklog(message))

    def _wait_for_room(self, most: int) -> None:
        """Send what waits from this thread until it is not more than `most` bytes."""
        if self.watched:
            self.owner.unwatch()
        while not self.pump() and self.backlog > most:
            self._wait_under_allowance(WRITE, WRITE)
        if self.backlog:
            self.owner.watch()

    def await_taken(self) -> None:
        """Wait until the peer has taken all of a response."""
        if self.backlog:
            self._wait_for_room(0)

    def _send_waiting(self, rest: memoryview) -> None:
        """Send what could not be kept, from this thread."""
        self._wait_for_room(0)
        while rest:
            with self._lock:
                left = self._send(rest, hold=False)
            if left is None:
                return
            rest = left
            self._wait_for_room(0)

    def is_blocked(self) -> bool:
        """Return whether the socket has no room."""
        return bool(self._channel.unsent)

    def drop_backlog(self) -> None:
        """Throw away what has not been sent."""
        with self._lock:
            if self._outbox is not None:
                self._outbox.clear()

    # Waiting ------------------------------------------------------------------------------------

    def begin_allowance(self, direction: int) -> Allowance:
        """Return what the peer has from now on for a request body (`READ`) or a response."""
        limits = self._limits
        if direction == READ:
            return Allowance(
                limits.body_timeout, limits.body_min_rate, BodyTimeout,
                "sent the request body", self.bytes_in,
            )  # fmt: skip
        return Allowance(
            limits.write_timeout, limits.write_min_rate, WriteTimeout,
            "took the response", self.moved_out,
        )  # fmt: skip

    @property
    def moved_out(self) -> int:
        """Bytes of responses that the kernel has taken."""
        return self.bytes_out - len(self._channel.unsent)

    def _waiting(self, operation: Callable[[], Any]) -> Any:
        """Call `operation` until it need not wait.

        Raises:
            TimeoutError: The handler's own timeout (`settimeout`) has passed.
            ConnectionCut: The peer was too slow, or is gone.
        """
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                event = READ
            except ssl.SSLWantWriteError:
                event = WRITE
            self._wait_under_allowance(event, READ)

    def _wait_under_allowance(self, event: int, direction: int) -> None:
        """Wait as long as the peer's allowance and the handler's own timeout have it."""
        if self.timeout == 0:
            raise WouldBlock("the operation would have to wait for the peer")
        if self.tunnel:
            self._wait_in_tunnel(event)
            return
        if (direction == READ) != self._reading or self._allowance is None:
            self._reading = direction == READ
            self._allowance = self.begin_allowance(direction)
        allowance = self._allowance
        allowance.earn(self.bytes_in if self._reading else self.moved_out)
        shortest = allowance.left if self.timeout is None else min(allowance.left, self.timeout)
        began = time.monotonic()
        ready = self._wait_here(event, shortest)
        allowance.spend(time.monotonic() - began)
        if ready:
            return
        if not allowance.left:
            self.fail(allowance.used_up())
        self._last_timeout = TimeoutError("timed out")
        raise self._last_timeout

    def _wait_in_tunnel(self, event: int) -> None:
        limit = self._limits.tunnel_timeout
        if self._wait_here(event, min(filter(None, (limit, self.timeout)), default=None)):
            return
        if self.timeout is None or (limit is not None and limit <= self.timeout):
            self.fail(TunnelTimeout(f"nothing has moved for {limit:g} s"))
        self._last_timeout = TimeoutError("timed out")
        raise self._last_timeout

    def _wait_here(self, event: int, timeout: float | None) -> bool:
        """Wait in this thread, which has no place among the workers meanwhile."""
        self.owner.before_wait()
        try:
            return wait_for(self.fd, event, timeout if timeout != float("inf") else None)
        finally:
            self.owner.after_wait()

    def take_over(self) -> None:
        """Be a plain connection from now on: no framing, and a limit of its own."""
        self.tunnel = True
        self.known_length = False
        self._channel.by_record = True

    def begin_exchange(self) -> None:
        """Have the next body and the next response begin with allowances of their own."""
        self._allowance = None
        self.known_length = False

    # The end ---------------------------------------------------------------------------------

    def say_goodbye(self) -> None:
        """Send ``close_notify`` (RFC 8446, section 6.1); again, do nothing.

        TLS is over afterwards: what is read from now on is what the peer sends, undecrypted.

        Raises:
            ssl.SSLWantWriteError: A response on its way fills all buffers: there is no room yet.
        """
        if (self._is_over and not self._channel.unsent) or self.fd < 0:
            return
        self.at_end = self._is_over = True
        try:
            if self.failure is None:
                self._channel.say_goodbye()
            elif not self._channel.unsent:
                self._channel.flush()  # the alert that says what the engine has found wrong
        except ssl.SSLWantWriteError:
            if self.failure is None:
                raise
        except OSError:
            pass

    def _end_with_response(self) -> None:
        """Say goodbye after a response that has not left yet."""
        self.at_end = self._is_over = True
        try:
            self._channel.say_goodbye()
        except ssl.SSLWantWriteError:
            pass  # whoever ends the connection sees to it
        except OSError as error:
            self._break(error)

    def end_sending(self) -> None:
        """Tell the peer, after the goodbye, that nothing more comes; to close says so, too."""
        with contextlib.suppress(OSError):
            self._channel.socket.shutdown(socket.SHUT_WR)

    def end_waiting(self) -> None:
        """Send all that waits and say goodbye, waiting for the peer."""
        if self.backlog and self.failure is None and not self._is_over:
            self._wait_for_room(0)
        while True:
            try:
                self.say_goodbye()
                return
            except ssl.SSLWantWriteError:
                self._wait_under_allowance(WRITE, WRITE)

    def discard(self, size: int = 65_536) -> bool:
        """Throw away what has arrived after the goodbye; false at the peer's end.

        Args:
            size: Bytes at most.

        Raises:
            BlockingIOError: Nothing more has arrived.
        """
        try:
            return bool(self._channel.socket.recv(size))
        except BlockingIOError:
            raise
        except OSError:
            return False

    def close(self) -> None:
        """Close the socket at once, without a word to the peer. Closing again does nothing."""
        self.owner.closed()
        self.let_go()
        self._channel.close()

    def let_go(self) -> None:
        """Give back what waits: nobody will take it."""
        if self._outbox is not None:
            self.drop_backlog()
        if self.exchange is not None:
            self.exchange.let_go()

    def __repr__(self) -> str:
        """Show whose connection it is."""
        return f"<tlshttp connection {self._info!r} fd={self.fd}>"

    def _break(self, error: OSError) -> NoReturn:
        """Take note of what the TLS engine found wrong with the connection, and raise that."""
        if self.fd < 0:
            raise OSError(errno.EBADF, "the connection has been closed on this side") from error
        self.fail(_disconnected(error))


def _disconnected(error: OSError) -> PeerDisconnected:
    if isinstance(error, ssl.SSLEOFError):
        return PeerDisconnected("the peer left without closing the TLS session (close_notify)")
    if isinstance(error, ssl.SSLError):
        return PeerDisconnected(f"the peer broke off: {error.reason or error}")
    return PeerDisconnected(f"the peer broke off: {os.strerror(error.errno or 0)}")
