"""The parser of all commands: what is wrong is said in one sentence, as the user called it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

from tlshttp._command_line import endings

__all__ = ["COMMANDS", "Parser", "program"]

COMMANDS = "certs, audit, bad"
"""The commands that there are beside the file server, for sentences."""

_SCRIPTS = ("tlshttp", "tlshttp-server")

_UNKNOWN = "unrecognized arguments: "


def program(command: str = "") -> str:
    """Return what the user has called.

    Args:
        command: The command, ``certs`` for example; empty: none.
    """
    name = Path(sys.argv[0] if sys.argv else "").name.removesuffix(".exe")
    return f"{name if name in _SCRIPTS else 'python -m tlshttp'} {command}".rstrip()


class Parser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong, and remembers what can be given."""

    def __init__(self, **arguments: Any) -> None:
        self.choices: list[argparse.Action] = []
        super().__init__(**arguments)

    def error(self, message: str) -> NoReturn:
        """End the program with status 2."""
        sentence = " ".join(message.removeprefix("argument ").split())
        sentence = sentence.replace("ignored explicit argument", "takes no value, not")
        if sentence.startswith(_UNKNOWN):
            sentence += self._meant(sentence.removeprefix(_UNKNOWN).split()[0])
        endings.complain(self.prog, f"{sentence}; see {self.prog} --help")
        self.exit(endings.UNUSABLE)

    def _meant(self, option: str) -> str:
        """Return what to write for an option that there is not; empty where nobody knows."""
        name = option.partition("=")[0]
        if not name.startswith("--"):
            return ""
        if name[2:] in [action.dest for action in self._actions if not action.option_strings]:
            return f": {name[2:]} is given without an option"
        import difflib

        near = difflib.get_close_matches(name, list(self._option_string_actions), n=1)
        return f" (is {near[0]} meant?)" if near else ""
