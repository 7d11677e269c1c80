"""The numbers behind ``server.stats()``."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from types import MappingProxyType

from tlshttp._front.registry import Phase
from tlshttp._front.stream import Stream
from tlshttp.errors import ConnectionCut, HandshakeError
from tlshttp.stats import Stats

__all__ = ["Counters"]


_BY_STREAM = ("requests", "bytes_in", "bytes_out")
"""What each connection counts by itself, so that a request costs no lock."""


class Counters:
    """What has happened so far; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._cut: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count one more of a field of `Stats`."""
        with self._lock:
            self._totals[name] += 1

    def handshake(self, resumed: bool) -> None:
        """Count a finished handshake."""
        with self._lock:
            self._totals["handshakes"] += 1
            self._totals["resumed"] += resumed

    def failure(self, error: HandshakeError) -> None:
        """Count a failed one."""
        with self._lock:
            self._failures[error.reason] += 1

    def cut(self, cut: ConnectionCut) -> None:
        """Count a connection that was cut."""
        with self._lock:
            self._cut[cut.reason] += 1

    def take(self, stream: Stream) -> None:
        """Add what a connection has counted by itself, which is about to go."""
        with self._lock:
            for name in _BY_STREAM:
                self._totals[name] += getattr(stream, name)
                setattr(stream, name, 0)

    def snapshot(self, phases: Counter[Phase], streams: Iterable[Stream]) -> Stats:
        """Return all numbers.

        Args:
            phases: How many connections are in each.
            streams: Those that have not gone.
        """
        with self._lock:
            totals = self._totals.copy()
            for stream in streams:
                totals.update({name: getattr(stream, name) for name in _BY_STREAM})
            return Stats(
                accepted=totals["accepted"],
                refused=totals["refused"],
                active=phases[Phase.HANDLER],
                parked=MappingProxyType(
                    {
                        "hello": phases[Phase.HELLO] + phases[Phase.PLAIN],
                        "handshake": phases[Phase.HANDSHAKE],
                        "request": phases[Phase.REQUEST] + phases[Phase.BODY],
                        "idle": phases[Phase.IDLE],
                        "closing": phases[Phase.CLOSING],
                    }
                ),
                handshakes=totals["handshakes"],
                resumed=totals["resumed"],
                handshake_failures=MappingProxyType(dict(self._failures)),
                cut=MappingProxyType(dict(self._cut)),
                evicted=totals["evicted"],
                requests=totals["requests"],
                bytes_in=totals["bytes_in"],
                bytes_out=totals["bytes_out"],
            )
