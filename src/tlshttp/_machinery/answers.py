"""How many requests have been answered, for ``handle_request()`` to return after one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

__all__ = ["Answers"]


class Answers:
    """Counts requests that were answered, refused or handed on.

    Args:
        wake: Called after each, from any thread.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._count = 0  # that no handle_request() has returned for
        self._lock = threading.RLock()
        self.counted = True
        """Whether counting is of any use: not where nobody calls ``handle_request()``."""

    def add(self) -> None:
        """Take note of one."""
        if self.counted:
            with self._lock:
                self._count += 1
            self._wake()

    def take(self) -> bool:
        """Return whether `add` has been called once more than this has returned true."""
        with self._lock:
            if not self._count:
                return False
            self._count -= 1
            return True

    @contextlib.contextmanager
    def not_counting(self) -> Iterator[None]:
        """Spare ``serve_forever()`` the counting."""
        self.counted = False
        try:
            yield
        finally:
            with self._lock:
                self._count = 0
            self.counted = True
