"""How long a handler may be kept waiting by its peer."""

from __future__ import annotations

import math
import time

from tlshttp._front.poller import wait_for
from tlshttp.errors import ConnectionCut

__all__ = ["Allowance"]


class Allowance:
    """How long a peer may keep a handler waiting in one direction."""

    __slots__ = ("_base", "_error", "_left", "_rate", "_waited", "_what", "moved")

    def __init__(
        self, base: float | None, rate: float | None, error: type[ConnectionCut], what: str
    ) -> None:
        self._base = base
        self._rate = rate
        self._error = error
        self._what = what
        self.restart()

    def restart(self) -> None:
        """Begin anew with the whole allowance."""
        self._left = math.inf if self._base is None else self._base
        self._waited = 0.0
        self.moved = 0

    def earn(self, size: int) -> None:
        """Take note that `size` bytes have moved, which buy time."""
        self.moved += size
        if self._base is not None and self._rate is not None:
            self._left = min(self._base, self._left + size / self._rate)

    def wait(self, fd: int, event: int, timeout: float | None) -> bool:
        """Wait for `event` at most `timeout` seconds.

        Raises:
            ConnectionCut: The allowance is used up.
        """
        shortest = self._left if timeout is None else min(self._left, timeout)
        began = time.monotonic()
        ready = wait_for(fd, event, None if shortest == math.inf else shortest)
        waited = time.monotonic() - began
        self._waited += waited
        is_last = shortest == self._left
        self._left = max(0.0, self._left - waited)
        if not ready and is_last:
            raise self._error(
                f"the peer {self._what} too slowly: "
                f"{self.moved} bytes in {self._waited:.1f} s of waiting"
            )
        return ready
