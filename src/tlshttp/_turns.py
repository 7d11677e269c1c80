"""Turns: many who each need a moment for something have it one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Turns"]


class Turns:
    """Whose turn is when.

    They are appointments, not a lock: who comes too late, or takes longer than it has said, keeps
    nobody. There is no lock inside either: two who ask at the very same moment may get the same
    one, which does no harm, and a forked child finds nothing locked.

    Args:
        clock: Tells the time in seconds.
    """

    __slots__ = ("_clock", "_free_at")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at = 0.0

    def book(self, seconds: float) -> float:
        """Book the next turn that is free.

        Args:
            seconds: How long it will take.

        Returns:
            In how many seconds it begins; 0 where nobody else has one.
        """
        now = self._clock()
        begins = max(now, self._free_at)
        self._free_at = begins + seconds
        return begins - now
