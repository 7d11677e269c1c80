"""The pages that somebody sees first: that they answer, and lead everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.docs.pages import DOCS

pytestmark = pytest.mark.thorough

_WAYS = ("Serve", "Secure", "Certificates", "Test", "Operate", "Debug")
"""What people want of a server."""

_MOST_COLUMNS = 7
"""What fits into the text's width on a desk; the session ``screenshots`` measures it."""


def groups() -> dict[str, list[str]]:
    """Return the pages of each group of how-tos."""
    text = (DOCS / "how-to" / "index.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return {
        name: re.findall(r"^[a-z0-9-]+$", below, re.MULTILINE)
        for name, below in zip(parts[::2], parts[1::2], strict=True)
    }


def tables(text: str) -> Iterator[list[list[str]]]:
    """Yield the cells of each table of a page, row by row."""
    for found in re.finditer(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        yield [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in found[0].splitlines()
        ]


def test_people_u10_the_landing_page_answers() -> None:
    """What it is, why, how fast and how to begin, with ways to everything; and it stays short."""
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    for what in ("**Why**", "**Begin**", "**How fast**", "tutorial.md", "pip install", "def test_"):
        assert what in text
    for way in ("explanation/comparison.md", "explanation/performance.md", "reference/index.md"):
        assert way in text
    assert {f"how-to/index.md#{way.lower()}" for way in _WAYS} <= set(
        re.findall(r"how-to/index\.md#\w+", text)
    )
    assert len(text.splitlines()) < 90


def test_people_u10_the_how_tos_are_found_by_what_one_wants() -> None:
    """Each page stands in the index once, in one of the groups."""
    found = groups()
    assert tuple(found) == _WAYS
    assert all(found.values())
    listed = sorted(page for pages in found.values() for page in pages)
    there = sorted(file.stem for file in (DOCS / "how-to").glob("*.md") if file.stem != "index")
    assert listed == there


def test_people_u10_tables_of_figures_fit() -> None:
    """None has more columns than fit, or says the same twice in each row."""
    found = list(tables((DOCS / "explanation" / "performance.inc").read_text(encoding="utf-8")))
    assert len(found) > 5
    for rows in found:
        assert len(rows[0]) <= _MOST_COLUMNS
        columns = list(zip(*rows[2:], strict=True))
        assert columns.count(columns[0]) == 1
