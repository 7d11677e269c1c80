"""Where a request body ends, and what of it is there (RFC 9112, sections 6.3 and 7.1).

A body takes its bytes from the stream as they have come, never waits and never reads ahead: what is
behind it is the next request. Extensions and trailers of chunks are dropped.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from tlshttp._interfaces import Transport
from tlshttp.errors import RequestRefused
from tlshttp.handler._head import parse_fields

__all__ = ["Body", "ChunkedBody", "SizedBody"]

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_LONGEST_CHUNK_LINE = 4_096

_OVERHEAD = 16_384
"""Bytes of framing that a chunked body may have beyond its fair share; and the fair share of a
chunk, besides its own size. Both are those of Go's net/http/internal (``excess``). A chunk of one
byte is within its share. Kilobytes of extensions are not, nor is a line that is longer than its
chunk."""
_SHARE = 16

_LONGEST_TRAILERS = 65_536

_CHUNKS_AT_ONCE = 256
"""Lines and pieces of chunks that are read before others have their turn: about a millisecond."""


class Body:
    """A request body on its way."""

    __slots__ = ("done", "left", "refused")

    done: bool
    """Whether all of it has been taken."""
    left: int
    """Bytes that are still to come, as far as that is known."""
    refused: RequestRefused | None
    """What is wrong with it. It is raised again by each further look, because nobody knows what the
    bytes after it are."""

    def take(self, stream: Transport, most: int) -> bytes:
        """Take what has come, up to `most` bytes; empty where more has to come first.

        Raises:
            RequestRefused: It is malformed or too large.
        """
        if self.refused is not None:
            raise self.refused
        try:
            return self._take(stream, most)
        except RequestRefused as refused:
            self.refused = refused
            raise

    def _take(self, stream: Transport, most: int) -> bytes:
        raise NotImplementedError


class SizedBody(Body):
    """A body whose size was announced.

    Args:
        size: Bytes.
    """

    __slots__ = ()

    def __init__(self, size: int) -> None:
        self.left = size
        self.done = not size
        self.refused = None

    def take(self, stream: Transport, most: int) -> bytes:
        """Take what has come, up to `most` bytes; empty where more has to come first."""
        data = stream.take(min(most, self.left))
        self.left -= len(data)
        self.done = not self.left
        return data

    def receive(self, stream: Transport, most: int) -> bytes:
        """Do the same with what has not been received, and pass by the stream's buffer."""
        data = stream.receive(min(most, self.left))
        self.left -= len(data)
        self.done = not self.left
        return data


class ChunkedBody(Body):
    """A body in chunks.

    Args:
        largest: Bytes it may have; `None`: any number.
    """

    __slots__ = ("_excess", "_largest", "_next", "_size", "_trailers")

    def __init__(self, largest: int | None) -> None:
        self._largest = largest
        self._size = 0
        self._excess = 0
        self._trailers = b""
        self._next = self._begin_chunk
        self.left = 0
        self.done = False
        self.refused = None

    def _take(self, stream: Transport, most: int) -> bytes:
        pieces: list[bytes] = []
        for _ in range(_CHUNKS_AT_ONCE):
            if self.done or most <= 0:
                break
            if self.left:
                data = stream.take(min(most, self.left))
                if not data:
                    break
                self.left -= len(data)
                most -= len(data)
                pieces.append(data)
                if not self.left:
                    self._next = self._end_chunk
            elif not self._next(stream):
                break
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    # Each of the following takes a line of the framing, if it is there.

    def _begin_chunk(self, stream: Transport) -> bool:
        line = _take_line(stream, _LONGEST_CHUNK_LINE)
        if line is None:
            return False
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise RequestRefused("Malformed chunk size")
        size = int(match[1], 16)
        self._size += size
        if self._largest is not None and self._size > self._largest:
            raise RequestRefused("Body too large", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        self._excess = max(0, self._excess + len(line) + 2 - _SHARE - 2 * size)
        if self._excess > _OVERHEAD:
            raise RequestRefused("Too much framing in a chunked body")
        self.left = size
        if not size:
            self._next = self._drop_trailer
        return True

    def _end_chunk(self, stream: Transport) -> bool:
        line = _take_line(stream, 2)
        if line is None:
            return False
        if line != b"\r\n":
            raise RequestRefused("Malformed chunk")
        self._next = self._begin_chunk
        return True

    def _drop_trailer(self, stream: Transport) -> bool:
        line = _take_line(stream, _LONGEST_TRAILERS - len(self._trailers))
        if line is None:
            return False
        if line != b"\r\n":
            self._trailers += line
            return True
        parse_fields(self._trailers)
        self._trailers = b""
        self.done = True
        return True


def _take_line(stream: Transport, limit: int) -> bytes | None:
    """Take one line; `None` where its end has not come.

    Raises:
        RequestRefused: It is too long.
    """
    size: int = stream.look(lambda buffer, start: buffer.find(b"\n", start, start + limit) - start)
    if size < 0:
        if stream.buffered >= limit:
            raise RequestRefused("Chunk line too long" if limit > 2 else "Malformed chunk")
        return None
    return stream.take(size + 1)
