"""``self.wfile``: a response as the file object handlers expect, framed as HTTP/1.1 wants it.

Rules:

1.  The head is what is written up to the empty line, whoever wrote it: methods of
    `http.server`, ours, or the handler by hand. What it says decides how the body ends
    (`Framing`); a handler that knows nothing of framing gets the best its client understands.
2.  The head is held back and leaves with the first bytes of the body: one TLS record, one system
    call. Only an event stream's leaves at once, because its first event may be long in coming; any
    other of a body without a length after some milliseconds, when another thread sends it
    (`Transport.hold`). ``flush()`` sends a head, and so does a read of the request that may wait.
3.  What is written after the head is body, be it the head of a part. Only a whole second head
    replaces the first, as long as that is held back: a handler that has changed its mind, or
    has failed.
4.  What does not begin with a head goes out as it is, and the connection is closed after it.

Sections are of RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from tlshttp._interfaces import Transport
from tlshttp.handler import _body_end
from tlshttp.handler._body_end import AS_IS, CHUNKED, HEAD, IN_DOUBT, LENGTH, NONE, in_bytes
from tlshttp.handler._own_chunks import OwnChunks
from tlshttp.handler._regular_files import PIECE_OF_COPY, send_copied
from tlshttp.handler._response import (
    CHUNKED_LINE,
    CLOSE_LINE,
    KEEP_LINE,
    LONGEST_HEAD,
    LONGEST_REMEMBERED,
    ResponseHead,
    framed_head,
    head_end,
    is_end_of_head,
    parsed_head,
    remembered_head,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp.handler._exchange import HTTPExchange

__all__ = ["ResponseWriter"]

_COPY_AT_MOST = 65_536
"""Bytes of body that are copied to leave in one piece with what frames them."""


class ResponseWriter(io.BufferedIOBase):
    """The bytes of one response after the other.

    Args:
        exchange: Whose responses they are.
        stream: Where they go.
    """

    # What derives from `io` has a dictionary as well, in which looking up takes longer.
    __slots__ = (
        "_before_doubt", "_excess", "_exchange", "_framing", "_held", "_left", "_own_chunks",
        "_sent", "_stream", "closes", "head_ended", "is_last",
    )  # fmt: skip

    def __init__(self, exchange: HTTPExchange, stream: Transport) -> None:
        self._exchange = exchange
        self._stream = stream
        self._before_doubt = HEAD
        self.begin()

    # For the exchange -------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a response."""
        self._held = b""
        self._framing = HEAD
        self._left = self._excess = 0
        self._own_chunks: OwnChunks | None = None
        self.is_last = False
        """Whether the connection ends with the response."""
        self._sent = False
        self.head_ended = False
        """Whether the response has a head, complete."""
        self.closes = True
        """Whether the connection has to end after the response."""

    def begin_no_more(self) -> None:
        """Take what is still written for no head, about which the exchange would be asked.

        What is held back nobody takes any more; closing this file, which Python does when it goes,
        must not try.
        """
        self.keep_back()
        self._held = b""
        if self._framing is HEAD or self._framing is IN_DOUBT:
            self._framing = AS_IS

    def begin_without_head(self) -> None:
        """Begin a response of HTTP/0.9, which has no head."""
        self.begin()
        self._framing = AS_IS

    @property
    def started(self) -> bool:
        """Whether anything of the response is on its way to the client."""
        return self._sent or self._stream.head_left

    def keep_back(self) -> None:
        """Have nobody else send the head that is held back."""
        if self._stream.held_head:
            self._held = self._stream.unhold()

    def mute(self) -> None:
        """Drop what is held back and all that is still written."""
        self.keep_back()
        self._held = b""
        self._framing = NONE
        self._left = self._excess = 0
        self._own_chunks = None

    def doubt(self) -> None:
        """Take note that the handler has raised an exception; somebody may have caught it."""
        self.keep_back()
        if self._framing is not IN_DOUBT:
            self._before_doubt, self._framing = self._framing, IN_DOUBT

    def trust(self) -> None:
        """Take note that something is written after all."""
        if self._framing is IN_DOUBT:
            self._framing = self._before_doubt

    @property
    def is_in_doubt(self) -> bool:
        """Whether nothing has been written since the handler raised an exception."""
        return self._framing is IN_DOUBT

    def end(self) -> str | None:
        """End the response; return what was wrong with it, `None` if nothing was.

        What is written afterwards is dropped, and ending it again does nothing.
        """
        if self._framing is HEAD and self._held:  # of a head without end
            self._framing = AS_IS
        if self._framing is CHUNKED:
            self._send(b"0\r\n\r\n", is_last=self.is_last)
        elif self._held or self._stream.held_head:
            self._send(is_last=self.is_last)
        self._framing = NONE
        missing, excess, chunks = self._left, self._excess, self._own_chunks
        self._own_chunks = None
        if chunks is not None and not (chunks.ended and not chunks.malformed):
            return "chunks of its handler's without a last one"
        if not missing and not excess:
            return None
        self.mute()
        if excess:
            return f"{in_bytes(excess)} more than its Content-Length"
        return f"{in_bytes(missing)} less than its Content-Length"

    def conclude(self) -> str | None:
        """Do `end`, before the connection is ended: writing more is told of that."""
        if self.is_over:
            return None
        wrong = self.end()
        self._framing = AS_IS
        return wrong

    @property
    def is_over(self) -> bool:
        """Whether the response has been sent, complete and as announced."""
        return self._framing is LENGTH and not (self._left or self._held or self._excess)

    @property
    def to_come(self) -> int:
        """Bytes of the body that have been announced and not been written."""
        return self._left

    def bounds(self, size: int) -> int:
        """Return how much of a file of that size the response takes as a file."""
        if self._framing is LENGTH:
            return min(size, self._left)
        return size if self._framing is AS_IS else 0

    def send_file(self, fd: int, start: int, size: int) -> bool:
        """Send a part of a file as the body, or a piece of it; tell whether that can be.

        Args:
            fd: Its descriptor.
            start: Where the part begins.
            size: How many bytes it has, within `bounds`.
        """
        if self._own_chunks is not None and not self._own_chunks.follow_file(size):
            return False
        is_small = size <= _COPY_AT_MOST and self._framing is LENGTH  # it leaves with the head
        if is_small and len(data := os.pread(fd, size, start)) == size:
            self._write_counted(data, size)
            return True
        self.flush()
        self._left -= size if self._framing is LENGTH else 0
        self._stream.transmit_file(fd, start, size)
        return True

    # For handlers -----------------------------------------------------------------------------

    def writable(self) -> bool:
        """Return true."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the connection; what is written there reaches no client."""
        return self._stream.fd

    def write(self, data: Buffer, /) -> int:
        """Send all of `data`; return its size in bytes."""
        framing = self._framing
        if type(data) is bytes:  # as nearly every handler has it
            size = len(data)
            if size >= PIECE_OF_COPY and send_copied(data, self, self._exchange):
                return size
            if framing is LENGTH and 0 < size <= self._left and data[:5] != b"HTTP/":
                return self._write_counted(data, size)
            if framing is HEAD:
                if not self._begin_plainly(data):
                    self._write_head(data)
                return size
        view = memoryview(data)
        size = view.nbytes
        if framing is IN_DOUBT and size:
            self.trust()
            return self.write(data)
        if framing is HEAD:
            self._write_head(bytes(view))
        elif size:
            self._write_body(view.cast("B") if view.contiguous else memoryview(bytes(view)))
        return size

    def _write_counted(self, data: bytes, size: int) -> int:
        """Send bytes of the body, so many, of which at least as many have been announced."""
        self._left -= size
        held = self._held
        if held and size <= _COPY_AT_MOST:
            self._held = b""
            self._sent = True
            self._stream.transmit(held + data, is_last=self.is_last and not self._left)
        elif held:
            self._send(data)
        else:  # nothing to join it with, which would copy it
            self._sent = True
            self._stream.transmit(data)
        return size

    def flush(self) -> None:
        """Send what is held back."""
        if self._stream.held_head or (self._held and self._framing not in (HEAD, IN_DOUBT)):
            self._send()

    def close(self) -> None:
        """Do `flush` and stay open: an `io.TextIOWrapper` before it is let go of earlier."""
        if self._held or self._stream.held_head:
            self.flush()

    # The head ---------------------------------------------------------------------------------

    def _begin_plainly(self, data: bytes) -> bool:
        """Do what `_write_head` and `_begin_body` do, in the case of nearly every response.

        That is a whole head with a Content-Length, the answer to a plain request, that says nothing
        of the connection. It takes half the steps. Return whether this was one.
        """
        if self._held or len(data) > LONGEST_REMEMBERED or data[-4:] != b"\r\n\r\n":
            return False
        head = remembered_head(data)
        closes = self._exchange.closes_plainly() if head.is_plain else None
        if closes is None:
            return False
        self.head_ended = True
        self.closes = self.is_last = closes
        self._framing = LENGTH
        self._left = head.length
        self._held = b"".join((data[:-2], CLOSE_LINE, b"\r\n")) if closes else data
        self._stream.known_length = True
        if not self._left:  # that is all of it: the handler may go on for long
            self._send(is_last=closes)
        return True

    def _write_head(self, data: bytes) -> None:
        """Take what belongs to the head, and begin the body with the rest."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data:
            return
        if not (data.startswith(b"HTTP/") or b"HTTP/".startswith(data[:5])):
            self._framing = AS_IS
            self._send(data)
            return
        end = head_end(data)
        if not end:
            self._held = data
            if len(data) > LONGEST_HEAD:
                self._framing = AS_IS
                self.flush()
            return
        head = parsed_head(data if end == len(data) else data[:end])
        if head.status == 0:
            self._framing = AS_IS
            self._send(data)
            return
        if head.is_interim:
            self._exchange.send_interim(head)
        else:
            self._begin_body(head)
        if end < len(data):
            self.write(data[end:])

    def _begin_body(self, head: ResponseHead) -> None:
        """Decide how the body ends, and hold the head back until there is some of it."""
        exchange = self._exchange
        self.head_ended = True
        framing = _body_end.framing_of(head, exchange)
        closes = exchange.must_close(head) or (
            framing is AS_IS and (head.unbounded or not head.transfer_encoding)
        )
        self.closes = closes
        self._framing = framing
        self._left = head.length if framing is LENGTH else 0
        takes_over = framing is AS_IS and exchange.takes_over(head)
        frames_itself = framing is AS_IS and head.transfer_encoding and not head.unbounded
        self._own_chunks = OwnChunks() if frames_itself and not takes_over else None
        connection = KEEP_LINE if exchange.says_keep_alive else b""
        if takes_over:  # what follows is no HTTP, whose connection could be kept or closed
            connection = b""
        elif closes:  # HTTP/1.0 does, unless it says otherwise
            connection = CLOSE_LINE if head.minor_version or head.asks() else b""
        self._held = framed_head(head, CHUNKED_LINE if framing is CHUNKED else b"", connection)
        self.is_last = closes and exchange.rfile.is_received()
        self._stream.known_length = framing is LENGTH or framing is NONE
        if takes_over:
            self.flush()
            exchange.take_over()
        elif framing is NONE or (framing is LENGTH and not self._left):
            self._send(is_last=self.is_last)  # that is all of it: the handler may go on for long
        elif head.streams:
            self.flush()
        elif framing is not LENGTH:  # nobody knows how long the handler will be
            held, self._held = self._held, b""
            self._stream.hold(held)

    def _replaces_head(self, data: bytes) -> bool:
        """Take a second head where the first is held back; tell if it was one.

        Only what the methods of `http.server` have put together is one. A body may be an HTTP
        message, too, and whoever has sent it must not choose what the client takes for the head.
        """
        if not self._exchange.is_flushing(data):
            return False
        head = parsed_head(data)
        if not head.status or head_end(data) != len(data):
            return False
        self._exchange.warn(
            "%r: a second response head replaces the first, which had not been sent",
            self._exchange.request_line,
        )
        self._held = b""
        self._begin_body(head)
        return True

    # The body ---------------------------------------------------------------------------------

    def _write_body(self, view: memoryview) -> None:
        framing = self._framing
        if self._stream.held_head and bytes(view[:5]) == b"HTTP/":
            self.keep_back()
        if self._held and framing is not NONE and bytes(view[:5]) == b"HTTP/":
            data = bytes(view)
            if self._replaces_head(data):
                return
        elif framing is NONE and self._held and bytes(view[:5]) == b"HTTP/":
            self._replaces_head(bytes(view))
            return
        elif self.started and bytes(view[:7]) == b"HTTP/1." and head_end(bytes(view)) == len(view):
            self._exchange.warn(
                "%r: a second response head is sent as body, since the first had been sent",
                self._exchange.request_line,
            )
        if framing is NONE:
            return
        if framing is LENGTH:
            self._send_counted(view)
        elif framing is CHUNKED:
            self._send(b"%x\r\n" % len(view), view, b"\r\n")
        else:
            if self._own_chunks is not None:
                self._own_chunks.follow(view)
            self._send(view)

    def _send_counted(self, data: memoryview) -> None:
        excess = data[self._left :]
        # ``end_headers()`` was called once too often: this second end of a head is dropped.
        if excess and (self._excess or not is_end_of_head(excess)):
            self._excess += len(excess)
        data = data[: self._left]
        self._left -= len(data)
        if data:
            self._send(data)

    def _send(self, *parts: Buffer, is_last: bool = False) -> None:
        """Send the held head and these parts, in one piece unless they are large."""
        held, self._held = self._held, b""
        self._sent = True
        if sum([memoryview(part).nbytes for part in parts]) <= _COPY_AT_MOST:
            self._stream.transmit(b"".join((held, *parts)), is_last=is_last)
            return
        if held or self._stream.held_head:
            self._stream.transmit(held)
        for part in parts:
            self._stream.transmit(part)
