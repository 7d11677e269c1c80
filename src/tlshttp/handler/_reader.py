"""``self.rfile``: a request as the file object handlers expect, ending where the request ends.

Rules:

1.  It gives the head first, to whoever reads it line by line as `http.server` does. Our own methods
    get it from the exchange, parsed, and skip it here. Then it gives the body and nothing else;
    ``read()`` without a size returns all of that.
2.  What has been collected comes from memory or a file. The rest comes from the connection, as it
    arrives, and the handler waits for it.
3.  A peer that ends before its request does is at fault, not at the end of the file: a handler must
    not take half an upload for a whole one.
4.  When a handler has taken the connection over, it gives what comes, as it comes.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from tlshttp._interfaces import Transport
from tlshttp.errors import PeerDisconnected, RequestRefused
from tlshttp.handler._framing import Body, SizedBody
from tlshttp.handler._gather import gather

if TYPE_CHECKING:
    from tlshttp._spool import Spool
    from tlshttp.handler._exchange import HTTPExchange

__all__ = ["RequestReader"]

_AT_ONCE = 65_536
"""Bytes that are taken from what was collected, or from the connection, at once."""

_BLOCK = 16_384
"""Bytes of a read, at least, that are received as it returns them, past the buffers that smaller
reads are taken from: those of a TLS record."""

_HTTP_SERVERS_LIMIT = 65_537
"""What `http.server` and `wsgiref` ask ``readline()`` for when they want a request line."""

_DRAINED_WIRE = 262_144
"""Bytes of an unread body, framing included, that are read to keep a connection; not more."""

_BETWEEN, _HEAD, _BODY, _RAW = range(4)


class RequestReader(io.BufferedIOBase):
    """The bytes of one request after the other.

    Args:
        exchange: Whose requests they are.
        stream: Where they come from.
    """

    # What derives from `io` has a dictionary as well, in which looking up takes longer.
    __slots__ = (
        "_at", "_body", "_comes_quickly", "_data", "_exchange", "_head_end", "_line_taken",
        "_owes_100", "_spool", "_state", "_stream",
    )  # fmt: skip

    def __init__(self, exchange: HTTPExchange, stream: Transport) -> None:
        self._exchange = exchange
        self._stream = stream
        self._state = _BETWEEN
        self._data = b""
        self._at = self._head_end = 0
        self._head_end = 0  # of a head that is at hand
        self._line_taken = False
        self._spool: Spool | None = None
        self._body: Body | None = None
        self._comes_quickly = False
        self._owes_100 = False

    # For the exchange -------------------------------------------------------------------------

    def begin(self, data: bytes, spool: Spool | None, body: Body | None, *, owes_100: bool) -> None:
        """Begin a request: its head, unless `skip_head` is called, then its body.

        Args:
            data: What is there of the body.
            spool: What comes after that, collected.
            body: What comes after that, not collected.
            owes_100: Whether the client waits for 100 (Continue).
        """
        self._data = data
        self._at = 0
        self._spool = spool
        self._body = body
        self._owes_100 = owes_100
        self._line_taken = False
        self._state = _HEAD

    def begin_empty(self) -> None:
        """Begin a request without a body."""
        self._line_taken = False
        self._state = _HEAD

    def skip_head(self) -> None:
        """Give the body next."""
        self._state = _BODY
        if self._head_end:
            self._take(self._head_end - self._at)
            self._head_end = 0

    def skip_line(self) -> None:
        """Give what comes after the first line of the head."""
        self._line_taken = True

    def take_over(self) -> None:
        """Give what comes on the connection, from now on."""
        self._state = _RAW

    def end(self) -> None:
        """Let go of the request; there is nothing to read until the next begins."""
        self._state = _BETWEEN
        if not self._data and self._body is None and self._spool is None:
            return  # as after nearly every request
        self._data = b""
        self._at = self._head_end = 0
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.clear()
        self._body = None
        self._comes_quickly = False
        self._owes_100 = False

    def told_to_continue(self) -> None:
        """Take note that the client has got its 100 (Continue)."""
        self._owes_100 = False

    def is_at_end(self) -> bool:
        """Return whether all of the body has come, and has been read."""
        return self._is_at_end()

    def is_received(self) -> bool:
        """Return whether nothing of the request is still to come."""
        return (self._body is None or self._body.done) and not self._owes_100

    def drain(self) -> bool:
        """Take what has come of the rest of the body, without waiting; tell if that was all."""
        body, stream = self._body, self._stream
        if self._owes_100 or body is None:
            return body is None and not self._owes_100
        most = _DRAINED_WIRE
        try:
            while not body.done and most > 0:
                before = stream.buffered
                if not self._take_of_body(body) and stream.buffered == before:
                    stream.fill()
                    before = 0
                most -= max(1, before - stream.buffered)
        except RequestRefused as refused:
            if stream.fault is None:
                stream.fault = refused
            return False
        except OSError:  # it would have to wait, or the peer is at fault
            return False
        return body.done

    # For handlers -----------------------------------------------------------------------------

    def readable(self) -> bool:
        """Return true."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the connection; what passes there is encrypted."""
        return self._stream.fd

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, fewer only at the end of the body; all of it without a size."""
        left = -1 if size is None else size
        if self._state == _BODY and not self._at and 0 <= left == len(self._data):
            data, self._data = self._data, b""  # as nearly always: all of a small body
            return data
        if (left < 0 or left > _AT_ONCE) and self._body is not None and not self._body.done:
            return gather(self._exchange, self._stream, self, left)
        pieces = []
        while left and (data := self.take_some(left)):
            pieces.append(data)
            left -= len(data) if left > 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def peek(self, _size: int = 0, /) -> bytes:
        """Return what is there without taking it, waiting only if there is nothing."""
        if self._state == _RAW:
            return self._stream.peek()
        return self._data[self._at :] if self._has_more() else b""

    def read1(self, size: int = -1, /) -> bytes:
        """Read what is there, waiting only if there is nothing; at most `size` bytes."""
        size = size if size >= 0 else io.DEFAULT_BUFFER_SIZE
        if self._state == _RAW:
            return self._stream.raw_recv(size)
        if not size or not self._has_more():
            return b""
        return self._take(size)

    def take_some(self, size: int) -> bytes:
        """Take some of `size` bytes (all there are, where that is negative) that are read.

        It waits where nothing is there, and not for each byte: whoever reads gets none before all
        have come.
        """
        most = min(size, _AT_ONCE) if size > 0 else _AT_ONCE
        if self._state == _RAW:
            return self._stream.raw_recv(most)
        if self._comes_quickly and most >= _BLOCK and (data := self._receive_block(most)):
            return data
        return self._take(most) if self._has_more(size if size >= 0 else sys.maxsize) else b""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line, with its line feed, of at most `size` bytes."""
        limit = -1 if size is None else size
        if limit == _HTTP_SERVERS_LIMIT and self._state == _BODY and self._is_at_end():
            self._exchange.next_request()
        pieces: list[bytes] = []
        while limit and (self._state == _RAW or self._has_more()):
            piece = self._piece_of_line(limit)
            pieces.append(piece)
            if not piece or piece.endswith(b"\n"):
                break
            limit -= len(piece) if limit > 0 else 0
        return b"".join(pieces)

    def close(self) -> None:
        """Stay open for the next request, whatever handlers put before this file."""

    def _is_at_end(self) -> bool:
        """Return whether all of the body has been read."""
        return (
            self._at >= len(self._data)
            and (self._spool is None or not self._spool.size)
            and (self._body is None or self._body.done)
        )

    # Underneath -------------------------------------------------------------------------------

    def _piece_of_line(self, limit: int) -> bytes:
        """Take up to a line feed, or what is there without one."""
        most = _AT_ONCE if limit < 0 else min(limit, _AT_ONCE)
        if self._state == _RAW:
            stream = self._stream
            data = stream.peek()[:most]
            return stream.take(data.find(b"\n") + 1 or len(data))
        end = self._data.find(b"\n", self._at, self._at + most) + 1
        return self._take(end - self._at if end else most)

    def _take(self, size: int) -> bytes:
        """Take up to `size` bytes of those at hand."""
        data = self._data[self._at : self._at + size] if self._at or size < len(self._data) else (
            self._data
        )  # fmt: skip
        self._at += len(data)
        if self._at >= len(self._data):
            self._data = b""
            self._at = self._head_end = 0
        return data

    def _has_more(self, wanted: int = 1) -> bool:
        """Return whether there is more of the request; with bytes at hand if so.

        Args:
            wanted: How many bytes are read in all, at least.
        """
        if self._at < len(self._data) and self._state == _BODY:
            return True
        if self._state == _BETWEEN:
            return self._exchange.begin() and self._give_head()
        if self._state == _HEAD:
            return self._give_head()
        if self._spool is not None:
            self._data = self._spool.read(_AT_ONCE)
            if self._data:
                return True
        return self._await_more(wanted)

    def _give_head(self) -> bool:
        """Put the head before what is there of the body; there is always one."""
        head = self._exchange.head_bytes()
        if self._line_taken:
            head = head[head.find(b"\n") + 1 :]
        self._head_end = len(head)
        if self._spool is None:
            self._data = head + self._data
        else:  # the body is large
            self._data = head
        self._state = _BODY
        return True

    def _await_more(self, wanted: int) -> bool:
        """Take more of the body from the connection, waiting for it."""
        body, stream = self._body, self._stream
        if body is None or body.done:
            return False
        if self._owes_100:
            self._owes_100 = False
            self._exchange.send_continue()
        while True:
            before = stream.buffered
            if before or body.refused:
                self._data = self._take_of_body(body)
                self._comes_quickly |= len(self._data) == _AT_ONCE
                if self._data or _is_over(body):
                    return bool(self._data)
                if stream.buffered != before:
                    continue
            self._comes_quickly = False
            self._exchange.before_wait()
            if not stream.fill_waiting(min(wanted, body.left)):
                stream.fail(PeerDisconnected("the peer left in the middle of a request body"))

    def _receive_block(self, most: int) -> bytes:
        """Receive what has come of the body as it is, unless something of it is here already.

        Where there is nothing, for whatever reason, `_has_more` tells. So this is only for a peer
        of whom as much as is taken at once was there: else there were two looks before each wait.
        """
        body = self._body
        if type(body) is not SizedBody or body.done or self._data or self._state != _BODY:
            return b""
        return body.receive(self._stream, most)

    def _take_of_body(self, body: Body) -> bytes:
        try:
            return body.take(self._stream, _AT_ONCE)
        except RequestRefused as refused:
            self._exchange.refused = refused
            raise


def _is_over(body: Body) -> bool:
    return body.done
