"""How much a session does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.benchmarks.ground import GIB


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is done in each measurement."""

    rounds: int
    seconds: float
    """Of load, where a work is measured by time."""
    idle_connections: int
    stalled_connections: int
    honest_requests: int
    transferred: int
    """Bytes."""
    program_runs: int


FULL: Final = Scale(
    rounds=5, seconds=3, idle_connections=1000, stalled_connections=1000, honest_requests=1000,
    transferred=2 * GIB, program_runs=7,
)  # fmt: skip
QUICK: Final = Scale(
    rounds=1, seconds=1, idle_connections=200, stalled_connections=200, honest_requests=200,
    transferred=GIB // 2, program_runs=3,
)  # fmt: skip
