"""From when on OpenSSL refuses what has run out."""

from __future__ import annotations

from datetime import datetime

__all__ = ["refused_from"]

_LAST_SECOND = 1.0
"""A certificate is valid "through the date notAfter, inclusive" (RFC 5280, section 4.1.2.5), and
the date has whole seconds. OpenSSL 4.0 holds to that; 3.0 refuses from its beginning."""

_CLOCK_LAG = 0.1
"""OpenSSL asks `time()`, which on Linux goes on with the kernel's ticks: every 10 ms at most."""


def refused_from(end: datetime) -> float:
    """Return the moment from which on no OpenSSL takes what ends then, in seconds since 1970.

    Before it a whole handshake may succeed, and begin a session. What ends sessions must not come
    earlier, or that one goes on.
    """
    return end.timestamp() + _LAST_SECOND + _CLOCK_LAG
