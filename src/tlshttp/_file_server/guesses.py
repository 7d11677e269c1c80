"""How often an address may be wrong about the password.

It may be wrong a few times at once, and then every few seconds; nobody is locked out for longer,
however often they were. Others do it like this: Dovecot lets an address wait 2 to 15 s after a
failure, and does not count the same words again ("authentication penalty"). OWASP has a client that
was let in before be known again, so that a stranger behind its address does not keep it out
("Slow down online guessing attacks with device cookies").
"""

from __future__ import annotations

import hmac
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["AT_ONCE", "SECONDS", "Guesses", "source_of"]

AT_ONCE = 10
"""Wrong words that an address may send one right after the other: more than a person mistypes."""

SECONDS = 5.0
"""Until it may send one more; Dovecot begins with 2 and ends with 15. That makes 17 280 a day."""

MOST_SOURCES = 10_000
"""Remembered at a time: about 3 MiB. Those that come after share the places of one."""

_NETWORK_BITS = 64
"""Of an IPv6 address: whoever has one has all that begin with these (RFC 6177, section 2)."""

_ALL_OTHERS = ""


@dataclass
class _Record:
    full_again: float
    """When all its places are free."""
    last: bytes
    """The hash of what it sent last."""


class Guesses:
    """Remembers who was wrong, for as long as it matters; each process for itself.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self.lock = threading.Lock()
        """Held from the question whether somebody may guess until the guess has been counted."""

    def wait(self, source: str) -> float:
        """Return for how many seconds somebody may not guess; 0: they may."""
        record = self._records.get(self._key(source))
        if record is None:
            return 0.0
        return max(0.0, record.full_again - self._clock() - (AT_ONCE - 1) * SECONDS)

    def count(self, source: str, guess: bytes) -> None:
        """Count a wrong guess, unless it is the last one again: a program asks with what it has.

        Args:
            source: Who has guessed.
            guess: The hash of it.
        """
        now = self._clock()
        key = self._key(source)
        record = self._records.setdefault(key, _Record(now, b""))
        if not hmac.compare_digest(record.last, guess):
            record.full_again = max(record.full_again, now) + SECONDS
            record.last = guess
        self._records.move_to_end(key)

    def _key(self, source: str) -> str:
        if source in self._records:
            return source
        while self._records and next(iter(self._records.values())).full_again <= self._clock():
            self._records.popitem(last=False)
        return source if len(self._records) < MOST_SOURCES else _ALL_OTHERS


def source_of(host: str) -> str:
    """Return what is counted as one: an IPv4 address, or all of an IPv6 network.

    Args:
        host: The address of a peer.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:  # a socket of AF_UNIX
        return host
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
