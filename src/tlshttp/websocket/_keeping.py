"""Whether the other side of a WebSocket is still there."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlshttp.websocket._terms import Terms

__all__ = ["Keeping"]


class Keeping:
    """When it was last heard, and asked. All moments are those of `time.monotonic`.

    Args:
        terms: After how long it is asked, and lost.
    """

    __slots__ = ("_heard", "_interval", "_pinged", "_timeout")

    def __init__(self, terms: Terms) -> None:
        self._interval = math.inf if terms.ping_interval is None else terms.ping_interval
        self._timeout = math.inf if terms.ping_timeout is None else terms.ping_timeout
        self._heard = time.monotonic()
        self._pinged: float | None = None

    def heard(self, now: float) -> bool:
        """Take note that something has come; tell if it had been asked."""
        asked = self._pinged is not None
        self._heard, self._pinged = now, None
        return asked

    def pinged(self, now: float) -> None:
        """Take note that it has been asked."""
        self._pinged = now

    def wants_ping(self, now: float) -> bool:
        """Return whether it is to be asked."""
        return self._pinged is None and now - self._heard >= self._interval

    def is_lost(self, now: float) -> bool:
        """Return whether it has been asked, and has not answered in time."""
        return self._pinged is not None and now - self._pinged >= self._timeout

    def left(self, now: float) -> float | None:
        """Return for how many seconds nothing need be done; `None`: for ever."""
        since, span = self._heard, self._interval
        if self._pinged is not None:
            since, span = self._pinged, self._timeout
        return None if span == math.inf else max(0.0, since + span - now)
