"""A handler's own ``timeout`` while its body is collected: it is told, as on a socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from tests import support
from tests.handler.http_support import Quiet, connect, read_to_end, serving
from tests.support import at_some_pace, wait_until
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer

SERVERS = [TLSHTTPServer, ThreadingTLSHTTPServer]
SHORT = 0.3
LENGTH = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"
CHUNKS = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECT = LENGTH.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
BEGINNINGS = {
    "head": LENGTH,
    "some": LENGTH + b"some",
    "much": LENGTH + bytes(200_000),
    "expect": EXPECT,
    "chunks": CHUNKS + b"4\r\nsome\r\n",
    "half-a-chunk": CHUNKS + b"8\r\nsome",
}


class Brief(Quiet):
    """Leaves a timeout to `http.server`."""

    timeout: ClassVar[float | None] = SHORT
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        size = self.headers["Content-Length"]
        self.answer(200, b"%d" % len(self.rfile.read(int(size) if size else -1)))

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Tells(Brief):
    """Tells its client, and would go on."""

    def do_POST(self) -> None:
        try:
            super().do_POST()
        except TimeoutError:
            self.answer(408, b"too late")


class TellsFromSetup(Tells):
    """The same with a timeout that only the handler knows."""

    timeout = None
    from_setup = SHORT

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.from_setup)


def brief(handler: type[Brief], timeout: float) -> type[Brief]:
    """Return a handler class with so many seconds."""
    name = "from_setup" if handler is TellsFromSetup else "timeout"
    return type(handler.__name__, (handler,), {name: timeout})


@contextlib.contextmanager
def standing_by(server_class: type[TLSHTTPServer], handler: type) -> Iterator[Any]:
    """Serve, and keep the cuts."""
    cuts: list[Exception] = []
    with serving(handler, server_class=server_class, limits=Limits(body_timeout=None)) as server:
        server.handle_connection_cut = lambda error, _address: cuts.append(error)
        server.cuts = cuts
        yield server


def statuses(data: bytes) -> list[bytes]:
    """Return the statuses of responses, interim ones left out."""
    lines = data.replace(b"HTTP/1.", b"\nHTTP/1.").split(b"\n")
    found = [line.split(b" ")[1] for line in lines if line.startswith(b"HTTP/")]
    return [status for status in found if status != b"100"]


@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize("handler", [Brief, Tells, TellsFromSetup])
def test_a_handler_hears_of_its_own_timeout(
    server_class: type[TLSHTTPServer], handler: type[Brief]
) -> None:
    """It may answer 408; if it says nothing, the connection is closed, as by `http.server`."""
    at_some_pace(lambda unit: _hears_of_it(server_class, handler, SHORT * unit))


def _hears_of_it(server_class: type[TLSHTTPServer], handler: type[Brief], timeout: float) -> None:
    with (
        standing_by(server_class, brief(handler, timeout)) as server,
        contextlib.ExitStack() as stack,
    ):
        began = time.monotonic()
        clients = {}
        for name, beginning in BEGINNINGS.items():
            client = clients[name] = stack.enter_context(connect(server))
            if handler is TellsFromSetup:  # of the first request nobody knows it
                client.sendall(LENGTH.replace(b"900000", b"1") + b"x")
                assert client.recv(4_096).endswith(b"1")
            client.sendall(beginning)
        for name, client in clients.items():
            expected = [] if handler is Brief else [b"408"]
            assert (name, statuses(read_to_end(client))) == (name, expected)
        assert time.monotonic() - began > timeout
        if not (handler is TellsFromSetup and server_class is ThreadingTLSHTTPServer):
            # That one waits for bodies in its own thread, and has been told.
            reasons = ["body-timeout"] * len(clients)
            assert wait_until(lambda: [cut.reason for cut in server.cuts] == reasons)
        assert wait_until(lambda: server.stats().active == 0)


@pytest.mark.parametrize("handler", [Brief, Tells])
def test_http_server_has_the_same_outcome(handler: type[Brief]) -> None:
    """Which is why this is none of the differences."""

    def attempt(unit: float) -> None:
        kind = brief(handler, SHORT * unit)
        with (
            support.serving(ThreadingHTTPServer(("127.0.0.1", 0), kind)) as server,
            socket.create_connection(("127.0.0.1", server.server_port)) as client,
        ):
            client.sendall(BEGINNINGS["some"])
            data = b"".join(iter(lambda: client.recv(4_096), b"")) if handler is Brief else (
                client.recv(4_096)
            )  # fmt: skip
        assert statuses(data) == ([] if handler is Brief else [b"408"])

    at_some_pace(attempt)


@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize("handler", [Brief, Tells])
def test_a_slow_body_within_the_timeout_is_served(
    server_class: type[TLSHTTPServer], handler: type[Brief]
) -> None:
    """It bounds each wait, not all of the body."""

    def attempt(unit: float) -> None:
        kind = brief(handler, SHORT * unit)
        with standing_by(server_class, kind) as server, connect(server) as client:
            client.sendall(LENGTH.replace(b"900000", b"8"))
            _drip(client, b"12345678", SHORT * unit / 3)
            assert client.recv(4_096).endswith(b"\r\n\r\n8")
            assert not server.cuts

    at_some_pace(attempt)


def _drip(client: ssl.SSLSocket, data: bytes, seconds: float) -> None:
    for byte in data:
        time.sleep(seconds)  # a slow client is what is tested
        client.sendall(bytes([byte]))
