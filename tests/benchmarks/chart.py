"""The chart of the documentation: an SVG of its own making, with no library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from tests.benchmarks.peers import PEERS
from tests.benchmarks.results import Figure, Results
from tests.benchmarks.tables import number


class Panel(NamedTuple):
    """One diagram of the chart."""

    title: str
    work: str
    metric: str


PANELS: Final = (
    Panel("Requests/s, 16 keep-alive connections", "keep-alive-16", "rate"),
    Panel("Requests/s, 256 keep-alive connections", "keep-alive-256", "rate"),
    Panel("p99 at 256 connections, ms (less is better)", "keep-alive-256", "p99"),
    Panel("CPU ms: connect, GET, close (less is better)", "connect-full", "cpu"),
    Panel("CPU s per GiB downloaded (less is better)", "download-256m", "cpu"),
    Panel("KiB per idle connection (less is better)", "idle-keep-alive", "memory"),
)

_PANEL_WIDTH = 420
_LABEL_WIDTH = 110
_BAR_WIDTH = 220
_LINE = 20

_STYLE: Final = """<style>
.ground { fill: #ffffff } .title { fill: #0f172a } .label { fill: #334155 }
.ours { fill: #2563eb } .theirs { fill: #94a3b8 }
@media (prefers-color-scheme: dark) {
.ground { fill: #131416 } .title { fill: #e2e8f0 } .label { fill: #cbd5e1 }
.ours { fill: #60a5fa } .theirs { fill: #64748b }
}
</style>"""
"""For a dark page, too: as an image, a chart has the colour scheme of what shows it."""


def svg(results: Results, *, columns: int = 2) -> str:
    """Return the chart, with so many diagrams beside one another."""
    panels = [(panel, _bars(panel, results)) for panel in PANELS]
    panels = [(panel, bars) for panel, bars in panels if bars]
    height = 50 + _LINE * max((len(bars) for _, bars in panels), default=0)
    rows = -(-len(panels) // columns)
    body = [
        f'<g transform="translate({index % columns * _PANEL_WIDTH},{index // columns * height})">'
        f"{''.join(_panel(panel, bars))}</g>"
        for index, (panel, bars) in enumerate(panels)
    ]
    box = f'viewBox="0 0 {_PANEL_WIDTH * columns} {rows * height + 10}"'
    font = 'font-family="sans-serif" font-size="12"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font} role="img">',
            "<title>tlshttp beside other servers</title>",
            _STYLE,
            '<rect width="100%" height="100%" rx="8" class="ground"/>',
            *body,
            "</svg>\n",
        ]
    )


def _bars(panel: Panel, results: Results) -> list[tuple[str, bool, float]]:
    """Return name, whether it is ours, and median of every server that has one."""
    medians = (
        (peer, results.median(Figure(panel.work, panel.metric, peer.name))) for peer in PEERS
    )
    return [(peer.name, peer.ours, median) for peer, median in medians if median is not None]


def _panel(panel: Panel, bars: list[tuple[str, bool, float]]) -> Iterator[str]:
    largest = max(value for _, _, value in bars) or 1
    yield f'<text x="16" y="28" font-weight="bold" class="title">{escape(panel.title)}</text>'
    for index, (name, ours, value) in enumerate(bars):
        y = 40 + index * _LINE
        width = max(1.0, _BAR_WIDTH * value / largest)
        whose = "ours" if ours else "theirs"
        yield (
            f'<text x="{_LABEL_WIDTH}" y="{y + 13}" text-anchor="end" class="label">'
            f"{escape(name)}</text>"
            f'<rect x="{_LABEL_WIDTH + 8}" y="{y + 2}" width="{width:.1f}" height="{_LINE - 6}"'
            f' rx="2" class="{whose}"/>'
            f'<text x="{_LABEL_WIDTH + 14 + width:.1f}" y="{y + 13}" class="label">'
            f"{number(value)}</text>"
        )
