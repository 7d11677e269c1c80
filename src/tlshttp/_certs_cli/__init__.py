"""The command line of `tlshttp.certs`: ``python -m tlshttp certs``.

One module for each group of commands; each has an ``add_commands()``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from tlshttp._certs_cli import _looking, _making, _revoking, _trusting
from tlshttp._command_line import endings
from tlshttp._command_line.parsing import Parser, program

__all__ = ["main", "make_parser"]


def main(argv: Sequence[str]) -> int:
    """Run the command line.

    Args:
        argv: The arguments after ``certs``.

    Returns:
        0 for success, 1 where something checked is not in order, 2 for what cannot be done, 130
        after Ctrl-C.
    """
    return endings.run(program("certs"), lambda: _run(argv))


def _run(argv: Sequence[str]) -> int:
    arguments = make_parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    return command(arguments)


def make_parser() -> Parser:
    """Return the parser for all of its commands."""
    name = program("certs")
    parser = Parser(
        prog=name,
        description="Make, look at, check and trust certificates.",
        epilog=f"example: {name} issue localhost 127.0.0.1",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for group in (_making, _looking, _revoking, _trusting):
        group.add_commands(commands)
    return parser
