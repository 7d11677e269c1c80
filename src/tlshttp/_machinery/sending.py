"""The sending half of a connection's stream; `tlshttp._machinery.stream` has its rules.

What is sent leaves at once as far as the socket takes it. The rest stands in the outbox: in memory,
then in a file.
"""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING, Any, NoReturn

from tlshttp._budget import NoRoom
from tlshttp._machinery.outbox import FilePart, Outbox
from tlshttp._machinery.patience import WANTS
from tlshttp._machinery.poller import WRITE
from tlshttp._machinery.receiving import ReceivingStream
from tlshttp._spool import Spool
from tlshttp.errors import ConnectionCut, ResponseAborted, ResponseBacklog

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["AHEAD", "PUMPED_AT_ONCE", "SendingStream"]

AHEAD = 65_536
"""Bytes that a response of unknown length may be ahead of its peer where its handler can wait: a
stream is worth nothing when it is old, so its handler is to notice a peer that does not keep up."""

PUMPED_AT_ONCE = 524_288
"""Bytes of a waiting response that are sent before others have their turn: half a millisecond."""


class SendingStream(ReceivingStream):
    """How a connection sends."""

    __slots__ = ()

    def transmit(self, data: Buffer, *, is_last: bool = False) -> None:
        """Send `data`, or have it sent as soon as the peer takes it.

        Args:
            data: What to send.
            is_last: Whether nothing follows, either way: the goodbye then leaves with it.
        """
        self._lock.acquire()  # not by `with`: see `fill`
        try:
            if self.failure is not None or self._is_over:
                self._refuse_to_send()
            if self.held_head:
                data = b"".join((self.held_head, data))
                self.held_head = b""
            outbox = self._outbox
            if outbox is not None and self.watched and self.known_length and outbox.put_more(data):
                return  # there is nothing to be seen to, or waited for
            is_last = is_last and self.goodbye_with_response
            rest: Any = data
            if outbox is None or not outbox.size:
                rest = self._send(data, hold=is_last)
                if rest is None:
                    if is_last:
                        self._end_with_response()
                    return
            lingers = self._is_worth_waiting(rest)
            stored = not lingers and self._put(rest)
            if stored and outbox is not None:
                outbox.turn.begin()
        finally:
            self._lock.release()
        if not stored:
            self._send_or_keep(memoryview(rest).cast("B"), lingers=lingers)
        self._see_to_backlog()

    def hold(self, head: bytes) -> None:
        """Keep a response head back for the first bytes of its body, for a few milliseconds."""
        self.held_head = head
        self.owner.watch_head()

    def unhold(self) -> bytes:
        """Return the head that is held back, if it still is, and leave it to the caller."""
        with self._lock:
            head, self.held_head = self.held_head, b""
            return head

    def send_held(self, head: bytes) -> None:
        """Send a head, if it is still held back, from a thread that does not wait."""
        with self._lock:
            if self.held_head is not head or self.failure is not None or self._is_over:
                return
            self.head_left = True
            self.held_head = b""
            outbox = self._outbox
            left: Any = head
            if outbox is None or not outbox.size:
                left = self._send(head, hold=False)
            if left is not None and not self._put(left):
                self.held_head = bytes(left)  # it leaves with the body
            if self.backlog and not self.watched:
                self.owner.watch()

    def transmit_file(self, fd: int, start: int, size: int) -> None:
        """Send a part of a file, which need not stay open for that.

        Args:
            fd: The descriptor of a regular file.
            start: Where the part begins, in bytes.
            size: How many bytes it has.
        """
        with self._lock:
            if self.failure is not None or self._is_over:
                self._refuse_to_send()
            # Nobody else has it: the frames of an exception may be kept, and what is in them.
            self._box().put_file(FilePart(fd, start, size))
            self._pump(PUMPED_AT_ONCE)
        self._see_to_backlog()

    def enqueue(self, data: Buffer, most: int) -> int:
        """Send `data` as far as the socket takes it, and keep the rest; return what is kept then.

        It never waits, and does not see to it that somebody sends what is kept.

        Args:
            data: What to send.
            most: Bytes that may be kept; more break the connection.

        Raises:
            ConnectionCut: It is broken, or was before.
        """
        with self._lock:
            if self.failure is not None or self._is_over:
                self._refuse_to_send()
            outbox = self._outbox
            rest: Any = data
            if outbox is None or not outbox.size:
                rest = self._send(data, hold=False)
            view = memoryview(b"" if rest is None else rest).cast("B")
            if view:
                try:
                    self._box().put(view)
                except (NoRoom, OSError) as error:
                    self._abort(error)
            backlog = self.backlog
        if backlog > most:
            message = f"the peer has {backlog} bytes still to take"
            self.fail(ResponseBacklog(message))
        return backlog

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
            except WANTS:
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
            spool = Spool(self.budget, self._limits.max_buffer_memory, self.owner)
            self._outbox = Outbox(spool, self._limits.max_response_backlog)
        return self._outbox

    def _put(self, rest: Buffer) -> bool:
        """Add to the outbox; tell whether it could be added."""
        view = memoryview(rest).cast("B")
        if not view:
            return True
        may_wait = self.owner.may_wait()
        try:
            if may_wait:
                self._box().put(view)
            else:
                self._box().put(view, self._to_come(len(view)), self.write_on)
        except (NoRoom, OSError) as error:
            if not may_wait:
                self._abort(error)
            return False
        return True

    def write_on(self) -> bool:
        """Write to a file a part of what has to go there; tell whether there is more."""
        with self._lock:
            return self._outbox is not None and self._outbox.write_on()

    def _to_come(self, size: int) -> int:
        """Return how many bytes of the response may have to wait for the peer besides so many."""
        exchange, most = self.exchange, self._limits.max_response_backlog
        left = exchange.to_come if exchange is not None else 0
        return left if most is None else max(0, min(left, most - self.backlog - size))

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
        except WANTS:
            return False
        except ConnectionCut:
            raise
        except OSError as error:
            self._break(error)
        return outbox is None or not outbox.size

    def _next(self, outbox: Outbox) -> Any:
        try:
            return outbox.next(self._channel.at_once)
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
            most = AHEAD if most is None else min(most, AHEAD)
        if self.known_length or not may_wait:
            backlog = self._kept()
        if most is None or backlog <= most:
            if not self.watched:
                self.owner.watch()
            if not self.watched and may_wait:  # nobody else is there to send it
                self._wait_for_room(0)
        elif may_wait:
            self._wait_for_room(most // 2)
        else:
            message = f"the peer has {backlog} bytes of a response still to take"
            self.fail(ResponseBacklog(message))

    def _kept(self) -> int:
        """Return how many bytes wait that are of no file: files end, and are not kept.

        What is encrypted may be of one. It is a little, and does not count.
        """
        with self._lock:  # both numbers of one moment: the drainer may be sending
            outbox = self._outbox
            return outbox.size - outbox.in_files if outbox is not None else 0

    def _wait_for_room(self, most: int) -> None:
        """Send what waits from this thread until it is not more than `most` bytes."""
        if self.watched:
            self.owner.unwatch()
        while not self.pump() and self.backlog > most:
            self._wait_at_rate(WRITE, WRITE)
        if self.backlog:
            self.owner.watch()

    def await_taken(self) -> None:
        """Wait until the peer has taken all of a response."""
        if self.backlog:
            self._wait_for_room(0)

    def _is_worth_waiting(self, rest: Buffer) -> bool:
        """Return whether the handler may wait before it writes to a file."""
        raise NotImplementedError

    def _send_or_keep(self, rest: memoryview, *, lingers: bool) -> None:
        """Send or keep what could not be kept without waiting."""
        raise NotImplementedError

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

    def _end_with_response(self) -> None:
        """Say goodbye after a response that has not left yet."""
        self.at_end = self._is_over = True
        try:
            self._channel.say_goodbye()
        except ssl.SSLWantWriteError:
            pass  # whoever ends the connection sees to it
        except OSError as error:
            self._break(error)
