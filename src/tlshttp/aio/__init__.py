"""Handlers that are coroutines, and ASGI applications.

`AsyncTLSRequestHandler` is a handler whose methods may be coroutines, `asgi` makes a handler class
of an ASGI application, and `serve` runs a server within an asyncio loop that is there already.

A handler that waits costs no thread: its connection is parked, and a coroutine goes on when what it
waits for has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp.aio._asgi import asgi
    from tlshttp.aio._handler import AsyncTLSRequestHandler
    from tlshttp.aio._serve import serve

__all__ = ["AsyncTLSRequestHandler", "asgi", "serve"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "AsyncTLSRequestHandler": "tlshttp.aio._handler",
            "asgi": "tlshttp.aio._asgi",
            "serve": "tlshttp.aio._serve",
        },
    )
