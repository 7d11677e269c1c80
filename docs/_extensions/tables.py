"""Tables, as the directives insert them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docutils import nodes


def table(
    head: Sequence[str], rows: Iterable[Sequence[nodes.Node]], widths: Sequence[int] | None = None
) -> nodes.Node:
    """Return a table. ``widths`` are the columns' shares; ``None``: all are equal."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths or [1] * len(head)]
    group += nodes.thead("", _row(paragraph(title) for title in head))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group)


def paragraph(text: str) -> nodes.Node:
    """Return a paragraph of plain text."""
    return nodes.paragraph(text, text)


def _row(cells: Iterable[nodes.Node]) -> nodes.Node:
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))
