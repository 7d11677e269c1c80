"""Commands that look at certificates: ``show``, ``check``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tlshttp import certs
from tlshttp._certs_cli._arguments import Commands, add_command
from tlshttp._command_line.arguments import seconds
from tlshttp._command_line.endings import FAILED, OK
from tlshttp._command_line.servers import ServerAddress, asking, parse_server
from tlshttp.errors import ConfigurationError

_FILE_ENDINGS = frozenset(
    {".cer", ".cert", ".chain", ".crt", ".csr", ".der", ".jks", ".key", ".p12", ".p7b", ".p7c"}
    | {".pem", ".pfx", ".txt"}
)
"""What nobody's host name ends in."""


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    _add_subject(add_command(commands, "show", _show, "show a certificate", "localhost:8443"))
    parser = add_command(
        commands,
        "check",
        _check,
        "check what today's clients refuse about a certificate",
        "localhost:8443",
    )
    _add_subject(parser)
    parser.add_argument(
        "--purpose",
        choices=[purpose.value for purpose in certs.Purpose],
        default=certs.Purpose.SERVER.value,
        help="default: server",
    )


def _add_subject(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "subject",
        metavar="FILE|HOST[:PORT]",
        help="a file, or a server to ask (also as URL); port: default 443",
    )
    add("--name", metavar="NAME", help="the host name to ask a server for (default: HOST)")
    add(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long a server's answer may take (default: 10)",
    )


def _show(arguments: argparse.Namespace) -> int:
    print(_find(arguments))
    return OK


def _check(arguments: argparse.Namespace) -> int:
    findings = _find(arguments).check(purpose=certs.Purpose(arguments.purpose))
    for finding in findings:
        print(finding)
    if not findings:
        print("nothing to complain about")
    return FAILED if any(f.severity is certs.Severity.ERROR for f in findings) else OK


def _find(arguments: argparse.Namespace) -> certs.CertificateChain:
    """Load the chain of a file, or fetch it from a server."""
    subject: str = arguments.subject
    path = Path(subject)
    is_url = "://" in subject
    if path.exists() or (_may_be_file(subject) and not is_url):
        return certs.load_chain(path)
    server = parse_server(subject)
    try:
        return _fetch(server, arguments)
    except ConfigurationError as error:
        if is_url or ":" in subject:
            raise
        raise ConfigurationError(*error.findings, f"there is no file {subject!r}, either") from None


def _may_be_file(subject: str) -> bool:
    """Tell whether somebody who writes this means a file, though there is none of that name."""
    return "/" in subject or "\\" in subject or Path(subject).suffix.lower() in _FILE_ENDINGS


def _fetch(server: ServerAddress, arguments: argparse.Namespace) -> certs.CertificateChain:
    with asking(server, arguments.timeout):
        return certs.fetch(
            server.host, server.port, server_name=arguments.name, timeout=arguments.timeout
        )
