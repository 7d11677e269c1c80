"""The end of sessions whose clients would not be verified any more.

A session that is resumed is not verified again, and all that is known of the client then is its own
certificate: tickets have no more. So when one of those between it and its root ends, or the root,
all sessions end, as they do when somebody is revoked. Clients shake hands anew, and OpenSSL judges.

Only the first end to come is kept. What began before it is gone afterwards, and what began later is
noted then.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterable, Sequence

from cryptography import x509

from tlshttp._engines.moments import refused_from
from tlshttp._forked import begin_anew_in_children
from tlshttp.certs._serials import read_der

__all__ = ["ChainEnds"]

_NEVER = float("inf")

_MOST_REMEMBERED = 256
"""Certificates of authorities whose ends need not be read again; most servers meet a handful."""


class ChainEnds:
    """When the next certificate ends by which clients have been verified.

    Args:
        anchors: The authorities that are trusted, which all processes know that share sessions.
    """

    def __init__(self, anchors: Iterable[x509.Certificate] = ()) -> None:
        self._anchors = sorted(refused_from(one.not_valid_after_utc) for one in anchors)
        self._lock = threading.Lock()
        self.due: float = 0.0
        """When to ask whether it has come, in the seconds of `time.monotonic`."""
        self._wait_for(self._next_of_anchors())
        begin_anew_in_children(self, ChainEnds._begin_anew)

    def _begin_anew(self) -> None:
        """Have, in a forked child, no lock of another thread's, and nothing half done by it."""
        self._lock = threading.Lock()
        self._wait_for(self._end)

    def note(self, chain: Sequence[bytes]) -> None:
        """Take note of a client's chain, in DER, its own certificate first."""
        end = min(map(_end_of, chain[1:]), default=_NEVER)
        if end < self._end:
            with self._lock:
                self._wait_for(min(end, self._end))

    def have_come(self) -> bool:
        """Tell whether the end has come; from then on it is about the next one."""
        with self._lock:
            has_come = _now() >= self._end
            # Anew in any case: the clock of the wall may have jumped.
            self._wait_for(self._next_of_anchors() if has_come else self._end)
        return has_come

    def _wait_for(self, end: float) -> None:
        self._end = end
        self.due = time.monotonic() + (end - _now())

    def _next_of_anchors(self) -> float:
        now = _now()
        return next((end for end in self._anchors if end > now), _NEVER)


@functools.lru_cache(_MOST_REMEMBERED)
def _end_of(der: bytes) -> float:
    return refused_from(read_der(der).not_valid_after_utc)


def _now() -> float:
    return time.time()
