"""What waits for its peer: in memory, then in files without a name, both bounded.

A body that is being collected and a response that its peer has not taken yet are the same thing
here: bytes that go in at one end and come out at the other. The first of them stay in memory; when
these are too many, or the server has no memory left for more, the rest goes to temporary files.
These have no names (`tempfile.TemporaryFile`), so that nothing is left of them, however the process
ends.

`Budget` is what all connections of a server have together.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import IO, Any, Protocol

from tlshttp._forked import begin_anew_in_children
from tlshttp._kept_file import KeptFile
from tlshttp._pieces import Pieces
from tlshttp._to_write import AT_ONCE, ToWrite
from tlshttp._turns import Turns

__all__ = ["Budget", "Holder", "NoRoom", "Spool", "warn_without_files"]

_log = logging.getLogger("tlshttp.server")

_MOST_LATE = 64 << 20
"""Bytes of one connection that are in memory until they are written, where there is no limit."""

_LARGEST_FILE = 256 << 20
"""Bytes after which another file is begun, so that what has been taken of a long response is given
back before its end."""

_LONG_TO_CLOSE = 1 << 20
"""Bytes of a file that it takes a while to give back: 4 ms of the processor for 50 MB."""

_FIRST = 4_096
"""Bytes a connection may always have in memory, whatever the others have: less than what it costs
anyway, and enough for a form. So an ordinary request needs no lock."""


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
        self.to_close: deque[tuple[_File, Holder | None]] = deque()
        """Those that wait for that; they count as long as they are open."""
        self.kept = KeptFile(disk)
        """What the next file may be written over."""
        self._by_holder: Counter[Holder] = Counter()
        self._by_group: Counter[bytes] = Counter()

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()
        self._disk_freed = threading.Condition(self._lock)

    def take_memory(self, size: int) -> bool:
        """Take so many bytes of memory, if they are there."""
        with self._lock:
            if self._most_memory is not None and self.memory + size > self._most_memory:
                return False
            self.memory += size
            return True

    def give_memory(self, size: int) -> None:
        """Give bytes of memory back."""
        with self._lock:
            self.memory -= size

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

    def close(self, file: _File, holder: Holder | None) -> None:
        """Have a file closed, now or by `close_one`, or kept, and its bytes given back."""
        if file.is_kept(self.kept):
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


class Spool:
    """Bytes in the order they came; one thread at a time uses it.

    Args:
        budget: What it shares with others.
        most: Bytes to keep in memory; `None`: all.
        holder: Whose they are; `None`: nobody's who could give way.
    """

    __slots__ = (
        "_budget", "_files", "_holder", "_late", "_most", "_on_disk", "_pieces", "_taken",
        "_taken_late", "size",
    )  # fmt: skip

    def __init__(self, budget: Budget, most: int | None, holder: Holder | None = None) -> None:
        self._budget = budget
        self._holder = holder
        self._most = most
        self._pieces = Pieces()
        self._taken = 0  # of the budget's memory
        self._files: deque[_File] = deque()
        self._on_disk = 0
        self._late = Pieces()  # what is still to be written to them
        self._taken_late = 0
        self.size = 0
        """Bytes in it."""

    @property
    def in_file(self) -> bool:
        """Whether what is added now goes to a file."""
        return self._on_disk > 0 or self._late.size > 0

    def append(
        self, data: bytes | memoryview, more: int = 0, write_on: Callable[[], bool] | None = None
    ) -> None:
        """Add bytes at the end.

        Args:
            data: The bytes.
            more: How many are to come, for which there has to be room when the first of them go to
                disk: to write nearly all of them first, in vain, would cost others time.
            write_on: Calls this spool's, where the budget has that put off (`ToWrite.may_have`).
                `None`: it is written now.

        Raises:
            NoRoom: The server has no more room on disk; nothing was added.
            OSError: The disk is full, or the like; nothing was added, or only a part if that was
                postponed.
        """
        if not (self._on_disk or self._late.size) and self._fits(self.size + len(data)):
            self._pieces.append(data)
            self.size += len(data)
        else:
            self._keep_on_disk(data, more, write_on)

    def _fits(self, size: int) -> bool:
        """Return whether so many bytes in all may be in memory, and take what that needs."""
        if self._most is not None and size > self._most:
            return False
        missing = size - _FIRST - self._taken
        if missing > 0:
            if not self._budget.take_memory(missing):
                return False
            self._taken += missing
        return True

    def _keep_on_disk(
        self, data: bytes | memoryview, more: int, write_on: Callable[[], bool] | None
    ) -> None:
        """Do what `append` does with what has no place in memory for good."""
        size, before = len(data), self.size
        more = 0 if self._files or self._late.size else more
        self._budget.take_disk(size + more, self._holder)
        if more:
            self._budget.give_disk(more, self._holder)
        try:
            if write_on is not None and self._puts_off(data):
                self._postpone(memoryview(data), write_on)
            else:
                while self.write_on():
                    pass
                self._write(data)
                self.size += size
        except BaseException:
            self._budget.give_disk(before + size - self.size, self._holder)
            raise

    def _puts_off(self, data: bytes | memoryview) -> bool:
        budget = self._budget
        return bool(self._late.size) or (budget.postpones and budget.to_write.may_have(data))

    def _postpone(self, data: memoryview, write_on: Callable[[], bool]) -> None:
        """Keep bytes in memory until they are written; where that is full, write the first now."""
        while data and not self._may_keep(len(data)):
            if self._late.size:
                self.write_on()
                continue
            self._write(data[:AT_ONCE])
            self.size += len(data[:AT_ONCE])
            data = data[AT_ONCE:]
        if not data:
            return
        self._taken_late += len(data)
        if not self._late.size:
            self._budget.to_write.add(write_on)
        self._late.append(data)
        self.size += len(data)

    def _may_keep(self, size: int) -> bool:
        return self._late.size + size <= _MOST_LATE and self._budget.take_memory(size)

    def write_on(self) -> bool:
        """Write a part of what has been postponed; tell whether there is more.

        Raises:
            OSError: The disk is full, or the like; it is still there.
        """
        left = AT_ONCE
        while left > 0 and self._late.size:
            piece = self._late.peek(left)
            self._write(piece)
            left -= len(piece)
            self._let_go(len(piece))
        return bool(self._late.size)

    def _let_go(self, size: int) -> None:
        freed = self._late.drop(size)
        self._taken_late -= freed
        self._budget.give_memory(freed)

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._files or self._files[-1].written >= _LARGEST_FILE:
            self._files.append(_File(self._budget.kept.take()))
        self._files[-1].write(data)
        self._on_disk += len(data)

    def read(self, most: int) -> bytes:
        """Take up to `most` bytes from the beginning; empty where there are none.

        Raises:
            OSError: A file cannot be read.
        """
        if self._pieces.size:
            data = bytes(self._pieces.peek(most))
            self._pieces.drop(len(data))
        elif self._on_disk:
            data = self._read_file(most)
        elif self._late.size:
            data = bytes(self._late.peek(most))
            self._let_go(len(data))
            self._budget.give_disk(len(data), self._holder)
        else:
            return b""
        self.size -= len(data)
        if not self.size:
            self.clear()
        return data

    def _read_file(self, most: int) -> bytes:
        file = self._files[0]
        data = file.read(most)
        self._on_disk -= len(data)
        if file.done == file.written >= _LARGEST_FILE:
            self._budget.close(self._files.popleft(), self._holder)
        return data

    def read_all(self) -> bytes:
        """Take all there is."""
        pieces = []
        while data := self.read(max(1, self.size)):
            pieces.append(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def clear(self) -> None:
        """Forget what is in it, and give everything back."""
        late = self._late.size
        self._pieces.clear()
        self._late.clear()
        self.size = self._on_disk = 0
        if self._taken or self._taken_late:
            self._budget.give_memory(self._taken + self._taken_late)
            self._taken = self._taken_late = 0
        if late:
            self._budget.give_disk(late, self._holder)
        while self._files:
            self._budget.close(self._files.popleft(), self._holder)


def warn_without_files() -> None:
    """Say so where no temporary file can be made: else the first large upload would be told."""
    try:
        file = _File()
        try:
            file.write(b"1")
        finally:
            file.close()
    except OSError as error:
        _log.warning(
            "no temporary file can be made in %s (%s): large request bodies will be refused with "
            "507, and large responses cut; set TMPDIR to a folder that can be written to",
            _folder(), error.strerror or error,
        )  # fmt: skip


def _folder() -> str:
    """Return where such files are made."""
    try:
        return tempfile.gettempdir()
    except OSError:  # none will do; the error names them
        return "any of the usual folders"


class _File:
    """A temporary file that is written at one end and read at the other."""

    __slots__ = ("_file", "done", "written")

    def __init__(self, kept: IO[bytes] | None = None) -> None:
        self._file: IO[bytes] = kept or tempfile.TemporaryFile(  # noqa: SIM115 (closed in `close`)
            prefix="tlshttp-", buffering=0
        )
        self.written = 0
        self.done = 0
        """Bytes that have been read."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes; where that fails, none of them."""
        left, at = memoryview(data), self.written
        while left:
            done = _write_at(self._file, left, at)
            left, at = left[done:], at + done
        self.written = at

    def read(self, most: int) -> bytes:
        """Read on."""
        data = _read_at(self._file, min(most, self.written - self.done), self.done)
        if not data:
            raise OSError("a temporary file has become shorter")
        self.done += len(data)
        return data

    def is_kept(self, place: KeptFile) -> bool:
        """Leave what is underneath there instead of closing it, if it fits; tell whether it did."""
        return place.keep(self._file, self.written)

    def close(self) -> None:
        """Give it back."""
        self._file.close()


if hasattr(os, "pread"):

    def _write_at(file: IO[bytes], data: memoryview, at: int) -> int:
        return os.pwrite(file.fileno(), data, at)

    def _read_at(file: IO[bytes], size: int, at: int) -> bytes:
        return os.pread(file.fileno(), size, at)

else:  # Windows

    def _write_at(file: IO[bytes], data: memoryview, at: int) -> int:
        file.seek(at)
        return file.write(data)

    def _read_at(file: IO[bytes], size: int, at: int) -> bytes:
        file.seek(at)
        return file.read(size)
