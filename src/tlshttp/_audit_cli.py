"""``python -m tlshttp audit``: what a server really negotiates, against a profile."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from tlshttp import context, profiles
from tlshttp.context import Report

__all__ = ["main"]

_PROGRAM = "python -m tlshttp audit"
_DEVIATES = 1
_UNUSABLE = 2  # exit status for what the user has to mend, as argparse has it

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
        The exit status: 0 without deviations, 1 with some, 2 where the server cannot be asked.
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as exit_:
        # argparse has said why; it is up to the caller to end the process.
        return exit_.code if isinstance(exit_.code, int) else _UNUSABLE
    try:
        report = _audit(options)
    except OSError as error:
        host, port = options.server
        print(f"{_PROGRAM}: error: {host}:{port}: {error.strerror or error}", file=sys.stderr)
        return _UNUSABLE
    print(report)
    return 0 if report.ok else _DEVIATES


def _audit(options: argparse.Namespace) -> Report:
    host, port = options.server
    return context.audit_host(
        host,
        port,
        profile=_PROFILES[options.profile],
        server_name=options.name,
        timeout=options.timeout,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Find out what a server really negotiates: versions, ciphers, groups and"
        " signatures, by some forty connections. The exit status is 1 if that deviates from the"
        " profile.",
        epilog=f"example: {_PROGRAM} localhost:8443 --profile modern",
    )
    parser.add_argument("server", type=_address, metavar="HOST[:PORT]", help="port: default 443")
    parser.add_argument(
        "--profile",
        choices=tuple(_PROFILES),
        default=profiles.INTERMEDIATE.name,
        help="what to compare it with (default: %(default)s)",
    )
    parser.add_argument("--name", metavar="NAME", help="the host name to ask for (default: HOST)")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long an answer may take (default: 10)",
    )
    return parser


def _address(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or any(letter in text for letter in "/?#@"):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST or HOST:PORT")
    return host, 443 if port is None else port


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
