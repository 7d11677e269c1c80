"""Handlers that end a response in a way of their own (handlers F6, F10, F12)."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from tests.handler.http_support import Quiet, connect, read_to_end, serving
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer


class Wrapping(Quiet):
    """Puts a file of its own before ``wfile``, and closes it."""

    wfile: Any

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile = gzip.GzipFile(fileobj=self.wfile, mode="wb")
        self.wfile.write(b"hello")
        self.wfile.close()


class ErrorWithinError(Quiet):
    """Comes from one error to another."""

    def send_response(self, code: int, message: str | None = None) -> None:
        if code == 404:
            self.send_error(410)
        else:
            super().send_response(code, message)

    def do_GET(self) -> None:
        self.send_error(404)


class TimeoutOfItsOwn(Quiet):
    """Has its ``timeout`` as a property."""

    @property
    def timeout(self) -> float:  # type: ignore[override]
        return 30.0

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()


class Identity(Quiet):
    """Says that there is no coding, and no length either."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "identity")
        self.end_headers()
        self.wfile.write(b"hello")


class WithConnection(Quiet):
    """Has its connection closed as any socket is."""

    def do_GET(self) -> None:
        with self.connection as same:
            assert same is self.connection
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")


@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
@pytest.mark.parametrize(
    ("handler", "status", "end"),
    [
        (Wrapping, 200, b"\r\n0\r\n\r\n"),
        (ErrorWithinError, 410, b"</html>\n"),
        (TimeoutOfItsOwn, 204, b"\r\n\r\n"),
        (Identity, 200, b"Connection: close\r\n\r\nhello"),
        (WithConnection, 200, b"\r\n0\r\n\r\n"),
    ],
)
def test_handlers_odd_ways_to_end_a_response(
    handler: type[Quiet], status: int, end: bytes, server_class: type[TLSHTTPServer]
) -> None:
    """Each is complete, and the client knows where it ends."""
    connection = "keep-alive" if handler is Identity else "close"
    with serving(handler, server_class=server_class) as server, connect(server) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n".encode())
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.endswith(end)
