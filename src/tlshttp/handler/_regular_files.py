"""Files on disk, which can be sent without being read by a handler."""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
import time
from http.server import SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlshttp._interfaces import Exchange
    from tlshttp.handler._writer import ResponseWriter

__all__ = [
    "PIECE_OF_COPY", "STANDARD_COPY",
    "copy_file", "is_read_plainly", "regular_file", "send_copied",
]  # fmt: skip

_MADE_BY_OPEN = (io.FileIO, io.BufferedReader, io.BufferedRandom)
"""What ``open()`` makes of a file that is read as bytes."""

_SETTLED_SECONDS = 2.0
"""For how long a file that has been written to may be written to again: a handler that makes a file
for each request expects, on `http.server`, that it may do so as soon as it has sent it. So its
bytes are read while the handler runs. It is also longer than any file system's resolution of
times."""


def is_read_plainly(file: Any) -> bool:
    """Return whether what is read of a file object is what its descriptor stands for.

    So it is where ``open()`` has made it, and nobody has given it another ``read()``. There may be
    something else under an `io.BufferedReader`: a `gzip.GzipFile` has a descriptor, too.

    Raises:
        ValueError: There is nothing under it any more.
    """
    if type(file) not in _MADE_BY_OPEN:
        return False
    raw = file if type(file) is io.FileIO else file.raw
    return type(raw) is io.FileIO and "read" not in getattr(file, "__dict__", ())


def regular_file(file: Any) -> tuple[int, int, int] | None:
    """Return descriptor, position and bytes left of a file on disk that is sent when there is room.

    Returns:
        `None` where it is none, or has only just been written.
    """
    if not hasattr(os, "pread"):
        return None
    try:
        if not is_read_plainly(file):
            return None
        if type(file) is io.BufferedRandom:
            file.flush()  # what has been written to it is to be sent, too
        fd, position = file.fileno(), file.tell()
        status = os.fstat(fd)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < _SETTLED_SECONDS:
        return None
    return fd, position, max(0, status.st_size - position)


STANDARD_COPY = SimpleHTTPRequestHandler.copyfile


def copy_file(self: Any, source: Any, outputfile: Any) -> None:
    """Send a file as a file where it is one: ``SimpleHTTPRequestHandler.copyfile()``.

    Args:
        self: The handler.
        source: What ``send_head()`` has returned.
        outputfile: Where it goes.
    """
    exchange = getattr(self.request, "exchange", None)
    if exchange is not None and outputfile is exchange.wfile:
        exchange.send_file(source, None)  # and what is left of it, as bytes
    shutil.copyfileobj(source, outputfile)


PIECE_OF_COPY = 65_536
"""Bytes that `shutil.copyfileobj` copies at once, or more, unless it is told to copy less."""

_COPYING = getattr(shutil.copyfileobj, "__code__", None)
_getframe = getattr(sys, "_getframe", None)
"""`None` in an interpreter that has none: copies are not seen there."""


def send_copied(piece: bytes, wfile: ResponseWriter, exchange: Exchange) -> bool:
    """Send a file that `shutil.copyfileobj` copies as a file; tell if it is one, and copies.

    All that function calls is ``read()`` and ``write()``, so it can be seen only from there. It
    finds the end of the file when it reads on.

    Args:
        piece: What it has read. What comes behind it is sent as a file where that can be.
        wfile: Where it goes, whose ``write()`` calls this function.
        exchange: Whose response it is.
    """
    if _getframe is None:
        return False
    try:
        caller = _getframe(2)
    except ValueError:  # ``write()`` has not been called from Python
        return False
    if caller.f_code is not _COPYING:
        return False
    copied = caller.f_locals
    if copied.get("fdst") is not wfile:  # something in C is between them
        return False
    wfile.write(piece)
    if wfile.bounds(1):
        exchange.send_file(copied.get("fsrc"), None)
    return True
