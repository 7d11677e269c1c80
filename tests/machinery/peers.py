"""Peers of every kind: honest, stalled, broken and hostile ones."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar

from tests.support import UNIT

PATIENCE = 30 * UNIT
"""Seconds after which a peer of a server that does not answer gives up."""

_T = TypeVar("_T")


def connect(address: Any, *, rcvbuf: int | None = None) -> socket.socket:
    """Return a TCP (or ``AF_UNIX``) connection that has said nothing."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    if rcvbuf is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def client_context(
    version: ssl.TLSVersion | None = None, *, verify: bool = False, ciphers: str | None = None
) -> ssl.SSLContext:
    """Return a client's context, for one TLS version or for all, that trusts anybody by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


def handshake(
    address: Any,
    context: ssl.SSLContext,
    *,
    server_hostname: str | None = "localhost",
    rcvbuf: int | None = None,
) -> ssl.SSLSocket:
    """Return a finished TLS connection that reports an end without close_notify as an error."""
    sock = connect(address, rcvbuf=rcvbuf)
    try:
        return context.wrap_socket(
            sock, server_hostname=server_hostname, suppress_ragged_eofs=False
        )
    except BaseException:
        sock.close()
        raise


class Prompt:
    """A client of TLS 1.3 whose first data leave with the end of its handshake, as one piece.

    So no deadline of the server's can pass between the two, however slow the machine is.
    """

    def __init__(self, address: Any, context: ssl.SSLContext, data: bytes) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._socket = connect(address)
        try:
            self._call(self._tls.do_handshake)
            assert self._tls.version() == "TLSv1.3"  # else the server has the last word
            self.sendall(data)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close without a word."""
        self._socket.close()

    def sendall(self, data: bytes) -> None:
        """Send."""
        self._tls.write(data)
        self._socket.sendall(self._outgoing.read())

    def recv(self, size: int) -> bytes:
        """Receive; an end without close_notify is an error."""
        return self._call(lambda: self._tls.read(size))

    def _call(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._outgoing.read())
                received = self._socket.recv(65_536)
                if received:
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()


def client_hello(context: ssl.SSLContext, server_hostname: str | None = "localhost") -> bytes:
    """Return the first flight of a client, without sending it anywhere."""
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_hostname)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def reset(sock: socket.socket) -> None:
    """Close with a reset (RST) in place of an orderly end (FIN)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def leave(sock: socket.socket) -> None:
    """Close the socket without any word of TLS."""
    sock.close()


def read_to_end(sock: socket.socket | Prompt) -> bytes:
    """Return everything up to the server's end."""
    return b"".join(iter(lambda: sock.recv(65_536), b""))


def read_response(sock: socket.socket | Prompt) -> bytes:
    """Return one response with a Content-Length, and leave the connection open."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    size = int(fields[b"content-length"])
    while len(body) < size:
        body += _more(sock)
    return head + b"\r\n\r\n" + body


def _more(sock: socket.socket | Prompt) -> bytes:
    data = sock.recv(65_536)
    if not data:
        raise EOFError("the server ended before its response was complete")
    return data


def get(address: Any, context: ssl.SSLContext, path: str = "/", *, version: str = "1.1") -> bytes:
    """Make one honest request on a fresh connection, and return the whole response."""
    with handshake(address, context) as sock:
        sock.sendall(request(path, version=version, close=True))
        return read_to_end(sock)


def request(path: str = "/", *, version: str = "1.1", close: bool = False) -> bytes:
    """Return the bytes of a GET request."""
    fields = ["Host: localhost"] + (["Connection: close"] if close else [])
    return "\r\n".join([f"GET {path} HTTP/{version}", *fields, "", ""]).encode()


@contextlib.contextmanager
def closing_all(socks: list[Any]) -> Iterator[list[Any]]:
    """Close every socket that the block put into the list."""
    try:
        yield socks
    finally:
        close_all(socks)


def close_all(socks: list[Any]) -> None:
    """Close every socket in the list."""
    for sock in socks:
        sock.close()
