"""One temporary file that is no longer needed, kept for a moment to be written over.

To write over blocks that are there takes a third of the time that new ones take, which is a seventh
of a large upload that one thread collects.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from typing import IO

from tlshttp._forked import begin_anew_in_children

__all__ = ["KeptFile"]

_PART = 64
"""A file is kept that is no larger than one of so many parts of what may be on disk: it does not
count as long as it is here, and when it is used again, only what is in it then. So there is one in
all: until that one is given back no other is kept."""

_AT_MOST, _AT_LEAST = 64 << 20, 1 << 20
"""Bytes of it, however large the disk is; a small one is made faster than it is worth."""

_SECONDS = 1.0
"""For how long it is kept."""


class KeptFile:
    """A place for one file.

    Args:
        disk: Bytes that may be in files; `None`: any number.
    """

    def __init__(self, disk: int | None) -> None:
        self._most = _AT_MOST if disk is None else min(disk // _PART, _AT_MOST)
        self._until = 0.0
        self.there: deque[IO[bytes]] = deque()
        """The file that may be taken or closed, if there is one."""
        self._taken: IO[bytes] | None = None
        """What has been taken, and not been given back."""
        self._lock = threading.Lock()
        begin_anew_in_children(self, KeptFile._begin_anew)
        # Not every budget is that of a loop, which says when it ends. No `__del__`: in a reference
        # cycle the file would be finalized as well, and perhaps first.
        weakref.finalize(self, _close, self.there)

    def _begin_anew(self) -> None:
        """Close it in a child, which must not write to its parent's."""
        self._lock = threading.Lock()
        self._let_go()

    def _let_go(self) -> None:
        if file := self.take():
            file.close()
            self._taken = None

    def keep(self, file: IO[bytes], size: int) -> bool:
        """Keep a file of so many bytes instead of closing it; false where it is to be closed."""
        with self._lock:
            if self.there or self._taken not in (None, file):
                return False
            self._taken = None
            if not _AT_LEAST <= size <= self._most:
                return False
            self._until = time.monotonic() + _SECONDS
            self.there.append(file)
            return True

    def take(self) -> IO[bytes] | None:
        """Return the file, of which everything may be written over; `None` where there is none."""
        with self._lock:
            if not self.there:
                return None
            self._taken = self.there.pop()
            return self._taken

    def close(self, now: float) -> None:
        """Close it, if nobody has needed it for a while.

        Args:
            now: The time in seconds, from `time.monotonic`.
        """
        if now >= self._until:
            self._let_go()

    def end(self) -> None:
        """Close it, and keep no other."""
        with self._lock:
            self._most = -1
        self.close(float("inf"))


def _close(files: deque[IO[bytes]]) -> None:
    while files:
        files.pop().close()
