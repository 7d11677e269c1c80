"""What peers do wrong: each is counted once, and told to the server's hook once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tlshttp._machinery.counters import Counters
from tlshttp.errors import ConnectionCut, HandshakeError

if TYPE_CHECKING:
    from tlshttp._machinery.settings import Hooks

__all__ = ["Events"]

_log = logging.getLogger("tlshttp.server")


class Events:
    """The events of one server.

    Args:
        hooks: The server.
        counters: Its counters.
    """

    def __init__(self, hooks: Hooks, counters: Counters) -> None:
        self._hooks = hooks
        self._counters = counters

    def handshake_failed(self, error: HandshakeError, address: object) -> None:
        """Take note of a failed handshake."""
        self._counters.failure(error)
        _call(self._hooks.handle_handshake_error, error, address)

    def cut(self, cut: ConnectionCut, address: object) -> None:
        """Take note of a connection that was cut."""
        self._counters.cut(cut)
        _call(self._hooks.handle_connection_cut, cut, address)


def _call(hook: Callable[[Any, Any], None], error: Any, address: object) -> None:
    """Call a hook of the user's, of which no connection is to suffer."""
    try:
        hook(error, address)
    except Exception:
        _log.exception("%s raised an exception", getattr(hook, "__name__", hook))
