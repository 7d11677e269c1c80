"""``self.wfile``: a response as the file object handlers expect, framed as HTTP/1.1 wants it.

Rules:

1.  The head is held back and leaves with the first bytes of the body: one TLS record, one system
    call. Only an event stream's leaves at once, because its first event may be long in coming;
    ``flush()`` sends any other, and so does a read of the request that may have to wait.
2.  What is written after that is on the wire before ``write()`` returns.
3.  How the body ends is decided when the head is complete (`Framing`), from what the handler put
    into it; a handler that knows nothing of framing gets the best its client understands.
4.  A handler that writes before it has ended its head, or past this file to the connection itself,
    is on its own: the bytes go out as they are and the connection is closed after them.

Sections are of RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import enum
import io
from typing import TYPE_CHECKING, Any

from tlshttp._seam import Transport

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "AS_IS",
    "CHUNKED",
    "CHUNKED_LINE",
    "CLOSE_LINE",
    "LENGTH",
    "NONE",
    "Framing",
    "ResponseWriter",
    "buffered",
]

CHUNKED_LINE = b"Transfer-Encoding: chunked\r\n"
CLOSE_LINE = b"Connection: close\r\n"

_COPY_AT_MOST = 65_536
"""Bytes of body that are copied to leave in one piece with what frames them."""


class Framing(enum.Enum):
    """How the end of a response body is marked (section 6.3)."""

    NONE = enum.auto()
    """There is no body, whatever the handler writes: HEAD, 204, 304."""
    LENGTH = enum.auto()
    """By Content-Length."""
    CHUNKED = enum.auto()
    """By the last chunk (section 7.1)."""
    AS_IS = enum.auto()
    """By the end of the connection, or by the handler itself."""


# Naming them spares the look-up in an enumeration, which Python 3.11 makes dear.
NONE, LENGTH, CHUNKED, AS_IS = Framing


class ResponseWriter(io.BufferedIOBase):
    """The bytes of one response after the other.

    Args:
        transport: Where they go.
    """

    # What derives from `io` has a dictionary as well, in which looking up takes longer.
    __slots__ = (
        "_excess",
        "_framing",
        "_held",
        "_left",
        "_transport",
        "head_ended",
        "is_last",
        "is_ours",
        "started",
    )

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        transport.before_send = self._step_aside
        self.begin()

    # For the handler layer --------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a response; up to `begin_body`, bytes go out as they are."""
        self._held = b""
        self._framing = AS_IS
        self._left = 0
        self._excess = 0
        self.is_last = False
        """Whether the connection ends with the response: all that it takes is there, or in it."""
        self.started = False
        """Whether anything of the response is on the wire."""
        self.head_ended = False
        """Whether the response has a head, complete."""
        self.is_ours = True
        """Whether all that was sent went through here."""

    def begin_body(self, head: bytes, framing: Framing, length: int = 0) -> None:
        """Hold back a complete head until there is a body to go with it.

        Args:
            head: All of it, with its empty line.
            framing: How the body ends.
            length: How many bytes it has, for `Framing.LENGTH`.
        """
        self._held += head
        self._framing = framing
        self._left = length
        self.head_ended = True

    def mute(self) -> None:
        """Drop what is held back and all that is still written."""
        self._held = b""
        self._framing = NONE
        self._left = 0
        self._excess = 0

    def end(self) -> str | None:
        """End the response; return what was wrong with it, `None` if nothing was.

        What is written afterwards is dropped, and ending it again does nothing.
        """
        if not self.is_ours:
            return None
        if self._framing is CHUNKED:
            self._send(b"0\r\n\r\n", is_last=self.is_last)
        elif self._held:
            self._send(is_last=self.is_last)
        self._framing = NONE
        missing, excess = self._left, self._excess
        if not missing and not excess:
            return None
        self.mute()
        if excess:
            return f"{excess} bytes more than its Content-Length"
        return f"{missing} bytes less than its Content-Length"

    # For handlers -----------------------------------------------------------------------------

    def writable(self) -> bool:
        """Return true."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the connection; what is written there reaches no client."""
        return self._transport.fileno()

    def write(self, data: Buffer, /) -> int:
        """Send all of `data`; return its size in bytes."""
        if type(data) is bytes and self._framing is LENGTH and 0 < len(data) <= self._left:
            # As nearly every response has it: the rest of this method for one case.
            size = len(data)
            self._left -= size
            held = self._held
            if held and size <= _COPY_AT_MOST:
                self._held = b""
                self.started = True
                if self.is_last and not self._left:
                    self._transport.transmit(held + data, is_last=True)
                else:
                    self._transport.transmit(held + data)
            else:
                self._send(data)
            return size
        view = memoryview(data)
        size = view.nbytes
        if size == 0 or self._framing is NONE:
            return size
        if self._framing is LENGTH:
            self._send_counted(view.cast("B") if view.contiguous else memoryview(bytes(view)))
        elif self._framing is CHUNKED:
            self._send(b"%x\r\n" % size, data, b"\r\n")
        else:
            self._send(data)
        return size

    def flush(self) -> None:
        """Send what is held back."""
        if self._held:
            self._send()

    def close(self) -> None:
        """Do `flush` and stay open for the next response.

        What handlers put before this file, such as `io.TextIOWrapper`, closes it when it is let
        go of.
        """
        self.flush()

    def _step_aside(self) -> None:
        """Send the head, and leave the rest to the handler, which writes to the connection."""
        self.is_ours = self.is_last = False
        if self._framing is Framing.CHUNKED:
            self._held = self._held.replace(CHUNKED_LINE, CLOSE_LINE)
        self._framing = Framing.AS_IS
        self.flush()

    # Underneath -------------------------------------------------------------------------------

    def _send_counted(self, data: memoryview) -> None:
        self._excess += max(0, len(data) - self._left)
        data = data[: self._left]
        self._left -= len(data)
        if data:
            self._send(data)

    def _send(self, *parts: Buffer, is_last: bool = False) -> None:
        """Send the held head and these parts, in one piece unless they are large."""
        held = self._take_held()
        if sum([memoryview(part).nbytes for part in parts]) <= _COPY_AT_MOST:
            self._transport.transmit(b"".join((held, *parts)), is_last=is_last)
            return
        if held:
            self._transport.transmit(held)
        for part in parts:
            self._transport.transmit(part)

    def _take_held(self) -> bytes:
        self.started = True
        held, self._held = self._held, b""
        return held


def buffered(writer: ResponseWriter, size: int) -> io.BufferedIOBase:
    """Return a buffer before the writer, for handlers that ask for one by ``wbufsize``."""
    raw: Any = writer
    return _BufferedWriter(raw, size if size > 1 else io.DEFAULT_BUFFER_SIZE)


class _BufferedWriter(io.BufferedWriter):
    """A buffer whose ``flush()`` also sends a head that is held back, and that stays open."""

    def flush(self) -> None:
        super().flush()
        self.raw.flush()

    def close(self) -> None:
        self.flush()
