"""Turns: many who each need a moment for something have it one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["TURN", "Turn", "Turns"]

TURN = 524_288
"""Bytes that a handler may write to a file before others have their turn to do so: a millisecond or
less."""

_SHARE = 4
"""Of so many parts of the time one is for writing such files. With all of it, others waited two to
three times as long beside 128 peers that read nothing."""


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


class Turn:
    """One handler's turn to write what its peer does not take to a file."""

    __slots__ = ("left", "seconds")

    def __init__(self) -> None:
        self.left = 0
        """Bytes that it may still write."""
        self.seconds = 0.001
        """Seconds that it has taken so far; the next one is booked for as long."""

    def book(self, turns: Turns) -> float:
        """Book the next one; return in how many seconds it begins."""
        delay = turns.book(_SHARE * self.seconds)
        self.begin()
        return delay

    def begin(self) -> None:
        """Begin one that has been booked, or needs no appointment."""
        self.left, self.seconds = TURN, 0.0

    def wrote(self, size: int, seconds: float) -> None:
        """Take note of what has been written in it, and for how long."""
        self.left -= size
        self.seconds += seconds
