"""How far a response body has come that its handler frames in chunks (RFC 9112, section 7.1)."""

from __future__ import annotations

import re

__all__ = ["OwnChunks"]

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_LONGEST_LINE = 65_536


class OwnChunks:
    """Follows the framing of a body, to tell whether it has ended.

    A body that has not leaves its client waiting, so its connection must not be kept.
    """

    __slots__ = ("_in_trailers", "_left", "_line", "ended", "malformed")

    def __init__(self) -> None:
        self._left = 0
        self._line = b""
        self._in_trailers = False
        self.ended = False
        """Whether the last chunk and the trailers have been written."""
        self.malformed = False
        """Whether what has been written turned out to be no body in chunks."""

    def follow(self, data: memoryview) -> None:
        """Take note of bytes of the body."""
        position = 0
        while position < len(data) and not self.malformed:
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
            else:
                position += self._follow_line(bytes(data[position : position + _LONGEST_LINE]))

    def follow_file(self, size: int) -> bool:
        """Take note of a piece of a file, which nobody has read; tell whether it fits in a chunk.

        What does not is to be read: there may be chunks in it.
        """
        fits = size <= self._left
        self._left -= size if fits else 0
        return fits

    def _follow_line(self, data: bytes) -> int:
        """Take note of a line, or of its beginning; return how many bytes of it there are."""
        end = data.find(b"\n") + 1
        line = self._line + (data[:end] if end else data)
        self._line = b"" if end else line
        if self.ended or len(line) > _LONGEST_LINE:
            self.malformed = True
        elif end:
            self._end_line(line)
        return end or len(data)

    def _end_line(self, line: bytes) -> None:
        if self._in_trailers:
            self.ended = line.strip() == b""
            return
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            self.malformed = True
            return
        size = int(match[1], 16)
        self._in_trailers = not size
        self._left = size and size + 2  # with the line break behind it
