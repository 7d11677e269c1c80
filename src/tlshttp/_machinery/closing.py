"""How a server that closes waits for its handlers, and for how long."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from tlshttp._machinery.poller import WRITE, wait_for
from tlshttp._machinery.registry import Phase
from tlshttp._machinery.report import peer_name

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection
    from tlshttp._machinery.loop import Loop

__all__ = ["close_loop"]

_PATIENCE_SECONDS = 5.0
"""Before ``server_close()`` says whom it waits for, as Go's httptest does."""

_GRACE_SECONDS = 1.0
"""For handlers whose connection has been broken to come to their end."""


def close_loop(loop: Loop, *, waits: bool, daemon_threads: bool) -> None:
    """Close all connections, when what is under way has had its time.

    Args:
        loop: Of the server.
        waits: Whether running handlers are waited for.
        daemon_threads: Whether their threads may be left.
    """
    loop.leave()
    if waits:
        _wait_for_handlers(loop, daemon_threads=daemon_threads)
    _send_responses(loop, 0.0 if loop.draining.begun else _PATIENCE_SECONDS)
    loop.close()


def _wait_for_handlers(loop: Loop, *, daemon_threads: bool) -> None:
    """Wait for handlers that are at work; then, in daemon threads, break their connections."""
    if loop.draining.begun and daemon_threads:  # they have had their time
        loop.hang_up()
        loop.join(_GRACE_SECONDS)
        return
    if loop.join(_PATIENCE_SECONDS):
        return
    peers = ", ".join(peer_name(connection.address) for connection in loop.busy())
    logging.getLogger("tlshttp.server").warning(
        "server_close() has waited %g s for the handlers of %s", _PATIENCE_SECONDS, peers
    )
    if not daemon_threads:
        loop.join(None)
        return
    loop.hang_up()
    loop.join(_GRACE_SECONDS)


def _send_responses(loop: Loop, timeout: float) -> None:
    """Send what is left of responses, up to `timeout` seconds, then cut; the loop has stopped."""
    end = time.monotonic() + timeout
    loop.departure.pass_over()
    left = _unfinished(loop)
    while left and time.monotonic() < end:
        ready = [one for one in left if wait_for(one.fd, WRITE, 0.05 / len(left))]
        for connection in ready:
            loop.guard(connection.send_on_closing, connection)
        left = _unfinished(loop)
    for connection in left:
        loop.guard(connection.end_unsent, connection)


def _unfinished(loop: Loop) -> list[Connection]:
    return [connection for connection in loop.registry if connection.phase is Phase.RESPONSE]
