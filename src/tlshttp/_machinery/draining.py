"""The end of a server in good order, while its loop still runs.

Who is in the listen queue is let in, by and by where the server is full, and nobody after that:
others are refused, unless another process has the same socket, or may have it because it was given
to the server. What has been begun
is answered, and the answers say that they are the last ones; who is idle is told goodbye. All of
that is done by the loop: what asks for it, which may be a signal handler in the middle of anything,
only says so.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING

from tlshttp._machinery.poller import READ, wait_for
from tlshttp._machinery.registry import Phase
from tlshttp._machinery.report import peer_name

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection
    from tlshttp._machinery.loop import Loop

__all__ = ["LOOK_SECONDS", "Draining"]

LOOK_SECONDS = 0.05
"""How often connections are looked through for idle ones."""

_IDLE_SECONDS = 0.5
"""How long idle connections are kept when draining begins: a client that asks again and again gets
an answer that announces the end, rather than lose the request that it is about to send."""

_SILENT_SECONDS = 2.0
"""How long a connection is spared that has not said anything yet: whoever has connected to ask for
something does so within a round trip or two; a browser that has connected ahead of need does not.
"""

_LAST_ONES = 1024
"""Connections that are let in, at most, from the listen queue: their peers take them for
accepted. It is as many as ``request_queue_size`` has there."""

_NAMED = 20
"""How many peers a line in the log names."""

_log = logging.getLogger("tlshttp.server")


class Draining:
    """Whether a server drains, and how far it has come.

    Args:
        loop: Its connections.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.begun = False
        """Whether responses are to announce the end of their connections."""
        self._deadline = math.inf
        self._began = 0.0
        self._is_shut = False
        self._given_up = False
        self._giving_up = threading.Lock()
        self._next_look = 0.0

    def begin(self, timeout: float | None) -> None:
        """Have the loop drain, for `timeout` seconds at most (`None`: as long as it takes).

        No lock is taken here. Calling it again can only shorten the time.
        """
        now = time.monotonic()
        self._deadline = min(self._deadline, math.inf if timeout is None else now + timeout)
        self._began = self._began or now
        self.begun = True

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to wait for, or no time."""
        if not (self.begun and self._is_shut):
            return False
        if time.monotonic() >= self._deadline:
            return True
        return not self._loop.registry.by_fd and self._loop.is_work_over()

    def look(self, now: float) -> None:
        """Go on draining; called on the loop's tick.

        Args:
            now: The time in seconds, from `time.monotonic`.
        """
        if not self._is_shut and self._loop.listener.shut(_LAST_ONES, waits=now < self._deadline):
            self._loop.stop_listening()
            self._is_shut = True
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._end_idle(now)

    def give_up(self) -> None:
        """Name in the log who has not come to an end, and break these connections; once."""
        with self._giving_up:
            if self._given_up:
                return
            self._given_up = True
        left = list(self._loop.registry)
        if not left:
            return
        names = [f"{peer_name(one.address)} ({one.phase.value})" for one in left[:_NAMED]]
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        _log.warning(
            "drain() ends after %.1f s with %d connections still at it: %s%s",
            time.monotonic() - self._began, len(left), ", ".join(names), more,
        )  # fmt: skip
        self._loop.hang_up()

    def _end_idle(self, now: float) -> None:
        loop = self._loop
        for connection in loop.registry:
            if connection.phase is Phase.HANDLER:
                if connection.is_idle and now - self._began > _IDLE_SECONDS:
                    connection.end_waiting_for_request()
                connection.tell_of_end()
            elif connection.phase is Phase.TAKEN_OVER:
                connection.tell_of_end()
            elif connection.later is not None:
                connection.later.end_with_server()
            elif self._is_idle(connection, now) and loop.registry.take_back(connection):
                if wait_for(connection.fd, READ, 0):
                    loop.resume_later(connection)  # its next request has come: the last one
                else:
                    loop.dismiss(connection, connection.leave_with_server)

    def _is_idle(self, connection: Connection, now: float) -> bool:
        if connection.phase is Phase.IDLE:
            return now - self._began > _IDLE_SECONDS
        return now - connection.since > _SILENT_SECONDS and connection.has_said_nothing
