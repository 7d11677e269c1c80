"""How a server that closes waits for its handlers, and for how long."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from tlshttp._front.poller import WRITE, wait_for
from tlshttp._front.registry import Phase
from tlshttp._front.report import peer_name

if TYPE_CHECKING:
    from tlshttp._front.connection import Connection
    from tlshttp._front.front import Front

__all__ = ["close_front"]

_PATIENCE_SECONDS = 5.0
"""Before ``server_close()`` says whom it waits for, as Go's httptest does."""

_GRACE_SECONDS = 1.0
"""For handlers whose connection has been broken to come to their end."""


def close_front(front: Front, *, waits: bool, daemon_threads: bool) -> None:
    """Close all connections, when what is under way has had its time.

    Args:
        front: Of the server.
        waits: Whether running handlers are waited for.
        daemon_threads: Whether their threads may be left.
    """
    front.leave()
    if waits:
        _wait_for_handlers(front, daemon_threads=daemon_threads)
    _send_responses(front, 0.0 if front.draining.begun else _PATIENCE_SECONDS)
    front.close()


def _wait_for_handlers(front: Front, *, daemon_threads: bool) -> None:
    """Wait for handlers that are at work; then, in daemon threads, break their connections."""
    if front.draining.begun and daemon_threads:  # they have had their time
        front.hang_up()
        front.join(_GRACE_SECONDS)
        return
    if front.join(_PATIENCE_SECONDS):
        return
    peers = ", ".join(peer_name(connection.address) for connection in front.busy())
    logging.getLogger("tlshttp.server").warning(
        "server_close() has waited %g s for the handlers of %s", _PATIENCE_SECONDS, peers
    )
    if not daemon_threads:
        front.join(None)
        return
    front.hang_up()
    front.join(_GRACE_SECONDS)


def _send_responses(front: Front, timeout: float) -> None:
    """Send what is left of responses, up to `timeout` seconds; the loop has stopped."""
    end = time.monotonic() + timeout
    front.departure.pass_over()
    left = _unfinished(front)
    while left and time.monotonic() < end:
        ready = [one for one in left if wait_for(one.fd, WRITE, 0.05 / len(left))]
        for connection in ready:
            front.guard(connection.send_on_closing, connection)
        left = _unfinished(front)


def _unfinished(front: Front) -> list[Connection]:
    return [connection for connection in front.registry if connection.phase is Phase.RESPONSE]
