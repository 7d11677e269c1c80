"""Signals as something to be waited for, beside sockets.

A signal handler runs in the middle of anything, so it does nothing here but note: the system's part
of it writes the number to a socket, which whoever conducts the service reads.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any, Self

from tlshttp.errors import ConfigurationError

__all__ = ["ENDING", "Signals", "numbers"]

ENDING = (signal.SIGTERM, signal.SIGINT)
"""Those that ask the service to end."""


def numbers(*names: str) -> tuple[int, ...]:
    """Return the numbers of those signals that the platform has."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


class Signals:
    """Takes signals over as long as a ``with`` block runs, in the main thread.

    Args:
        wanted: Their numbers.

    Raises:
        ConfigurationError: This is not the main thread, where Python delivers signals.
    """

    def __init__(self, wanted: Iterable[int]) -> None:
        self._wanted = tuple(wanted)
        self._interrupting: int | None = None
        self._ends = 0
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._receiver, self._sender = socket.socketpair()
        for end in (self._receiver, self._sender):
            end.setblocking(False)

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            self._close()
            raise ConfigurationError("signals arrive in the main thread: call run() there")
        self._wakeup_before = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._take_over(self._wanted)
        return self

    def __exit__(self, *_: object) -> None:
        """Have signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._close()

    def also(self, number: int) -> None:
        """Take one more signal over until the block ends."""
        self._take_over([number])

    def interrupt_at(self, count: int | None) -> None:
        """Have an ending signal raise `KeyboardInterrupt` in the main thread, whatever that does.

        Args:
            count: Which of `ENDING`, counted from the first that has come; `None`: none.
        """
        self._interrupting = count

    def abandon(self) -> None:
        """Give back what a forked child has of its parent's; signals end it as any process."""
        signal.set_wakeup_fd(-1)
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)
        self._close()

    def fileno(self) -> int:
        """Return what can be read when there is something to `take`."""
        return self._receiver.fileno()

    def take(self) -> list[int]:
        """Return the signals that have come, in their order; 0 for each `wake`."""
        try:
            return list(self._receiver.recv(4096))
        except BlockingIOError:
            return []

    def wake(self) -> None:
        """Have whoever waits find a 0."""
        with contextlib.suppress(OSError):  # full: then there is something to be found
            self._sender.send(b"\0")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number not in ENDING:
            return
        self._ends += 1
        if self._ends == self._interrupting:
            raise KeyboardInterrupt

    def _take_over(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._before[number] = signal.signal(number, self._note)

    def _close(self) -> None:
        self._receiver.close()
        self._sender.close()
