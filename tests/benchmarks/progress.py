"""A bar that tells how far the session is."""

from __future__ import annotations

import sys
import time
from typing import Final, TextIO

_WIDTH: Final = 24


class Progress:
    """A line on standard error that is drawn over itself, where that is a terminal.

    Elsewhere it is a line for each new work.

    Args:
        total: Steps to come.
        stream: Where it is shown; `None`: standard error.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._total = total
        self._stream = stream or sys.stderr
        self._done = 0
        self._begin = time.monotonic()
        self._work = ""

    def step(self, work: str, peer: str) -> None:
        """Show what comes next."""
        if self._stream.isatty():
            text = f"{self._bar()} {work} {peer} {self._left()}"
            self._stream.write(f"\r\x1b[K{text}")
        elif work != self._work:
            self._stream.write(f"{self._done}/{self._total} {work} {self._left()}\n")
        self._stream.flush()
        self._work = work
        self._done += 1

    def end(self) -> None:
        """Remove the bar."""
        if self._stream.isatty():
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _bar(self) -> str:
        filled = _WIDTH * self._done // max(1, self._total)
        return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {self._done}/{self._total}"

    def _left(self) -> str:
        """Estimate the time left from the time taken."""
        if not self._done:
            return ""
        taken = time.monotonic() - self._begin
        seconds = taken / self._done * (self._total - self._done)
        return f"({seconds / 60:.0f} min left)" if seconds >= 90 else f"({seconds:.0f} s left)"
