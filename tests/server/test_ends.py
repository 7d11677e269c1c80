from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

import pytest

from tests.server.conftest import Serve
from tests.server.support import (
    Balance,
    Client,
    OneRequest,
    Plain,
    ServerBase,
    ask,
    combine,
    read_all,
    read_until,
    running,
)
from tests.support import UNIT, wait_until
from tlshttp import Limits, TLSHTTPServer

# The end of connections ---------------------------------------------------------------------------


GET = b" HTTP/1.1\r\nHost: localhost\r\n\r\n"

BEFORE_TLS = {
    "a bad first byte": b"\x00\x01\x02\x03",
    "half a hello": b"\x16\x03\x01\x00\xff\x01",
    "a broken hello": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    "a plain request": b"GET /" + GET,
}
AFTER_TLS = {
    "half a request": b"GET / HT",
    "a request": b"GET /" + GET,
    "a request whose handler fails": b"GET /raise" + GET,
    "a request whose handler closes": b"GET /close" + GET,
}


def speak(client: Client, server: TLSHTTPServer, words: str) -> None:
    """Connect, say something, and stay until the server has answered or ended."""
    if words in AFTER_TLS:
        with client.connect(server) as sock:
            sock.sendall(AFTER_TLS[words])
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):  # an end without close_notify is not judged here
                read_all(sock)
        return
    with client.dial(server) as sock:
        sock.sendall(BEFORE_TLS[words])
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            read_all(sock)


class Various(Plain):
    def do_GET(self) -> None:
        match self.path:
            case "/raise":
                raise LookupError("as asked")
            case "/close":
                self.connection.close()
            case _:
                super().do_GET()


@pytest.mark.parametrize("words", [*BEFORE_TLS, *AFTER_TLS])
def test_close_request_is_called_once_for_every_accepted_connection(
    words: str,
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    client: Client,
) -> None:
    """Whatever a peer does, ``close_request()`` balances ``get_request()``, once each."""
    server = combine(Balance, server_class)(("127.0.0.1", 0), Various, ssl_context=server_context)
    with running(server):
        for _ in range(3):
            speak(client, server, words)
    assert server.accepted == 3
    assert server.balanced()


@pytest.mark.parametrize("tls", [False, True])
def test_peer_that_leaves_without_a_word_is_closed_through_the_hook(
    serve: Serve, client: Client, tls: bool
) -> None:
    """A connection that ends in silence is closed once, too, and at once."""
    patient = Limits(handshake_timeout=60 * UNIT, header_timeout=60 * UNIT)
    server: Any = serve(Plain, Balance, limits=patient)
    with client.connect(server) if tls else client.dial(server):
        phase = "request" if tls else "hello"
        assert wait_until(lambda: server.stats().parked[phase] == 1)
    assert wait_until(lambda: len(server.closed) == 1)
    assert server.balanced()


@pytest.mark.parametrize("hook", ["shutdown_request", "close_request"])
def test_hook_that_is_called_twice_harms_nothing(serve: Serve, client: Client, hook: str) -> None:
    """A hook that somebody calls once more finds nothing left to do."""

    class Twice(ServerBase):
        def process_request(self, request: Any, client_address: Any) -> None:
            self.finish_request(request, client_address)
            self.shutdown_request(request)
            getattr(self, hook)(request)

    server = serve(OneRequest, Twice)
    for _ in range(3):
        assert client.get(server, "/served").body == b"/served"


def test_open_connections_are_closed_through_the_hook_at_the_end(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, client: Client
) -> None:
    """``server_close()`` gives silent, half-shaken, idle and half-asked connections to the hook."""
    server = combine(Balance, server_class)(("127.0.0.1", 0), Plain, ssl_context=server_context)
    with contextlib.ExitStack() as stack:
        with running(server):
            stack.enter_context(client.dial(server))
            stack.enter_context(client.dial(server)).sendall(b"\x16\x03\x01")
            stack.enter_context(client.connect(server))
            stack.enter_context(client.connect(server)).sendall(b"GET / HT")
            idle = stack.enter_context(contextlib.closing(client.http(server)))
            assert ask(idle, "GET").status == 200
            assert wait_until(
                lambda: (
                    {phase: count for phase, count in server.stats().parked.items() if count}
                    == {"hello": 2, "request": 2, "idle": 1}
                )
            )
        assert server.balanced()
    assert server.accepted == 5


def test_shutdown_request_may_be_replaced(serve: Serve, client: Client) -> None:
    """A ``shutdown_request()`` that only closes is obeyed."""

    class Abrupt(Balance):
        def shutdown_request(self, request: Any) -> None:
            self.close_request(request)

    server: Any = serve(OneRequest, Abrupt)
    with client.connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert sock.recv(65_536).startswith(b"HTTP/1.0 200")
        with pytest.raises(ssl.SSLEOFError):  # no close_notify: the hook decides
            read_all(sock)
    assert server.balanced()


def test_pipelined_connection_ends_orderly_after_shutdown_in_a_handler(
    serve: Serve, client: Client
) -> None:
    """A connection that still has requests waiting is closed through the hook as any other."""

    class Stops(Plain):
        def do_GET(self) -> None:
            self.reply(b"stopped")
            self.server.shutdown()

    server: Any = serve(Stops, Balance)
    with client.connect(server) as sock:
        sock.sendall((b"GET /" + GET) * 10)
        read_until(sock, b"stopped")
        assert wait_until(lambda: server._TLSHTTPServer__loop_thread is None)
        server.server_close()
        assert server.balanced()
