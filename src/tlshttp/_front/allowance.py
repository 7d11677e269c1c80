"""How long a handler may be kept waiting by its peer."""

from __future__ import annotations

import math
import time

from tlshttp._front.poller import wait_for
from tlshttp.errors import ConnectionCut

__all__ = ["Allowance"]


class Allowance:
    """How long a peer may keep a handler waiting in one direction.

    What has moved is only looked at when there is something to wait for, so that a connection whose
    peer keeps up pays nothing for the bookkeeping.

    Args:
        base: Seconds to begin with, and at most; `None`: any time.
        rate: Bytes that buy one second more; `None`: none are to be had.
        error: What is raised when it is used up.
        what: What the peer did too slowly.
        began: How many bytes had moved in this direction before.
    """

    __slots__ = ("_base", "_began", "_error", "_left", "_rate", "_seen", "_waited", "_what")

    def __init__(
        self,
        base: float | None,
        rate: float | None,
        error: type[ConnectionCut],
        what: str,
        began: int,
    ) -> None:
        self._base = math.inf if base is None else base
        self._rate = math.inf if base is None else rate
        self._error = error
        self._what = what
        self._left = self._base
        self._waited = 0.0
        self._began = self._seen = began

    def wait(self, fd: int, event: int, timeout: float | None, total: int) -> bool:
        """Wait for `event` at most `timeout` seconds, `total` bytes having moved so far.

        Raises:
            ConnectionCut: The allowance is used up.
        """
        self._earn(total)
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
                f"{total - self._began} bytes in {self._waited:.1f} s of waiting"
            )
        return ready

    def _earn(self, total: int) -> None:
        """Let what has moved since the last wait buy time."""
        # What had been given to the connection before, and has not left it yet, counts for nothing.
        moved = max(0, total - self._seen)
        if self._rate is not None:
            self._left = min(self._base, self._left + moved / self._rate)
        self._seen += moved
