"""Bytes to messages, and messages to bytes: one WebSocket without its connection.

The package websockets takes frames apart, answers pings and the other side's close, and knows what
is wrong. Here frames become messages, and what it has to say last is kept until the application has
been given all that came before.
"""

from __future__ import annotations

import codecs
import logging
import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from tlshttp.websocket._library import (
    Close,
    Extension,
    Frame,
    Opcode,
    PayloadTooBig,
    Protocol,
    Side,
    State,
)
from tlshttp.websocket._room import FREE, ROOM

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["ABNORMAL", "BAD_DATA", "GOING_AWAY", "INTERNAL", "NORMAL", "TRY_LATER", "Conversation"]

NORMAL, GOING_AWAY, ABNORMAL, BAD_DATA, TOO_BIG = 1000, 1001, 1006, 1007, 1009
INTERNAL, TRY_LATER = 1011, 1013
"""Codes of RFC 6455, section 7.4.1, and of the registry that it made."""

_NO_CODE = 1005
"""Stands for a close without a code, in the package."""

_WORTH_COMPRESSING = 256
"""Bytes of a message below which to compress it costs more than it saves."""

_QUEUE, _PER_FRAME = 65_536, 128
"""Bytes that may wait to be taken by an application that only sends, and what a frame takes besides
its data."""

_log = logging.getLogger("tlshttp.websocket")

_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class Conversation:
    """One side of a WebSocket.

    Args:
        max_size: Bytes that a message may have.
        compression: What was agreed on.
    """

    __slots__ = (
        "_decoder", "_extensions", "_frames", "_is_mute", "_last_words", "_lock", "_max_size",
        "_over_since", "_partial", "_parts", "_protocol", "_queued", "_since_frame", "_taken",
        "fault", "received", "sent",
    )  # fmt: skip

    def __init__(self, max_size: int, compression: Extension | None) -> None:
        self._extensions = [] if compression is None else [compression]
        self._max_size = max_size
        # It bounds what comes, too, which is a little more where that could not be compressed.
        most = max_size if compression is None else max_size + max_size // 64 + 64
        self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=most, logger=_log)
        self._protocol.extensions = self._extensions
        self._frames: deque[Frame] = deque()
        self._parts: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._partial = self._since_frame = self._taken = 0
        self._queued = 0
        self._last_words: bytes | None = None
        self._over_since = math.inf
        self._is_mute = False
        self._lock = threading.Lock()
        self.fault: str | None = None
        """What the peer has done wrong."""
        self.received: tuple[int, str] | None = None
        """Code and reason of the peer's close."""
        self.sent: tuple[int, str] | None = None
        """Code and reason of ours."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is read: the peer has closed, or is at fault."""
        return self._last_words is not None

    @property
    def is_behind(self) -> bool:
        """Whether so much waits for the application that no more is to be read before it asks."""
        return self._queued >= _QUEUE

    def is_overdue(self, grace: float) -> bool:
        """Return whether the last words are due, though the application has not asked for more.

        It may still answer what came before a close, for a while; where nothing did, it may not.

        Args:
            grace: For how many seconds.
        """
        return self.is_over and time.monotonic() - self._over_since >= grace

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; return what is to be sent at once."""
        if self.is_over:
            return b""
        with self._lock:
            protocol = self._protocol
            was_open = protocol.state is State.OPEN
            protocol.receive_data(data)
            frames = protocol.events_received()
            writes = protocol.data_to_send()
            if writes and not writes[-1]:  # the end, after a close or a fault
                writes.pop()
                self._last_words = writes.pop() if was_open else b""
                self._note_end()
        self._keep(frames)
        self._since_frame += len(data)
        if frames:
            self._since_frame = 0  # what they are is seen as they are taken
        else:
            self._see_to_room()
        return b"".join(writes)

    def _keep(self, frames: list[Any]) -> None:
        """Keep what the application is to get, and the close; pings and pongs are done with."""
        had_message = bool(self._frames)
        for frame in frames:
            if isinstance(frame, Frame) and (frame.opcode in _DATA or frame.opcode is Opcode.CLOSE):
                had_message = had_message or frame.opcode in _DATA
                self._frames.append(frame)
                self._queued += len(frame.data) + _PER_FRAME
        if self.is_over:
            self._over_since = time.monotonic() if had_message else -math.inf

    def _note_end(self) -> None:
        protocol, close = self._protocol, self._protocol.close_rcvd
        if protocol.parser_exc is not None and close is not None:
            # It came amid a message in fragments, which RFC 6455, section 5.4, allows and the
            # package does not.
            self.received = int(close.code), close.reason
            if self.sent is None:
                self.sent = self.received
                data = b"" if close.code == _NO_CODE else close.serialize()
                self._last_words = self._serialize(Opcode.CLOSE, data)
        elif protocol.parser_exc is not None:
            self.fault = str(protocol.parser_exc) or type(protocol.parser_exc).__name__
            if isinstance(protocol.parser_exc, PayloadTooBig):
                self.fault = self._too_big()
        if protocol.close_sent is not None and self.sent is None:
            self.sent = int(protocol.close_sent.code), protocol.close_sent.reason

    def next(self) -> str | bytes | None:
        """Return the next message that is complete; `None` if there is none."""
        while self._frames:
            frame = self._frames.popleft()
            self._queued -= len(frame.data) + _PER_FRAME
            if frame.opcode in _DATA:
                message = self._take(frame)
                if message is not None:
                    return message
            elif frame.opcode is Opcode.CLOSE and self._protocol.close_rcvd is not None:
                close = self._protocol.close_rcvd
                self.received = int(close.code), close.reason
        self._see_to_room()
        return None

    def _take(self, frame: Frame) -> str | bytes | None:
        """Take a frame of a message; return that if it is complete."""
        if self._partial + len(frame.data) > self._max_size:
            self._fail(TOO_BIG, self._too_big())
            return None
        try:
            if frame.opcode is Opcode.TEXT and frame.fin:
                return str(frame.data, "utf-8")
            if frame.opcode is Opcode.BINARY and frame.fin:
                return bytes(frame.data)
            return self._take_part(frame)
        except UnicodeDecodeError:
            self._fail(BAD_DATA, "text is not UTF-8")
            return None

    def _too_big(self) -> str:
        return f"a message has more bytes than max_size, which is {self._max_size}"

    def _take_part(self, frame: Frame) -> str | bytes | None:
        """Take a fragment. They are joined as they come: objects of a few bytes take dozens."""
        if self._parts is None:
            self._parts = bytearray()
            if frame.opcode is Opcode.TEXT:
                self._decoder = codecs.getincrementaldecoder("utf-8")()
        parts, decoder = self._parts, self._decoder
        if decoder is not None:
            decoder.decode(bytes(frame.data), final=frame.fin)  # to fail as soon as it can
        parts += frame.data
        self._partial = len(parts)
        if not frame.fin:
            return None
        self._parts, self._decoder, self._partial = None, None, 0
        return bytes(parts) if decoder is None else parts.decode()

    def _see_to_room(self) -> None:
        """Take room for what has come of an unfinished message, or give it back."""
        more = max(0, self._partial + self._since_frame - FREE) - self._taken
        if more == 0 or self._last_words is not None:
            return
        if ROOM.take(more):
            self._taken += more
        else:
            self._fail(TRY_LATER, "the server has no room for more of this message")

    def let_go(self) -> None:
        """Give back what an unfinished message has: the connection is over."""
        ROOM.take(-self._taken)
        self._taken = 0
        self._frames.clear()
        self._queued, self._parts = 0, None

    def _fail(self, code: int, reason: str) -> None:
        """Have nothing more read, and say why."""
        self._frames.clear()
        self._queued, self._over_since = 0, time.monotonic()
        self.fault = reason
        with self._lock:
            close = Close(code, reason)
            is_first = self.sent is None or self._last_words
            self._last_words = self._serialize(Opcode.CLOSE, close.serialize()) if is_first else b""
            if is_first:
                self.sent = code, reason

    def take_last_words(self) -> bytes:
        """Return what is to be sent before the connection ends, once all messages were taken."""
        with self._lock:
            words, self._last_words = self._last_words or b"", b""
            self._is_mute = True
        return words

    # What is sent ------------------------------------------------------------------------------

    def encode(self, message: str | Buffer) -> bytes:
        """Return the frame of a message, empty where nothing more may be sent.

        Raises:
            TypeError: It is neither text nor bytes.
        """
        if isinstance(message, str):
            opcode, data = Opcode.TEXT, message.encode()
        else:
            opcode, data = Opcode.BINARY, bytes(memoryview(message))
        with self._lock:
            if self._is_mute:
                return b""
            compressed = len(data) >= _WORTH_COMPRESSING
            return self._serialize(opcode, data, self._extensions if compressed else ())

    def ping(self, data: bytes) -> bytes:
        """Return the frame of a ping.

        Raises:
            ValueError: There are more than 125 bytes.
        """
        if len(data) > 125:  # RFC 6455, section 5.5
            raise ValueError("a ping carries 125 bytes at most")
        return self._serialize(Opcode.PING, data)

    def close(self, code: int, reason: str) -> bytes:
        """Return the frame that closes; empty where there has been one.

        Raises:
            ValueError: There is no such code, or the reason has more than 123 bytes.
        """
        try:
            payload = Close(code, reason).serialize()
        except Exception as error:
            raise ValueError(f"{code} is no code to close with") from error
        if len(payload) > 125:
            raise ValueError("the reason to close has 123 bytes of UTF-8 at most")
        with self._lock:
            if self.sent is not None:
                return b""
            self.sent = code, reason
            self._is_mute = True
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(code, reason)
                return b"".join(self._protocol.data_to_send())
            return self._serialize(Opcode.CLOSE, payload)

    @staticmethod
    def _serialize(opcode: Opcode, data: bytes, extensions: Any = ()) -> bytes:
        return Frame(opcode, data).serialize(mask=False, extensions=extensions)
