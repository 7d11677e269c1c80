"""Directives about the bad servers of `tlshttp.testing`, from the source and from real runs.

``bad-servers``: the catalogue, one kind of it (``certificate``, ``TLS``, ``behaviour``).
``bad-server-reports``: what clients report of that kind, from the data that ``nox -s reports`` has
written; ``bad-server-clients``: which clients these were.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import Directive
from tables import paragraph, table

from tlshttp.testing import FAULTS, Fault, FaultKind

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DATA = Path(__file__).parents[1] / "reference/bad-servers.json"


class BadServers(Directive):
    """Insert the faults of a kind: name, what the server does, what a good client reports."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return them as a table."""
        rows = [
            (_name(fault), paragraph(f"It {fault.does}."), paragraph(fault.report))
            for fault in _of_kind(self.arguments[0])
        ]
        head = ("name", "what the server does", "what a good client reports")
        return [table(head, rows, widths=(25, 45, 30))]


class BadServerReports(Directive):
    """Insert what clients report of the faults of a kind."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return it as a table, a line for each client: six columns would not fit a page."""
        reports = _document()["reports"]
        rows = [
            (_name(fault), _list_of_reports(reports[fault.name]))
            for fault in _of_kind(self.arguments[0])
        ]
        return [table(("name", "what clients report"), rows, widths=(20, 80))]


class BadServerClients(Directive):
    """Insert the clients that have reported, with their versions, and when that was."""

    def run(self) -> list[nodes.Node]:
        """Return them as a table."""
        document = _document()
        rows = [(paragraph(name), paragraph(version)) for name, version in _versions(document)]
        return [table(("client", f"version, on {document['date']}"), rows, widths=(1, 2))]


def _of_kind(word: str) -> list[Fault]:
    return [fault for fault in FAULTS.values() if fault.kind is FaultKind(word)]


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
    return document


def _versions(document: dict[str, Any]) -> Iterable[tuple[str, str]]:
    versions: dict[str, str] = document["versions"]
    return versions.items()


def _name(fault: Fault) -> nodes.Node:
    return nodes.paragraph("", "", nodes.literal(fault.name, fault.name))


def _list_of_reports(reports: Mapping[str, Sequence[str]]) -> nodes.Node:
    """Return an item for each client, with its report for each request, the first one first."""
    items = nodes.bullet_list()
    for client, lines in reports.items():
        text = nodes.paragraph("", "", nodes.strong(client, client))
        text += nodes.Text(f": {'; then '.join(lines)}")
        items += nodes.list_item("", text)
    return items


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directives."""
    app.add_directive("bad-servers", BadServers)
    app.add_directive("bad-server-reports", BadServerReports)
    app.add_directive("bad-server-clients", BadServerClients)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
