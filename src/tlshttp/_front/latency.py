"""How long things have taken, counted in classes."""

from __future__ import annotations

import threading
from bisect import bisect_left

from tlshttp.stats import LATENCY_BOUNDS, Histogram

__all__ = ["LatencyCounter"]


class LatencyCounter:
    """A histogram that grows; safe to use from any thread."""

    __slots__ = ("_counts", "_lock", "_sum")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        number = bisect_left(LATENCY_BOUNDS, seconds)
        with self._lock:
            self._counts[number] += 1
            self._sum += seconds

    def snapshot(self) -> Histogram:
        """Return what has been counted so far."""
        with self._lock:
            return Histogram(counts=tuple(self._counts), sum=self._sum)
