"""How much memory messages may take that have begun and not come to their end."""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["FREE", "ROOM", "Room"]

FREE: Final = 65_536
"""Bytes that every connection may have: four records."""

_MOST = 64 << 20
"""Bytes besides, of all connections of this process together: sixty-four of the largest messages.
So a thousand peers that begin large ones and leave it at that take no gibibyte."""


class Room:
    """Bytes that can be taken and given back, from any thread.

    Args:
        most: How many there are.
    """

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self.left = most
        """How many are left."""

    def take(self, size: int) -> bool:
        """Take so many, or give them back where it is less than nothing; tell if there were."""
        with self._lock:
            if size > self.left:
                return False
            self.left -= size
            return True


ROOM: Final = Room(_MOST)
"""That of this process."""
