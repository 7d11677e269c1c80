"""What the documentation says of requests is what the table of raw requests shows."""

from __future__ import annotations

import re
from pathlib import Path

from tests.handler.rows import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "http.md"


def table_below(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading of the page, without its own head."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    lines = re.findall(r"^\|(.*)\|$", section.partition("\n## ")[0], re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def test_refusals_are_documented() -> None:
    """Each rule of the table has its line, with the status of its rows; no line is without rows."""
    documented = {(rule, int(status)) for rule, status, _ in table_below("What is refused")}
    shown = {(row.rule, max(row.statuses)) for row in ROWS if row.rule and max(row.statuses) >= 400}
    assert documented == shown


def test_leniencies_are_documented() -> None:
    """So has each leniency."""
    documented = {rule for rule, _ in table_below("What stays lenient, and why")}
    assert documented == {row.rule for row in ROWS if row.rule and max(row.statuses) < 400}
