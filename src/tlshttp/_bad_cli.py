"""``python -m tlshttp bad``: servers that misbehave, for clients in any language."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Sequence
from types import FrameType

__all__ = ["main"]

_PROGRAM = "python -m tlshttp bad"
_UNUSABLE = 2  # exit status for what the user has to mend, as argparse has it
_WIDTH = 88  # columns of the list


def main(arguments: Sequence[str] | None = None) -> int:
    """List the bad servers, or serve one until Ctrl-C or SIGTERM.

    Args:
        arguments: What follows ``bad`` on the command line; `None`: all arguments of this process.

    Returns:
        The exit status: 0, or 2 where something has to be mended first.
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as exit_:
        # argparse has said why; it is up to the caller to end the process.
        return exit_.code if isinstance(exit_.code, int) else _UNUSABLE
    if not options.faults:
        _list()
        return 0
    return _serve(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Serve HTTPS badly, to see what a client makes of it; on this machine only, and"
        " only for tests. Without a fault, list them all.",
        epilog=f"example: {_PROGRAM} expired --port 8443",
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
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # head, or a pager, has read enough; so may Python's own last flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _serve(options: argparse.Namespace) -> int:
    from tlshttp.errors import ConfigurationError
    from tlshttp.testing import FAULTS, bad_server

    over = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    try:
        server = bad_server(*options.faults, honest=options.honest, port=options.port)
    except (ConfigurationError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        print(f"{_PROGRAM}: error: {reason or error}", file=sys.stderr)
        return _UNUSABLE
    handlers = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with server:
            for name in options.faults:
                print(f"{name}: {'the good twin' if options.honest else FAULTS[name].does}")
            print(f"URL:     {server.url}/")
            print(f"CA file: {server.ca_path}")
            print("Trust it in the client that is tested, and only there. Ctrl-C ends.", flush=True)
            while not over.wait(1.0):  # Windows gives signals no way into a wait without an end
                pass
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    print("Stopped.", flush=True)
    return 0
