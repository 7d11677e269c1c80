"""Looking at files in a thread of its own, so that nobody waits for a file system.

A mount whose server does not answer blocks whoever reads from it, and ``stat`` is a read. Most
looks are over within a millisecond, and are waited for. One that takes longer goes on in its
thread, and a later poll takes what it has found.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PATIENCE", "Look"]

_T = TypeVar("_T")

PATIENCE = 0.05
"""Seconds that a look is waited for at its beginning: a look at files takes 0.3 ms."""


class Look(Generic[_T]):
    """One look, begun.

    Args:
        find: What to call, in a thread. What it raises, `result` raises.
    """

    def __init__(self, find: Callable[[], _T]) -> None:
        self._find = find
        self._found: _T
        self._error: Exception | None = None
        self._done = threading.Event()
        self._began = time.monotonic()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="tlshttp-look", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # not one more thread to be had
            self._run()
        self._done.wait(PATIENCE)

    @property
    def is_over(self) -> bool:
        """Whether there is a `result`."""
        return self._done.is_set()

    @property
    def is_lost(self) -> bool:
        """Whether a process has begun it that this one was forked from: it never ends here."""
        return os.getpid() != self._process

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._began

    def result(self) -> _T:
        """Return what was found; only when it is over."""
        if self._error is not None:
            raise self._error
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._find()
        except Exception as error:  # noqa: BLE001
            self._error = error
        self._done.set()
