"""How long things have taken, counted in classes."""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_left
from collections import deque

from tlshttp.stats import LATENCY_BOUNDS, Histogram

__all__ = ["LatencyCounter"]

_MOST_NEW = 256
"""How many may wait to be sorted in."""


class LatencyCounter:
    """A histogram that grows; safe to use from any thread.

    What is added is only noted down, which needs no lock, and sorted in when there is much of it or
    somebody asks: a lock for each request would take as long as all the rest of the counting.
    """

    __slots__ = ("_counts", "_lock", "_new", "_sum")

    def __init__(self) -> None:
        self.renew_lock()
        self._counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self._sum = 0.0
        self._new: deque[float] = deque()

    def renew_lock(self) -> None:
        """Have a lock that nobody holds, as in a forked child."""
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Count one more."""
        self._new.append(seconds)
        if len(self._new) >= _MOST_NEW:
            with self._lock:
                self._sort_in()

    def _sort_in(self) -> None:
        """Take those into account that have come since; the lock is held."""
        new = self._new
        with contextlib.suppress(IndexError):
            while True:
                seconds = new.popleft()
                self._counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
                self._sum += seconds

    def snapshot(self) -> Histogram:
        """Return what has been counted so far."""
        with self._lock:
            self._sort_in()
            return Histogram(counts=tuple(self._counts), sum=self._sum)
