"""``python -m tlshttp`` without a command: a folder served over HTTPS."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tlshttp._command_line import endings
from tlshttp._command_line.parsing import program
from tlshttp._file_server.parser import make_parser

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        words: The command line without the program's name.

    Returns:
        The exit status: 0, or 2 where something has to be mended first.
    """

    def run() -> int:
        given = make_parser().parse_args(words)
        # Imported as it is needed: nobody waits for cryptography to be told what is wrong.
        from tlshttp._file_server.environment import unknown
        from tlshttp._file_server.options import Options

        if strange := unknown(os.environ):
            endings.complain(program(), strange)
        options = Options.read(given, os.environ)
        from tlshttp._file_server.serving import serve

        serve(options)
        return endings.OK

    return endings.run(program(), run)
