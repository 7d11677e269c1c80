"""A WebSocket in the hands of a handler, which waits for its messages in a thread of its own."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tlshttp.errors import ConnectionCut, PeerDisconnected, ProtocolViolation
from tlshttp.websocket._conversation import GOING_AWAY, INTERNAL, NORMAL
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

__all__ = ["BlockingWebSocket", "accept", "accept_on"]

_AT_ONCE = 16_384

_SECONDS_BETWEEN_LOOKS = 0.02
"""How often who only sends looks what has come: a look takes as long as a short message."""


def accept(
    handler: BaseHTTPRequestHandler,
    subprotocols: Sequence[str] = (),
    origins: Origins | Collection[str] = SAME_HOST,
    *,
    compression: bool = True,
    max_size: int = MAX_SIZE,
    ping_interval: float | None = PING_INTERVAL,
    ping_timeout: float | None = PING_TIMEOUT,
    close_timeout: float = CLOSE_TIMEOUT,
    headers: Iterable[tuple[str, str]] = (),
) -> BlockingWebSocket:
    """Answer a request for a WebSocket, and return that; called by a handler for its request.

    The handler's thread is no worker at work from then on (`~tlshttp.TLSRequestHandler.take_over`).

    Args:
        handler: The handler.
        subprotocols: What the server speaks, best first. The first one that the client offers is
            taken; if there is none, none is.
        origins: Whose pages may ask: `SAME_HOST`, a list such as ``["https://example.org"]``, or
            `ANY_ORIGIN`. A request without Origin comes from no browser, and passes.
        compression: Whether messages may be compressed (RFC 7692), each for itself, so that nothing
            is kept in memory between two of them.
        max_size: Bytes that a message may have, decompressed. A larger one closes with 1009.
        ping_interval: Seconds after which a silent client is sent a ping, while this side waits for
            a message, or sends one; `None`: never.
        ping_timeout: Seconds in which a sign of life has to follow, and in which a client has to
            take something of what it is sent; `None`: no limit.
        close_timeout: Seconds that the client has to answer a close.
        headers: Further fields of the answer, such as cookies.

    Raises:
        RequestRefused: It is no request for a WebSocket, or of a foreign page. It has been
            answered: let it pass.
        ConfigurationError: The package websockets is missing.
        RuntimeError: The handler belongs to no server of this package, or is for HTTP/1.0.
        ValueError: A number is not more than zero.
    """
    terms = Terms(
        subprotocols, origins, compression, max_size, ping_interval, ping_timeout, close_timeout
    )
    return accept_on(handler, terms, headers)


def accept_on(
    handler: Any, terms: Terms, headers: Iterable[tuple[str, str]] = ()
) -> BlockingWebSocket:
    """Do the same on such terms."""
    agreement = open_websocket(handler, terms, headers)
    return BlockingWebSocket(handler.take_over(), agreement, terms)


class BlockingWebSocket(WebSocket):
    """A WebSocket whose messages are waited for: iterate over it, or call `receive`.

    As a context manager it closes in the end: with 1000, or with 1011 after an exception. That it
    has been closed is no mistake: `~tlshttp.errors.WebSocketClosed` of its own ends there. It is
    read by one thread; others may send. While nobody receives, `send` sees to pings and closes.
    """

    def __init__(self, connection: Any, agreement: Agreement, terms: Terms) -> None:
        super().__init__(agreement, terms)
        self._connection = connection
        self._keeping = Keeping(terms)
        self._reading = threading.Lock()
        self._close_by = math.inf
        self._looked = 0.0
        # It bounds sending: whoever waits to receive does so in a way of its own.
        connection.settimeout(terms.ping_timeout)

    def __iter__(self) -> Iterator[str | bytes]:
        """Yield message after message, until it is closed, whyever."""
        while (message := self._receive(None)) is not None:
            yield message

    def receive(self, timeout: float | None = None) -> str | bytes:
        """Return the next message, waiting for it.

        Args:
            timeout: Seconds; `None`: for ever.

        Raises:
            WebSocketClosed: There will be none.
            TimeoutError: None has come in time.
        """
        message = self._receive(timeout)
        if message is None:
            raise self._closed()
        return message

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Close it, and wait for the other side to do so, too."""
        has_ended = self.has_raised(error)
        self.close(NORMAL if error is None or has_ended else INTERNAL)
        return has_ended

    @property
    def backlog(self) -> int:
        """Bytes that were sent and that the client has not taken."""
        size: int = self._connection.backlog
        return size

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close, and wait for the other side to do so, unless another thread is receiving.

        Messages that still come are thrown away. Again, do nothing.
        """
        super().close(code, reason)
        self._close_by = min(self._close_by, time.monotonic() + self._terms.close_timeout)
        if not self._reading.acquire(blocking=False):
            return
        try:
            while self._fill(None):
                while self._conversation.next() is not None:
                    pass
        finally:
            self._reading.release()

    def _receive(self, timeout: float | None) -> str | bytes | None:
        """Return the next message; `None` at the end."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._reading:
            while True:
                message = self._conversation.next()
                if message is not None:
                    return message
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError("no message has come in time")
                if not self._fill(left):
                    return None

    def _look(self) -> None:
        """Answer pings and a close, and hear of the server's end, where nobody is receiving."""
        now = time.monotonic()
        if now - self._looked < _SECONDS_BETWEEN_LOOKS or not self._reading.acquire(blocking=False):
            return
        try:
            conversation, self._looked = self._conversation, now
            while not (self._broken or conversation.is_over or conversation.is_behind):
                if not self._has_come():
                    self._keep_alive()
                    return
                self._fill(0)
            if not self._broken and conversation.is_overdue(self._terms.close_timeout):
                while conversation.next() is not None:
                    pass  # it has had the time to ask for these
                self._finish()
        finally:
            self._reading.release()

    def _has_come(self) -> bool:
        try:
            return bool(self._connection.await_data(0))
        except ConnectionCut:
            return True  # receiving says so, too

    def _fill(self, timeout: float | None) -> bool:
        """Receive something, or wait so long for it; false at the end."""
        conversation = self._conversation
        if self._broken or conversation.is_over:
            self._finish()
            return False
        now = time.monotonic()
        if now >= self._close_by:
            self._broken = True  # the other side does not answer
            return False
        waits = (timeout, self._keeping.left(now), self._close_by - now)
        wait = min((each for each in waits if each not in (None, math.inf)), default=None)
        try:
            if not self._connection.await_data(wait):
                return self._keep_alive()
            data = self._connection.recv(_AT_ONCE)
        except ConnectionCut:
            data = b""
        if not data:
            self._leave()
            return False
        self._looked = time.monotonic()
        self._keeping.heard(self._looked)
        answer = conversation.feed(data)
        if answer:
            with self._sending:
                self._transmit_if_open(answer)
        return True

    def _keep_alive(self) -> bool:
        """See whether the other side is to be asked whether it is there; false if it is not."""
        now = time.monotonic()
        if self._keeping.is_lost(now):
            super().close(INTERNAL, "no sign of life")
            self._break()
            return False
        if self._keeping.wants_ping(now):
            self._keeping.pinged(now)
            with self._sending:
                self._transmit_if_open(self._conversation.ping(b""))
        return not self._broken

    def _leave(self) -> None:
        """The connection has ended: by the server, which is to be said, or by the other side."""
        if self._connection.ending and not self._broken:
            super().close(GOING_AWAY)
        self._broken = True
        self._conversation.let_go()

    def _finish(self) -> None:
        """Say what is to be said last."""
        words = self._conversation.take_last_words()
        if words and not self._broken:
            with self._sending:
                self._transmit_if_open(words)
        fault = self._conversation.fault
        if fault is not None and self._connection.fault is None:
            self._connection.fault = ProtocolViolation(fault)
        self._conversation.let_go()

    def _break(self) -> None:
        self._broken = True
        self._connection.failure = self._connection.failure or PeerDisconnected(
            "the peer has given no sign of life"
        )

    def _transmit_if_open(self, data: bytes) -> None:
        if not self._broken:
            try:
                self._connection.sendall(data)
            except (OSError, ConnectionCut):
                self._broken = True

    def _transmit(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            self._broken = True
            closed = self._closed()
            if isinstance(error, TimeoutError):
                self._connection.close()
            raise closed from error
