"""``python -m tlshttp audit``: what a server really negotiates, against a profile."""

from __future__ import annotations

from collections.abc import Sequence

from tlshttp import context, profiles
from tlshttp._command_line import endings
from tlshttp._command_line.arguments import seconds, server
from tlshttp._command_line.parsing import Parser, program
from tlshttp._command_line.servers import ServerAddress, asking

__all__ = ["main"]

_PROFILES = {
    profile.name: profile
    for profile in (profiles.MODERN, profiles.INTERMEDIATE, profiles.INSECURE_OLD)
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit a server and print a table.

    Args:
        arguments: What follows ``audit`` on the command line; `None`: all arguments of this
            process.

    Returns:
        The exit status: 0 without deviations, 1 with some, 2 where the server cannot be asked, 130
        after Ctrl-C.
    """
    return endings.run(program("audit"), lambda: _audit(arguments))


def _audit(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    address: ServerAddress = options.server
    with asking(address, options.timeout):
        report = context.audit_host(
            address.host,
            address.port,
            profile=_PROFILES[options.profile],
            server_name=options.name,
            timeout=options.timeout,
        )
    print(report)
    return endings.OK if report.ok else endings.FAILED


def _parser() -> Parser:
    name = program("audit")
    parser = Parser(
        prog=name,
        description="Find out what a server really negotiates: versions, ciphers, groups and"
        " signatures, by some forty connections. The exit status is 1 if that deviates from the"
        " profile.",
        epilog=f"example: {name} localhost:8443 --profile modern",
    )
    parser.add_argument(
        "server",
        type=server,
        metavar="HOST[:PORT]",
        help="the server, also as URL; port: default 443",
    )
    parser.add_argument(
        "--profile",
        choices=tuple(_PROFILES),
        default=profiles.INTERMEDIATE.name,
        help="what to compare it with (default: %(default)s)",
    )
    parser.add_argument("--name", metavar="NAME", help="the host name to ask for (default: HOST)")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long an answer may take (default: 10)",
    )
    return parser
