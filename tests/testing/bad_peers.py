"""Clients that look closer than usual ones do at what a bad server sends."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any

import pytest
from OpenSSL import SSL

from tests.support import UNIT
from tlshttp import testing

# Where the reset comes before Python has put TLS on the socket, nobody in the client closes it.
FORGOTTEN = pytest.mark.filterwarnings("ignore:unclosed <(ssl.SSLSocket|socket):ResourceWarning")

_TIMEOUT = 30 * UNIT


def connection_to(
    server: testing.BadServer, context: ssl.SSLContext | None = None
) -> http.client.HTTPSConnection:
    """Return a connection, not yet made; `None`: with the server's own context."""
    return http.client.HTTPSConnection(
        server.host, server.port, timeout=_TIMEOUT, context=context or server.client_context()
    )


def tls_of(connection: http.client.HTTPSConnection) -> ssl.SSLSocket:
    """Return the TLS of a connection that has been made."""
    assert isinstance(connection.sock, ssl.SSLSocket)
    return connection.sock


def get(connection: http.client.HTTPSConnection) -> str:
    """Make a request; return status and length of the body."""
    connection.request("GET", "/")
    with connection.getresponse() as response:
        return f"{response.status} {len(response.read())}"


def count_hellos(server: testing.BadServer) -> int:
    """Make a request, and count the ClientHellos that this takes."""
    sent = []

    def note(
        _tls: Any, direction: str, _version: Any, _content: Any, kind: Any, _data: bytes
    ) -> None:
        if direction == "write" and getattr(kind, "name", "") == "CLIENT_HELLO":
            sent.append(kind)

    context = server.client_context()
    context._msg_callback = note  # type: ignore[attr-defined]
    connection = connection_to(server, context)
    assert get(connection) == "200 1024"
    connection.close()
    return len(sent)


def pyopenssl_version(server: testing.BadServer) -> str:
    """Shake hands with pyOpenSSL, and return the TLS version."""
    with socket.create_connection((server.host, server.port), timeout=_TIMEOUT) as sock:
        sock.settimeout(None)
        tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), sock)
        tls.set_connect_state()
        tls.do_handshake()
        return tls.get_protocol_version_name()


def records_after_request(server: testing.BadServer) -> list[bytes]:
    """Make a request, and return the TLS records that come after it until the server closes."""
    wire = _Wire(server)
    with wire.sock:
        wire.shake_hands()
        wire.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = wire.rest()
    records = []
    while data:
        size = 5 + int.from_bytes(data[3:5])
        records.append(data[:size])
        data = data[size:]
    return records


def end_of_connection(server: testing.BadServer) -> tuple[bytes, str]:
    """Make a request; return what came decrypted, and how the connection ended.

    That is ``close_notify``, ``end`` where TCP ends without one, or ``reset``.
    """
    wire = _Wire(server)
    with wire.sock:
        wire.shake_hands()
        wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return wire.read_to_the_end()


def answer_to_hello(server: testing.BadServer) -> bytes:
    """Send a ClientHello and return all that comes."""
    wire = _Wire(server)
    with wire.sock:
        wire.begin()
        return wire.rest()


class _Wire:
    """A client whose bytes on the wire can be looked at."""

    def __init__(self, server: testing.BadServer) -> None:
        self.sock = socket.create_connection((server.host, server.port), timeout=_TIMEOUT)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = server.client_context().wrap_bio(
            self._in, self._out, server_hostname=server.host
        )

    def begin(self) -> None:
        """Send the hello."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.sock.sendall(self._out.read())

    def shake_hands(self) -> None:
        """Make the whole handshake."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.sock.sendall(self._out.read())
                self._in.write(self.sock.recv(65_536))
            else:
                self.sock.sendall(self._out.read())
                return

    def send(self, data: bytes) -> None:
        """Send data, encrypted."""
        self._tls.write(data)
        self.sock.sendall(self._out.read())

    def rest(self) -> bytes:
        """Return all bytes that come, encrypted."""
        pieces = []
        while piece := self.sock.recv(65_536):
            pieces.append(piece)
        return b"".join(pieces)

    def read_to_the_end(self) -> tuple[bytes, str]:
        """Return all bytes that come, decrypted, and how they end."""
        data = b""
        while True:
            try:
                piece = self._tls.read(65_536)
            except ssl.SSLWantReadError:
                try:
                    came = self.sock.recv(65_536)
                except ConnectionResetError:
                    return data, "reset"
                if not came:
                    return data, "end"
                self._in.write(came)
            except ssl.SSLZeroReturnError:
                return data, "close_notify"
            else:
                if not piece:
                    return data, "close_notify"
                data += piece
