"""One call of an ASGI application for a WebSocket, as the specification has it.

Frames, messages and faults are `tlshttp.websocket`'s; here they become events. What comes is read
while the application waits in ``receive()``. Where it does not, `_look` reads, without waiting,
whenever something has come or is sent: pings and a close are answered, and the server's end is
said, while 64 KiB of messages may wait for the application. With more, its peer waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Collection, Coroutine, MutableMapping
from http import HTTPStatus
from typing import Any

from tlshttp.aio._heads import send_whole
from tlshttp.aio._http import Message
from tlshttp.aio._left import ClientLeft, tells_of_leaving
from tlshttp.errors import ConnectionCut, PeerDisconnected, ProtocolViolation
from tlshttp.websocket._conversation import (
    ABNORMAL,
    GOING_AWAY,
    INTERNAL,
    NORMAL,
    Conversation,
)
from tlshttp.websocket._keeping import Keeping
from tlshttp.websocket._opening import judge, offered_subprotocols, open_websocket
from tlshttp.websocket._terms import SAME_HOST, Origins, Terms

__all__ = ["WebSocketCall"]

_DISCONNECT = "websocket.disconnect"
_DENIAL = "websocket.http.response"

_AT_ONCE = 2_048
"""Bytes that are taken apart at once: what compressed messages become is bounded by that."""

_SECONDS_BETWEEN_LOOKS = 0.05

_BACKLOG = 65_536
"""Bytes that wait for the peer, from which on it is not read from unless the application asks."""


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
        self._is_told = self._is_over = self._has_closed = False
        self._receiving = self._writing = 0
        """How many calls are reading, and how many wait until the peer takes something."""
        self._has_missed = False
        """Whether something has come, or the server's end, since the last of these has looked."""
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
        judge(self._handler, self._terms)
        scope["subprotocols"] = offered_subprotocols(self._handler.headers)
        scope["extensions"][_DENIAL] = {}
        try:
            await self._run(application, scope)
        except BaseException as error:
            is_told = tells_of_leaving(error)  # that the client has left is no mistake
            await self._close(NORMAL if is_told else self._code_of(error), "")
            self._finish()
            if not is_told:
                raise
        finally:
            self._answer.watch = None
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

    def _code_of(self, error: BaseException) -> int:
        """Return with what to close after an exception of the application's."""
        is_end = isinstance(error, asyncio.CancelledError)
        return GOING_AWAY if is_end and self._server_ends() else INTERNAL

    def _server_ends(self) -> bool:
        return self._answer.later is not None and self._answer.later.server_ends

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
        self._receiving += 1
        try:
            while (event := await self._next(self._conversation)) is None:
                pass
        finally:
            self._receiving -= 1
            self._look_at_rest()
        return event

    def _look_at_rest(self) -> None:
        """Have what has come meanwhile be looked at, unless the application asks for more."""
        later = self._answer.later
        if later is not None and (self._has_missed or later.buffered):
            self._answer.wake()

    async def _next(self, conversation: Conversation) -> Message | None:
        """Return a message, or the end; `None` where there was only something else."""
        if self._answer.has_had_its_turn():
            await self._answer.let_others()
        message = conversation.next()
        if message is not None:
            key = "text" if isinstance(message, str) else "bytes"
            return {"type": "websocket.receive", key: message}
        if conversation.is_over:
            self._finish()
        if self._is_over:
            return self._disconnect(*self._end())
        try:
            await self._take_in(conversation)
        except ConnectionCut:
            self._is_over = True
            return self._disconnect(ABNORMAL)
        return None

    async def _take_in(self, conversation: Conversation) -> None:
        """Take in what comes; ping, and say goodbye when the server ends."""
        later, now = self._answer.later, time.monotonic()
        self._has_missed = False
        if later.server_ends and conversation.sent is None:
            await self._close(GOING_AWAY, "the server ends")
        if self._keeping.is_lost(now):
            self._lose(conversation)
        self._is_over |= now >= self._deadline
        if self._is_over:
            return
        if self._keeping.wants_ping(now):
            self._keeping.pinged(now)
            await self._write(conversation.ping(b""))
        left = self._keeping.left(now)
        try:
            data = self._handler.rfile.read1(_AT_ONCE)
        except BlockingIOError:
            wait = min(self._deadline - now, math.inf if left is None else left)
            if later.server_ends:  # its loop may have ended, and nobody tells what comes
                wait = min(wait, _SECONDS_BETWEEN_LOOKS)
            await self._answer.wait_for_input(wait, or_server_ends=conversation.sent is None)
            return
        self._keeping.heard(time.monotonic())
        if not data:
            self._is_over = True
            return
        await self._write(conversation.feed(data))

    def _look(self) -> None:
        """See what has come, without waiting, unless ``receive()`` does."""
        conversation = self._conversation
        if conversation is None or self._is_over or self._answer.later is None:
            return
        if self._receiving:
            self._has_missed = True
            return
        try:
            if self._server_ends() and conversation.sent is None:
                self._handler.wfile.write(conversation.close(GOING_AWAY, "the server ends"))
            while self._wants_more(conversation) and self._take_what_is_here(conversation):
                pass
            if self._wants_more(conversation):
                self._keep_alive(conversation)
        except OSError:  # whoever waits finds out, or sends
            self._is_over = True
        if not self._writing and conversation.is_overdue(self._terms.close_timeout):
            while conversation.next() is not None:
                pass  # it has had the time to ask for these
            self._finish()

    def _wants_more(self, conversation: Conversation) -> bool:
        """Return whether to read on though nobody has asked."""
        is_full = conversation.is_behind or self._answer.later.backlog > _BACKLOG
        return not (self._is_over or conversation.is_over or is_full)

    def _take_what_is_here(self, conversation: Conversation) -> bool:
        """Take in some of what has come; false where that is all."""
        later = self._answer.later
        try:
            data = self._handler.rfile.read1(_AT_ONCE)
        except BlockingIOError:
            later.look()  # and be told of what comes next
            return bool(later.buffered)
        self._keeping.heard(time.monotonic())
        self._is_over = not data
        if data:
            self._handler.wfile.write(conversation.feed(data))
        return True

    def _keep_alive(self, conversation: Conversation) -> None:
        """Ask for a sign of life, and see whether there has been one."""
        now = time.monotonic()
        if self._keeping.is_lost(now):
            self._lose(conversation)
        elif self._keeping.wants_ping(now):
            self._keeping.pinged(now)
            self._handler.wfile.write(conversation.ping(b""))

    def _lose(self, conversation: Conversation) -> None:
        """Part with a client that gives no sign of life, and report it."""
        self._is_over = True
        with contextlib.suppress(OSError):  # it has left
            self._handler.wfile.write(conversation.close(INTERNAL, "no sign of life"))
        self._report(PeerDisconnected("the peer has given no sign of life"))

    def _report(self, fault: ConnectionCut) -> None:
        request = self._handler.request
        if request.fault is None:
            request.fault = fault

    def _finish(self) -> None:
        """Say what is to be said last, and report a fault: nothing more is read or sent."""
        conversation = self._conversation
        if conversation is None or not conversation.is_over or self._answer.later is None:
            return
        self._is_over = True
        with contextlib.suppress(OSError):  # it has left
            self._handler.wfile.write(conversation.take_last_words())
        if conversation.fault is not None:
            self._report(ProtocolViolation(conversation.fault))
        while conversation.next() is not None:
            pass
        if not self._writing:
            self._answer.finish()

    def _end(self) -> tuple[int, str]:
        """Return how it has ended: the client's code, else ours."""
        conversation = self._conversation
        ends = (None, None) if conversation is None else (conversation.received, conversation.sent)
        return ends[0] or ends[1] or (ABNORMAL, "")

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
            raise self._left()
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

    def _left(self, why: str = "") -> ClientLeft:
        """Return what tells the application that nothing can be sent."""
        return ClientLeft(why or f"{self._line!r}: the WebSocket is closed: {self._end()[0]}")

    async def _send_in(self, conversation: Conversation, kind: str, message: Message) -> None:
        if kind == "websocket.close":
            self._has_closed = True
            await self._close(message.get("code") or NORMAL, message.get("reason") or "")
        elif kind != "websocket.send":
            raise RuntimeError(f"{self._line!r}: {kind} in an open WebSocket")
        elif self._has_closed:
            raise RuntimeError(f"{self._line!r}: {kind} after websocket.close")
        else:
            if self._answer.has_had_its_turn():
                await self._answer.let_others()
                self._is_over |= self._answer.later is None
            self._look()
            text = message.get("text")
            frame = conversation.encode(message["bytes"] if text is None else text)
            if self._is_over or not frame:
                raise self._left()
            await self._write(frame)

    def _accept(self, message: Message) -> None:
        """Answer 101; the connection is no longer HTTP."""
        subprotocol = message.get("subprotocol")
        terms = self._terms._replace(subprotocols=[subprotocol] if subprotocol else [])
        fields = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in message.get("headers", ())
        ]
        agreed = open_websocket(self._handler, terms, fields)
        self._conversation = Conversation(terms.max_size, agreed.compression)
        self._answer.watch = self._look

    def _deny(self, head: Message, body: bytes) -> None:
        self._is_over = True
        send_whole(self._handler, int(head["status"]), head.get("headers", ()), body)
        self._answer.finish()

    async def _write(self, data: bytes) -> None:
        """Write at once, lest a close that others send in between come first; wait for room."""
        if not data:
            return
        self._writing += 1
        try:
            self._handler.wfile.write(data)
            if self._answer.later is not None and self._answer.later.backlog > _BACKLOG:
                await self._answer.wait_for_room()
        except ConnectionCut as cut:
            self._is_over = True
            raise self._left(f"the client has left: {cut}") from cut
        finally:
            self._writing -= 1

    async def _close(self, code: int, reason: str) -> None:
        conversation = self._conversation
        if conversation is not None and not self._is_over and self._answer.later is not None:
            self._deadline = time.monotonic() + self._terms.close_timeout
            with contextlib.suppress(OSError):  # it has left
                await self._write(conversation.close(code, reason))

    async def _await_close(self, conversation: Conversation) -> None:
        """Wait for the client's close, for as long as is usual, and throw away what it sends."""
        self._receiving += 1
        with contextlib.suppress(OSError):  # it has left
            while not (self._is_over or conversation.is_over):
                while conversation.next() is not None:
                    pass
                await self._take_in(conversation)
        self._finish()
