"""One call of an ASGI application for a WebSocket, as the specification has it.

Frames, messages and faults are `tlshttp.websocket`'s; here they become events. What comes is read
while the application waits in ``receive()``, and no further: an application that does not ask for
more has its peer wait. Pings are sent and answered meanwhile, too.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Coroutine, MutableMapping
from http import HTTPStatus
from typing import Any

from tlshttp.aio._http import Message, send_whole
from tlshttp.errors import ConnectionCut
from tlshttp.websocket import _opening
from tlshttp.websocket._conversation import (
    ABNORMAL,
    GOING_AWAY,
    INTERNAL,
    NORMAL,
    Conversation,
)
from tlshttp.websocket._keeping import Keeping
from tlshttp.websocket._terms import SAME_HOST, Origins, Terms

__all__ = ["WebSocketCall"]

_DISCONNECT = "websocket.disconnect"
_DENIAL = "websocket.http.response"


class WebSocketCall:
    """The call.

    Args:
        handler: What the request has come to.
        origins: Whose pages may open a WebSocket; `None`: those of the same host.
    """

    def __init__(self, handler: Any, origins: Origins | Collection[str] | None) -> None:
        self._handler = handler
        self._terms = Terms(origins=SAME_HOST if origins is None else origins)
        self._answer: Any = None
        self._line: str = handler.requestline
        self._conversation: Conversation | None = None
        self._keeping = Keeping(self._terms)
        self._is_told = self._is_over = False
        self._deadline = math.inf
        """When the client is to have answered our close."""
        self._denial: Message | None = None
        self._denial_body: list[bytes] = []

    async def run(
        self, application: Callable[..., Coroutine[Any, Any, None]], scope: MutableMapping[str, Any]
    ) -> None:
        """Call the application, and close after it.

        Raises:
            RequestRefused: The request cannot be granted, and has been answered.
            RuntimeError: The application has not answered.
        """
        self._answer = self._handler._answer
        self._judge()
        headers = self._handler.headers
        scope["subprotocols"] = _opening._tokens(headers, "Sec-WebSocket-Protocol")
        scope["extensions"][_DENIAL] = {}
        try:
            await self._run(application, scope)
        except BaseException:
            await self._close(INTERNAL, "")
            raise
        finally:
            if self._conversation is not None:
                self._conversation.let_go()

    async def _run(
        self, application: Callable[..., Coroutine[Any, Any, None]], scope: MutableMapping[str, Any]
    ) -> None:
        await application(scope, self.receive, self.send)
        if self._conversation is not None:
            await self._close(NORMAL, "")
            await self._await_close(self._conversation)
        elif not (self._is_over or self._answer.later.has_left):
            raise RuntimeError(
                f"{self._line!r}: the ASGI application has returned, and not answered"
            )

    def _judge(self) -> None:
        """Refuse what is no request for a WebSocket, or a page's of somebody else's."""
        try:
            _opening._key_of(self._handler)
            _opening._judge_origin(self._handler.headers, self._terms)
        except _opening._Refusal as refusal:
            _opening._refuse(self._handler, refusal)

    # What comes -------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next event."""
        if not self._is_told:
            self._is_told = True
            return {"type": "websocket.connect"}
        self._is_over |= self._answer.later is None  # the application has returned
        if self._conversation is None:
            if not self._is_over:
                await self._answer.wait_for_end()
            return self._disconnect(ABNORMAL)
        while True:
            event = await self._next(self._conversation)
            if event is not None:
                return event

    async def _next(self, conversation: Conversation) -> Message | None:
        """Return a message, or the end; `None` where there was only something else."""
        message = conversation.next()
        if message is not None:
            key = "text" if isinstance(message, str) else "bytes"
            return {"type": "websocket.receive", key: message}
        if conversation.is_over:
            await self._write(conversation.take_last_words())
            self._is_over = True
            if conversation.received is not None:
                return self._disconnect(*conversation.received)
            return self._disconnect(*(conversation.sent or (ABNORMAL, "")))
        if self._is_over:
            return self._disconnect(*(conversation.sent or (ABNORMAL, "")))
        try:
            await self._take_in(conversation)
        except ConnectionCut:
            self._is_over = True
            return self._disconnect(ABNORMAL)
        return None

    async def _take_in(self, conversation: Conversation) -> None:
        """Take in what comes; ping, and say goodbye when the server ends."""
        later, now = self._answer.later, time.monotonic()
        if later.server_ends and conversation.sent is None:
            await self._close(GOING_AWAY, "the server ends")
        if self._keeping.is_lost(now) or now >= self._deadline:
            self._is_over = True
            return
        if self._keeping.wants_ping(now):
            self._keeping.pinged(now)
            await self._write(conversation.ping(b""))
        left = self._keeping.left(now)
        try:
            data = self._handler.rfile.read1(65_536)
        except BlockingIOError:
            wait = min(self._deadline - now, math.inf if left is None else left)
            await self._answer.wait_for_input(wait, or_server_ends=conversation.sent is None)
            return
        self._keeping.heard(time.monotonic())
        if not data:
            self._is_over = True
            return
        await self._write(conversation.feed(data))

    def _disconnect(self, code: int, reason: str = "") -> Message:
        return {"type": _DISCONNECT, "code": code, "reason": reason}

    # What goes --------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Send a message, or answer the request, or close.

        Raises:
            RuntimeError: This is not its turn.
            OSError: The client has left.
        """
        kind = message["type"]
        self._is_over |= self._answer.later is None  # the application has returned
        if self._is_over:
            if kind == "websocket.close":
                return  # both sides may close
            raise OSError(f"{self._line!r}: the client has left")
        if self._conversation is not None:
            await self._send_in(self._conversation, kind, message)
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._deny({"status": HTTPStatus.FORBIDDEN}, b"")
        elif kind == f"{_DENIAL}.start" and self._denial is None:
            self._denial = message
        elif kind == f"{_DENIAL}.body" and self._denial is not None:
            self._denial_body.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._deny(self._denial, b"".join(self._denial_body))
        else:
            raise RuntimeError(f"{self._line!r}: {kind} where websocket.accept is due")

    async def _send_in(self, conversation: Conversation, kind: str, message: Message) -> None:
        if kind == "websocket.close":
            await self._close(message.get("code") or NORMAL, message.get("reason") or "")
        elif kind != "websocket.send":
            raise RuntimeError(f"{self._line!r}: {kind} in an open WebSocket")
        elif conversation.sent is not None:
            raise RuntimeError(f"{self._line!r}: {kind} after websocket.close")
        else:
            text = message.get("text")
            data: str | bytes = message["bytes"] if text is None else text
            await self._write(conversation.encode(data))

    def _accept(self, message: Message) -> None:
        """Answer 101; the connection is no longer HTTP."""
        subprotocol = message.get("subprotocol")
        terms = self._terms._replace(subprotocols=[subprotocol] if subprotocol else [])
        fields = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in message.get("headers", ())
        ]
        agreed = _opening.open_websocket(self._handler, terms, fields)
        self._conversation = Conversation(terms.max_size, agreed.compression)

    def _deny(self, head: Message, body: bytes) -> None:
        self._is_over = True
        send_whole(self._handler, int(head["status"]), head.get("headers", ()), body)
        self._answer.finish()

    async def _write(self, data: bytes) -> None:
        if not data:
            return
        try:
            await self._handler.write(data)
        except ConnectionCut as cut:
            self._is_over = True
            raise OSError(f"the client has left: {cut}") from cut

    async def _close(self, code: int, reason: str) -> None:
        conversation = self._conversation
        if conversation is not None and not self._is_over and self._answer.later is not None:
            self._deadline = time.monotonic() + self._terms.close_timeout
            with contextlib.suppress(OSError):  # it has left
                await self._write(conversation.close(code, reason))

    async def _await_close(self, conversation: Conversation) -> None:
        """Wait for the client's close, for as long as is usual, and throw away what it sends."""
        with contextlib.suppress(OSError):  # it has left
            while not (self._is_over or conversation.is_over):
                while conversation.next() is not None:
                    pass
                await self._take_in(conversation)
            await self._write(conversation.take_last_words())
