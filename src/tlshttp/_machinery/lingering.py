"""Whether a handler may wait for a peer that is slow, before what it writes goes to a file.

A response that only passes through memory costs half of what one does that is written to a file and
read again. So a handler whose peer is not there for a moment waits for it, as long as nobody else
waits for that: one with a thread of its own gives its place to others meanwhile, and one that runs
on the loop's thread waits until anybody else has something to say, whoever that is.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from tlshttp._machinery.poller import READ, WRITE, wait_for

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection
    from tlshttp._machinery.loop import Loop

__all__ = ["Lingering"]


class Lingering:
    """Handlers that wait a moment for their peers.

    Args:
        loop: Whose handlers.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def may(self, connection: Connection) -> bool:
        """Return whether a handler may wait: nobody else wants its thread."""
        loop = self._loop
        if connection.later is not None or connection.taken:
            return False
        if loop.may_wait():
            return not loop.wants_threads
        # A forked child looks after nobody else, but it has its parent's poller.
        return loop.fileno() is not None and os.getpid() == loop.pid and not loop.has_more_to_do

    def wait(self, connection: Connection, seconds: float) -> bool:
        """Wait until a peer takes more; false where it takes nothing, or others come first.

        Args:
            connection: Whose peer.
            seconds: How long, at most.
        """
        if not self._loop.may_wait():
            return self._wait_on_loop(connection.fd, seconds)
        connection.before_wait()
        try:
            return wait_for(connection.fd, WRITE, seconds)
        finally:
            connection.after_wait()

    def _wait_on_loop(self, fd: int, seconds: float) -> bool:
        own = self._loop.fileno()
        if own is None or self._loop.has_more_to_do:
            return False
        poll = select.poll()
        poll.register(fd, WRITE)
        poll.register(own, READ)
        ready = [ready for ready, _ in poll.poll(seconds * 1000)]
        return ready == [fd]
