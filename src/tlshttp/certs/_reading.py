"""Files that others write, read such that nothing of theirs stops this process.

A path may have become a FIFO that nobody writes to, a device without an end, or a file on a mount
that does not answer any more. So nothing is opened that could wait (``O_NONBLOCK``), nothing is
read that is no regular file, and what can still wait, a stalled mount, is read in a thread that
nobody waits for (`tlshttp.certs._looking`).

What a shell gives by ``<(command)`` is a pipe, and can be read once. So it is: everybody who wants
it within `read_once` gets the same bytes.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import stat
import time
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["PIPE_SECONDS", "is_given_once", "read_file", "read_once"]

_CHUNK = 65_536

PIPE_SECONDS = 30.0
"""Seconds that the writer of a pipe has for all of it: a program that decrypts a key, or asks for
one, is done within a few."""

_DESCRIPTOR = re.compile(r"/dev/(fd/[0-9]+|stdin)|/proc/(self|[0-9]+)/fd/[0-9]+")

_OPENING = os.O_RDONLY
for _flag in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):
    _OPENING |= getattr(os, _flag, 0)

_read: ContextVar[dict[str, bytes] | None] = ContextVar("_read", default=None)


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """Read a regular file, or what a shell has given as a pipe.

    Args:
        path: The file.
        limit: The number of bytes after which reading ends; whoever gets more than is allowed knows
            that it is too large.

    Raises:
        OSError: It cannot be read, or is no file. Its ``strerror`` says so.
        ValueError: It cannot be a path.
    """
    known = _read.get()
    name = os.fspath(path)
    if known is not None and name in known:
        return known[name]
    content = _read_now(name, limit)
    if known is not None:
        known[name] = content
    return content


def is_given_once(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is that of an open file of this process, which nobody replaces."""
    return _DESCRIPTOR.fullmatch(os.fspath(path)) is not None


@contextlib.contextmanager
def read_once() -> Iterator[None]:
    """Have each file read once, however often it is asked for in the block."""
    if _read.get() is not None:
        yield
        return
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


def _read_now(path: str, limit: int) -> bytes:
    descriptor = os.open(path, _OPENING)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(mode) and is_given_once(path):
            return _drain(descriptor, limit)
        if not stat.S_ISREG(mode):
            raise OSError(0, f"it is {_kind(mode)}, not a file")
        pieces, size = [], 0
        while size < limit and (piece := os.read(descriptor, min(_CHUNK, limit - size))):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _drain(descriptor: int, limit: int) -> bytes:
    """Read a pipe to its end, for as long as its writer may take."""
    pieces, size = [], 0
    end = time.monotonic() + PIPE_SECONDS
    while size < limit:
        if not select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
            raise OSError(0, f"its writer has not finished within {PIPE_SECONDS:g} s")
        try:
            piece = os.read(descriptor, min(_CHUNK, limit - size))
        except BlockingIOError:
            continue
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a FIFO",
        stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
    }
    return next((name for test, name in kinds.items() if test(mode)), "something else")
