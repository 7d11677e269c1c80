"""The time by which deadlines go."""

from __future__ import annotations

import math
import time

__all__ = ["Clock"]

_LATE_SECONDS = 0.1
"""What the loop may take for a turn, or the system to wake it, before that counts as being late."""


class Clock:
    """A clock that stands still while the server is late.

    So a peer is not blamed for what it did in time, and the server did not see in time.
    """

    __slots__ = ("_late", "turned_at")

    def __init__(self) -> None:
        self._late = 0.0
        self.turned_at = time.monotonic()
        """When the loop has ended its last turn, by `time.monotonic`."""

    def now(self) -> float:
        """Return the time. That the loop is late at this very moment counts, too."""
        now = time.monotonic()
        running = now - self.turned_at
        return now - self._late - (running if running > _LATE_SECONDS else 0.0)

    def after(self, timeout: float | None) -> float:
        """Return the moment `timeout` seconds from now; `None`: never."""
        return math.inf if timeout is None else time.monotonic() - self._late + timeout

    def end_turn(self, woke: float, timeout: float) -> float:
        """Take note that a turn is over; return when.

        Args:
            woke: When it began, by `time.monotonic`.
            timeout: How many seconds the loop meant to wait for that.
        """
        now = time.monotonic()
        waited = woke - self.turned_at
        self.turned_at = now
        if waited > timeout + _LATE_SECONDS:  # the system, or the user's own code in between
            self._late += waited - timeout
        if now - woke > _LATE_SECONDS:
            self._late += now - woke
        return now

    def lose(self, seconds: float) -> None:
        """Take note of time in which nobody looked after connections."""
        self._late += seconds
