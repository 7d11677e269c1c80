"""Bytes in memory, in the order they came, copied no more often than must be."""

from __future__ import annotations

from collections import deque

__all__ = ["SMALL", "Pieces", "all_of", "may_stay"]

SMALL = 16_384
"""Bytes up to which small pieces are kept together: each would cost an object of its own."""

_MOST_UNUSED = 4
"""A part of somebody's bytes is kept as it is if no more than one of so many is kept in vain: a
socket has taken up to a few MiB of a large one."""


class Pieces:
    """What comes in at one end and goes out at the other."""

    __slots__ = ("_at", "_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytes | bytearray | memoryview] = deque()
        self._at = 0  # so much of the first one has gone
        self.size = 0
        """Bytes that are left."""

    @property
    def held(self) -> int:
        """Bytes of memory that are taken: a piece is only free as a whole."""
        return self.size + self._at

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        size = len(data)
        last = self._pieces[-1] if self._pieces else None
        if size >= SMALL:
            self._pieces.append(all_of(data) or _unchanging(data))
        elif type(last) is bytearray and len(last) < SMALL:
            last += data
        else:
            self._pieces.append(bytearray(data))
        self.size += size

    def ends_with(self, data: bytes) -> bool:
        """Return whether the last piece is this object, or one like it that is kept whole."""
        last = self._pieces[-1] if self._pieces else None
        return type(last) is bytes and last == data

    def peek(self, most: int) -> bytes | bytearray | memoryview:
        """Return up to `most` bytes from the beginning, of one piece; good until more is added."""
        piece = self._pieces[0]
        if not self._at and len(piece) <= most:
            return piece
        return memoryview(piece)[self._at : self._at + most]

    def drop(self, size: int) -> int:
        """Let go of so many, which `peek` has returned; tell how many bytes of memory are free now.

        A piece is only free as a whole.
        """
        self.size -= size
        self._at += size
        if self._at < len(self._pieces[0]):
            return 0
        self._at = 0
        return len(self._pieces.popleft())

    def clear(self) -> None:
        """Let go of all."""
        self._pieces.clear()
        self._at = self.size = 0


def all_of(data: bytes | memoryview) -> bytes | None:
    """Return the object that these are all bytes of, if it is of `bytes`."""
    if type(data) is not memoryview:
        return data if type(data) is bytes else None
    whole = data.obj
    return whole if type(whole) is bytes and len(whole) == len(data) else None


def may_stay(data: bytes | memoryview) -> bool:
    """Return whether these bytes may be kept where they are.

    That is so if nobody changes them, and little of the object they are of is kept in vain.
    """
    if not isinstance(data, memoryview):
        return True
    whole = data.obj
    return isinstance(whole, bytes) and (len(whole) - len(data)) * _MOST_UNUSED <= len(whole)


def _unchanging(data: bytes | memoryview) -> bytes | memoryview:
    """Return these bytes such that nobody changes them: themselves, if they may stay."""
    return data if may_stay(data) else bytes(data)
