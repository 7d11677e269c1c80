"""What all connections of a server may have waiting together, in memory and on disk."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Protocol

from tlshttp._blocks import BLOCK, Block, SpareBlocks
from tlshttp._forked import begin_anew_in_children
from tlshttp._kept_file import KeptFile
from tlshttp._temporary_file import TemporaryFile
from tlshttp._to_write import ToWrite
from tlshttp._turns import Turns

__all__ = ["FAIR_PART", "Budget", "Holder", "NoRoom"]

_LONG_TO_CLOSE = 1 << 20
"""Bytes of a file that it takes a while to give back: 4 ms of the processor for 50 MB."""

_ASKS_AGAIN_SECONDS = 0.25
"""How often who waits for room has others asked to give way."""

FAIR_PART = 8
"""Who holds one of so many parts of the disk, or more, gives way to others."""


class Holder(Protocol):
    """A connection, as far as what it has on disk is concerned."""

    @property
    def group(self) -> bytes:
        """Whose it is, among all who hold connections."""


class NoRoom(Exception):
    """Bytes that all connections together may have on disk."""


class Budget:
    """Bytes that the connections of a server may have waiting.

    Args:
        memory: In memory; `None`: any number.
        disk: In temporary files; `None`: any number.
    """

    def __init__(self, memory: int | None, disk: int | None) -> None:
        self._renew_lock()
        begin_anew_in_children(self, Budget._renew_lock)
        self._most_memory = memory
        self._most_disk = disk
        self.memory = 0
        """Bytes in memory now, besides the first few of each connection."""
        self.disk = 0
        """Bytes in files now."""
        self.freed: Callable[[], None] | None = None
        """Called, from any thread, when there is room on disk again."""
        self.turns = Turns()
        """Which of the handlers that can wait writes to a file, and when."""
        self.give_way: Callable[[Any], bool] | None = None
        """Called, from any thread, with a holder that others need room of; has it give back all it
        has, and tells if it has done so."""
        self.postpones = False
        """Whether what takes long is done bit by bit, by whoever calls `ToWrite.write_one` and
        `close_one`: one thread serves all."""
        self.to_write = ToWrite()
        """What is in memory until then."""
        self.to_close: deque[tuple[TemporaryFile, Holder | None]] = deque()
        """Those that wait for that; they count as long as they are open."""
        self.kept = KeptFile(disk)
        """What the next file may be written over."""
        self.spare_blocks = SpareBlocks()
        """Memory that whoever needs a block next may have; it counts."""
        self._by_holder: Counter[Holder] = Counter()
        self._by_group: Counter[bytes] = Counter()

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()
        self._disk_freed = threading.Condition(self._lock)

    def take_memory(self, size: int) -> bool:
        """Take so many bytes of memory, if they are there."""
        if self._takes_memory(size):
            return True
        return self._let_go_of_blocks() and self._takes_memory(size)

    def _takes_memory(self, size: int) -> bool:
        with self._lock:
            if self._most_memory is not None and self.memory + size > self._most_memory:
                return False
            self.memory += size
            return True

    def hold_memory(self, size: int) -> None:
        """Count bytes of memory that are in use anyway, even where there is no room for them."""
        with self._lock:
            self.memory += size

    def give_memory(self, size: int) -> None:
        """Give bytes of memory back."""
        with self._lock:
            self.memory -= size

    def take_block(self) -> Block | None:
        """Take a block of memory; `None` where there is no room for one."""
        block = self.spare_blocks.take()
        if block is None and self._takes_memory(BLOCK):
            try:
                return Block()
            except (OSError, MemoryError):  # the system has none
                self.give_memory(BLOCK)
        return block

    def give_block(self, block: Block) -> None:
        """Give one back. It counts until it is used for another purpose, or let go of."""
        self.spare_blocks.keep(block)

    def _let_go_of_blocks(self, now: float = float("inf")) -> bool:
        freed = self.spare_blocks.let_go(now)
        if freed:
            self.give_memory(freed)
        return freed > 0

    def take_disk(self, size: int, holder: Holder | None = None) -> None:
        """Take so many bytes of disk.

        Args:
            size: How many.
            holder: Who needs them. Whose address holds most gives way to it, if that is much.

        Raises:
            NoRoom: They are not there.
        """
        while not self._takes_disk(size, holder):
            if self.close_one():
                continue
            greedy = self._greedy(holder.group) if holder is not None else None
            if greedy is None or self.give_way is None or not self.give_way(greedy):
                raise NoRoom
            while greedy in self._by_holder:
                if not self.close_one():  # it has begun anew
                    raise NoRoom

    def _takes_disk(self, size: int, holder: Holder | None) -> bool:
        with self._lock:
            if not self.has_disk(size):
                return False
            self.disk += size
            if holder is not None:
                self._by_holder[holder] += size
                self._by_group[holder.group] += size
            return True

    def _greedy(self, group: bytes) -> Holder | None:
        """Return who holds most of the address that holds most, where that has more than a share.

        That is an eighth of all, and twice what the address has that needs some; so two that hold
        as much do not push each other out by turns.
        """
        with self._lock:
            most, size = next(iter(self._by_group.most_common(1)), (group, 0))
            if size * FAIR_PART < (self._most_disk or 0) or size < 2 * self._by_group[group] + 1:
                return None
            return max(
                (holder for holder in self._by_holder if holder.group == most),
                key=self._by_holder.__getitem__,
            )

    def has_disk(self, size: int) -> bool:
        """Return whether so many bytes of disk are there just now."""
        return self._most_disk is None or self.disk + size <= self._most_disk

    def await_disk(
        self,
        size: int,
        timeout: float | None,
        holder: Holder | None = None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Wait until there is room on disk, in this thread; false where there is none in time.

        Args:
            size: Bytes.
            timeout: Seconds; `None`: for ever.
            holder: Who needs them, as for `take_disk`. Whoever was at work when it was to give way
                is asked again.
            is_over: Tells whether they are not needed any more.
        """
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            with self._disk_freed:
                moment = min(max(0.0, left), _ASKS_AGAIN_SECONDS)
                if self._disk_freed.wait_for(lambda: self.has_disk(size), moment):
                    return True
            if left <= 0 or is_over():
                return False
            greedy = self._greedy(holder.group) if holder is not None else None
            if greedy is not None and self.give_way is not None:
                self.give_way(greedy)

    def close(self, file: TemporaryFile, holder: Holder | None) -> None:
        """Have a file closed, now or by `close_one`, or kept, and its bytes given back."""
        if file.is_kept(self.kept.keep):
            self.give_disk(file.written, holder)
            return
        if self.postpones and file.written >= _LONG_TO_CLOSE:
            self.to_close.append((file, holder))
            return
        try:
            file.close()
        finally:
            self.give_disk(file.written, holder)

    def close_one(self) -> bool:
        """Close a file that has been postponed, from any thread; false where there is none."""
        try:
            file, holder = self.to_close.popleft()
        except IndexError:
            return False
        try:
            file.close()
        finally:
            self.give_disk(file.written, holder)
        return True

    def look_after(self, now: float) -> None:
        """Let go of what is kept for whoever needs it next, if nobody has for a while.

        Args:
            now: The time in seconds, from `time.monotonic`.
        """
        self.kept.close(now)
        self._let_go_of_blocks(now)

    def end(self) -> None:
        """Let go of what is kept, and keep no file any more."""
        self.kept.end()
        self._let_go_of_blocks()

    def give_disk(self, size: int, holder: Holder | None = None) -> None:
        """Give bytes of disk back."""
        with self._disk_freed:
            self.disk -= size
            if holder is not None:
                _subtract(self._by_holder, holder, size)
                _subtract(self._by_group, holder.group, size)
            self._disk_freed.notify_all()
        if self.freed is not None:
            self.freed()


def _subtract(counter: Counter[Any], key: object, size: int) -> None:
    counter[key] -= size
    if not counter[key]:
        del counter[key]
