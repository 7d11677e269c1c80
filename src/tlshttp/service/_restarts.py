"""When a dead worker is replaced, and when no longer."""

from __future__ import annotations

__all__ = ["Restarts"]

_QUICK_SECONDS = 5.0
"""A worker that has lived for less has died quickly: something is wrong with more than itself."""

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0

_MOST_QUICK_DEATHS = 10
"""In a row, before the service gives up. With the delays that takes about half a minute; systemd
gives up after five starts in ten seconds (``StartLimitBurst=``)."""

_AGAIN_SECONDS = 1.0
"""When the system is asked once more for a process that it did not have."""

_FORGOTTEN_SECONDS = 60.0
"""After so long without a quick death those before are no row any more. Between two of a row there
are ten seconds at most: the longest delay, and what is quick."""


class Restarts:
    """Counts the deaths of workers."""

    def __init__(self) -> None:
        self._quick = 0
        self._last = 0.0
        self.not_before = 0.0
        """When the next worker may be started, by `time.monotonic`."""

    @property
    def is_hopeless(self) -> bool:
        """Whether so many have died so quickly that the next would, too."""
        return self._quick >= _MOST_QUICK_DEATHS

    def died(self, lived: float, now: float) -> None:
        """Take note of a death.

        The first is made good at once; if others follow quickly, after twice the time each.

        Args:
            lived: How many seconds it has lived.
            now: The time, from `time.monotonic`.
        """
        if lived >= _QUICK_SECONDS or now - self._last >= _FORGOTTEN_SECONDS:
            self._quick = 0
        if lived < _QUICK_SECONDS:
            self._last = now
            self._quick += 1
            self._delay(now)

    def could_not_start(self, now: float, *, others_serve: bool) -> None:
        """Take note that the system had no process to give.

        That is as a quick death where nobody serves. While others do, it is tried again and again:
        they would be lost for want of one more.

        Args:
            now: The time, from `time.monotonic`.
            others_serve: Whether there is a worker that serves.
        """
        if others_serve:
            self.not_before = max(self.not_before, now + _AGAIN_SECONDS)
        else:
            self.died(0.0, now)

    def _delay(self, now: float) -> None:
        if self._quick > 1:
            delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** (self._quick - 2))
            self.not_before = now + delay
