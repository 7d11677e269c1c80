"""How long a peer may take: a minimum rate, with something to begin with."""

from __future__ import annotations

import math

from tlshttp.errors import ConnectionCut

__all__ = ["MinimumRate"]


class MinimumRate:
    """How long a peer may keep us waiting in one direction.

    A few seconds to begin with, and one more for so many bytes moved, up to what it was at first.
    (Without that bound, megabytes that vanish in the kernel's buffers would buy hours.) Only time
    in which somebody waits for the peer counts, be it a thread in a handler or the loop.

    Args:
        base: Seconds to begin with, and at most; `None`: any time.
        rate: Bytes that buy one second more; `None`: none are to be had.
        error: What it is reported as when it is used up.
        what: What the peer did too slowly.
        began: How many bytes had moved in this direction before.
    """

    __slots__ = (
        "_base", "_began", "_error", "_owed", "_rate", "_seen", "_spent_until", "_what", "left",
        "waited",
    )  # fmt: skip

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
        self.left = self._base
        """Seconds the peer may still take."""
        self._owed = 0.0
        """Seconds that it has taken beyond those; else a byte now and then would always buy more
        than nothing."""
        self.waited = 0.0
        """Seconds that somebody has waited for the peer so far."""
        self._began = self._seen = began
        self._spent_until = 0.0

    def earn(self, total: int) -> None:
        """Let what has moved buy time, `total` bytes having moved so far."""
        # What had been given to the connection before, and has not left it yet, counts for nothing.
        moved = max(0, total - self._seen)
        if self._rate is not None and moved:
            left = self.left - self._owed + moved / self._rate
            self.left, self._owed = min(self._base, max(0.0, left)), max(0.0, -left)
        self._seen += moved

    def spend(self, seconds: float) -> None:
        """Take note that somebody has waited for the peer so long."""
        self.waited += seconds
        left = self.left - seconds
        self.left, self._owed = max(0.0, left), self._owed + max(0.0, -left)

    def spend_between(self, began: float, ended: float) -> None:
        """Take note of a wait, where several may wait at once: time that they share counts once."""
        self.spend(max(0.0, ended - max(began, self._spent_until)))
        self._spent_until = ended

    def used_up(self) -> ConnectionCut:
        """Return what to report."""
        return self._error(
            f"the peer {self._what} too slowly: "
            f"{self._seen - self._began} bytes in {self.waited:.1f} s of waiting"
        )
