"""What both kinds of WebSockets have: sending, and the end."""

from __future__ import annotations

import contextlib
import threading
from abc import abstractmethod
from typing import TYPE_CHECKING

from tlshttp._passed_on import passes_on
from tlshttp.errors import WebSocketClosed
from tlshttp.websocket._conversation import ABNORMAL, NORMAL, Conversation

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp.websocket._opening import Agreement
    from tlshttp.websocket._terms import Terms

__all__ = ["WebSocket"]


class WebSocket:
    """A WebSocket to send on, from any thread.

    Args:
        agreement: What the opening handshake has agreed on.
        terms: What the server wants.
    """

    def __init__(self, agreement: Agreement, terms: Terms) -> None:
        self.subprotocol: str | None = agreement.subprotocol
        """What was agreed on; `None`: nothing."""
        self._terms = terms
        self._conversation = Conversation(terms.max_size, agreement.compression)
        self._sending = threading.RLock()
        self._broken = False
        self._raised: WebSocketClosed | None = None

    @property
    def close_code(self) -> int | None:
        """Why it was closed: the other side's code, else ours; 1006 where it broke; `None`: not."""
        end = self._end()
        return None if end is None else end[0]

    @property
    def close_reason(self) -> str:
        """The same in words."""
        end = self._end()
        return "" if end is None else end[1]

    def _end(self) -> tuple[int, str] | None:
        conversation = self._conversation
        if conversation.received is not None:
            return conversation.received
        if conversation.sent is not None:
            return conversation.sent
        return (ABNORMAL, "") if self._broken else None

    @property
    @abstractmethod
    def backlog(self) -> int:
        """Bytes that were sent and that the client has not taken."""

    def _closed(self) -> WebSocketClosed:
        self._raised = WebSocketClosed(*(self._end() or (ABNORMAL, "")))
        return self._raised

    def has_raised(self, error: BaseException | None) -> bool:
        """Return whether an exception tells of the end of this very WebSocket."""
        return passes_on(error, lambda each: each is self._raised)

    def send(self, message: str | Buffer) -> None:
        """Send a message: text, or anything that is bytes.

        Raises:
            WebSocketClosed: It is closed, by whichever side.
            TypeError: It is neither.
        """
        self._look()
        with self._sending:  # so that nothing comes after the frame that closes
            if self._broken:
                raise self._closed()
            data = self._conversation.encode(message)
            if not data:
                raise self._closed()
            self._transmit(data)

    def ping(self, data: bytes = b"") -> None:
        """Ask for a sign of life, which nobody need wait for.

        Args:
            data: What is to come back, 125 bytes at most.

        Raises:
            WebSocketClosed: It is closed.
            ValueError: There are more.
        """
        self._look()
        with self._sending:
            if self._broken or self.close_code is not None:
                raise self._closed()
            self._transmit(self._conversation.ping(data))

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Begin to close; what has been sent still arrives. Again, do nothing.

        Args:
            code: Why: 1000 to 1014 as RFC 6455 has them, or 3000 to 4999.
            reason: The same in words, 123 bytes of UTF-8 at most.

        Raises:
            ValueError: It is no such code, or the reason is longer.
        """
        with self._sending:
            data = self._conversation.close(code, reason) if not self._broken else b""
            if data:
                with contextlib.suppress(WebSocketClosed):
                    self._transmit(data)

    def _look(self) -> None:
        """See what has come, before something is sent, where nobody else does."""

    @abstractmethod
    def _transmit(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            WebSocketClosed: The connection is over.
        """
