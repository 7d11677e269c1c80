"""One call of an ASGI application for a request, as the specification of HTTP has it.

The exchange ends with the last piece of the response, not with the application, which may have
something to do afterwards: the next request does not wait for that. From then on, or when the
client has left, ``receive()`` returns ``http.disconnect``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any, NoReturn, TypeAlias

from tlshttp.aio._left import ClientLeft
from tlshttp.errors import ConnectionCut

__all__ = ["Call", "Message"]

Message: TypeAlias = MutableMapping[str, Any]

_DISCONNECT = "http.disconnect"
_AT_ONCE = 65_536
"""Bytes of a request body that are given at once: what the server takes in at once."""


class Call:
    """The call.

    Args:
        handler: The request's.
    """

    __slots__ = (
        "_answer", "_body_is_over", "_cut", "_handler", "_has_begun", "_is_over", "_line",
    )  # fmt: skip

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._answer: Any = None
        self._line: str = handler.requestline
        self._body_is_over = self._has_begun = self._is_over = False
        self._cut: ConnectionCut | None = None

    async def run(
        self, application: Callable[..., Coroutine[Any, Any, None]], scope: MutableMapping[str, Any]
    ) -> None:
        """Call the application.

        Raises:
            RuntimeError: It has not answered, or not to the end.
        """
        self._answer = self._handler._answer
        await application(scope, self.receive, self.send)
        if not self._is_over and self._answer.later is not None and not self._has_left():
            self._complain()

    def _complain(self) -> None:
        exchange = self._handler.request.exchange
        if not self._has_begun:
            raise RuntimeError(
                f"{self._line!r}: the ASGI application has returned, and not answered"
            )
        exchange.warn(
            "%r: the ASGI application has returned before the end of its response", self._line
        )
        exchange.apologise()

    def _has_left(self) -> bool:
        later = self._answer.later
        return later is None or later.has_left

    # What comes -------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next event: a piece of the body, or that the client has left."""
        if self._is_over or self._cut is not None or self._answer.later is None:
            return {"type": _DISCONNECT}
        if self._body_is_over:
            await self._answer.wait_for_end()
            return {"type": _DISCONNECT}
        handler = self._handler
        exchange = handler.request.exchange
        rfile = exchange.rfile  # which is gone from there when the connection is over
        try:
            data = await handler.read1(_AT_ONCE)
        except ConnectionCut:
            self._body_is_over = True
            if exchange.refused is not None:
                raise  # what has come is no HTTP: the client is told
            return {"type": _DISCONNECT}
        more = bool(data) and not rfile.is_at_end()
        self._body_is_over = not more
        return {"type": "http.request", "body": data, "more_body": more}

    # What goes --------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Send a piece of the response.

        Raises:
            RuntimeError: This is not its turn.
            ValueError: There is something in it that would not be HTTP.
            OSError: The client has left.
        """
        kind = message["type"]
        if self._cut is not None:
            self._leave(self._cut)
        self._is_over |= self._answer.later is None  # the application has returned without an end
        if kind == "http.response.body" and self._has_begun and not self._is_over:
            if message.get("more_body", False):
                await self._send_more(message.get("body", b""))
            else:
                self._send_last(message.get("body", b""))
        elif kind == "http.response.start" and not (self._has_begun or self._is_over):
            self._start(message)
        else:
            self._refuse(kind)

    def _refuse(self, kind: str) -> None:
        if self._is_over:
            raise RuntimeError(f"{self._line!r}: {kind} after the end of the response")
        wanted = "http.response.body" if self._has_begun else "http.response.start"
        raise RuntimeError(f"{self._line!r}: {kind} where {wanted} is due")

    def _start(self, message: Message) -> None:
        """Send the head, which is held back until there is some of the body."""
        handler = self._handler
        heads = handler._heads
        head = heads.head(handler, int(message["status"]), message.get("headers", ()))
        self._has_begun = True
        try:
            heads.send(handler, head)
        except ConnectionCut as cut:
            self._leave(cut)

    async def _send_more(self, data: bytes) -> None:
        """Send a piece of the body that is not the last."""
        try:
            if data:
                await self._handler.write(data)
            else:
                self._handler.wfile.flush()
        except ConnectionCut as cut:
            self._leave(cut)

    def _send_last(self, data: bytes) -> None:
        """Send the last piece of the body, and end the exchange."""
        if data:
            try:
                self._handler.__dict__["wfile"].write(data)  # nor here: it is not over
            except ConnectionCut as cut:
                self._leave(cut)
        self._is_over = True
        self._answer.finish()

    def _leave(self, cut: ConnectionCut) -> NoReturn:
        self._cut = cut
        raise ClientLeft(f"the client has left: {cut}") from cut
