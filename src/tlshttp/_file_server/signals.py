"""Whether a signal says that the terminal of the program has been closed."""

from __future__ import annotations

import signal
from pathlib import Path

__all__ = ["Terminal"]

_TERMINAL = Path("/dev/tty")

_HANGUP = getattr(signal, "SIGHUP", None)


class Terminal:
    """The terminal that the program has been started from, if it has.

    The system sends SIGHUP to the programs of a terminal that is closed. So where there was a
    terminal at the start and is none any more, it means the end; under ``nohup``, which has SIGHUP
    ignored, it never does.
    """

    def __init__(self) -> None:
        ignored = _HANGUP is None or signal.getsignal(_HANGUP) is signal.SIG_IGN
        self._was_there = not ignored and _is_there()

    def has_gone(self, number: int) -> bool:
        """Return whether a signal says that it has been closed."""
        return number == _HANGUP and self._was_there and not _is_there()


def _is_there() -> bool:
    try:
        with _TERMINAL.open("rb"):
            return True
    except OSError:
        return False
