"""What tlshttp is to reach, as data, and whether it has.

A target is no test: a figure depends on the machine and on what else it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tests.benchmarks.peers import OURS
from tests.benchmarks.results import Figure, Results


@dataclass(frozen=True)
class Target:
    """A bound for one of our figures."""

    work: str
    metric: str
    bound: Literal["at least", "at most"]
    number: float
    times: Figure | None = None
    """What the number multiplies; `None`: it is in the metric's own unit."""


@dataclass(frozen=True)
class Verdict:
    """What was reached of a target."""

    target: Target
    figure: float | None
    """Our median; `None`: not measured."""
    measured: float | None
    """What is compared with the target's number: the ratio or the figure."""

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; `None`: not measured."""
        if self.measured is None:
            return None
        if self.target.bound == "at least":
            return self.measured >= self.target.number
        return self.measured <= self.target.number


TARGETS: Final = (
    Target("keep-alive-1", "rate", "at least", 1.15, Figure("keep-alive-1", "rate", "uvicorn")),
    Target("keep-alive-16", "rate", "at least", 1.15, Figure("keep-alive-16", "rate", "uvicorn")),
    Target("keep-alive-16", "rate", "at least", 8.0, Figure("keep-alive-16", "rate", "cheroot")),
    Target("keep-alive-16", "rate", "at least", 80.0, Figure("keep-alive-16", "rate", "stdlib")),
    Target("keep-alive-256", "rate", "at least", 1.15, Figure("keep-alive-256", "rate", "uvicorn")),
    Target("keep-alive-256", "p99", "at most", 0.7, Figure("keep-alive-256", "p99", "uvicorn")),
    Target("connect-full", "cpu", "at most", 0.85, Figure("connect-full", "cpu", "uvicorn")),
    Target("connect-full", "cpu", "at most", 0.65, Figure("connect-full", "cpu", "cheroot")),
    Target("connect-resumed", "cpu", "at most", 0.6, Figure("connect-full", "cpu", OURS)),
    Target("download-256m", "cpu", "at most", 1.0, Figure("download-256m", "cpu", "uvicorn")),
    Target("download-256m", "cpu", "at most", 1.15, Figure("download-256m", "cpu", "nginx")),
    Target("upload-64m", "cpu", "at most", 1.0, Figure("upload-64m", "cpu", "stdlib")),
    Target("stalled", "p99", "at most", 1.2, Figure("stalled", "unloaded", OURS)),
    Target("idle-silent", "memory", "at most", 8.0),
    Target("idle-keep-alive", "memory", "at most", 20.0),
    Target("listening", "time", "at most", 1.5, Figure("listening", "time", "stdlib")),
    Target("import", "time", "at most", 60.0),
    Target("import", "time", "at most", 1.5, Figure("import", "time", "stdlib")),
)
"""For ThreadingTLSHTTPServer; the table of the issue that asked for them, row by row."""


def evaluate(target: Target, results: Results) -> Verdict:
    """Return what was reached of a target."""
    figure = Figure(target.work, target.metric, OURS)
    median = results.median(figure)
    measured = median if target.times is None else results.ratio(figure, target.times)
    return Verdict(target, median, measured)
