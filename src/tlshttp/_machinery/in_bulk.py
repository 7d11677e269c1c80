"""Waiting for many bytes, so that no thread wakes for each few that come.

A handler that reads a megabyte goes on when all of it is there. Where its peer sends that in small
pieces, each would have a thread wake, struggle for the interpreter's lock, put a few bytes to the
others and wait again: some hundred such peers keep everybody else waiting. So the system is told
how many have to come before it wakes the thread (``SO_RCVLOWAT``). It tells of the end of a
connection, whoever brings that about, at once all the same, and when its buffer is full.

It does not tell of a goodbye (``close_notify``) after which the peer does not close. So what has
come is looked at now and then: a wait for many takes no longer than all waits before it together.
A peer that is quick is not waited for like this at all.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable, Iterator

from tlshttp._machinery.poller import wait_for

__all__ = ["MANY", "Wait", "is_worthwhile", "wait_for_many", "waited_for"]

Wait = Callable[[int, int, float | None], bool]
"""What waits as `wait_for` does."""

_IS_KNOWN = sys.platform == "linux"
"""Whether `wait_for` is known to heed the option."""

_RECORD = 16_384 + 256 + 5
"""Bytes that may be here already, as a part of a record (RFC 8446, section 5.2)."""

MANY = 2 * _RECORD
"""Bytes that have to be wanted, for it to be worth while."""

_AT_ONCE = 16_384
"""Bytes that are waited for at most: a record. Buffers of the system have room for so many."""

_SHORTEST_SECONDS = 0.05
_LONGEST_SECONDS = 5.0
"""For how long many are waited for, at least and at most."""


def is_worthwhile(wanted: int, waited: float) -> bool:
    """Return whether to wait for many.

    Args:
        wanted: Bytes that will come.
        waited: Seconds that the peer has been waited for already.
    """
    return wanted >= MANY and waited >= _SHORTEST_SECONDS and _IS_KNOWN


def waited_for(wanted: int) -> int:
    """Return how many bytes are waited for where so many are wanted, `MANY` at least."""
    return min(wanted - _RECORD, _AT_ONCE)


def wait_for_many(
    sock: socket.socket, wanted: int, waited: float, fd: int, event: int, timeout: float | None
) -> bool:
    """Wait as `wait_for` does, for many bytes first; then for any.

    Args:
        sock: The socket, of which a part of a record may have been read.
        wanted: Bytes that will come.
        waited: Seconds that the peer has been waited for already.
        fd: The descriptor of the socket.
        event: `READ`.
        timeout: Seconds for both; `None` waits for ever.
    """
    began = time.monotonic()
    most = min(waited, _LONGEST_SECONDS)
    with _waking_for(sock, waited_for(wanted)):
        if wait_for(fd, event, most if timeout is None else min(timeout, most)):
            return True
    left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
    return wait_for(fd, event, left)


@contextlib.contextmanager
def _waking_for(sock: socket.socket, count: int) -> Iterator[None]:
    """Have the system wake who waits for a socket when so many bytes are there."""
    # Not every kind of socket has it, and another thread may have closed this one.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
