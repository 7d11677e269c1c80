"""Results as tables, in the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.benchmarks.peers import OURS, PEERS
from tests.benchmarks.results import Figure, Results
from tests.benchmarks.targets import TARGETS, Verdict, evaluate
from tests.benchmarks.works import WORKS, Metric, Work

Row = list[str]


def figures(results: Results) -> list[Row]:
    """Return the medians: a row for each work and metric, a column for each server."""
    names = names_of(results)
    rows = [["work", "", *names]]
    for work, metric in measured(results):
        cells = [value_of(results, Figure(work.name, metric.name, name)) for name in names]
        rows.append([work.title, metric.unit + _rank(metric), *cells])
    return rows


def ratios(results: Results) -> list[Row]:
    """Return how many times better than each server ours is: more than 1 is better, less worse."""
    names = [name for name in names_of(results) if name != OURS]
    rows = [["work", "", *names]]
    for work, metric in measured(results):
        ours = Figure(work.name, metric.name, OURS)
        cells = [times_better(results, metric, ours, name) for name in names]
        if any(cells):
            rows.append([work.title, metric.unit + _rank(metric), *(cell or "-" for cell in cells)])
    return rows


def targets(results: Results) -> list[Row]:
    """Return what was to be reached of what was measured, and what was."""
    verdicts = [evaluate(target, results) for target in TARGETS]
    rows = [["work", "target", "reached", "figure", ""]]
    return rows + [_verdict_row(verdict) for verdict in verdicts if verdict.figure is not None]


def notes(results: Results) -> Iterator[str]:
    """Say what was left out, and which servers did not do what."""
    for name, why in results.skipped.items():
        yield f"{name} left out: {why}"
    for work, failures in results.failures.items():
        for peer, why in failures.items():
            yield f"{work}: {peer}: {why}"


def text(rows: Sequence[Row]) -> str:
    """Lay a table out for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (_text_line(row, widths) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _text_line(row: Row, widths: list[int]) -> str:
    left = (cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True))
    right = (cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True))
    return "  ".join([*left, *right])


def markdown(rows: Sequence[Row]) -> str:
    """Lay a table out in Markdown."""
    head, *body = rows
    rule = ["---", "---", *("---:" for _ in head[2:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def number(value: float) -> str:
    """Return a figure with three digits or so."""
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def names_of(results: Results) -> list[str]:
    """Return the servers there is anything about, in their order."""
    seen = {sample.peer for sample in results.samples}
    return [peer.name for peer in PEERS if peer.name in seen]


def measured(results: Results) -> Iterator[tuple[Work, Metric]]:
    """Yield what there are figures of."""
    seen = {(sample.work, sample.metric) for sample in results.samples}
    for work in WORKS:
        yield from ((work, metric) for metric in work.metrics if (work.name, metric.name) in seen)


def _rank(metric: Metric) -> str:
    """Name a metric that its unit does not tell apart from the work's other ones."""
    return f" {metric.name}" if metric.unit == "ms" and metric.name != "time" else ""


def value_of(results: Results, figure: Figure) -> str:
    """Return a median as text; ``-`` where nothing was measured."""
    median = results.median(figure)
    if median is not None:
        return number(median)
    return "fails" if figure.peer in results.failures.get(figure.work, {}) else "-"


def times_better(results: Results, metric: Metric, ours: Figure, name: str) -> str:
    """Return how many times better than a server ours is; nothing where one has no figure."""
    theirs = ours._replace(peer=name)
    pair = (ours, theirs) if metric.better == "more" else (theirs, ours)
    ratio = results.ratio(*pair)
    return "" if ratio is None else number(ratio)


def _verdict_row(verdict: Verdict) -> Row:
    target = verdict.target
    (work,) = (work for work in WORKS if work.name == target.work)
    (metric,) = (metric for metric in work.metrics if metric.name == target.metric)
    reached = {True: "yes", False: "NO", None: "not measured"}[verdict.reached]
    figure = "-" if verdict.figure is None else f"{number(verdict.figure)} {metric.unit}"
    measured = "-" if verdict.measured is None else number(verdict.measured)
    return [
        f"{work.title}: {metric.unit}{_rank(metric)}",
        f"{target.bound} {_bound(verdict, metric)}",
        reached,
        figure,
        measured if target.times is not None else "",
    ]


def _bound(verdict: Verdict, metric: Metric) -> str:
    """Say what the target's number means."""
    target = verdict.target
    if target.times is None:
        return f"{target.number:g} {metric.unit}"
    reference = target.times
    if reference.peer != OURS:
        return f"{target.number:g} x {reference.peer}"
    name = reference.work if reference.work != target.work else reference.metric
    return f"{target.number:g} x our {name}"
