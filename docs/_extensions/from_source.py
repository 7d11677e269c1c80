"""Directives whose content comes from the source, so that nobody types it a second time.

``command-line-help``: what ``python -m tlshttp --help`` prints, or that of a command.
``profile-table``: the rows of `tlshttp.profiles`, side by side; with an argument, one of their
lists, with each entry's place in the order of preference.
``certificate-rules``: what `tlshttp.certs` finds wrong with certificates; with an argument, which
kinds of keys.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from ssl import TLSVersion
from typing import TYPE_CHECKING, Any
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive
from tables import paragraph, table

from tlshttp import profiles
from tlshttp.__main__ import main
from tlshttp.certs import _rules

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROWS = {
    "MODERN": profiles.MODERN,
    "INTERMEDIATE": profiles.INTERMEDIATE,
    "INSECURE_OLD": profiles.INSECURE_OLD,
}

VERSIONS = {
    TLSVersion.TLSv1: "TLS 1.0",
    TLSVersion.TLSv1_1: "TLS 1.1",
    TLSVersion.TLSv1_2: "TLS 1.2",
    TLSVersion.TLSv1_3: "TLS 1.3",
}

PROFILE_LINES = (
    ("source", lambda row: f"{row.source} {row.version}, {row.date}"),
    ("versions", lambda row: _versions(row.minimum_version, row.maximum_version)),
    ("server picks the cipher", lambda row: "yes" if row.server_preference else "no"),
    (
        "OpenSSL security level",
        lambda row: "as built" if row.security_level is None else str(row.security_level),
    ),
    ("certificate keys", lambda row: ", ".join(row.certificate_keys)),
    ("smallest RSA key, bits", lambda row: str(row.minimum_rsa_bits)),
    ("HSTS max-age, seconds", lambda row: str(row.hsts_max_age)),
)


class CommandLineHelp(Directive):
    """Insert the help text of the command line, or of the command given as arguments."""

    optional_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return it as a literal block."""
        text = help_text(*self.arguments)
        return [nodes.literal_block(text, text, language="none")]


class ProfileTable(Directive):
    """Insert a table of all profiles, or of one of their lists."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return it, a column for each profile."""
        lines = _places(*self.arguments) if self.arguments else _values()
        return [table(("", *ROWS), lines)]


class CertificateRules(Directive):
    """Insert the table of what `check` finds, or of the keys that clients take."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return it, a line for each rule."""
        if self.arguments:
            return [table(("key", "refused by"), _keys())]
        return [table(("code", "severity", "what is found", "refused by"), _rules_of_check())]


def help_text(*command: str) -> str:
    """Return what the command line prints for ``--help``, 88 characters wide."""
    output = io.StringIO()
    plain = {"COLUMNS": "88", "NO_COLOR": "1", "PYTHON_COLORS": "0"}
    with (
        mock.patch.dict(os.environ, plain),
        contextlib.redirect_stdout(output),
        contextlib.suppress(SystemExit),
    ):
        main([*command, "--help"])
    return output.getvalue()


def _versions(oldest: TLSVersion, newest: TLSVersion) -> str:
    if oldest == newest:
        return VERSIONS[oldest]
    return f"{VERSIONS[oldest]} to {VERSIONS[newest]}"


def _values() -> Iterator[Sequence[nodes.Node]]:
    for title, read in PROFILE_LINES:
        yield paragraph(title), *(paragraph(read(row)) for row in ROWS.values())


def _places(field: str) -> Iterator[Sequence[nodes.Node]]:
    lists = [getattr(row, field) for row in ROWS.values()]
    for name in dict.fromkeys(name for entries in lists for name in entries):
        places = (str(list_.index(name) + 1) if name in list_ else "" for list_ in lists)
        yield nodes.paragraph("", "", nodes.literal(name, name)), *map(paragraph, places)


def _rules_of_check() -> Iterator[Sequence[nodes.Node]]:
    for rule in _rules.RULES.values():
        yield (
            nodes.paragraph("", "", nodes.literal(rule.code, rule.code)),
            paragraph(rule.severity.value),
            _prose(rule.meaning),
            paragraph(_clients(rule.refused_by)),
        )


def _keys() -> Iterator[Sequence[nodes.Node]]:
    for row in (*_rules.KEY_KINDS, _rules.RSA_PSS):
        yield paragraph(row.name), paragraph(_clients(row.refused_by))


def _clients(clients: Sequence[_rules.Client]) -> str:
    if tuple(clients) == _rules.EVERYBODY:
        return "everybody"
    return ", ".join(client.value for client in clients) or "nobody"


def _prose(text: str) -> nodes.Node:
    """Return a paragraph in which what stands between grave accents is literal."""
    parts = text.split("`")
    return nodes.paragraph(
        "", "", *(nodes.literal(p, p) if i % 2 else nodes.Text(p) for i, p in enumerate(parts))
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directives."""
    app.add_directive("command-line-help", CommandLineHelp)
    app.add_directive("certificate-rules", CertificateRules)
    app.add_directive("profile-table", ProfileTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
