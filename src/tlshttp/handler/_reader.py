"""``self.rfile``: a request as the file object handlers expect, ending where the request ends.

Rules:

1.  It never reads ahead. What a handler has not asked for stays in the connection's own buffer,
    where the next request is looked for.
2.  Until `begin_body` it gives the connection's bytes as they come: the head, to whoever parses it.
    From then on it gives the body and nothing else; ``read()`` without a size returns the body.
3.  A peer that ends before its request does is at fault, not at the end of the file: a handler must
    not take half an upload for a whole one.

Chunked bodies are RFC 9112, section 7.1; extensions and trailers are dropped.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus

from tlshttp._seam import Transport
from tlshttp.errors import RequestRefused
from tlshttp.handler._head import CHUNKED, parse_fields

__all__ = ["RequestReader"]

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_LONGEST_CHUNK_LINE = 4096  # with extensions, which nobody uses
_LONGEST_TRAILERS = 65_536
_PIECE_OF_LINE = 65_536  # so that a long line is not copied again and again while it arrives

_UNFRAMED = -2


class RequestReader(io.BufferedIOBase):
    """The bytes of one request after the other.

    Args:
        transport: Where they come from.
        largest_body: Bytes a chunked body may have; `None`: any number.
        before_wait: Called before a read of the body that may have to wait for the peer.
    """

    __slots__ = (
        "_before_first_read",
        "_before_wait",
        "_chunked",
        "_largest_body",
        "_left",
        "_size",
        "_transport",
        "refused",
    )  # for speed, as in ResponseWriter

    def __init__(
        self, transport: Transport, largest_body: int | None, before_wait: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._largest_body = largest_body
        self._before_wait = before_wait
        self._left = _UNFRAMED
        self._chunked = False
        self._size = 0
        self._before_first_read: Callable[[], None] | None = None
        self.refused: RequestRefused | None = None
        """What was wrong with a body. It is raised again at each further read, because nobody
        knows what the bytes after it are."""

    # For the handler layer --------------------------------------------------------------------

    def begin_head(self) -> None:
        """Give bytes as they come, up to `begin_body`."""
        self._left = _UNFRAMED
        self._chunked = False
        self._before_first_read = None

    def begin_body(self, size: int, before_first_read: Callable[[], None] | None) -> None:
        """Give the body, and end with it.

        Args:
            size: How many bytes it has, or `CHUNKED`.
            before_first_read: Called when the handler asks for it: 100 (Continue).
        """
        self._chunked = size == CHUNKED
        self._left = 0 if self._chunked else size
        self._size = 0
        self._before_first_read = before_first_read if size else None

    def is_framed(self) -> bool:
        """Return whether it is known where the body ends."""
        return self._left != _UNFRAMED

    def is_done(self) -> bool:
        """Return whether all of the body has been read, or there is none."""
        return not self._left and not self._chunked and self._before_first_read is None

    def drain(self, most: int) -> bool:
        """Read what has arrived of the rest of the body, without waiting; tell if that was all.

        Args:
            most: Bytes to read before giving up.
        """
        if self._before_first_read is not None or not self.is_framed():
            return False
        own_timeout = self._transport.gettimeout()
        self._transport.settimeout(0)
        try:
            while data := self.read1(most):
                most -= len(data)
                if most <= 0:
                    return False
        except OSError:  # it would have to wait, or the peer is at fault
            return False
        finally:
            self._transport.settimeout(own_timeout)
        return True

    # For handlers -----------------------------------------------------------------------------

    def readable(self) -> bool:
        """Return true."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the connection; what passes there is encrypted."""
        return self._transport.fileno()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, fewer only at the end of the body; all of it without a size."""
        if not self.is_framed():
            return self._transport.read(size)
        left = -1 if size is None else size
        pieces = []
        while left and (data := self.read1(left)):
            pieces.append(data)
            left -= len(data) if left > 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def peek(self, _size: int = 0, /) -> bytes:
        """Return what is there without taking it, waiting only if there is nothing."""
        if not self.is_framed():
            return self._transport.peek()
        return self._transport.peek()[: self._left] if self._has_more() else b""

    def read1(self, size: int = -1, /) -> bytes:
        """Read what is there, waiting only if there is nothing; at most `size` bytes."""
        size = size if size >= 0 else io.DEFAULT_BUFFER_SIZE
        if not self.is_framed():
            return self._transport.recv(size)
        if not size or not self._has_more():
            return b""
        return self._took(self._transport.recv(min(size, self._left)))

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line, with its line feed, of at most `size` bytes."""
        limit = -1 if size is None else size
        if not self.is_framed():
            return self._transport.readline(limit)
        pieces = []
        while limit and self._has_more():
            most = min(self._left, _PIECE_OF_LINE, limit if limit >= 0 else _PIECE_OF_LINE)
            piece = self._took(self._transport.readline(most))
            pieces.append(piece)
            if piece.endswith(b"\n"):
                break
            limit -= len(piece) if limit > 0 else 0
        return b"".join(pieces)

    def close(self) -> None:
        """Stay open for the next request, whatever handlers put before this file."""

    # Framing ----------------------------------------------------------------------------------

    def _has_more(self) -> bool:
        """Return whether there is more of the body; with a chunk to read from if so."""
        if self._before_first_read is not None:
            tell, self._before_first_read = self._before_first_read, None
            tell()
        if not self._transport.buffered:
            self._before_wait()
        if not self._left and self._chunked:
            with self._remembering():
                self._begin_chunk()
        return self._left > 0

    def _took(self, data: bytes) -> bytes:
        if not data:
            self._transport.fail("the peer left in the middle of a request body")
        self._left -= len(data)
        if not self._left and self._chunked:
            with self._remembering():
                self._end_chunk()
        return data

    @contextlib.contextmanager
    def _remembering(self) -> Iterator[None]:
        """Take note of what is wrong with the framing."""
        if self.refused is not None:
            raise self.refused
        try:
            yield
        except RequestRefused as refused:
            self.refused = refused
            self._left = 0
            raise

    def _begin_chunk(self) -> None:
        line = _CHUNK_LINE.fullmatch(self._line(_LONGEST_CHUNK_LINE))
        if line is None:
            raise RequestRefused("Malformed chunk size")
        size = int(line[1], 16)
        self._size += size
        if self._largest_body is not None and self._size > self._largest_body:
            raise RequestRefused("Body too large", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._left = size
        if not size:
            self._drop_trailers()
            self._chunked = False

    def _end_chunk(self) -> None:
        if self._line(2) != b"\r\n":
            raise RequestRefused("Malformed chunk")

    def _drop_trailers(self) -> None:
        lines = []
        left = _LONGEST_TRAILERS
        while (line := self._line(left)) != b"\r\n":
            lines.append(line)
            left -= len(line)
        parse_fields(b"".join(lines))

    def _line(self, limit: int) -> bytes:
        """Read one line of the framing."""
        line = self._transport.readline(limit) if limit > 0 else b""
        if not line.endswith(b"\n"):
            if len(line) < limit:
                self._transport.fail("the peer left in the middle of a request body")
            raise RequestRefused("Chunk line too long")
        return line
