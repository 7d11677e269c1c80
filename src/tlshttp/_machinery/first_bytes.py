"""What a peer says before there is TLS: a ClientHello, a request without TLS, or neither.

It costs a bare socket, this object and what has come. A hello is only looked at; its bytes are for
the TLS engine then.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
from typing import TYPE_CHECKING, NoReturn

from tlshttp._machinery import client_hello, plain_http
from tlshttp._machinery.client_hello import ClientHello
from tlshttp._machinery.records import (
    AT_ONCE,
    CLIENT_HELLO,
    PARTIAL_HELLO,
    BeganWith,
    NoHello,
    Records,
)
from tlshttp.errors import (
    HandshakeDisconnected,
    HandshakeError,
    NoSharedCipher,
    NotTLSError,
    PlainHTTPError,
    ProxyHeaderError,
)

if TYPE_CHECKING:
    from tlshttp._proxied import ProxyInfo

__all__ = ["FirstBytes", "Unwelcome", "refuse_finite_field"]

_HANDSHAKE_FAILURE = 40  # a TLS alert: RFC 8446, section 6

_GROUPS_ARE_SET = hasattr(ssl.SSLContext, "set_groups")  # from Python 3.15 on


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


class FirstBytes:
    """The first bytes of one connection.

    Args:
        sock: The accepted socket, non-blocking.
    """

    __slots__ = ("_ahead", "_has_begun", "_mark", "_records", "_socket", "hello")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._mark = 1
        self._ahead = b""
        self._has_begun = False
        self._records = Records()
        self.hello = client_hello.NOTHING_SAID
        """What the hello says, once it is there."""

    def take_data(self) -> bytes:
        """Return what has come, for the TLS engine, and let go of it and of what it said."""
        records = self._records
        data = records.data
        records.content = records.data = b""
        self.hello = client_hello.NOTHING_SAID  # else a quarter of a KiB for the whole connection
        return data

    def hear_proxy(self, proxy: object) -> ProxyInfo:
        """Take in a PROXY protocol header, which comes before all else.

        Args:
            proxy: The address of who sends it.

        Raises:
            BlockingIOError: It is not all there.
            Unwelcome: It is malformed, or the peer has left.
        """
        from tlshttp._machinery import proxy_header

        more = self._receive(proxy_header.LONGEST)
        if not more:
            when = "in the middle of its PROXY header" if self._ahead else "without a word"
            raise Unwelcome(HandshakeDisconnected(f"the proxy left {when}"))
        self._ahead += more
        try:
            header = proxy_header.parse(self._ahead, proxy)
        except proxy_header.Malformed as error:
            raise Unwelcome(ProxyHeaderError(f"no PROXY protocol header: {error}")) from None
        if header is None:
            raise BlockingIOError
        self._ahead = self._ahead[header.size :]
        return header.info

    def look(self) -> BeganWith:
        """Take in what has come, and tell what it is.

        Returns:
            ``CLIENT_HELLO`` when `hello` is there, ``TEXT`` where `hear` has to go on,
            ``PARTIAL_HELLO`` where more has to be waited for.

        Raises:
            BlockingIOError: Nothing has come.
            Unwelcome: It is neither, or the peer has left.
        """
        records = self._records
        more, self._ahead = self._ahead or self._receive(AT_ONCE), b""
        if not more:
            when = "in the middle of the handshake" if self._has_begun else "without a word"
            raise Unwelcome(HandshakeDisconnected(f"the peer left {when}", server_name=None))
        try:
            kind = records.take(more)
        except NoHello as end:
            words = b"" if end.alert is None else client_hello.alert(end.alert)
            raise Unwelcome(end.error, words) from None
        if kind is CLIENT_HELLO:
            self.hello = client_hello.parse(bytes(records.content))
        elif kind is PARTIAL_HELLO:
            self._has_begun = True
            self._set_low_water_mark(records.awaited)
        return kind

    def local_address(self) -> str | None:
        """Return the IP address that the peer has connected to; `None` where there is none."""
        try:
            address = self._socket.getsockname()
        except OSError:
            return None
        return address[0] if isinstance(address, tuple) else None

    def hear(self, url: str, *, redirect: bool) -> NoReturn:
        """Take in a request that came without TLS.

        Args:
            url: Where it should have gone.
            redirect: Whether to send it there.

        Raises:
            BlockingIOError: It is not all there.
            Unwelcome: It is, with its answer; or it is no request, or the peer has left.
        """
        data = self._records.data
        while True:
            if not plain_http.may_be_request(data):
                message = "the first bytes are neither TLS nor an HTTP request"
                raise Unwelcome(NotTLSError(message))
            error = PlainHTTPError("an HTTP request without TLS")
            if plain_http.is_complete(data):
                raise Unwelcome(error, plain_http.answer(data, url=url, redirect=redirect))
            more = self._receive(plain_http.MAX_REQUEST_SIZE - len(data))
            if not more:
                raise Unwelcome(error)
            self._records.data = data = data + more

    def _receive(self, size: int) -> bytes:
        """Read from the socket; nothing at the peer's end, however it came.

        Raises:
            BlockingIOError: Nothing has come.
        """
        try:
            return self._socket.recv(size)
        except BlockingIOError:
            raise
        except OSError:
            return b""

    def end(self) -> None:
        """Have the kernel report whatever comes from now on, and forget what the hello said."""
        self.hello = client_hello.NOTHING_SAID
        if self._mark > 1:
            self._set_low_water_mark(1)

    def _set_low_water_mark(self, size: int) -> None:
        """Ask the kernel to stay silent until `size` bytes are there, or the peer has ended.

        A record that comes in pieces then costs no wake-up for each of them. Where the kernel does
        not do that (Windows, ``AF_UNIX``) it does.
        """
        if sys.platform != "win32" and size != self._mark:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
                self._mark = size


def refuse_finite_field(seen: ClientHello) -> tuple[HandshakeError, int] | None:
    """Say why a hello is refused whatever a context of the user's own would do; `None` to go on.

    Nobody who made one could say in which groups it computes, before Python 3.15. From then on
    whoever has it compute in a finite field has asked for that.
    """
    if _GROUPS_ARE_SET or not seen.wants_finite_field:
        return None
    message = "no key-exchange group in common: it would compute in a finite field"
    return NoSharedCipher(message), _HANDSHAKE_FAILURE
