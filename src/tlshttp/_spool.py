"""What waits for its peer: in memory, then in files without a name, both bounded.

A body that is being collected and a response that its peer has not taken yet are the same thing
here: bytes that go in at one end and come out at the other. The first of them stay in memory; when
these are too many, or the server has no memory left for more, the rest goes to temporary files.
These have no names (`tempfile.TemporaryFile`), so that nothing is left of them, however the process
ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tlshttp._budget import Budget, Holder
from tlshttp._late import Late
from tlshttp._pieces import Pieces, may_stay
from tlshttp._temporary_file import TemporaryFile
from tlshttp._to_write import AT_ONCE

__all__ = ["Spool"]

_SOON_WRITTEN = 1 << 20
"""Bytes of one connection that are written at once though nobody else has a turn meanwhile: some
hundred microseconds."""

_LARGEST_FILE = 256 << 20
"""Bytes after which another file is begun, so that what has been taken of a long response is given
back before its end."""

_FIRST = 4_096
"""Bytes a connection may always have in memory, whatever the others have: less than what it costs
anyway, and enough for a form. So an ordinary request needs no lock."""


class Spool:
    """Bytes in the order they came; one thread at a time uses it.

    Args:
        budget: What it shares with others.
        most: Bytes to keep in memory; `None`: all.
        holder: Whose they are; `None`: nobody's who could give way.
    """

    __slots__ = (
        "_budget", "_files", "_holder", "_late", "_most", "_on_disk", "_pieces", "_taken",
        "_taken_again", "size",
    )  # fmt: skip

    def __init__(self, budget: Budget, most: int | None, holder: Holder | None = None) -> None:
        self._budget = budget
        self._holder = holder
        self._most = most
        self._pieces = Pieces()
        self._taken = 0  # of the budget's memory
        self._files: deque[TemporaryFile] = deque()
        self._on_disk = 0
        self._late = Late(budget)  # what is still to be written to them
        self._taken_again = 0
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
        if not (self._on_disk or self._late.size) and self._fits(self._pieces.held + len(data)):
            self._pieces.append(data)
            self.size += len(data)
        else:
            self._keep_on_disk(data, more, write_on)

    def append_more(self, data: bytes) -> bool:
        """Add bytes where the last ones are: in a file, or to be written to one.

        Returns:
            Whether that was so, and could be; else nothing was added. Nor is it if they were to be
            kept without a copy, where those before them were not.

        Raises:
            NoRoom, OSError: As `append`; nothing was added.
        """
        budget, late = self._budget, self._late.size
        if not (late or self._on_disk):
            return False
        if budget.postpones and not late and budget.to_write.may_have(data):
            return False
        size = len(data)
        budget.take_disk(size, self._holder)
        added = False
        try:
            added = self._late.copy_more(data) if late else self._write(data)
        finally:
            if not added:
                budget.give_disk(size, self._holder)
        self.size += size if added else 0
        return added

    def take_again(self, data: bytes) -> bool:
        """Take memory for the bytes that were added last, which somebody keeps besides.

        Returns:
            Whether they are the last ones, are still in memory, and there is room: such bytes may
            have as much as all others. `give_again` gives that back.
        """
        size = self._taken_again + len(data)
        if not self._pieces.ends_with(data) or (self._most is not None and size > self._most):
            return False
        if not self._budget.take_memory(len(data)):
            return False
        self._taken_again = size
        return True

    def give_again(self, data: bytes) -> None:
        """Give back what `take_again` has taken."""
        self._taken_again -= len(data)
        self._budget.give_memory(len(data))

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
        room = 0 if self._files or self._late.size else more
        self._budget.take_disk(size + room, self._holder)
        if room:
            self._budget.give_disk(room, self._holder)
        try:
            if write_on is not None and self._budget.postpones:
                self._postpone(memoryview(data), write_on)
            else:
                while self.write_on():
                    pass
                self._write(data)
                self.size += size
        except BaseException:
            self._budget.give_disk(before + size - self.size, self._holder)
            raise

    def _postpone(self, data: memoryview, write_on: Callable[[], bool]) -> None:
        """Keep bytes in memory until they are written; where that is full, write the first now.

        As long as they are only a few they are written at once: that is soon done, and takes no
        block of memory.
        """
        late = self._late
        keeps = self._budget.to_write.may_have(data)
        if not (keeps or late.size) and self._on_disk + len(data) <= _SOON_WRITTEN:
            self._write(data)
            self.size += len(data)
            return
        while data:
            is_first = not late.size
            done = late.keep(data) if keeps and may_stay(data) else late.copy(data)
            if done and is_first:
                self._budget.to_write.add(write_on)
            elif not done and is_first:
                done = min(len(data), AT_ONCE)
                self._write(data[:done])
            elif not done:
                self.write_on()
            self.size += done
            data = data[done:]

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
            self._late.drop(len(piece))
        return bool(self._late.size)

    def _write(self, data: bytes | memoryview) -> bool:
        if not self._files or self._files[-1].written >= _LARGEST_FILE:
            self._files.append(TemporaryFile(self._budget.kept.take()))
        self._files[-1].write(data)
        self._on_disk += len(data)
        return True

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
            self._late.drop(len(data))
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
        if self._taken:
            self._budget.give_memory(self._taken)
        if late:
            self._budget.give_disk(late, self._holder)
        self._taken = 0
        while self._files:
            self._budget.close(self._files.popleft(), self._holder)
