"""One log line for each thing a peer did wrong, but never more than an operator can read."""

from __future__ import annotations

import logging
import threading
import time

__all__ = ["ThrottledLog", "peer_name"]


class ThrottledLog:
    """A logger that leaves lines out when there are too many, and says how many it left out.

    Args:
        logger: Where the lines go.
        lines: How many lines may be written within `seconds`.
        seconds: Length of that period.
    """

    def __init__(self, logger: logging.Logger, *, lines: int = 20, seconds: float = 10.0) -> None:
        self._logger = logger
        self._lines = lines
        self._seconds = seconds
        self._lock = threading.Lock()
        self._period_ends = 0.0
        self._written = 0
        self._left_out = 0

    def log(self, level: int, message: str, *arguments: object) -> None:
        """Write the line, or count it as left out."""
        self._begin_period_if_due()
        with self._lock:
            if self._written >= self._lines:
                self._left_out += 1
                return
            self._written += 1
        self._logger.log(level, message, *arguments)

    def flush(self, *, at_once: bool = False) -> None:
        """Say what has been left out, once the period is over (or at once)."""
        if self._left_out or at_once:
            self._begin_period_if_due(at_once=at_once)

    def _begin_period_if_due(self, *, at_once: bool = False) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._period_ends and not at_once:
                return
            left_out, self._left_out = self._left_out, 0
            self._written, self._period_ends = 0, now + self._seconds
        if left_out:
            self._logger.warning(
                "%d more such lines were left out in the last %g s", left_out, self._seconds
            )


def peer_name(address: object) -> str:
    """Return a client address as a log line shows it."""
    match address:
        case ("unix:", _):
            return "unix:"
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case _:
            return str(address) or "unix:"
