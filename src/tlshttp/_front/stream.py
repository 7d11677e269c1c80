"""The socket that handlers know as ``self.request`` and ``self.connection``.

Rules:

1.  The channel underneath never waits. Where a handler has to wait, this module waits, and
    it charges the wait to an *allowance*: a few seconds, and one more for so many bytes moved, up
    to what it was at first. (Without that bound, megabytes that vanish in the kernel's buffers
    would buy hours.) The handler's own time costs nothing. An allowance starts anew when the
    direction changes, so that each request body and each response has its own.
2.  What has been received and not yet been asked for stands in one buffer, here. The connection
    fills it without waiting and looks for a complete request there; handlers read from it first.
    Nobody else reads ahead.
3.  A peer's fault is remembered in `Stream.failure` before it is raised, so that the connection can
    tell it from the handler's own exceptions, however the handler dealt with it. After a failure
    no more of a response is sent: the peer may have got half a record.
4.  To whom a stream belongs changes (see `tlshttp._front.connection`), but at any time only one
    thread uses it. There are no locks in here.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

from tlshttp._front.allowance import Allowance
from tlshttp._front.poller import READ, WRITE, wait_for
from tlshttp._front.socket_like import SocketLike, refuse_flags
from tlshttp._tls import TLSInfo, TLSObject
from tlshttp.errors import (
    BodyTimeout,
    ConnectionCut,
    PeerDisconnected,
    RequestRefused,
    WriteTimeout,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._seam import DrivenHandler, FindRequest
    from tlshttp.limits import Limits

__all__ = ["Stream", "StreamOwner"]

_T = TypeVar("_T")

_WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

_RECORD = 16_384


class StreamOwner(Protocol):
    """The connection of a stream, as far as the stream needs it."""

    def before_wait(self) -> None: ...
    def begin_close(self) -> None: ...
    def closed(self) -> None: ...


class StreamChannel(Protocol):
    """What a stream asks of a `tlshttp._front.channel.Channel`."""

    unsent: bytes
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
    """A TLS connection that reads and writes as a blocking socket does, under deadlines.

    Args:
        channel: The connection.
        limits: How long a handler may be kept waiting.
        owner: Who is told of waits and of the end.
        server_name: The host name the client asks for, `None` without one.
    """

    def __init__(
        self,
        channel: StreamChannel,
        limits: Limits,
        owner: StreamOwner,
        server_name: str | None = None,
    ) -> None:
        self._channel = channel
        self._limits = limits
        self._server_name = server_name
        self._info: TLSInfo | None = None
        self.timeout = None
        self._last_timeout: TimeoutError | None = None
        self._buffer = b""
        self._position = 0
        self._head_size = 0
        self._is_over = False
        self._reading = True
        self._turned_at = 0
        self._allowance: Allowance | None = None
        self.owner = owner
        self.handler: DrivenHandler | None = None
        """The handler that the connection drives; `None` until there is one."""
        self.driven = False
        """Whether a handler made now is driven by the connection."""
        self.failure: ConnectionCut | None = None
        """What the peer did that broke the connection, once it has."""
        self.before_send: Callable[[], None] | None = None
        """Called before a handler sends something past its ``wfile``."""
        self.fault: RequestRefused | None = None
        """What was wrong with a request that was answered nevertheless."""
        self.idle = False
        """Whether a handler in blocking mode is waiting for a request to begin."""
        self.goodbye_with_response = False
        """Whether the goodbye may leave with the last response, before anybody asks for it."""
        self.at_end = False
        """Whether the peer has said that it sends no more."""
        self.input_complete = False
        """Whether the last request has been read to its end, as far as HTTP tells."""
        self.requests = 0
        """Requests answered, and bytes moved either way, that are not in the server's counters."""
        self.bytes_in = 0
        self.bytes_out = 0

    # What the connection and the handler layer use ------------------------------------------

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

    def do_handshake(self) -> TLSObject:
        """Take one step of the handshake; return what knows its outcome.

        Raises:
            OSError: What the engine raises.
        """
        self._channel.do_handshake()
        return self._channel.tls

    def awaited_event(self) -> int:
        """Return what comes before anything can be read here; 0 where there may be something.

        What has been taken from the kernel already no poller sees. What the kernel had no room for
        must leave first.
        """
        if self._buffer or self._channel.has_input:
            return 0
        return WRITE if self._channel.unsent else READ

    @property
    def buffered(self) -> int:
        """Bytes received and not read."""
        return len(self._buffer) - self._position

    def find(self, find_request: FindRequest) -> int:
        """Return what that says of the bytes received and not read."""
        self._head_size = size = find_request(self._buffer, self._position)
        return size

    def take_head(self) -> bytes:
        """Take the head that `find` has found; nothing if it has not, or if more was read since."""
        size = self._head_size
        if size <= 0:
            return b""
        if size < len(self._buffer):
            return self.take(size)
        # As nearly always: nothing else has come.
        self._head_size = 0
        head, self._buffer = self._buffer, b""
        return head

    def examine(self, find: Callable[[bytes, int], _T]) -> _T:
        """Return ``find(buffer, position)`` for the bytes received and not read."""
        return find(self._buffer, self._position)

    def fill(self) -> bool:
        """Receive what has arrived, without waiting; false at the peer's end.

        Raises:
            ssl.SSLWantReadError, ssl.SSLWantWriteError: Nothing has arrived.
            PeerDisconnected: The connection is broken.
        """
        data = self._receive(_RECORD)
        if self._buffer:
            data = self._buffer[self._position :] + data
            self._position = 0
        self._buffer = data
        return not self.at_end

    def take(self, size: int) -> bytes:
        """Take up to `size` bytes of those received and not read."""
        self._head_size = 0
        start = self._position
        data = self._buffer[start : start + size]
        self._position = start + len(data)
        if self._position == len(self._buffer):
            self._buffer = b""
            self._position = 0
        return data

    def readline(self, limit: int = -1) -> bytes:
        """Read up to and including the next line feed, but no more than `limit` bytes."""
        while True:
            end = self._buffer.find(b"\n", self._position) + 1
            if not end and (limit < 0 or self.buffered < limit) and self._fill_waiting():
                continue
            size = (end or len(self._buffer)) - self._position
            return self.take(size if limit < 0 else min(size, limit))

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, or all up to the peer's end where `size` is negative or `None`."""
        left = -1 if size is None else size
        pieces = []
        while left:
            data = self.recv(_RECORD if left < 0 else min(left, _RECORD))
            if not data:
                break
            pieces.append(data)
            left -= len(data) if left > 0 else 0
        return b"".join(pieces)

    def fail(self, message: str) -> NoReturn:
        """Take note that the peer broke off, and raise that."""
        self._fail(PeerDisconnected(message))

    def peek(self) -> bytes:
        """Return what has been received and not read, waiting if that is nothing."""
        if not self.buffered:
            self._fill_waiting()
        return self._buffer[self._position :]

    def raised(self, error: TimeoutError) -> bool:
        """Return whether this is a time limit of this connection, not one of the handler's own."""
        return error in (self.failure, self._last_timeout)

    def _fill_waiting(self) -> bool:
        """Receive something, waiting for it; false at the peer's end."""
        return self._waiting(self.fill, READ)

    # The socket that handlers know -----------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive up to `bufsize` bytes; empty at the peer's end."""
        refuse_flags(flags)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if self.buffered or not bufsize:
            return self.take(min(bufsize, self.buffered))
        return self._waiting(lambda: self._receive(bufsize), READ)

    def transmit(self, data: Buffer, *, is_last: bool = False) -> None:
        """Send all of `data`: the HTTP layer's own way.

        Args:
            data: What to send.
            is_last: Whether nothing follows, either way: the goodbye then leaves with it.
        """
        left = data if type(data) is bytes else memoryview(data).cast("B")
        is_last = is_last and self.goodbye_with_response
        while left:
            if self.failure is not None:
                raise self.failure
            if self._is_over:
                raise BrokenPipeError(errno.EPIPE, "this end of the connection has been closed")
            if self._reading:
                self._turn(self.bytes_out)
            try:
                sent = self._channel.send(left, hold=is_last)
            except _WANTS as want:
                again = functools.partial(self._channel.send, left, hold=is_last)
                sent = self._waiting(again, WRITE, want)
            except OSError as error:
                self._break(error)
            self.bytes_out += sent
            if self._channel.unsent:
                self._waiting(self._channel.flush, WRITE, ssl.SSLWantWriteError())
            if sent == len(left):
                break
            left = memoryview(left)[sent:]
        if is_last:
            self._end_with_response()

    def fileno(self) -> int:
        """Return the file descriptor, -1 once closed. What passes there is encrypted."""
        return self._channel.fileno()

    def pending(self) -> int:
        """Return how many bytes can be received without the network, at least."""
        if not (self.buffered or self._is_over) and self._channel.has_input:
            with contextlib.suppress(*_WANTS, ConnectionCut):
                self.fill()
        return self.buffered

    def shutdown(self, how: int) -> None:
        """End sending, in an orderly way: response, ``close_notify`` and the end of the stream."""
        if how != socket.SHUT_RD:
            self._waiting(self.say_goodbye, WRITE)
            self.end_sending()

    def unwrap(self) -> socket.socket:
        """Say goodbye and return the bare socket, which is non-blocking."""
        self._waiting(self.say_goodbye, WRITE)
        return self._channel.socket

    def close(self) -> None:
        """Close the socket at once, without a word to the peer. Closing again does nothing."""
        self.owner.closed()
        self._channel.close()

    def __repr__(self) -> str:
        """Show whose connection it is."""
        return f"<tlshttp connection {self._info!r} fd={self.fileno()}>"

    # The end ---------------------------------------------------------------------------------

    def say_goodbye(self) -> None:
        """Send ``close_notify`` (RFC 8446, section 6.1); again, do nothing.

        TLS is over afterwards: what is read from now on is what the peer sends, undecrypted.

        Raises:
            ssl.SSLWantWriteError: A response on its way fills all buffers: there is no room yet.
        """
        if (self._is_over and not self._channel.unsent) or self.fileno() < 0:
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
        """Say goodbye after a response that may not have left yet, and wait until it has."""
        self.at_end = self._is_over = True
        try:
            self._channel.say_goodbye()
        except ssl.SSLWantWriteError as want:
            self._waiting(self._channel.flush, WRITE, want)
        except OSError as error:
            self._break(error)

    def end_sending(self) -> None:
        """Tell the peer, after the goodbye, that nothing more comes; to close says so, too."""
        with contextlib.suppress(OSError):
            self._channel.socket.shutdown(socket.SHUT_WR)

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

    # Underneath ------------------------------------------------------------------------------

    def _receive(self, size: int) -> bytes:
        """Receive once, without waiting."""
        if self.failure is not None:
            raise self.failure
        if self.at_end:
            return b""
        if not self._reading:
            self._turn(self.bytes_in)
        try:
            data = self._channel.recv(size)
        except _WANTS:
            raise
        except OSError as error:
            if self.fileno() >= 0 and self._awaits_request():
                data = b""
            else:
                self._break(error)
        self.at_end = not data
        self.bytes_in += len(data)
        return data

    def _turn(self, total: int) -> None:
        """Change the direction, `total` bytes having moved in the new one so far."""
        self._reading = not self._reading
        self._turned_at = total
        self._allowance = None

    def _waiting(
        self, operation: Callable[[], _T], direction: int, want: ssl.SSLError | None = None
    ) -> _T:
        """Call `operation` until it need not wait.

        Args:
            operation: What may have to wait.
            direction: Of the data that are to move.
            want: What it raised when it was called just before, if it was.

        Raises:
            TimeoutError: The handler's own timeout (`settimeout`) has passed.
            ConnectionCut: The peer was too slow, or is gone.
        """
        while True:
            try:
                if want is None:
                    return operation()
            except _WANTS as error:
                want = error
            except ConnectionCut:
                raise
            except OSError as error:
                self._break(error)
            if self.timeout == 0:
                raise BlockingIOError("the operation would have to wait for the peer")
            event = READ if isinstance(want, ssl.SSLWantReadError) else WRITE
            want = None
            if not self._wait(event, direction):
                self._last_timeout = TimeoutError("timed out")
                raise self._last_timeout

    def _wait(self, event: int, direction: int) -> bool:
        """Wait as long as the peer and the handler's own timeout allow; false after the latter."""
        self.owner.before_wait()
        if direction == READ and self._awaits_request():
            times = (self.timeout, self._limits.keep_alive_timeout)
            self.idle = True
            try:
                return wait_for(self.fileno(), event, min(filter(None, times), default=None))
            finally:
                self.idle = False
        total = self.bytes_in if direction == READ else self.bytes_out - len(self._channel.unsent)
        if (direction == READ) != self._reading:
            self._turn(total)
        if self._allowance is None:
            self._allowance = self._new_allowance()
        try:
            return self._allowance.wait(self.fileno(), event, self.timeout, total)
        except ConnectionCut as cut:
            self._fail(cut)

    def _new_allowance(self) -> Allowance:
        """Return what the peer has for the direction, from where it began."""
        limits, began = self._limits, self._turned_at
        if self._reading:
            what = "sent the request body"
            return Allowance(limits.body_timeout, limits.body_min_rate, BodyTimeout, what, began)
        what = "took the response"
        return Allowance(limits.write_timeout, limits.write_min_rate, WriteTimeout, what, began)

    def _awaits_request(self) -> bool:
        """Return whether a handler that runs in blocking mode waits for a request to begin.

        That the peer leaves then, in whatever way, or is left, is no failure.
        """
        return (
            self.handler is None
            and self._reading
            and self.bytes_in == self._turned_at
            and not self.buffered
        )

    def _break(self, error: OSError) -> NoReturn:
        """Take note of what the TLS engine found wrong with the connection, and raise that."""
        if self.fileno() < 0:
            raise OSError(errno.EBADF, "the connection has been closed on this side") from error
        self._fail(_disconnected(error))

    def _fail(self, cut: ConnectionCut) -> NoReturn:
        self.failure = cut
        raise cut


def _disconnected(error: OSError) -> PeerDisconnected:
    if isinstance(error, ssl.SSLEOFError):
        return PeerDisconnected("the peer left without closing the TLS session (close_notify)")
    if isinstance(error, ssl.SSLError):
        return PeerDisconnected(f"the peer broke off: {error.reason or error}")
    return PeerDisconnected(f"the peer broke off: {os.strerror(error.errno or 0)}")
