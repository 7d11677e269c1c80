"""Whether somebody still looks after connections, or each has to see to its own end."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Departure"]


class Departure:
    """The moment from which on nobody does, because the server has closed."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.is_over = False
        """Whether it has passed."""

    def pass_over(self) -> None:
        """Have it passed."""
        with self._lock:
            self.is_over = True

    def hand_over(self, leave: Callable[[], None]) -> bool:
        """Leave a connection to the loop, if it is still there for it; tell if it is."""
        with self._lock:
            if self.is_over:
                return False
            leave()
            return True
