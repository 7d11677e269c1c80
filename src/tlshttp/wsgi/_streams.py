"""The files of an environment: what an application reads, writes complaints to, and returns."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable
from typing import Any, Self

__all__ = ["STANDARD_ERROR", "ErrorStream", "FileWrapper", "RequestBody"]

BLOCK = 65_536
"""Bytes of a file that are read at once."""


class RequestBody(io.BufferedIOBase):
    """``wsgi.input`` of a body that is large, or still to come: it ends where the body ends.

    An application may keep it for longer than its request. It must not read another's then, so that
    it is empty from the end of the response on.

    Args:
        file: The handler's ``rfile``.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def end(self) -> None:
        """Have nothing more to read: the connection is the next request's."""
        self._file = io.BytesIO()

    def readable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, fewer only at the end of the body; all of it without a size."""
        data: bytes = self._file.read(size)
        return data

    def read1(self, size: int = -1, /) -> bytes:
        """Read what is there, waiting only if there is nothing; at most `size` bytes."""
        data: bytes = self._file.read1(size)
        return data

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line, with its line feed, of at most `size` bytes."""
        line: bytes = self._file.readline(size)
        return line


class FileWrapper:
    """``wsgi.file_wrapper``: a file to be sent; one on disk is sent as a file, without being read.

    Args:
        filelike: It has ``read(size)``, and is closed if it has ``close()``.
        block_size: Bytes to read at once, where it has to be read.
    """

    def __init__(self, filelike: Any, block_size: int = BLOCK) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.block_size)
        if not data:
            raise StopIteration
        return data


class ErrorStream:
    """``wsgi.errors``: standard error, as it is when something is written.

    Where there is none, or it takes nothing, that costs no response.
    """

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        stream = sys.stderr
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Have them seen."""
        stream = sys.stderr
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


STANDARD_ERROR = ErrorStream()
