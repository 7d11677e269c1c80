"""What the tests of the servers share: servers in threads, and clients of every kind."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, TypeVar

from tests.machinery.peers import Prompt
from tests.support import UNIT
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer

if TYPE_CHECKING:
    ServerBase = TLSHTTPServer
else:
    ServerBase = object
"""What a class of hooks derives from: nothing, so that it goes in front of either server."""

SERVERS = (TLSHTTPServer, ThreadingTLSHTTPServer)

TIMEOUT = 30 * UNIT
"""Seconds a client waits for anything."""

_S = TypeVar("_S", bound=TLSHTTPServer)


def combine(*classes: type) -> Any:
    """Return a class derived from all these, as ``class Mine(Hooks, TLSHTTPServer)`` would be."""
    return types.new_class("Combined", classes)


def start(function: Callable[..., object], *arguments: object) -> threading.Thread:
    """Run a function in a thread of its own."""
    thread = threading.Thread(target=function, args=arguments, name=function.__name__)
    thread.start()
    return thread


def ends(thread: threading.Thread, timeout: float = TIMEOUT) -> bool:
    """Wait for a thread and tell whether it has ended."""
    thread.join(timeout)
    return not thread.is_alive()


@contextmanager
def running(server: _S) -> Iterator[_S]:
    """Run ``serve_forever()`` in a thread; in the end shut down and close."""
    loop = start(server.serve_forever)
    try:
        yield server
    finally:
        server.shutdown()
        ended = ends(loop)
        server.server_close()
    assert ended, "serve_forever() did not return after shutdown()"


# Hooks --------------------------------------------------------------------------------------------


class Balance(ServerBase):
    """Notes down how many connections were accepted, and what was closed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.accepted = 0
        self.closed: list[object] = []
        super().__init__(*arguments, **options)

    def get_request(self) -> tuple[Any, Any]:
        accepted = super().get_request()
        self.accepted += 1
        return accepted

    def close_request(self, request: Any) -> None:
        self.closed.append(request)
        super().close_request(request)

    def balanced(self) -> bool:
        """Tell whether each connection was closed, through the hook, once."""
        return len(self.closed) == len({id(request) for request in self.closed}) == self.accepted


# Clients ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Client:
    """Ways of talking to a server of a test, with a context that trusts its certificate."""

    context: ssl.SSLContext

    def dial(self, server: TLSHTTPServer) -> socket.socket:
        """Connect without TLS."""
        address = server.server_address
        family = server.socket.family
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(TIMEOUT)
        try:
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock

    def connect(
        self,
        server: TLSHTTPServer,
        *,
        name: str | None = "localhost",
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        """Connect with TLS; an end without ``close_notify`` is an error for this client."""
        sock = self.dial(server)
        try:
            return self.context.wrap_socket(
                sock, server_hostname=name, session=session, suppress_ragged_eofs=False
            )
        except BaseException:
            sock.close()
            raise

    def http(self, server: TLSHTTPServer) -> http.client.HTTPSConnection:
        """Return a connection of `http.client`."""
        host, port = server.server_address[:2]
        return http.client.HTTPSConnection(host, port, context=self.context, timeout=TIMEOUT)

    def get(self, server: TLSHTTPServer, path: str = "/", **headers: str) -> Answer:
        """Make one GET request on a connection of its own."""
        return self.ask(server, "GET", path, headers=headers)

    def ask(self, server: TLSHTTPServer, method: str, path: str = "/", **options: Any) -> Answer:
        """Make one request on a connection of its own."""
        connection = self.http(server)
        try:
            return ask(connection, method, path, **options)
        finally:
            connection.close()

    def exchange(self, server: TLSHTTPServer, request: bytes) -> bytes:
        """Send bytes and return all that comes until the server closes, which it must do well."""
        with self.connect(server) as sock:
            sock.sendall(request)
            return read_all(sock)

    def exchange_promptly(self, server: TLSHTTPServer, request: bytes) -> bytes:
        """Do the same with a request that leaves with the end of the handshake, as one piece.

        So it comes in the shortest time, however slow the machine is.
        """
        with Prompt(server.server_address, self.context, request) as peer:
            return read_all(peer)


def ask(
    connection: http.client.HTTPSConnection, method: str, path: str = "/", **options: Any
) -> Answer:
    """Make one request on a connection."""
    connection.request(method, path, **options)
    response = connection.getresponse()
    return Answer(response.status, response.read(), dict(response.getheaders()))


def read_all(sock: socket.socket | Prompt) -> bytes:
    """Read up to the peer's end."""
    return b"".join(iter(lambda: sock.recv(65_536), b""))


def read_until(sock: socket.socket, end: bytes) -> bytes:
    """Read up to and including `end`, and not a byte more."""
    data = b""
    while not data.endswith(end):
        byte = sock.recv(1)
        if not byte:
            raise AssertionError(f"the connection ended after {data!r}")
        data += byte
    return data


# Handlers -----------------------------------------------------------------------------------------


class Plain(BaseHTTPRequestHandler):
    """A handler as anybody might have written it; it knows nothing of this package."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply(self.path.encode())

    def do_POST(self) -> None:
        self.reply(self.rfile.read(int(self.headers["Content-Length"])))

    def reply(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class OneRequest(Plain):
    """The same in HTTP/1.0: a connection for each request."""

    protocol_version = "HTTP/1.0"
