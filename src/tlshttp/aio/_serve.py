"""`serve`: a server within an asyncio loop that is there already."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from typing import TYPE_CHECKING, Any

from tlshttp.aio._ending import end_coroutines
from tlshttp.aio._loops import HandlerLoop
from tlshttp.server import ThreadingTLSHTTPServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlshttp.server import TLSHTTPServer

__all__ = ["serve"]

_TICK_SECONDS = 0.25
"""How often a server has its turn when nothing happens: deadlines are kept to that."""

_SHORTEST_SECONDS = 0.001
"""For how long the loop sleeps at least where a turn is due sooner: a step of `select.poll`."""


async def serve(server: TLSHTTPServer, *, drain_timeout: float | None = 5.0) -> None:
    """Serve within the running loop, until this is cancelled.

    The server's ``shutdown()`` and ``drain()``, called from another thread, end it, too.

    Coroutines of handlers run in this loop, whichever it is, uvloop's included.
    `~tlshttp.TLSHTTPServer` needs no thread besides: connections, handshakes and handlers that are
    no coroutines have their turn in the loop as well, so the latter keep others waiting.
    `~tlshttp.ThreadingTLSHTTPServer` has all of that in threads of its own.

    The server is closed when this returns.

    Args:
        server: The server.
        drain_timeout: How many seconds requests that are under way have to be answered when this
            is cancelled; `None`: as long as it takes.

    Raises:
        ConfigurationError: An ASGI application has failed to start.
        RuntimeError: The server has been closed.
    """
    if server.fileno() == -1:
        raise RuntimeError(
            "the server is closed, and serves no more: serve() closes it when it returns, as"
            " server_close() does"
        )
    loop = asyncio.get_running_loop()
    server.handler_loop = handler_loop = HandlerLoop(loop, threading.get_ident())
    handler_class: Any = server._composed_handler()
    close = None
    try:
        if hasattr(handler_class, "_open"):
            await handler_class._open(server)
            close = handler_class._close
        await _serve(server, drain_timeout)
    finally:
        try:
            await _to_the_end(server.server_close)
        finally:
            await end_coroutines(server, handler_loop, close)


async def _to_the_end(function: Callable[[], None]) -> None:
    """Call a function in a thread and wait for its end, even if this is cancelled before it began.

    Cancelling `asyncio.to_thread` takes back what still waits for a thread.
    """
    calling = asyncio.ensure_future(asyncio.to_thread(function))
    cancelled = None
    while not calling.done():
        try:
            await asyncio.shield(calling)
        except asyncio.CancelledError as error:
            cancelled = error
    calling.result()
    if cancelled is not None:
        raise cancelled


async def _serve(server: TLSHTTPServer, drain_timeout: float | None) -> None:
    serving = asyncio.ensure_future(_run(server))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        await asyncio.to_thread(server.drain, drain_timeout)
        await serving
        raise


async def _run(server: TLSHTTPServer) -> None:
    fd = server._poller_fileno()
    if fd is None or isinstance(server, ThreadingTLSHTTPServer):
        await asyncio.to_thread(server.serve_forever)
        return
    turns = _Turns(server, asyncio.get_running_loop(), fd)
    try:
        await turns.over
    finally:
        turns.end()


class _Turns:
    """The turns of a server's loop, as callbacks of another.

    Args:
        server: The server.
        loop: The other loop.
        fd: What is readable when a turn is due.
    """

    def __init__(self, server: TLSHTTPServer, loop: asyncio.AbstractEventLoop, fd: int) -> None:
        self._server = server
        self._serving = contextlib.ExitStack()
        self._serving.enter_context(server._serving())
        self._loop = loop
        self._fd = fd
        self._again = False
        self.over: asyncio.Future[None] = loop.create_future()
        """Done when the server has come to its end."""
        self._due_at = -math.inf  # by the loop's clock
        self._timer: asyncio.Handle = loop.call_soon(self._tick)
        loop.add_reader(fd, self._turn)

    def end(self) -> None:
        """Have no more turns."""
        self._timer.cancel()
        self._loop.remove_reader(self._fd)
        self._serving.close()

    def _turn(self) -> None:
        """Have one turn."""
        if self.over.done():
            return
        try:
            due = self._server._turn(_TICK_SECONDS, waits=False)
        except Exception as error:  # noqa: BLE001 (it is raised where the server is served)
            self._fail(error)
            return
        if due is None:
            self.over.set_result(None)
            return
        if not due and not self._again:
            self._again = True
            self._loop.call_soon(self._turn_again)
        self._be_back(due or _TICK_SECONDS)

    def _fail(self, error: Exception) -> None:
        """Have it raised; a future takes no `StopIteration`."""
        if isinstance(error, StopIteration):
            self.over.set_result(None)
        else:
            self.over.set_exception(error)

    def _turn_again(self) -> None:
        """Have another one: some connections have more to do, when others had their turn."""
        self._again = False
        self._turn()

    def _be_back(self, due: float) -> None:
        """Have another turn in so many seconds at the latest."""
        due_at = self._loop.time() + max(due, _SHORTEST_SECONDS)
        if due_at < self._due_at:
            self._due_at = due_at
            self._timer.cancel()
            self._timer = self._loop.call_at(due_at, self._tick)

    def _tick(self) -> None:
        self._due_at = math.inf
        self._turn()
