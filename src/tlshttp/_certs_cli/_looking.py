"""Commands that look at certificates: ``show``, ``check``, ``verify``."""

from __future__ import annotations

import argparse
import json
from datetime import timedelta
from pathlib import Path

from tlshttp import certs
from tlshttp._certs_cli._arguments import (
    Commands,
    add_command,
    add_password_file,
    opening_password,
)
from tlshttp._certs_cli._described import describe_as_json
from tlshttp._certs_cli._system_anchors import load_anchors, system_anchors
from tlshttp._command_line.arguments import seconds
from tlshttp._command_line.endings import FAILED, OK
from tlshttp._command_line.servers import ServerAddress, asking, host_of, parse_server
from tlshttp.errors import CertificateError, ConfigurationError

_FILE_ENDINGS = frozenset(
    {".cer", ".cert", ".chain", ".crt", ".csr", ".der", ".jks", ".key", ".p12", ".p7b", ".p7c"}
    | {".pem", ".pfx", ".txt"}
)
"""What nobody's host name ends in."""

_MOST_DAYS = 36_500
"""A century: more is a slip of the finger."""


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    parser = add_command(commands, "show", _show, "show a certificate", "localhost:8443")
    _add_subject(parser)
    parser.add_argument("--json", action="store_true", help="for programs, as one JSON object")
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
        help="default: server; 'authority' for what 'certs ca' makes",
    )
    parser.add_argument(
        "--expires-in",
        type=_days,
        metavar="DAYS",
        help="end with 1 where the certificate, or one in its chain, expires within so many days",
    )
    _add_verify(commands)


def _add_verify(commands: Commands) -> None:
    parser = add_command(
        commands,
        "verify",
        _verify,
        "verify a certificate as a client does: chain, name, purpose and time",
        "server.pem --ca ca.pem --host www.example.org",
    )
    _add_subject(parser)
    parser.add_argument(
        "--purpose",
        choices=[certs.Purpose.SERVER.value, certs.Purpose.CLIENT.value],
        default=certs.Purpose.SERVER.value,
        help="default: server",
    )
    parser.add_argument(
        "--ca",
        action="append",
        metavar="FILE",
        help="whom to trust; several times for several; default: what Python trusts here",
    )
    parser.add_argument(
        "--host", metavar="NAME", help="the host the certificate has to be for (default: HOST)"
    )


def _add_subject(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "subject",
        metavar="FILE|HOST[:PORT]",
        help="a file, or a server to ask (also as URL); port: default 443",
    )
    add_password_file(parser)
    add("--name", metavar="NAME", help="the host name to ask a server for (default: HOST)")
    add(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long a server's answer may take (default: 10)",
    )


def _show(arguments: argparse.Namespace) -> int:
    certificate = _find(arguments)
    if arguments.json:
        print(json.dumps(describe_as_json(certificate), indent=2, ensure_ascii=False))
    else:
        print(certificate)
    return OK


def _check(arguments: argparse.Namespace) -> int:
    shown = _find(arguments)
    findings = shown.check(purpose=certs.Purpose(arguments.purpose))
    for finding in findings:
        print(finding)
    ends = arguments.expires_in is not None and shown.ends_within(arguments.expires_in)
    if ends and not any(finding.code in {"expired", "expires-soon"} for finding in findings):
        print(f"error: expires within {arguments.expires_in.days} days (--expires-in)")
    elif not findings:
        print("nothing to complain about")
    failed = ends or any(finding.severity is certs.Severity.ERROR for finding in findings)
    return FAILED if failed else OK


def _days(text: str) -> timedelta:
    """Read a number of days for argparse, which names the option in its error."""
    days = int(text)
    if not 0 <= days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be 0 to {_MOST_DAYS} days, not {days}")
    return timedelta(days=days)


def _verify(arguments: argparse.Namespace) -> int:
    certificate = _find(arguments)
    anchors = [anchor for file in arguments.ca or () for anchor in load_anchors(file)]
    if arguments.ca is None:
        anchors = system_anchors()
    purpose = certs.Purpose(arguments.purpose)
    host = host_of(arguments.host) if arguments.host else _host(arguments)
    try:
        certificate.verify(anchors, host, purpose=purpose)
    except CertificateError as error:
        for finding in error.findings:
            print(f"error: {finding}")
        return FAILED
    print(f"good{'' if host is None else f' for {host}'}")
    return OK


def _host(arguments: argparse.Namespace) -> str | None:
    """Return the host that was asked; `None` for a file, and for a client's certificate.

    Raises:
        ConfigurationError: A server's certificate is in a file, and nobody says for which host.
    """
    if arguments.purpose != certs.Purpose.SERVER.value:
        return None
    if Path(arguments.subject).exists():
        raise ConfigurationError("say for which host the certificate has to be: --host NAME")
    return parse_server(arguments.subject).host.partition("%")[0]


def _find(arguments: argparse.Namespace) -> certs.CertificateChain:
    """Load the chain of a file, or fetch it from a server."""
    subject: str = arguments.subject
    path = Path(subject)
    is_url = "://" in subject
    if path.exists() or (_may_be_file(subject) and not is_url):
        return certs.load_chain(path, lambda: opening_password(arguments))
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
