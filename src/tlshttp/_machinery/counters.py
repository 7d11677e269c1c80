"""The numbers behind ``server.stats()``.

What each connection counts by itself (requests, bytes) is added up when it goes or when somebody
asks, so that a request costs no lock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from types import MappingProxyType

from tlshttp._forked import begin_anew_in_children
from tlshttp._machinery.latency import LatencyCounter
from tlshttp._machinery.registry import Phase
from tlshttp._machinery.stream import Stream
from tlshttp.errors import ConnectionCut, HandshakeError
from tlshttp.stats import Latencies, Stats

__all__ = ["Counters"]

_COUNTED = (
    "accepted", "bytes_in", "bytes_out", "evicted", "full", "handshakes", "refused", "requests",
    "resumed",
)  # fmt: skip
"""The fields of `Stats` that are counted here, besides those by reason."""


class Counters:
    """What has happened so far; safe to use from any thread."""

    def __init__(self) -> None:
        self._totals = dict.fromkeys(_COUNTED, 0)  # in a `Counter` each would take twice as long
        self._failures: Counter[str] = Counter()
        self._cut: Counter[str] = Counter()
        self.handler_latency = LatencyCounter()
        self.handshake_latency = LatencyCounter()
        self._renew_locks()
        begin_anew_in_children(self, Counters._renew_locks)

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()
        for latency in (self.handler_latency, self.handshake_latency):
            latency.renew_lock()

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
            self._totals["requests"] += stream.requests
            self._totals["bytes_in"] += stream.bytes_in
            self._totals["bytes_out"] += stream.bytes_out
            stream.requests = stream.bytes_in = stream.bytes_out = 0

    def latencies(self) -> Latencies:
        """Return how long things have taken."""
        return Latencies(
            handler=self.handler_latency.snapshot(), handshake=self.handshake_latency.snapshot()
        )

    def snapshot(self, phases: Counter[Phase], streams: Iterable[Stream], waiting: int) -> Stats:
        """Return all numbers.

        Args:
            phases: How many connections are in each.
            streams: Those that have not gone.
            waiting: How many requests wait for a worker.
        """
        with self._lock:
            totals = self._totals.copy()
            for stream in streams:
                totals["requests"] += stream.requests
                totals["bytes_in"] += stream.bytes_in
                totals["bytes_out"] += stream.bytes_out
            return Stats(
                accepted=totals["accepted"],
                refused=totals["refused"],
                active=phases[Phase.HANDLER] + phases[Phase.LATER],
                parked=MappingProxyType(
                    {
                        "hello": phases[Phase.HELLO] + phases[Phase.PLAIN],
                        "handshake": phases[Phase.HANDSHAKE],
                        "request": phases[Phase.REQUEST] + phases[Phase.BODY],
                        "response": phases[Phase.RESPONSE],
                        "idle": phases[Phase.IDLE],
                        "taken-over": phases[Phase.TAKEN_OVER],
                        "closing": phases[Phase.CLOSING],
                    }
                ),
                handshakes=totals["handshakes"],
                resumed=totals["resumed"],
                handshake_failures=MappingProxyType(dict(self._failures)),
                cut=MappingProxyType(dict(self._cut)),
                evicted=totals["evicted"],
                waiting=waiting,
                full=totals["full"],
                requests=totals["requests"],
                bytes_in=totals["bytes_in"],
                bytes_out=totals["bytes_out"],
            )
