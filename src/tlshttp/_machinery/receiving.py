"""What a TLS connection has received, in one buffer, until somebody asks for it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from tlshttp._machinery.patience import WANTS, PatientStream, WouldBlock
from tlshttp._machinery.poller import READ, WRITE
from tlshttp.errors import (
    ConnectionCut,
    RequestTimeout,
    TunnelTimeout,
)

__all__ = ["ReceivingStream"]

_RECORD = 16_384

_FILLED_AT_ONCE = 65_536
"""Bytes that are received at once where so many are there."""

_RECORDS_AT_ONCE = 64
"""How many records are read before others have their turn, however little is in each."""

_LOCKED_SECONDS = 0.1
"""For how long a thread may be at its look at the socket, which takes no time."""

_NOBODY_ELSE = contextlib.nullcontext()

_LONG_SECONDS = 0.05
"""After so long a wait a thread takes in what has come when it is its turn. Hundreds may wake at
once, and if all of them want the interpreter's lock at every step, everybody else has to wait."""


class ReceivingStream(PatientStream):
    """A connection that is read from."""

    __slots__ = ()

    @property
    def buffered(self) -> int:
        """Bytes received and not read."""
        return len(self._buffer) - self._position

    @property
    def has_undecrypted(self) -> bool:
        """Whether something has been taken from the kernel already, where no poller sees it."""
        return self._channel.has_input

    def awaited_event(self) -> int:
        """Return what comes before anything can be read here; 0 where there may be something.

        What has been taken from the kernel already no poller sees. What the kernel had no room for
        must leave first.
        """
        if self._buffer or self._channel.has_input:
            return 0
        return WRITE if self._channel.unsent else READ

    def has_nothing_left(self) -> bool:
        """Return whether all that was received has been read, and all that was sent has left."""
        outbox, channel = self._outbox, self._channel
        return not (
            self._buffer
            or channel.has_input
            or (outbox is not None and outbox.size)  # before the next: see `backlog`
            or channel.unsent
        )

    def fill(self, *, between: bool = False) -> bool:
        """Receive what has arrived, without waiting; false at the peer's end.

        Args:
            between: Whether it was between two requests a moment ago: to leave then without a word
                is nothing, unless something of a request has come since.

        Raises:
            ssl.SSLWantReadError, ssl.SSLWantWriteError: Nothing has arrived.
            PeerDisconnected: The connection is broken.
        """
        if self.failure is not None:
            raise self.failure
        data = b""
        if not self.at_end:
            # Not by `with`, which makes two bound methods and takes three times as long.
            self._lock.acquire()
            try:
                data = self._receive_locked(_RECORD, between=between)
            finally:
                self._lock.release()
        # Who waits with `select` sees nothing of a buffer.
        channel = self._channel
        if (channel.has_input or len(data) == _RECORD) and not (self.at_end or channel.by_record):
            data = self._receive_more(data)
        if self._buffer:
            data = self._buffer[self._position :] + data
            self._position = 0
        self._buffer = data
        return not self.at_end

    def _receive_more(self, data: bytes) -> bytes:
        """Receive what else is there: the rest of many small records, or of a large body."""
        pieces = [data]
        self._receive_into(pieces, _FILLED_AT_ONCE - len(data))
        received = b"".join(pieces)
        self.bytes_in += len(received) - len(data)
        return received

    def receive(self, size: int) -> bytes:
        """Receive up to `size` bytes of what has arrived, without waiting, and take them at once.

        They do not pass through the buffer: many bytes are put together once. It raises nothing:
        where there is nothing, for whatever reason, `fill` tells.
        """
        if self._buffer or self.at_end or self.failure is not None:
            return b""
        pieces: list[bytes] = []
        self._receive_into(pieces, size)
        data = b"".join(pieces)
        self.bytes_in += len(data)
        return data

    def _receive_into(self, pieces: list[bytes], size: int) -> None:
        """Append what has arrived, up to `size` bytes, and raise nothing."""
        self._lock.acquire()  # not by `with`: see `fill`
        try:
            if self.awaits_more:  # else see `end_waiting_for_request`
                self._channel.recv_more(pieces, size)
                self.at_end = not pieces[-1]
        except WANTS:
            pass
        except OSError as error:
            with contextlib.suppress(OSError):  # it is raised next time
                self._lose(error)
        finally:
            self._lock.release()

    def fill_into(self, buffer: memoryview) -> int:
        """Receive what has arrived, without waiting, where it is to be; return how many bytes.

        It raises nothing: where there is nothing, for whatever reason, `fill` tells.

        Args:
            buffer: Where to. Of what is there a record is left that might not fit.
        """
        if self._buffer or self.at_end or self.failure is not None:
            return 0
        recv, size, last = self._channel.recv, 0, len(buffer) - _RECORD
        self._lock.acquire()  # not by `with`: see `fill`
        try:
            for _ in range(_RECORDS_AT_ONCE):
                if size > last or not self.awaits_more:
                    break
                data = recv(_RECORD)
                if not data:
                    self.at_end = True
                    break
                end = size + len(data)
                buffer[size:end] = data
                size = end
        except WANTS:
            pass
        except OSError as error:
            with contextlib.suppress(OSError):  # it is raised next time
                self._lose(error)
        finally:
            self._lock.release()
        self.bytes_in += size
        return size

    def look(self, find: Callable[[bytes, int], Any]) -> Any:
        """Return ``find(buffer, position)`` for the bytes received and not read."""
        return find(self._buffer, self._position)

    def take_whole(self, data: bytes) -> bool:
        """Take all that was received and not read if that is `data`; tell whether it was."""
        if self._buffer != data or self._position:
            return False
        self._buffer = b""
        return True

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

    def fill_waiting(self, wanted: int = 1) -> bool:
        """Receive something, waiting for it at the minimum rate; false at the peer's end.

        Args:
            wanted: Bytes that will come, unless the peer ends, and before which nobody goes on.

        Raises:
            TimeoutError: The handler's own timeout (`settimeout`) has passed.
            ConnectionCut: The peer was too slow, or is gone.
        """
        turn: contextlib.AbstractContextManager[object] = _NOBODY_ELSE
        while True:
            try:
                with turn:
                    return self.fill()
            except WANTS as want:
                event = READ if isinstance(want, ssl.SSLWantReadError) else WRITE
            began = time.monotonic()
            # What is here already no poller sees, and it need not be so many that are to come.
            self._wait_at_rate(event, READ, 1 if self._channel.has_input else wanted)
            is_slow = time.monotonic() - began >= _LONG_SECONDS
            turn = self.owner.turn() if is_slow else _NOBODY_ELSE

    def wait_for_request(self) -> bool:
        """Wait until a request begins; false where none will.

        Raises:
            TimeoutError: The handler's own timeout, or ``Limits.keep_alive_timeout``, has passed.
        """
        self.idle = True
        if self.awaits_no_other:  # after that: whoever says so looks for who is idle after that
            self.awaits_more = False
        self._rate = None
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
            if self.idle and not self.awaits_more and not self._has_arrived():
                self.at_end = True
                return False
            try:
                return self.fill()
            except WANTS as want:
                event = READ if isinstance(want, ssl.SSLWantReadError) else WRITE
            if self.timeout == 0:
                raise WouldBlock("the operation would have to wait for the peer")
            began = time.monotonic()
            if not self._wait_here(event, timeout):
                if cut is not None:
                    self.fail(cut)
                self._time_out()
            if timeout is not None:
                timeout = max(0.0, timeout - (time.monotonic() - began))

    def end_waiting_for_request(self) -> None:
        """Have a handler in blocking mode, in another thread, wait for no further request."""
        # Not between a look at `awaits_more` and at the socket: the engine would take this for the
        # peer's fault. Whoever has the lock may be what a signal's handler, this one, interrupts.
        is_locked = self._lock.acquire(timeout=_LOCKED_SECONDS)
        try:
            self.awaits_more = False
            with contextlib.suppress(OSError):  # it has just ended by itself
                self._channel.socket.shutdown(socket.SHUT_RD)  # which wakes it
        finally:
            if is_locked:
                self._lock.release()

    def hang_up(self) -> None:
        """Break the connection, from any thread, though the socket stays its handler's.

        It takes no descriptor: that others need one may be why.
        """
        with contextlib.suppress(OSError):  # it has just ended by itself
            self._channel.socket.shutdown(socket.SHUT_RDWR)

    def _has_arrived(self) -> bool:
        """Tell whether there is something to read."""
        if self._buffer or self._channel.has_input:
            return True
        try:
            return bool(self._channel.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def raw_recv(self, size: int) -> bytes:
        """Receive up to `size` bytes, waiting for them; empty at the peer's end."""
        if not self.buffered and size and not self.fill_waiting():
            return b""
        return self.take(size)

    def await_data(self, timeout: float | None) -> bool:
        """Wait until something can be received without waiting; false where nothing comes in time.

        Args:
            timeout: Seconds; `None`: as long as ``Limits.tunnel_timeout`` allows.

        Raises:
            ConnectionCut: The peer is gone, or that time has passed.
        """
        limit = self._limits.tunnel_timeout
        end = None if timeout is None else time.monotonic() + timeout
        while not self.buffered:
            try:
                self.fill()
                break
            except WANTS as want:
                event = READ if isinstance(want, ssl.SSLWantReadError) else WRITE
            left = None if end is None else max(0.0, end - time.monotonic())
            waits_for_peer = limit is not None and (left is None or limit <= left)
            if not self._wait_here(event, limit if waits_for_peer else left):
                if waits_for_peer:
                    self.fail(TunnelTimeout(f"nothing has moved for {limit:g} s"))
                return False
        return True

    def peek(self) -> bytes:
        """Return what has been received and not read, waiting if that is nothing."""
        if not self.buffered:
            self.fill_waiting()
        return self._buffer[self._position :]

    def _receive_locked(self, size: int, *, between: bool = False) -> bytes:
        """Receive once, with the lock held."""
        if not self.awaits_more and not self._has_arrived():
            self.at_end = True  # by this side, of which the engine need not know
            return b""
        try:
            data = self._channel.recv(size)
        except WANTS:
            raise
        except OSError as error:
            if between and not self.buffered and isinstance(error, ssl.SSLEOFError):
                self.at_end = self._is_over = True  # it said no goodbye, and is told none
            else:
                self._lose(error)
            return b""
        self.at_end = not data
        self.bytes_in += len(data)
        return data

    def _lose(self, error: OSError) -> None:
        """Take note that the peer is gone, and raise that unless it is nothing."""
        if not self.idle or self.fd < 0:
            self._break(error)
        self.at_end = True  # to leave between two requests, in whatever way, is nothing
