"""Large blocks of memory, for what one thread has in memory until it is written to files."""

from __future__ import annotations

import contextlib
import mmap
import time

__all__ = ["BLOCK", "Block", "SpareBlocks"]

BLOCK = 4 << 20
"""Bytes of a block: two large pages, or one if it does not begin at the start of one."""

_SECONDS = 1.0
"""For how long one is kept that nobody needs."""


class Block:
    """Memory of the system's that pieces are copied to, one behind the other."""

    __slots__ = ("_memory", "size")

    def __init__(self) -> None:
        self._memory = _pages(BLOCK)
        self.size = 0
        """Bytes in it."""

    @property
    def view(self) -> memoryview:
        """Those bytes."""
        return self._memory[: self.size]

    def append(self, data: bytes | memoryview) -> int:
        """Add the beginning of some bytes; return how many, 0 where it is full."""
        added = min(len(data), BLOCK - self.size)
        self._memory[self.size : self.size + added] = data[:added]
        self.size += added
        return added


def _pages(size: int) -> memoryview:
    """Return memory of the system's, of large pages where there are any."""
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return memoryview(mmap.mmap(-1, size))
    # Its own, not shared with processes that are forked off.
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # this system has none
            pages.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(pages)


class SpareBlocks(list[Block]):
    """Those that are kept for a moment, for whoever needs one next.

    To use new memory for the first time takes up to five times as long as to copy to it.

    The loop asks at each turn whether there are any. A list answers that without a call.
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        super().__init__()
        self._until = 0.0

    def take(self) -> Block | None:
        """Return one, empty; `None` where there is none."""
        try:
            block = self.pop()
        except IndexError:  # another thread may have taken the last
            return None
        block.size = 0
        return block

    def keep(self, block: Block) -> None:
        """Keep one."""
        self._until = time.monotonic() + _SECONDS
        self.append(block)

    def let_go(self, now: float = float("inf")) -> int:
        """Let go of all, if nobody has needed one for a while; return how many bytes that frees.

        Args:
            now: The time in seconds, from `time.monotonic`.
        """
        freed = 0
        while now >= self._until and self.take() is not None:
            freed += BLOCK
        return freed
