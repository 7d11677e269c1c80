# PYTHON_ARGCOMPLETE_OK
"""``python -m tlshttp``: ``python -m http.server`` over HTTPS, and commands around it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

_COMMANDS = {"certs": "_certs_cli", "audit": "_audit_cli", "bad": "_bad_cli"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; without one, serve a folder until Ctrl-C or SIGTERM.

    Args:
        arguments: The command line without the program's name; `None`: that of this process.

    Returns:
        The exit status: 0, or 2 where something has to be mended first.
    """
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    words = sys.argv[1:] if arguments is None else list(arguments)
    command = words.pop(0) if words[:1] and words[0] in _COMMANDS else None
    # A command brings what it needs, and no more.
    module = importlib.import_module(f"tlshttp.{_COMMANDS.get(command or '', '_file_server')}")
    run: Callable[[Sequence[str]], int] = module.main
    return run(words)


def _complete() -> None:
    """Tell the shell what may follow, and end, if the library for that is there."""
    try:
        import argcomplete
    except ImportError:
        return
    line = os.environ.get("COMP_LINE", "")
    if " certs " in line:
        # What stands before the words that matter is the program's name for argcomplete.
        before = len(line.partition(" certs ")[0].split())
        os.environ["_ARGCOMPLETE"] = str(before + 1)
        from tlshttp._certs_cli import make_parser
    else:
        from tlshttp._file_server.parser import make_parser
    argcomplete.autocomplete(make_parser())


if __name__ == "__main__":
    sys.exit(main())
