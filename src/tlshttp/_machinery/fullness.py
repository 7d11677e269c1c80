"""The warning that all places are taken."""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tlshttp._machinery.counters import Counters
from tlshttp._machinery.places import Places

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection

__all__ = ["Fullness"]

_log = logging.getLogger("tlshttp.server")

_FULL_SECONDS = 1.0
_AGAIN_SECONDS = 60.0
"""After how long without a free place that is said, and how soon again."""


class Fullness:
    """Says, now and then, that handlers take all places, and whose they are."""

    def __init__(self, places: Places, counters: Counters) -> None:
        self._places = places
        self._counters = counters
        self._said_at = -_AGAIN_SECONDS

    def look(self, now: float, busy: Callable[[], Iterable[Connection]]) -> None:
        """Say it if it is time.

        Args:
            now: By `time.monotonic`.
            busy: Returns the connections that are in a handler.
        """
        places = self._places
        if places.full_for(now) < _FULL_SECONDS or now - self._said_at < _AGAIN_SECONDS:
            return
        self._said_at = now
        self._counters.add("full")
        _log.warning(
            "all %d handlers (max_workers) have been at work for %g s, and %d requests wait: %s",
            places.maximum, _FULL_SECONDS, len(places.waiting), _summary(busy()),
        )  # fmt: skip


def _summary(connections: Iterable[Connection]) -> str:
    """Return what handlers are at work on, and for which addresses, most first."""
    lines: collections.Counter[str] = collections.Counter()
    holders: collections.Counter[str] = collections.Counter()
    for connection in connections:
        lines[connection.request_line] += 1
        holders[connection.group.decode("utf-8", "backslashreplace")] += 1
    return "; ".join(
        ", ".join(f"{count} x {what}" for what, count in counter.most_common(3))
        for counter in (lines, holders)
    )
