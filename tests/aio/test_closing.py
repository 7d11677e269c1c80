"""Handlers that end their connection themselves, as programs written for `http.server` do."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from tests.aio.conftest import Run, connected
from tests.aio.test_handlers import Base
from tests.machinery.peers import request

WAYS: dict[str, Callable[[Any], object]] = {
    "close": lambda connection: connection.close(),
    "shutdown-write": lambda connection: connection.shutdown(socket.SHUT_WR),
    "shutdown": lambda connection: connection.shutdown(socket.SHUT_RDWR),
    "unwrap": lambda connection: connection.unwrap(),
}

LARGE = 3_000_000
"""Bytes: more than kernels take of a client that does not read."""


class Ends(Base):
    """Answers without a length, and ends the connection in the way that the path names."""

    def respond(self) -> None:
        self.send_response(200)
        self.end_headers()
        _, way, size = self.path.split("/")
        self.wfile.write(bytes(int(size)))
        WAYS[way](self.connection)

    async def do_GET(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()


class Short(Ends):
    """Promises more than it sends."""

    def end_headers(self) -> None:
        self.send_header("Content-Length", "9")
        super().end_headers()


def _read_to_end(sock: ssl.SSLSocket) -> bytes:
    """Return all that comes; the end may be one without ``close_notify``."""
    said = bytearray()
    with contextlib.suppress(ssl.SSLEOFError):
        while piece := sock.recv(65_536):
            said += piece
    return bytes(said)


@pytest.mark.parametrize("way", WAYS)
def test_a_response_is_complete_when_its_handler_ends_the_connection(
    run: Run, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The handler need not know how it is framed; nor does it fail afterwards."""
    with run(Ends) as server:
        for method in (b"GET", b"POST"):
            for size in (4, LARGE):
                with connected(server) as sock:
                    sock.sendall(request(f"/{way}/{size}").replace(b"GET", method))
                    said = _read_to_end(sock)
                assert said.startswith(b"HTTP/1.1 200 ")
                assert said.endswith(b"\0\0\r\n0\r\n\r\n"), (method, size, said[-20:])
                assert said.count(b"\0") == size
    assert "Traceback" not in capfd.readouterr().err
    assert not server.events


@pytest.mark.parametrize("way", ["close", "shutdown"])
def test_one_that_is_too_short_is_one_warning(
    run: Run,
    way: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its head is sent, as `http.server` sends it."""
    with run(Short) as server, connected(server) as sock:
        sock.sendall(request(f"/{way}/4"))
        assert _read_to_end(sock).endswith(b"\0\0\0\0")
    assert [line for line in caplog.messages if "Content-Length" in line] == [
        f"the response to 'GET /{way}/4 HTTP/1.1' has 5 bytes less than its Content-Length"
    ]
    assert "Traceback" not in capfd.readouterr().err
