"""``python -m tlshttp bad``: servers that misbehave, for clients in any language."""

from __future__ import annotations

import argparse
import signal
import textwrap
import threading
from collections.abc import Sequence
from types import FrameType

from tlshttp._command_line import endings
from tlshttp._command_line.parsing import Parser, program

__all__ = ["main"]

_WIDTH = 88  # columns of the list


def main(arguments: Sequence[str] | None = None) -> int:
    """List the bad servers, or serve one until Ctrl-C or SIGTERM.

    Args:
        arguments: What follows ``bad`` on the command line; `None`: all arguments of this process.

    Returns:
        The exit status: 0, or 2 where something has to be mended first.
    """
    return endings.run(program("bad"), lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.faults and (options.honest or options.port):
        parser.error("--honest and --port need the name of a fault to serve")
    if options.faults:
        _serve(options)
    else:
        _list()
    return endings.OK


def _parser() -> Parser:
    name = program("bad")
    parser = Parser(
        prog=name,
        description="Serve HTTPS badly, to see what a client makes of it; on this machine only, and"
        " only for tests. Without a fault, list them all.",
        epilog=f"example: {name} expired --port 8443",
    )
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="what is bad; several combine")
    parser.add_argument(
        "--honest", action="store_true", help="serve the good twin, which clients accept"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=0,
        help="port to listen on (default: one that the system chooses)",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _list() -> None:
    from tlshttp.testing import FAULTS, FaultKind

    column = max(map(len, FAULTS)) + 2
    lines = []
    for kind in FaultKind:
        lines.append(f"{kind.value}:")
        lines += [
            textwrap.fill(
                fault.does,
                _WIDTH,
                initial_indent=f"  {fault.name:{column}}",
                subsequent_indent=" " * (column + 2),
            )
            for fault in FAULTS.values()
            if fault.kind is kind
        ]
    endings.say(*lines)


def _serve(options: argparse.Namespace) -> None:
    from tlshttp.testing import FAULTS, bad_server

    over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    server = bad_server(*options.faults, honest=options.honest, port=options.port)
    handlers = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with server:
            endings.say(
                *(
                    f"{name}: {'the good twin' if options.honest else FAULTS[name].does}"
                    for name in options.faults
                ),
                f"URL:     {server.url}/",
                f"CA file: {server.ca_path}",
                "Trust it in the client that is tested, and only there. Ctrl-C ends.",
            )
            while not over.wait(1.0):  # Windows gives signals no way into a wait without an end
                pass
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    endings.say("Stopped.")
