"""What a peer says before there is TLS: a ClientHello, a request without TLS, or neither.

It costs a bare socket and this object. A hello is only looked at: its bytes stay where they are for
the TLS engine to read.
"""

from __future__ import annotations

import socket
import sys
from typing import NoReturn

from tlshttp._front import hello, plain
from tlshttp._front.hello import ClientHello, FirstBytes
from tlshttp.errors import (
    HandshakeDisconnected,
    HandshakeError,
    MalformedHandshake,
    NotTLSError,
    PlainHTTPError,
)

__all__ = ["Greeting", "Unwelcome"]

_DECODE_ERROR = 50  # the TLS alert for what cannot be decoded (RFC 8446, section 6)


class Unwelcome(Exception):
    """The end of a connection that does not become one.

    Args:
        error: What it is reported as.
        last_words: What the peer is told; empty: nothing.
    """

    def __init__(self, error: HandshakeError, last_words: bytes = b"") -> None:
        super().__init__(error)
        self.error = error
        self.last_words = last_words


class Greeting:
    """The first bytes of one connection.

    Args:
        sock: The accepted socket, non-blocking.
    """

    __slots__ = ("_awaited", "_socket", "_text", "hello")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._awaited = 0
        self._text = b""
        self.hello = ClientHello(None, ())
        """What the hello says, once it is there."""

    def look(self) -> FirstBytes:
        """Look at the first bytes without taking them.

        Returns:
            ``CLIENT_HELLO`` when `hello` is there, ``TEXT`` where `hear` has to go on,
            ``PARTIAL_HELLO`` where more has to be waited for.

        Raises:
            BlockingIOError: Nothing has come.
            Unwelcome: It is neither, or the peer has left.
        """
        try:
            data = self._socket.recv(hello.PEEK_SIZE, socket.MSG_PEEK)
        except BlockingIOError:
            raise
        except OSError:
            data = b""
        if not data:
            raise Unwelcome(HandshakeDisconnected("the peer left without a word", server_name=None))
        kind = hello.classify(data)
        if kind is FirstBytes.TEXT:
            return kind
        if kind is FirstBytes.OTHER:
            raise Unwelcome(NotTLSError(f"the first bytes are not TLS: {data[:8].hex(' ')}"))
        if self._await(_wanted(data), len(data)):
            return FirstBytes.PARTIAL_HELLO
        self.hello = hello.parse(data)
        return FirstBytes.CLIENT_HELLO

    def hear(self, url: str, *, redirect: bool) -> NoReturn:
        """Read a request that came without TLS.

        Args:
            url: Where it should have gone.
            redirect: Whether to send it there.

        Raises:
            BlockingIOError: It is not all there.
            Unwelcome: It is, with its answer; or it is no request, or the peer has left.
        """
        while True:
            try:
                data = self._socket.recv(plain.MAX_REQUEST_SIZE - len(self._text))
            except BlockingIOError:
                raise
            except OSError:
                data = b""
            self._text += data
            if not plain.may_be_request(self._text):
                message = "the first bytes are neither TLS nor an HTTP request"
                raise Unwelcome(NotTLSError(message))
            if not data or plain.is_complete(self._text):
                answer = plain.answer(self._text, url=url, redirect=redirect) if data else b""
                raise Unwelcome(PlainHTTPError("an HTTP request without TLS"), answer)

    def end(self) -> None:
        """Have the kernel report whatever comes from now on."""
        if self._awaited:
            self._set_low_water_mark(1)

    def _await(self, size: int, there: int) -> bool:
        """Ask the kernel to stay silent until `size` bytes are there; false if it has been asked.

        A hello that comes in pieces then costs neither a wake-up for each piece nor any TLS state,
        and is seen whole. Where the kernel does not do that (Windows, ``AF_UNIX``), and when the
        peer ends before, the next call answers false and the TLS engine takes what there is.
        """
        if size <= max(there, self._awaited) or sys.platform == "win32":
            return False
        self._awaited = size
        return self._set_low_water_mark(size)

    def _set_low_water_mark(self, size: int) -> bool:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
        except OSError:
            return False
        return True


def _wanted(data: bytes) -> int:
    """Return how many bytes a hello has of which there are these, as far as they tell."""
    size = hello.hello_size(data)
    if size > hello.PEEK_SIZE:
        message = "the ClientHello is larger, or in more records, than any client's"
        raise Unwelcome(MalformedHandshake(message), hello.alert(_DECODE_ERROR))
    return size
