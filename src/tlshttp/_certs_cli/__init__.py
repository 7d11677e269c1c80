"""The command line of `tlshttp.certs`: ``python -m tlshttp certs``.

One module for each group of commands; each has an ``add_commands()``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from tlshttp._certs_cli import _looking, _making, _revoking, _trusting
from tlshttp._certs_cli._arguments import PROGRAM
from tlshttp._command_line import endings

__all__ = ["main", "make_parser"]


def main(argv: Sequence[str]) -> int:
    """Run the command line.

    Args:
        argv: The arguments after ``certs``.

    Returns:
        0 for success, 1 where something checked is not in order, 2 for what cannot be done, 130
        after Ctrl-C.
    """
    return endings.run(PROGRAM, lambda: _run(argv))


def _run(argv: Sequence[str]) -> int:
    arguments = make_parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    return command(arguments)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser for all of its commands."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Make, look at, check and trust certificates.",
        epilog=f"example: {PROGRAM} issue localhost 127.0.0.1",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for group in (_making, _looking, _revoking, _trusting):
        group.add_commands(commands)
    return parser
