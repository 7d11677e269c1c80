"""What is written to files bit by bit, where one thread serves all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tlshttp._pieces import SMALL

__all__ = ["AT_ONCE", "ToWrite"]

AT_ONCE = 1 << 18
"""Bytes that are written at once of what has been put off: 60 microseconds, or ten times that where
the host of a virtual machine has to find the memory first."""

_LARGE = 4 << 20
"""Bytes of one object from which on it is not written at once: up to ten milliseconds."""

_LARGEST_REMEMBERED = 1 << 20
"""Bytes of one that is recognized when it is written again; it is kept for that."""


class ToWrite(deque[Callable[[], bool]]):
    """What the connections of a server have put off: calls, each of which writes a part.

    The loop asks at each turn whether it is empty. A queue answers that without a call.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: bytes | None = None  # that a handler has written

    def may_have(self, data: bytes | memoryview) -> bool:
        """Return whether these bytes are in memory anyway, and need no copy to be written later.

        So it is with a large object of the handler's, and one that it writes over and over.
        """
        whole = data.obj if isinstance(data, memoryview) else data
        if not isinstance(whole, bytes):
            return False
        is_there = whole is self._last and len(data) >= SMALL
        self._last = whole if len(whole) <= _LARGEST_REMEMBERED else None
        return is_there or len(data) >= _LARGE

    def add(self, write_on: Callable[[], bool]) -> None:
        """Have this called by `write_one`, from any thread, as long as it returns true.

        Each call writes a part.
        """
        self.append(write_on)

    def write_one(self) -> None:
        """Write a part; called by the one thread."""
        write_on = self.popleft()
        try:
            if write_on():
                self.appendleft(write_on)
        except OSError:
            pass  # no room for it: it stays in memory until it is taken, or the next one is written
