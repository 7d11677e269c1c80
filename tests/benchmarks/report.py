"""Where results go: the terminal, a folder, and the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks import chart, groups, machine, machines, tables
from tests.benchmarks.peers import PEERS
from tests.benchmarks.results import Results

DOCS: Final = Path(__file__).parents[2] / "docs" / "explanation"
MEASURED: Final = "measured"
"""The folder with the samples, a file for each kind of machine and Python."""
FILES: Final = (
    "performance.inc", "headlines.inc", "performance.svg", "performance-narrow.svg",
)  # fmt: skip
"""Tables in Markdown, that of the landing page, and the chart for wide and narrow screens; made by
the session from the samples, and never by hand.
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


def markdown(every: Sequence[Results]) -> str:
    """Return what the documentation includes: all machines side by side, then each by itself."""
    compared = machines.compared(every)
    parts = [
        f"## Machine by machine\n\n{machines.RATIOS}\n\n{tables.markdown(compared)}"
        if len(every) > 1 and len(compared) > 1
        else "",
        *(_machine(results) for results in every if results.samples),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machine(results: Results) -> str:
    """Return everything of one machine."""
    servers = [["name", "server", "version"]] + [
        [peer.name, peer.title, results.versions[peer.name]]
        for peer in PEERS
        if peer.name in results.versions
    ]
    notes = "\n".join(f"- {note}" for note in tables.notes(results))
    name = machines.name(results)
    parts = [
        f"## {name}: figures",
        _conditions(results),
        tables.markdown(servers),
        RATIOS,
        *(f"### {title}\n\n{groups.markdown(rows)}" for title, rows in groups.tables(results)),
        f"## {name}: targets",
        tables.markdown(_said_once(tables.targets(results))),
        f"## {name}: left out and failed\n\n{notes}" if notes else "",
    ]
    return "\n\n".join(part for part in parts if part)


def write(results: Results, folder: Path) -> None:
    """Write the samples of a session, and what can be drawn of them alone."""
    draw([results], folder)
    (folder / "performance.json").write_text(results.to_json(), encoding="utf-8")


def draw(every: Sequence[Results], folder: Path) -> None:
    """Write tables and charts; charts and the table of the landing page are of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    first = every[0]
    charts = chart.svg(first), chart.svg(first, columns=1)
    headlines = groups.markdown(groups.headlines(first)) + "\n"
    for name, content in zip(FILES, (markdown(every), headlines, *charts), strict=True):
        (folder / name).write_text(content, encoding="utf-8")


def publish(results: Results, docs: Path = DOCS) -> None:
    """Put results into the documentation, in place of those of the same kind of machine."""
    file = docs / MEASURED / f"{machine.key(results.machine)}.json"
    file.write_text(results.to_json(), encoding="utf-8")
    draw(published(docs), docs)


def published(docs: Path = DOCS) -> list[Results]:
    """Return what the documentation has, the newest first; what has no samples comes last."""
    files = sorted((docs / MEASURED).glob("*.json"))
    every = [Results.from_json(file.read_text(encoding="utf-8")) for file in files]
    return sorted(every, key=lambda r: (bool(r.samples), r.machine.get("date", "")), reverse=True)


def _said_once(rows: list[tables.Row]) -> list[tables.Row]:
    """Leave out of each row's first cell what stands in the row above."""
    above = [[""], *rows]
    return [
        ["" if row[0] == before[0] else row[0], *row[1:]]
        for before, row in zip(above, rows, strict=False)
    ]


def _conditions(results: Results) -> str:
    """Say on what was measured."""
    facts = results.machine
    rounds = {sample.round for sample in results.samples}
    return (
        f"Medians of {len(rounds)} rounds on {facts.get('date')}: {facts.get('processor')}"
        f" ({facts.get('frequency', 'frequency unknown')}), one of {facts.get('cores')} cores for"
        f" the server; {facts.get('system')}; Python {facts.get('python')}"
        f" ({facts.get('build', 'build unknown')}), {facts.get('openssl')};"
        f" tlshttp at {facts.get('commit')}; load when it began: {facts.get('load')}."
    )
