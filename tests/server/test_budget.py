"""What a request costs, counted in calls of Python functions, which no crowded machine changes.

Speed is measured by ``nox -s bench``; this keeps what was won there. The budget, call by call, is
in ``docs/explanation/performance.md``: whoever has to raise it says there what for.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from tests.server.conftest import Serve
from tests.server.support import Client, read_until
from tests.support import wait_until
from tlshttp import TLSHTTPServer, TLSRequestHandler

BUDGET = 55
"""Calls from a connection being taken up to its being parked again, the handler's own included."""

CONNECTION_BUDGET = 233
"""Calls for a connection that ends after one GET, those of Python's own modules included, but
without the loop's turns, where its hello is there when it is accepted. Newer Pythons make fewer."""

REQUESTS = 20

BODY = b"Hello, world!"


class Usual(TLSRequestHandler):
    """Answers as most handlers do."""

    def do_GET(self) -> None:
        """Answer with thirteen bytes."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


class Calls(threading.local):
    """The calls of each thread, each time that it accepts or takes up a connection."""

    every: list[list[str]]

    def __init__(self, every: list[list[str]]) -> None:
        self.every = every
        self.depth = 0
        self.now: list[str] = []

    def note(self, frame: FrameType, event: str, _argument: object) -> None:
        """Take note of what `sys.setprofile` reports."""
        if event == "return" and self.depth:
            self.depth -= 1
            if not self.depth:
                self.every.append(self.now)
        elif event == "call":
            name = frame.f_code.co_qualname
            if not self.depth:
                if name not in ("Listener.accept", "ServingConnection.advance"):
                    return
                self.now = []
            self.depth += 1
            self.now.append(name)


@pytest.fixture
def taken_up() -> Iterator[list[list[str]]]:
    """Return the calls of every time that a connection is taken up, in threads to come."""
    every: list[list[str]] = []
    threading.setprofile(Calls(every).note)
    yield every
    threading.setprofile(None)


@pytest.mark.only_engine("ssl", reason="buffers in C take no calls of Python functions")
@pytest.mark.parametrize("server_class", [TLSHTTPServer])
def test_a_kept_get_stays_within_its_budget(
    taken_up: list[list[str]], serve: Serve, client: Client
) -> None:
    """The usual request of a connection that is kept takes no more calls than were agreed on.

    In the one server: with a client in this process, the other's leader may seem to be kept.
    """
    server = serve(Usual)
    with client.connect(server) as sock:
        for _ in range(REQUESTS):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: budget\r\n\r\n")
            assert read_until(sock, BODY).startswith(b"HTTP/1.1 200 ")
    requests = [calls for calls in list(taken_up) if "Usual.do_GET" in calls]
    assert len(requests) >= REQUESTS - 1  # the last may not have been parked yet
    least = min(requests, key=len)
    assert len(least) <= BUDGET, "\n".join(least)


def get_and_close(context: ssl.SSLContext, port: int) -> bytes:
    """Get the thirteen bytes; the request leaves with the last of the handshake, in one piece.

    So the server does the same each time, however slow the machine is.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65_536))
        tls.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        sock.sendall(outgoing.read())
        while data := sock.recv(65_536):
            incoming.write(data)
    return tls.read()


@pytest.mark.only_engine("ssl", reason="buffers in C take no calls of Python functions")
@pytest.mark.parametrize("server_class", [TLSHTTPServer])
def test_a_connection_for_one_get_stays_within_its_budget(
    taken_up: list[list[str]], serve: Serve, client: Client
) -> None:
    """Connect, GET, close takes no more calls than were agreed on."""
    server = serve(Usual)
    for _ in range(REQUESTS):
        assert get_and_close(client.context, server.server_port).startswith(b"HTTP/1.1 200 ")
    connections: list[list[str]] = []
    for calls in taken_up:
        if calls[0] == "Listener.accept":
            connections.append([])
        connections[-1] += calls
    assert len(connections) == REQUESTS
    least = min(connections[:-1], key=len)  # the last may not be over yet
    assert len(least) <= CONNECTION_BUDGET, "\n".join(least)


def test_the_budget_counts_what_a_request_does(
    taken_up: list[list[str]], serve: Serve, client: Client
) -> None:
    """A handler that does more is over it."""

    class Busy(Usual):
        def do_GET(self) -> None:
            for _ in range(BUDGET):
                self.nothing()
            super().do_GET()

        def nothing(self) -> None:
            pass

    server = serve(Busy)
    with client.connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(sock, BODY)
        assert wait_until(lambda: any(len(calls) > 2 * BUDGET for calls in list(taken_up)))
