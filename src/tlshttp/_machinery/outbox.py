"""What a response has that its peer has not taken yet, in order: bytes, and parts of files."""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tlshttp._budget import NoRoom
from tlshttp._pieces import all_of
from tlshttp._spool import Spool
from tlshttp._turns import Turn

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FilePart", "Outbox"]

_MOST_AGAIN = 1 << 30
"""Bytes of the same piece over and over, where nothing else limits them. They take no room, so that
nothing would end a handler that writes for ever."""

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


class _Again:
    """Bytes that a handler has written over and over, which take the memory of one object.

    Args:
        data: The object.
        spool: What its memory was taken of, by `Spool.take_again`.
    """

    __slots__ = ("_at", "_spool", "data", "size")

    def __init__(self, data: bytes, spool: Spool) -> None:
        self._spool = spool
        self._at = 0
        self.data = data
        self.size = len(data)
        """Bytes that are left."""

    def peek(self, most: int) -> bytes | memoryview:
        """Return the beginning of what is left, of the object once."""
        if not self._at and len(self.data) <= most:
            return self.data
        return memoryview(self.data)[self._at : self._at + most]

    def took(self, size: int) -> None:
        """Go on behind so many bytes."""
        self._at = (self._at + size) % len(self.data)
        self.size -= size

    def close(self) -> None:
        """Give the memory back; again, do nothing."""
        if self.data:
            self._spool.give_again(self.data)
            self.data = b""


class Outbox:
    """What waits to be sent on one connection.

    Args:
        spool: Where bytes wait.
        most: Bytes that may be in it at most, with what takes no room; `None`: any number.
    """

    __slots__ = ("_again", "_most", "_now", "_parts", "_spool", "in_files", "size", "turn")

    def __init__(self, spool: Spool, most: int | None = None) -> None:
        self._spool = spool
        self._most = _MOST_AGAIN if most is None else most
        self._now: bytes | memoryview = b""
        self._parts: deque[int | FilePart | _Again] = deque()  # a number: so many of the spool
        self._again: _Again | None = None  # the last of them, if it is one
        self.turn = Turn()
        """When its handler writes to a file."""
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
            NoRoom, OSError: As `Spool.append`.
        """
        whole = all_of(data)
        if whole is not None and (self._put_again(whole) or self._begin_again(whole)):
            return
        self._again = None
        self._spool.append(data, more, write_on)
        if self._parts and isinstance(self._parts[-1], int):
            self._parts[-1] += len(data)
        else:
            self._parts.append(len(data))
        self.size += len(data)

    def put_more(self, data: Buffer) -> bool:
        """Add bytes as the last ones were added, if that is still right.

        To look whether the peer takes something, or somebody else waits, and where the bytes are to
        be, takes as long as to write 64 KiB. So it is done once in a turn.

        Returns:
            Whether they have been added; else `put` does it, or knows what is wrong.
        """
        if type(data) is not bytes:
            return False
        if self._put_again(data):
            return True
        try:
            return self._write_more(data)
        except (NoRoom, OSError):
            return False

    def _put_again(self, data: bytes) -> bool:
        """Add bytes that were added twice already, for the same memory.

        Return whether they were, and are not too much.
        """
        again = self._again
        if again is None or again.data != data:
            return False
        size = len(data)
        if self.size + size > self._most:
            return False
        again.size += size
        self.size += size
        return True

    def _write_more(self, data: bytes) -> bool:
        """Add bytes where the last ones are, as long as the turn is not over."""
        size, parts = len(data), self._parts
        if size > self.turn.left or self.size + size > self._most:
            return False
        if not parts or type(parts[-1]) is not int:
            return False
        began = time.monotonic()
        if not self._spool.append_more(data):
            return False
        self.turn.wrote(size, time.monotonic() - began)
        parts[-1] += size
        self.size += size
        return True

    def _begin_again(self, data: bytes) -> bool:
        """Add bytes if they are the last that were added; tell whether they were."""
        if not self._parts or self.size + len(data) > self._most:
            return False
        if not isinstance(self._parts[-1], int) or not self._spool.take_again(data):
            return False
        self._again = _Again(data, self._spool)
        self._parts.append(self._again)
        self.size += len(data)
        return True

    def write_on(self) -> bool:
        """Do what `Spool.write_on` does."""
        return self._spool.write_on()

    def put_file(self, part: FilePart) -> None:
        """Add a part of a file, which is closed here in the end."""
        self._again = None
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
            if not isinstance(part, int):
                return part.peek(most)
            self._now = self._read(part, most)
        return self._now

    def took(self, size: int) -> None:
        """Take that many bytes of what `next` has returned."""
        if self._now:
            self._now = memoryview(self._now)[size:] if size < len(self._now) else b""
        else:
            self._took_of_part(size)
        self.size -= size

    def _took_of_part(self, size: int) -> None:
        part = self._parts[0]
        if isinstance(part, int):
            raise RuntimeError("what has been taken was not there")
        part.took(size)
        if isinstance(part, FilePart):
            self.in_files -= size
        if not part.size:
            self._again = None if part is self._again else self._again
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
            if not isinstance(part, int):
                part.close()
        self._again = None
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
