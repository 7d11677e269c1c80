"""Where results go: the terminal, a folder, and the documentation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.benchmarks import chart, groups, tables
from tests.benchmarks.peers import PEERS
from tests.benchmarks.results import Results

DOCS: Final = Path(__file__).parents[2] / "docs" / "explanation"
FILES: Final = (
    "performance.json", "performance.inc", "headlines.inc",
    "performance.svg", "performance-narrow.svg",
)  # fmt: skip
"""Measured samples, tables in Markdown, that of the landing page, and the chart for wide and narrow
screens; made by the session and never by hand.
"""

RATIOS: Final = (
    "Behind the figures of the others, in brackets: how many times better tlshttp is; less than 1"
    " is worse."
)


def text(results: Results) -> str:
    """Return what the terminal shows."""
    parts = [
        _conditions(results),
        tables.text(tables.figures(results)),
        "Times better than each is tlshttp (less than 1: worse):",
        tables.text(tables.ratios(results)),
        tables.text(tables.targets(results)),
        "\n".join(tables.notes(results)),
    ]
    return "\n\n".join(part for part in parts if part)


def markdown(results: Results) -> str:
    """Return what the documentation includes."""
    servers = [["name", "server", "version"]] + [
        [peer.name, peer.title, results.versions[peer.name]]
        for peer in PEERS
        if peer.name in results.versions
    ]
    notes = "\n".join(f"- {note}" for note in tables.notes(results))
    parts = [
        _conditions(results),
        tables.markdown(servers),
        f"## Figures\n\n{RATIOS}",
        *(f"### {title}\n\n{groups.markdown(rows)}" for title, rows in groups.tables(results)),
        "## Targets",
        tables.markdown(_said_once(tables.targets(results))),
        f"## Left out and failed\n\n{notes}" if notes else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(results: Results, folder: Path) -> None:
    """Write JSON, tables and chart."""
    folder.mkdir(parents=True, exist_ok=True)
    charts = chart.svg(results), chart.svg(results, columns=1)
    headlines = groups.markdown(groups.headlines(results)) + "\n"
    contents = results.to_json(), markdown(results), headlines, *charts
    for name, content in zip(FILES, contents, strict=True):
        (folder / name).write_text(content, encoding="utf-8")


def publish(folder: Path) -> None:
    """Copy what `write` has written into the documentation."""
    for name in FILES:
        shutil.copy(folder / name, DOCS)


def _said_once(rows: list[tables.Row]) -> list[tables.Row]:
    """Leave out of each row's first cell what stands in the row above."""
    above = [[""], *rows]
    return [
        ["" if row[0] == before[0] else row[0], *row[1:]]
        for before, row in zip(above, rows, strict=False)
    ]


def _conditions(results: Results) -> str:
    """Say on what was measured."""
    machine = results.machine
    rounds = {sample.round for sample in results.samples}
    return (
        f"Medians of {len(rounds)} rounds on {machine.get('date')}: {machine.get('processor')}, one"
        f" of {machine.get('cores')} cores for the server; {machine.get('system')};"
        f" Python {machine.get('python')}, {machine.get('openssl')};"
        f" tlshttp at {machine.get('commit')}; load when it began: {machine.get('load')}."
    )
