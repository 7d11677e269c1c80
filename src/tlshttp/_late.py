"""What is in memory until it is written to a file, where one thread serves all.

Nobody else has a turn while a handler runs there, so what it writes is kept, and written bit by bit
between the turns of others. Pieces are copied into large blocks. To keep 50 MB so takes 7 ms of the
processor here, and 11 or more the first time; to write them takes 20, and up to 120 on a virtual
machine whose host has to find the memory. To keep the pieces themselves takes 25 to 50: each of
them is new memory, of pages of 4 KiB, while a block is of pages of 2 MiB.
"""

from __future__ import annotations

from collections import deque

from tlshttp._blocks import BLOCK, Block
from tlshttp._budget import Budget

__all__ = ["Late"]

_MOST = 64 << 20
"""Bytes of memory that one connection has for this, where there is no limit. A block counts whole:
a large page is in use for one byte."""


class Late:
    """Bytes of one connection that are still to be written, in the order they came.

    Args:
        budget: What has memory for them.
    """

    __slots__ = ("_at", "_budget", "_held", "_pieces", "size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._pieces: deque[Block | memoryview] = deque()
        self._at = 0  # so much of the first one has gone
        self._held = 0  # of the budget's memory
        self.size = 0
        """Bytes in it."""

    def keep(self, data: memoryview) -> int:
        """Add bytes as they are; return how many, 0 where there is no memory for them."""
        size = len(data)
        if self._held + size > _MOST or not self._budget.take_memory(size):
            return 0
        self._held += size
        self._pieces.append(data)
        self.size += size
        return size

    def copy(self, data: memoryview) -> int:
        """Add the beginning of some bytes; return how many, 0 where there is no memory."""
        block = self._pieces[-1] if self._pieces else None
        added = block.append(data) if isinstance(block, Block) else 0
        if not added and (block := self._new_block()) is not None:
            self._held += BLOCK
            self._pieces.append(block)
            added = block.append(data)
        self.size += added
        return added

    def copy_more(self, data: bytes) -> bool:
        """Add bytes to the last block, if they fit in there; tell whether they do."""
        block = self._pieces[-1]
        if not isinstance(block, Block) or len(data) > BLOCK - block.size:
            return False
        self.size += block.append(data)
        return True

    def _new_block(self) -> Block | None:
        return self._budget.take_block() if self._held + BLOCK <= _MOST else None

    def peek(self, most: int) -> memoryview:
        """Return up to `most` bytes from the beginning; good until they are dropped."""
        first = self._pieces[0]
        view = first.view if isinstance(first, Block) else first
        return view[self._at : self._at + most]

    def drop(self, size: int) -> None:
        """Let go of so many, which `peek` has returned."""
        self.size -= size
        self._at += size
        first = self._pieces[0]
        if self._at == (first.size if isinstance(first, Block) else len(first)):
            self._at = 0
            self._give_back(self._pieces.popleft())

    def clear(self) -> None:
        """Let go of all."""
        self._at = self.size = 0
        while self._pieces:
            self._give_back(self._pieces.popleft())

    def _give_back(self, piece: Block | memoryview) -> None:
        if isinstance(piece, Block):
            self._held -= BLOCK
            self._budget.give_block(piece)
        else:
            self._held -= len(piece)
            self._budget.give_memory(len(piece))
