"""What a response has that its peer has not taken yet, in order: bytes, and parts of files."""

from __future__ import annotations

import os
from collections import deque

from tlshttp._spool import Spool

__all__ = ["FilePart", "Outbox"]


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

    def read(self, most: int) -> bytes:
        """Read on; empty where the file has become shorter.

        Raises:
            OSError: The file cannot be read, or has been written to: what is left of it may be for
                somebody else.
        """
        data = os.pread(self._fd, min(most, self.size), self._start)
        if data and os.fstat(self._fd).st_mtime_ns != self._written_at:
            raise OSError("a file has been written to while it was sent")
        self._start += len(data)
        self.size -= len(data)
        return data

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

    def put(self, data: bytes | memoryview) -> None:
        """Add bytes.

        Raises:
            NoRoom, OSError: As `Spool.append`; nothing was added.
        """
        self._spool.append(data)
        if self._parts and isinstance(self._parts[-1], int):
            self._parts[-1] += len(data)
        else:
            self._parts.append(len(data))
        self.size += len(data)

    def put_file(self, part: FilePart) -> None:
        """Add a part of a file, which is closed here in the end."""
        self._parts.append(part)
        self.size += part.size
        self.in_files += part.size

    def next(self, most: int) -> bytes | memoryview:
        """Return what is to be sent next, up to `most` bytes, without taking it.

        Raises:
            OSError: A file cannot be read, or has become shorter.
        """
        if not self._now and self._parts:
            self._now = self._read(self._parts[0], most)
        return self._now

    def took(self, size: int) -> None:
        """Take that many bytes of what `next` has returned."""
        self._now = memoryview(self._now)[size:] if size < len(self._now) else b""
        self.size -= size

    def _read(self, part: int | FilePart, most: int) -> bytes:
        if isinstance(part, FilePart):
            data = part.read(most)
            if not data:
                raise OSError("a file has become shorter while it was sent")
            self.in_files -= len(data)
            if not part.size:
                self._parts.popleft()
                part.close()
            return data
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
