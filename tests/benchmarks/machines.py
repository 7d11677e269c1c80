"""Several machines side by side: what is a promise must hold on each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.benchmarks.peers import OURS
from tests.benchmarks.results import Figure, Results
from tests.benchmarks.tables import Row, number, times_better
from tests.benchmarks.works import WORKS

__all__ = ["RATIOS", "compared", "name"]

PEER: Final = "uvicorn"
"""Whom ours is compared with: the fastest of those that run Python."""

COLUMNS: Final = (
    ("keep-alive-1", "cpu"),
    ("keep-alive-1", "rate"),
    ("keep-alive-16", "cpu"),
    ("keep-alive-16", "rate"),
    ("keep-alive-256", "cpu"),
    ("keep-alive-256", "rate"),
    ("keep-alive-256", "p99"),
    ("connect-full", "cpu"),
    ("download-256m", "cpu"),
    ("upload-64m", "cpu"),
)
"""What of, by work and metric."""

RATIOS: Final = (
    f"How many times better tlshttp is than {PEER} on each machine; less than 1 is worse, and a"
    " dash was not measured. Figures of different machines do not compare; these ratios do."
)


def name(results: Results) -> str:
    """Return what a machine is called: its processor, and the Python on it."""
    python = ".".join(results.machine.get("python", "").split(".")[:2])
    return f"{results.machine.get('processor', 'unknown')}, Python {python}"


def compared(every: Sequence[Results]) -> list[Row]:
    """Return a row for each work and metric that is known of any machine, a column for each."""
    rows: list[Row] = [["work", "", *map(name, every)]]
    for work, metric in COLUMNS:
        cells = [_ratio(results, work, metric) for results in every]
        if any(cells):
            rows.append([_title(work), metric, *(cell or "-" for cell in cells)])
    return rows


def _title(name_of_work: str) -> str:
    (title,) = (work.title for work in WORKS if work.name == name_of_work)
    return title


def _ratio(results: Results, name_of_work: str, name_of_metric: str) -> str:
    told = results.told.get(f"{name_of_work}/{name_of_metric}/{PEER}")
    if told is not None:
        return number(told)
    (work,) = (work for work in WORKS if work.name == name_of_work)
    (metric,) = (metric for metric in work.metrics if metric.name == name_of_metric)
    return times_better(results, metric, Figure(work.name, metric.name, OURS), PEER)
