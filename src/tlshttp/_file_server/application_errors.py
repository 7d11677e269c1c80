"""What a WSGI application itself complains of, as records of a log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

__all__ = ["LoggedErrors"]

_log = logging.getLogger("tlshttp.wsgi")


class LoggedErrors:
    """``wsgi.errors`` where logs are JSON: what is written up to the end of a line is a record.

    A traceback that is written in one piece stays in one. Each thread's writing is its own.
    """

    def __init__(self) -> None:
        self._unsaid = threading.local()

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        self._unsaid.text = getattr(self._unsaid, "text", "") + text
        if text.endswith("\n"):
            self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several, which are one record."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Log what has been written, though its line has no end."""
        text = getattr(self._unsaid, "text", "").rstrip("\n")
        self._unsaid.text = ""
        if text:
            _log.error("%s", text)
