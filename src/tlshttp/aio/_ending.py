"""The end of what runs in a server's loop for coroutines, when its connections are over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlshttp.aio._loops import HandlerLoop
    from tlshttp.server import TLSHTTPServer

__all__ = ["end_coroutines"]


async def end_coroutines(
    server: TLSHTTPServer,
    handler_loop: HandlerLoop,
    close: Callable[[TLSHTTPServer], Awaitable[None]] | None,
) -> None:
    """Wait for what goes on after responses, tell the application, and cancel what is left.

    Args:
        server: Whose end it is; one that has drained has waited already.
        handler_loop: Where coroutines run.
        close: Called with the server when the calls are over; `None`: nobody is to be told.
    """
    try:
        if server.block_on_close and not server.draining:
            await handler_loop.afterwards.wait()
        if close is not None:
            await close(server)
    finally:
        await handler_loop.afterwards.cancel()
