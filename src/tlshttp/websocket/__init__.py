"""WebSockets (RFC 6455) on the connections of handlers, with compression (RFC 7692).

The frames are read and written by the package websockets, of which only the part without
connections is used. It comes with ``pip install 'tlshttp-server[websocket]'``.

Each name is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp.websocket._blocking import BlockingWebSocket, accept
    from tlshttp.websocket._handler import WebSocketHandler
    from tlshttp.websocket._socket import WebSocket
    from tlshttp.websocket._terms import ANY_ORIGIN, SAME_HOST, Origins

__all__ = [
    "ANY_ORIGIN",
    "SAME_HOST",
    "BlockingWebSocket",
    "Origins",
    "WebSocket",
    "WebSocketHandler",
    "accept",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "ANY_ORIGIN": "tlshttp.websocket._terms",
            "BlockingWebSocket": "tlshttp.websocket._blocking",
            "Origins": "tlshttp.websocket._terms",
            "SAME_HOST": "tlshttp.websocket._terms",
            "WebSocket": "tlshttp.websocket._socket",
            "WebSocketHandler": "tlshttp.websocket._handler",
            "accept": "tlshttp.websocket._blocking",
        },
    )
