"""Results as the documentation shows them: a table for each question, a row for each server.

One table of everything, with a column for each server, is wider than a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.benchmarks.peers import OURS
from tests.benchmarks.results import Figure, Results
from tests.benchmarks.tables import Row, measured, names_of, times_better, value_of
from tests.benchmarks.works import WORKS


class Column(NamedTuple):
    """One figure of every server."""

    title: str
    work: str
    metric: str


class Group(NamedTuple):
    """One table."""

    title: str
    columns: tuple[Column, ...]


GROUPS: Final = (
    Group(
        "Requests/s over connections that are kept",
        (
            Column("1 connection", "keep-alive-1", "rate"),
            Column("16", "keep-alive-16", "rate"),
            Column("16, by h2load", "h2load-16", "rate"),
            Column("256", "keep-alive-256", "rate"),
        ),
    ),
    Group(
        "Median latency of these, in ms",
        (
            Column("1 connection", "keep-alive-1", "p50"),
            Column("16", "keep-alive-16", "p50"),
            Column("256", "keep-alive-256", "p50"),
        ),
    ),
    Group(
        "Latency of the slowest percent (p99), in ms",
        (
            Column("1 connection", "keep-alive-1", "p99"),
            Column("16", "keep-alive-16", "p99"),
            Column("256", "keep-alive-256", "p99"),
        ),
    ),
    Group(
        "Server CPU for each request, in us",
        (
            Column("1 connection", "keep-alive-1", "cpu"),
            Column("16", "keep-alive-16", "cpu"),
            Column("256", "keep-alive-256", "cpu"),
        ),
    ),
    Group(
        "Server CPU to connect, GET and close, in ms",
        (
            Column("full handshake", "connect-full", "cpu"),
            Column("resumed", "connect-resumed", "cpu"),
        ),
    ),
    Group(
        "Server CPU for each GiB, in s",
        (
            Column("download of 1 MiB", "download-1m", "cpu"),
            Column("of 256 MiB", "download-256m", "cpu"),
            Column("upload of 64 MiB", "upload-64m", "cpu"),
        ),
    ),
    Group(
        "The same in MiB/s",
        (
            Column("download of 1 MiB", "download-1m", "rate"),
            Column("of 256 MiB", "download-256m", "rate"),
            Column("upload of 64 MiB", "upload-64m", "rate"),
        ),
    ),
    Group(
        "KiB for each idle connection",
        (
            Column("silent", "idle-silent", "memory"),
            Column("after a request", "idle-keep-alive", "memory"),
        ),
    ),
    Group(
        "While 1 000 peers stall: p99 of connect, GET and close, in ms",
        (
            Column("they stall", "stalled", "p99"),
            Column("nobody does", "stalled", "unloaded"),
        ),
    ),
    Group(
        "Start, in ms",
        (
            Column("from import to listening", "listening", "time"),
            Column("import", "import", "time"),
            Column("import of the server", "import-server", "time"),
        ),
    ),
)

HEADLINES: Final = (
    Column("requests/s, 16 kept connections", "keep-alive-16", "rate"),
    Column("CPU of a whole connection, ms", "connect-full", "cpu"),
    Column("p99 while 1 000 peers stall, ms", "stalled", "p99"),
)
"""What the landing page has of it, and of whom."""

HEADLINERS: Final = ("tlshttp", "uvicorn", "gunicorn", "cheroot", "werkzeug", "stdlib")


def tables(results: Results) -> Iterator[tuple[str, list[Row]]]:
    """Yield title and rows of each table, without columns and servers of which nothing is known."""
    seen = {(work.name, metric.name) for work, metric in measured(results)}
    for group in GROUPS:
        columns = [column for column in group.columns if (column.work, column.metric) in seen]
        rows = [_row(results, name, columns) for name in names_of(results)]
        rows = [row for row in rows if set(row[1:]) != {"-"}]
        if columns and rows:
            yield group.title, [["", *(column.title for column in columns)], *rows]


def headlines(results: Results) -> list[Row]:
    """Return the table of the landing page, without ratios; a failure is said in words."""
    rows: list[Row] = [["", *(column.title for column in HEADLINES)]]
    for name in HEADLINERS:
        cells = [value_of(results, Figure(c.work, c.metric, name)) for c in HEADLINES]
        failed = [results.failures.get(column.work, {}).get(name) for column in HEADLINES]
        told = (
            why if cell == "fails" and why else cell
            for cell, why in zip(cells, failed, strict=True)
        )
        rows.append([name, *told])
    return rows


def markdown(rows: list[Row]) -> str:
    """Lay a table out in Markdown."""
    head, *body = rows
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def _row(results: Results, name: str, columns: list[Column]) -> Row:
    return [name, *(_cell(results, name, column) for column in columns)]


def _cell(results: Results, name: str, column: Column) -> str:
    """Return the figure, and behind it how many times better ours is."""
    value = value_of(results, Figure(column.work, column.metric, name))
    (work,) = (work for work in WORKS if work.name == column.work)
    (metric,) = (metric for metric in work.metrics if metric.name == column.metric)
    ours = Figure(column.work, column.metric, OURS)
    ratio = "" if name == OURS else times_better(results, metric, ours, name)
    return f"{value} ({ratio})" if ratio else value
