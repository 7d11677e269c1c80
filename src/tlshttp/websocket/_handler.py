"""WebSockets that the loop drives: one that is idle costs no thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from tlshttp._taken_over import ConnectionDriver, DrivenConnection
from tlshttp.errors import ConnectionCut, PeerDisconnected, ProtocolViolation
from tlshttp.handler import TLSRequestHandler
from tlshttp.websocket._blocking import BlockingWebSocket
from tlshttp.websocket._conversation import ABNORMAL, GOING_AWAY, INTERNAL
from tlshttp.websocket._keeping import Keeping
from tlshttp.websocket._opening import open_websocket
from tlshttp.websocket._socket import WebSocket
from tlshttp.websocket._terms import (
    CLOSE_TIMEOUT,
    MAX_SIZE,
    PING_INTERVAL,
    PING_TIMEOUT,
    SAME_HOST,
    Origins,
    Terms,
)

if TYPE_CHECKING:
    from tlshttp.websocket._opening import Agreement

__all__ = ["WebSocketHandler"]

_FED_AT_ONCE = 2_048
"""Bytes that are taken apart at once: what compressed messages become is bounded by that."""

_SECONDS_AT_ONCE = 0.004
"""For how long one connection has messages delivered before others have their turn."""


class WebSocketHandler(TLSRequestHandler):
    """Serves each GET as a WebSocket: override `opened`, `received` and `closed`.

    These are called one at a time for each connection, by a worker, or in
    `~tlshttp.TLSHTTPServer` by its only thread; between them the connection has no thread. What
    they raise is reported by ``handle_error()``, and closes with 1011.

    To serve other paths as well, override ``do_GET()`` and call it for those that are WebSockets.
    Where handlers have threads of their own (`socketserver.ThreadingMixIn`, an own ``handle()``),
    each connection has its thread here, too.
    """

    subprotocols: Sequence[str] = ()
    """What the server speaks, best first."""
    origins: Origins | Collection[str] = SAME_HOST
    """Whose pages may ask: `SAME_HOST`, a list such as ``["https://example.org"]``, or
    `ANY_ORIGIN`."""
    compression = True
    """Whether messages may be compressed (RFC 7692), each for itself."""
    max_size = MAX_SIZE
    """Bytes that a message may have, decompressed. A larger one closes with 1009."""
    max_queue = 1 << 20
    """Bytes that may wait for a client which does not take them; more cut the connection. A client
    that is behind is not read from meanwhile."""
    ping_interval: float | None = PING_INTERVAL
    """Seconds after which a silent client is sent a ping; `None`: never."""
    ping_timeout: float | None = PING_TIMEOUT
    """Seconds in which a sign of life has to follow; `None`: no limit."""
    close_timeout = CLOSE_TIMEOUT
    """Seconds that the client has to answer a close."""

    websocket: WebSocket
    """What is sent on, from any thread."""

    def do_GET(self) -> None:
        """Open a WebSocket."""
        terms = Terms(
            self.subprotocols, self.origins, self.compression, self.max_size,
            self.ping_interval, self.ping_timeout, self.close_timeout,
        )  # fmt: skip
        agreement = open_websocket(self, terms)
        exchange = self.request.exchange
        if exchange.blocking or exchange.one_shot:
            self.__serve_here(agreement, terms)
        else:
            driver = _Driver(self, agreement, terms)
            self.websocket = driver.websocket
            self.take_over(driver, max_backlog=self.max_queue)

    def __serve_here(self, agreement: Agreement, terms: Terms) -> None:
        websocket = BlockingWebSocket(self.take_over(), agreement, terms)
        self.websocket = websocket
        try:
            with websocket:
                self.opened()
                for message in websocket:
                    self.received(message)
        finally:
            self.closed(websocket.close_code or ABNORMAL, websocket.close_reason)

    def opened(self) -> None:
        """Begin: the client may be sent something."""

    def received(self, message: str | bytes) -> None:
        """Take a message.

        Args:
            message: `str` where it is text, `bytes` otherwise.
        """

    def closed(self, code: int, reason: str) -> None:
        """Take note of the end, whoever has brought it about.

        Args:
            code: The client's, else this side's; 1006 where the connection broke.
            reason: The same in words, often none.
        """


class _DrivenWebSocket(WebSocket):
    """A WebSocket over a connection that is driven."""

    connection: DrivenConnection | None = None

    @property
    def backlog(self) -> int:
        """Bytes that were sent and that the client has not taken."""
        return 0 if self.connection is None else self.connection.backlog

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close, and see to it that the connection ends in time."""
        super().close(code, reason)
        if self.connection is not None and not self._broken:
            self.connection.wake_after(self._terms.close_timeout)

    def _transmit(self, data: bytes) -> None:
        if self.connection is None:
            raise RuntimeError("nothing can be sent before opened() is called")
        try:
            self.connection.write(data)
        except OSError as error:
            self.break_off()
            raise self._closed() from error

    def break_off(self) -> None:
        """Take note that the connection is over."""
        self._broken = True


class _Driver(ConnectionDriver):
    """What the loop calls.

    Args:
        handler: The user's.
        agreement: What the opening handshake has agreed on.
        terms: What the server wants.
    """

    __slots__ = (
        "_close_timeout",
        "_conversation",
        "_handler",
        "_has_more",
        "_keeping",
        "_rest",
        "websocket",
    )

    def __init__(self, handler: WebSocketHandler, agreement: Agreement, terms: Terms) -> None:
        self._handler = handler
        self.websocket = _DrivenWebSocket(agreement, terms)
        self._conversation = self.websocket._conversation  # noqa: SLF001
        self._keeping = Keeping(terms)
        self._close_timeout = terms.close_timeout
        self._rest: bytes | memoryview = b""
        self._has_more = False

    def began(self, connection: DrivenConnection) -> None:
        """Have the handler begin."""
        super().began(connection)
        self.websocket.connection = connection
        self._keeping.heard(time.monotonic())
        self._plan()
        self._call(self._handler.opened)

    def received(self, data: bytes) -> None:
        """Take bytes apart."""
        if self._keeping.heard(time.monotonic()):
            self._plan()
        self._rest = memoryview(bytes(self._rest) + data if self._rest else data)
        self._deliver()

    def writable(self) -> None:
        """Go on where the client was too far behind."""
        self._deliver()

    def peer_ended(self) -> None:
        """Close: there was no goodbye, or it was the answer to ours."""
        self.connection.close()

    def due(self) -> None:
        """Go on with what is left, look for signs of life, or close in the end."""
        if self._has_more:
            if not self._deliver():
                self._plan()
            return
        conversation, keeping, now = self._conversation, self._keeping, time.monotonic()
        if conversation.sent is not None:
            self.connection.close()  # the client has not answered in time
            return
        if self.connection.backlog:
            keeping.heard(now)  # there is a limit of its own for that
        if keeping.is_lost(now):
            self.websocket.close(INTERNAL, "no sign of life")
            self.connection.close(PeerDisconnected("the peer has given no sign of life"))
            return
        if keeping.wants_ping(now):
            keeping.pinged(now)
            self.websocket.ping()
        self._plan()

    def leave(self) -> None:
        """Say that the server goes away."""
        self.websocket.close(GOING_AWAY)

    def ended(self, error: Exception | None) -> None:
        """Tell the handler."""
        self.websocket.break_off()
        self._conversation.let_go()
        end = self.websocket.close_code, self.websocket.close_reason
        is_cut = isinstance(error, ConnectionCut) and not isinstance(error, ProtocolViolation)
        if is_cut and self._conversation.received is None:
            end = ABNORMAL, str(error)
        self._handler.closed(end[0] or ABNORMAL, end[1])

    def _plan(self) -> None:
        """Have `due` called when a sign of life is to be looked for."""
        is_open = self._conversation.sent is None
        left = self._keeping.left(time.monotonic()) if is_open else self._close_timeout
        self.connection.wake_after(left)

    def _deliver(self) -> bool:
        """Give the handler what has come; true where others are to have their turn in between.

        No further than the client takes its answers: `writable` goes on then.
        """
        conversation, connection = self._conversation, self.connection
        self._has_more = False
        end = time.monotonic() + _SECONDS_AT_ONCE
        while not connection.is_full:
            message = conversation.next()
            if message is not None:
                self._call(self._handler.received, message)
            elif conversation.is_over:
                self._finish()
                return False
            elif self._rest:
                answer = conversation.feed(bytes(self._rest[:_FED_AT_ONCE]))
                self._rest = self._rest[_FED_AT_ONCE:]
                if answer:
                    connection.write(answer)
                continue
            else:
                break
            if time.monotonic() > end:
                self._has_more = True
                connection.wake_after(0)
                return True
        return False

    def _finish(self) -> None:
        """Say what is to be said last, and close."""
        self._rest = b""
        words = self._conversation.take_last_words()
        if words:
            self.connection.write(words)
        fault = self._conversation.fault
        self.connection.close(None if fault is None else ProtocolViolation(fault))

    def _call(self, method: Callable[..., object], *arguments: object) -> None:
        """Call a method of the handler; what it raises closes."""
        try:
            method(*arguments)
        except BaseException as error:
            if self.websocket.has_raised(error):
                return  # the client has just left
            self.websocket.close(INTERNAL)
            raise
