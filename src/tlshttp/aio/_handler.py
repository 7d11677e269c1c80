"""`AsyncTLSRequestHandler`: a handler whose methods may be coroutines."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tlshttp.aio._answer import Answer, answer_of, refuse_late
from tlshttp.aio._current import CURRENT
from tlshttp.aio._ending import end_coroutines
from tlshttp.aio._loops import HandlerLoop, OwnLoop
from tlshttp.handler import TLSRequestHandler

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp.server import TLSHTTPServer

__all__ = ["AsyncTLSRequestHandler"]

_AT_ONCE = 65_536
"""Bytes read at once where no size is given: what the server takes in at once."""

_BACKLOG = 65_536
"""Bytes of a response that `AsyncTLSRequestHandler.write` leaves to be taken without waiting for
the peer: what may wait in memory for one connection (``Limits.max_buffer_memory``)."""


def _of_request(name: str) -> property:
    """Return an attribute that a task must not use when its request is over: it is the next one's.

    A property of a function is what Python gets at the quickest, and a response asks a dozen times.
    """

    def get(handler: Any) -> Any:
        current = CURRENT.get()
        if current is not None and current[1].later is None:
            refuse_late(handler, name)
        try:
            return handler.__dict__[name]
        except KeyError:
            raise AttributeError(name) from None

    def change(handler: Any, value: Any) -> None:
        refuse_late(handler, name)
        handler.__dict__[name] = value

    return property(get, change)


class AsyncTLSRequestHandler(TLSRequestHandler):
    """A handler whose ``do_*`` methods may be coroutines: ``async def do_GET(self)``.

    A coroutine may wait as long as it likes, for whatever it likes: it keeps no thread and no place
    among ``max_workers``. Coroutines run in an asyncio loop, one for each server, in a thread of
    its own; or in the caller's, with `tlshttp.aio.serve`. Methods that are no coroutines
    run as those of any handler.

    ``send_response()``, ``send_header()``, ``end_headers()`` and ``send_error()`` are as ever. Read
    with `read` and `read1`, and write with `write`: they wait for the peer where there is something
    to wait for, under the same ``Limits`` as ever. ``rfile`` and ``wfile`` are there, too, and
    never wait in a coroutine: reading what has not come is a `BlockingIOError`.

    The body has been collected when a method is called, as for any handler; with
    ``stream_request`` a coroutine reads it as it comes. A method that is no coroutine would have
    others wait for it then, in `~tlshttp.TLSHTTPServer`.

    When the peer leaves before it has its answer, the coroutine is cancelled. A task of its own may
    go on when it has returned, but has nothing to read or write any more: that is a `RuntimeError`.
    ``path`` and ``headers`` may be the next request's by then: give it what it needs.
    """

    cancel_when_left = True
    """Whether the coroutine is cancelled when its peer has left, or has closed its side. With false
    it goes on to its end, and a response that nobody takes is thrown away."""

    async def read(self, size: int = -1) -> bytes:
        """Read `size` bytes of the request body, fewer only at its end.

        Args:
            size: How many; negative: all of the body.

        Raises:
            BodyTimeout: The peer was too slow.
            PeerDisconnected: The peer left in the middle of the body.
            RequestRefused: What has come is no HTTP.
            RuntimeError: The response is over, and this is a task that goes on.
        """
        pieces = []
        while size and (data := await self.read1(size)):
            pieces.append(data)
            size -= len(data) if size > 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def read1(self, size: int = -1) -> bytes:
        """Read what has come of the request body, waiting only if that is nothing.

        Args:
            size: Bytes at most; negative: 65 536.

        Returns:
            Nothing at the end of the body.

        Raises:
            BodyTimeout, PeerDisconnected, RequestRefused, RuntimeError: As for `read`.
        """
        most = _AT_ONCE if size < 0 else min(size, _AT_ONCE)
        answer = answer_of(self, "reading")
        if answer.has_had_its_turn():
            await answer.let_others()
        file: Any = self.rfile
        while True:
            try:
                data: bytes = file.read1(most)
            except BlockingIOError:
                await answer.wait_for_input()
            else:
                return data

    async def write(self, data: Buffer) -> None:
        """Send all of it; wait while more than 64 KiB are still to be taken by the peer.

        Raises:
            WriteTimeout: The peer takes it too slowly.
            PeerDisconnected: The peer has left.
            RuntimeError: The response is over, and this is a task that goes on.
        """
        answer = answer_of(self, "write()")
        if answer.has_had_its_turn():
            await answer.let_others()
        self.wfile.write(data)
        if self.request.backlog > _BACKLOG:
            await answer.wait_for_room()

    async def flush(self) -> None:
        """Send what is held back: a head whose body is long in coming.

        Raises:
            WriteTimeout, PeerDisconnected, RuntimeError: As for `write`.
        """
        answer = answer_of(self, "flush()")
        self.wfile.flush()
        if self.request.backlog > _BACKLOG:
            await answer.wait_for_room()

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin a response head; see `TLSRequestHandler.send_response`.

        Raises:
            RuntimeError: The response is over, and this is a task that goes on.
        """
        refuse_late(self, "send_response()")
        super().send_response(code, message)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send and log an error page; see `TLSRequestHandler.send_error`.

        Raises:
            RuntimeError: The response is over, and this is a task that goes on.
        """
        refuse_late(self, "send_error()")
        super().send_error(code, message, explain)

    def answered(self) -> None:
        """Be told, in the loop, that a coroutine has answered, or has failed to (hook)."""
        own: Any = type(self)
        if _is_told_further(own):
            super().answered()  # type: ignore[misc]

    if not TYPE_CHECKING:
        rfile = _of_request("rfile")
        wfile = _of_request("wfile")
        _headers_buffer = _of_request("_headers_buffer")

    _answer: Answer
    """What runs the coroutine."""

    @classmethod
    def _answers_by_coroutine(cls, command: str, /) -> bool:
        """Return whether the method for a request is a coroutine, and does nothing by itself."""
        return inspect.iscoroutinefunction(getattr(cls, "do_" + command, None))

    def _create_answerer(self, coroutine: Coroutine[Any, Any, object]) -> Answer:
        """Return what runs a coroutine that one of the methods has returned."""
        loop: HandlerLoop | None = getattr(self.server, "handler_loop", None)
        if loop is None:
            coroutine.close()
            raise RuntimeError("there is no loop for coroutines: the server is not of tlshttp")
        self._answer = answer = Answer(self, coroutine, loop)
        return answer

    @classmethod
    def _begin_serving(cls, server: TLSHTTPServer) -> Callable[[], None]:
        """Have a loop for a server, unless there is one; return what ends it."""
        if server.handler_loop is not None:
            return _do_nothing
        server.handler_loop = own = OwnLoop()
        try:
            own.run(cls._open(server))
        except BaseException:
            server.handler_loop = None
            own.stop()
            raise

        def end() -> None:
            try:
                own.run(end_coroutines(server, own, cls._close))
            finally:
                own.stop()

        return end

    @classmethod
    async def _open(cls, server: TLSHTTPServer) -> None:
        """Begin, in the loop, before the first request."""

    @classmethod
    async def _close(cls, server: TLSHTTPServer) -> None:
        """End, in the loop, after the last one."""


@functools.lru_cache(maxsize=64)
def _is_told_further(handler: type[AsyncTLSRequestHandler]) -> bool:
    """Return whether a mix-in behind ours is to be told that a request has been answered."""
    mro = handler.__mro__
    behind = mro[mro.index(AsyncTLSRequestHandler) + 1 :]
    return any("answered" in vars(base) for base in behind)


def _do_nothing() -> None:
    pass
