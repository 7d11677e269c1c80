"""What signals do: end the program in good order, or have it read its files again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

__all__ = ["Reloading", "end_on_sigterm"]

_TERMINAL = Path("/dev/tty")


def end_on_sigterm() -> None:
    """Have SIGTERM do what Ctrl-C does."""
    signal.signal(signal.SIGTERM, _end)


class Reloading:
    """Has SIGHUP call functions, though not from within the signal: that may interrupt anything.

    It is also what the system sends to the programs of a terminal that is closed. So where there
    was a terminal at the start and is none any more, the program ends; under ``nohup``, which has
    SIGHUP ignored, it never does.

    Args:
        actions: What is to be done.
    """

    def __init__(self, *actions: Callable[[], None]) -> None:
        self._actions = actions
        self._asked = False
        self._had_terminal = False
        number = getattr(signal, "SIGHUP", None)
        if number is not None:
            ignored = signal.getsignal(number) is signal.SIG_IGN
            self._had_terminal = not ignored and _has_terminal()
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: object) -> None:
        if self._had_terminal and not _has_terminal():
            raise KeyboardInterrupt
        self._asked = True

    def reload_if_asked(self) -> None:
        """Do it, if there has been a signal."""
        if self._asked:
            self._asked = False
            for action in self._actions:
                action()


def _has_terminal() -> bool:
    try:
        with _TERMINAL.open("rb"):
            return True
    except OSError:
        return False


def _end(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
