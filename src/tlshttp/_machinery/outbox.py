"""What a response has that its peer has not taken yet, in order: bytes, and parts of files."""

from __future__ import annotations

import mmap
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tlshttp._spool import Spool

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FilePart", "Outbox"]

_READ_AT_ONCE = 262_144
"""Bytes of a file that are read at once, at most: as many as leave at once."""


class FilePart:
    """A part of a file that is to be sent, read when there is room for it.

    It has a descriptor of its own: whoever queued the file may close it.

    Args:
        fd: The file's descriptor, which stays the caller's.
        start: Where the part begins, in bytes.
        size: How many bytes it has.
    """

    __slots__ = ("_fd", "_start", "_written_at", "size")

    def __init__(self, fd: int, start: int, size: int) -> None:
        self._fd = os.dup(fd)
        self._start = start
        self._written_at = os.fstat(fd).st_mtime_ns
        self.size = size
        """Bytes that are left of it."""

    def peek(self, most: int) -> bytes | memoryview:
        """Return the beginning of what is left. It is good until this thread reads a file again.

        Raises:
            OSError: The file cannot be read, has become shorter or been written to: what is left
                of it may be for somebody else.
        """
        data = _read_at(self._fd, min(most, self.size, _READ_AT_ONCE), self._start)
        if not data:
            raise OSError("a file has become shorter while it was sent")
        if os.fstat(self._fd).st_mtime_ns != self._written_at:
            raise OSError("a file has been written to while it was sent")
        return data

    def took(self, size: int) -> None:
        """Go on behind so many bytes."""
        self._start += size
        self.size -= size

    def close(self) -> None:
        """Give the descriptor back; again, do nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close


class Outbox:
    """What waits to be sent on one connection.

    Args:
        spool: Where bytes wait.
    """

    __slots__ = ("_now", "_parts", "_spool", "in_files", "size")

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._now: bytes | memoryview = b""
        self._parts: deque[int | FilePart] = deque()  # a number: so many bytes of the spool
        self.size = 0
        """Bytes in it."""
        self.in_files = 0
        """Those of them that are still in files that were put into it: nothing is kept for them."""

    def put(
        self, data: bytes | memoryview, more: int = 0, write_on: Callable[[], bool] | None = None
    ) -> None:
        """Add bytes.

        Args:
            data: The bytes.
            more: How many are to come, as for `Spool.append`.
            write_on: Calls `write_on`, as for that.

        Raises:
            NoRoom, OSError: As `Spool.append`; nothing was added.
        """
        self._spool.append(data, more, write_on)
        if self._parts and isinstance(self._parts[-1], int):
            self._parts[-1] += len(data)
        else:
            self._parts.append(len(data))
        self.size += len(data)

    def put_late(self, data: Buffer) -> bool:
        """Add bytes as `Spool.append_late` does; tell whether they have been added."""
        parts = self._parts
        if not parts or not isinstance(parts[-1], int) or type(data) is not bytes:
            return False
        if not self._spool.append_late(data):
            return False
        parts[-1] += len(data)
        self.size += len(data)
        return True

    def write_on(self) -> bool:
        """Do what `Spool.write_on` does."""
        return self._spool.write_on()

    def put_file(self, part: FilePart) -> None:
        """Add a part of a file, which is closed here in the end."""
        self._parts.append(part)
        self.size += part.size
        self.in_files += part.size

    def next(self, most: int) -> bytes | memoryview:
        """Return what is to be sent next, up to `most` bytes, without taking it.

        It is good until this thread asks again, for this connection or another.

        Raises:
            OSError: A file cannot be read, or is not what it was.
        """
        if not self._now and self._parts:
            part = self._parts[0]
            if isinstance(part, FilePart):
                return part.peek(most)
            self._now = self._read(part, most)
        return self._now

    def took(self, size: int) -> None:
        """Take that many bytes of what `next` has returned."""
        if self._now:
            self._now = memoryview(self._now)[size:] if size < len(self._now) else b""
        else:
            self._took_of_file(size)
        self.size -= size

    def _took_of_file(self, size: int) -> None:
        part = self._parts[0]
        if not isinstance(part, FilePart):
            raise RuntimeError("what has been taken was not there")
        part.took(size)
        self.in_files -= size
        if not part.size:
            self._parts.popleft()
            part.close()

    def _read(self, part: int, most: int) -> bytes:
        data = self._spool.read(min(most, part))
        if len(data) < part:
            self._parts[0] = part - len(data)
        else:
            self._parts.popleft()
        return data

    def clear(self) -> None:
        """Throw all of it away."""
        self._now = b""
        for part in self._parts:
            if isinstance(part, FilePart):
                part.close()
        self._parts.clear()
        self._spool.clear()
        self.size = self.in_files = 0


_PAGE = 4096
_APART = _PAGE // 2


class _Buffer(threading.local):
    """What a thread reads files into.

    With a new object for each read the C library gives memory back to the system all the time, and
    gets it again, which took a twentieth of a download. Pages that are never read into take no
    memory.
    """

    def __init__(self) -> None:
        # Its own, not shared with processes that are forked off.
        own = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.view = memoryview(mmap.mmap(-1, _PAGE + _READ_AT_ONCE, flags=own))

    def place(self, size: int, at: int) -> memoryview:
        """Return where to put so many bytes of a file, from the position `at` on.

        An AMD EPYC (Zen 3) copies four times as slowly to where an address, within its page, is 1
        to 31 bytes behind that of the source, which the kernel has in pages of its own: with the
        buffer at such a place a download took 1.4 times the CPU. Memory that the C library maps for
        itself begins at such a place. So the two are half a page apart.
        """
        begin = (at + _APART) % _PAGE
        return self.view[begin : begin + size]


if hasattr(os, "preadv"):
    _buffer = _Buffer()

    def _read_at(fd: int, size: int, at: int) -> bytes | memoryview:
        view = _buffer.place(size, at)
        return view[: os.preadv(fd, [view], at)]

else:  # macOS, to Python 3.12

    def _read_at(fd: int, size: int, at: int) -> bytes | memoryview:
        return os.pread(fd, size, at)
