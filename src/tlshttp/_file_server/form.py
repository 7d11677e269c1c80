"""Reading a form with files as it comes (``multipart/form-data``: RFC 7578, RFC 2046).

Nothing is kept but one piece: a file may be larger than memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tlshttp._file_server.parameters import MalformedParameters, parameters

__all__ = ["FormReader", "MalformedForm", "boundary_of"]

_PIECE = 65_536

_MOST_HEADER_BYTES = 4096
"""Of one part: two or three lines, with a name of 255 bytes at most, perhaps in ``%xx``."""

_LONGEST_TYPE = 1024
"""Characters of the field that has the boundary, which has 70 at most."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, 5.1.1


class MalformedForm(Exception):
    """It is no form, or ends before its end."""


def boundary_of(content_type: str) -> bytes | None:
    """Return what separates the parts of a form; `None` where it is none."""
    if len(content_type) > _LONGEST_TYPE:
        return None
    try:
        kind, given = parameters(content_type)
    except MalformedParameters:
        return None
    boundary = given.get("boundary", "")
    if kind != "multipart/form-data" or not _BOUNDARY.fullmatch(boundary):
        return None
    return boundary.encode()


class FormReader:
    """Reads the parts of a form, one after the other.

    Args:
        read: Returns some bytes, at most as many as it is asked for; none at the end.
        boundary: What separates the parts.
    """

    def __init__(self, read: Callable[[int], bytes], boundary: bytes) -> None:
        self._read = read
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # the first delimiter may stand at the beginning

    def parts(self) -> Iterator[tuple[str | None, Iterator[bytes]]]:
        """Yield file name and content of each part; the name is `None` where it is no file.

        What of a content is not read is skipped.

        Raises:
            MalformedForm: It is none, or is cut off.
        """
        _exhaust(self._content())
        while not self._at_end():
            name = self._file_name()
            content = self._content()
            yield name, content
            _exhaust(content)
        while self._read(_PIECE):
            pass  # what comes after the end means nothing

    def _at_end(self) -> bool:
        """Skip what ends the line of a delimiter; tell whether it was the last one."""
        while len(self._buffer) < 2:
            self._more()
        if self._buffer.startswith(b"--"):
            return True
        if self._take_until(b"\r\n").strip(b" \t"):
            raise MalformedForm("a boundary is followed by something else")
        self._buffer = b"\r\n" + self._buffer  # so that a part without a header ends like others
        return False

    def _file_name(self) -> str | None:
        """Read the head of a part."""
        for line in self._take_until(b"\r\n\r\n").decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon and name.strip().lower() == "content-disposition":
                try:
                    return parameters(value)[1].get("filename")
                except MalformedParameters as error:
                    raise MalformedForm(f"in the head of a part, {error}") from error
        return None

    def _take_until(self, mark: bytes) -> bytes:
        """Return what stands before a mark, and skip both."""
        while (place := self._buffer.find(mark, 0, _MOST_HEADER_BYTES)) < 0:
            if len(self._buffer) >= _MOST_HEADER_BYTES:
                raise MalformedForm("the head of a part is too long")
            self._more()
        taken, self._buffer = self._buffer[:place], self._buffer[place + len(mark) :]
        return taken

    def _content(self) -> Iterator[bytes]:
        """Yield the content of a part, up to the next delimiter, which is skipped."""
        kept = len(self._delimiter) - 1
        while (place := self._buffer.find(self._delimiter)) < 0:
            if len(self._buffer) > kept:
                piece, self._buffer = self._buffer[:-kept], self._buffer[-kept:]
                yield piece
            self._more()
        piece = self._buffer[:place]
        self._buffer = self._buffer[place + len(self._delimiter) :]
        if piece:
            yield piece

    def _more(self) -> None:
        """Read another piece."""
        piece = self._read(_PIECE)
        if not piece:
            raise MalformedForm("it ends too early")
        self._buffer += piece


def _exhaust(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass
