"""`AsyncTLSRequestHandler`: a handler whose methods may be coroutines."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tlshttp.aio._answer import Answer
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

    When the peer leaves before it has its answer, the coroutine is cancelled.
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
            BodyTimeout, PeerDisconnected, RequestRefused: As for `read`.
        """
        most = _AT_ONCE if size < 0 else min(size, _AT_ONCE)
        file: Any = self.rfile
        while True:
            try:
                data: bytes = file.read1(most)
            except BlockingIOError:
                await self._answer.wait_for_input()
            else:
                return data

    async def write(self, data: Buffer) -> None:
        """Send all of it; wait while more than 64 KiB are still to be taken by the peer.

        Raises:
            WriteTimeout: The peer takes it too slowly.
            PeerDisconnected: The peer has left.
        """
        self.wfile.write(data)
        if self.request.backlog > _BACKLOG:
            await self._answer.wait_for_room()

    async def flush(self) -> None:
        """Send what is held back: a head whose body is long in coming.

        Raises:
            WriteTimeout, PeerDisconnected: As for `write`.
        """
        self.wfile.flush()
        if self.request.backlog > _BACKLOG:
            await self._answer.wait_for_room()

    def answered(self) -> None:
        """Be told, in the loop, that a coroutine has answered, or has failed to (hook)."""
        inherited: Callable[[], None] | None = getattr(super(), "answered", None)
        if inherited is not None:
            inherited()

    _answer: Answer
    """What runs the coroutine."""

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
                own.run(cls._close(server))
            finally:
                own.stop()

        return end

    @classmethod
    async def _open(cls, server: TLSHTTPServer) -> None:
        """Begin, in the loop, before the first request."""

    @classmethod
    async def _close(cls, server: TLSHTTPServer) -> None:
        """End, in the loop, after the last one."""


def _do_nothing() -> None:
    pass
