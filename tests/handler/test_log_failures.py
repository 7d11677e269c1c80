"""peers 14: a log that cannot be written costs no response, and no event."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.handler.http_support import connect, read_to_end, serving
from tests.support import UNIT, wait_until
from tlshttp import AccessLogMixIn, ThreadingTLSHTTPServer, TLSHTTPServer


class Plain(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/raise":
            raise RuntimeError("a mistake")
        if self.path == "/message":
            self.log_message("%s", "text")
            self.log_error("%s", "text")
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


class ByName(Plain):
    log_message = BaseHTTPRequestHandler.log_message


class OwnFields(ByName):
    def send_header(self, keyword: str, value: str) -> None:
        super().send_header(keyword, value)


class Raising(Plain):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        raise RuntimeError("a mistake in log_message()")


class RaisingRequest(Plain):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        raise LookupError("a mistake in log_request()")


class Accessed(AccessLogMixIn, Plain):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def full() -> Any:
    """Return a file on a full disk."""
    return open("/dev/full", "w", buffering=1)  # noqa: PTH123


def gone() -> Any:
    """Return a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", buffering=1)


def closed() -> Any:
    """Return a closed file."""
    file = io.StringIO()
    file.close()
    return file


def none() -> None:
    """Return what there is where it was closed before the program started."""


@contextlib.contextmanager
def standard_error(make: Callable[[], Any]) -> Iterator[None]:
    """Have something for standard error that takes nothing.

    No fixture: pytest puts its own there once more when a test begins.
    """
    if make is full and not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("this system has no /dev/full")
    file = make()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", file)
        try:
            yield
            assert sys.stderr is file
        finally:
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()


class _Broken(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("a handler of logging that raises")


@pytest.fixture
def broken_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `logging` raise for everything this package says."""
    logger = logging.getLogger("tlshttp")
    monkeypatch.setattr(logger, "handlers", [_Broken()])
    monkeypatch.setattr(logging.getLogger("tlshttp.access"), "level", logging.INFO)


REQUESTS = [
    (b"GET / HTTP/1.1\r\nHost: a\r\n", b"200"),
    (b"GET /message HTTP/1.1\r\nHost: a\r\n", b"200"),
    (b"GET /missing HTTP/1.1\r\nHost: a\r\n", b"404"),
    (b"GET /raise HTTP/1.1\r\nHost: a\r\n", b"500"),
    (b"PUT / HTTP/1.1\r\nHost: a\r\n", b"501"),
    (b"GET / HTTP/1.1\r\n", b"400"),
    (b"GET /\r\n", b"ok"),
]

SERVERS = [TLSHTTPServer, ThreadingTLSHTTPServer]


def all_are_answered(server: Any, *, own_message: bytes = b"200") -> None:
    """Send every kind of request, and see that each has its answer and its event.

    Args:
        server: The server.
        own_message: The status where the handler writes into the log itself.
    """
    for request, usual in REQUESTS:
        status = own_message if b"/message" in request else usual
        with connect(server) as client:
            client.sendall(request + b"Connection: close\r\n\r\n")
            answer = read_to_end(client)
            assert status in answer[:13], (request, answer)
    with socket.create_connection(server.server_address, timeout=30 * UNIT) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"400" in raw.recv(100)
    assert wait_until(lambda: sum(server.stats().handshake_failures.values()) == 1)
    assert wait_until(lambda: sum(server.stats().cut.values()) == 1)


@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize("handler", [Plain, ByName, OwnFields, Accessed])
@pytest.mark.parametrize("error", [full, gone, closed, none])
def test_peers_14_standard_error_that_takes_nothing(
    error: Callable[[], Any], handler: Any, server_class: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Peers 14: full, gone, closed or none at all: every request is answered.

    And standard output gets nothing that was for it.
    """
    with standard_error(error), serving(handler, server_class=server_class) as server:
        # What ByName has put there is its own, and raises where it calls it itself.
        all_are_answered(server, own_message=b"500" if issubclass(handler, ByName) else b"200")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize("handler", [Plain, Accessed])
@pytest.mark.usefixtures("broken_logging")
def test_peers_14_handlers_of_logging_that_raise(handler: Any, server_class: Any) -> None:
    """Peers 14: a mistake in the set-up of `logging` is no mistake of the request's."""
    with serving(handler, server_class=server_class) as server:
        all_are_answered(server)


@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize("handler", [Raising, RaisingRequest])
def test_peers_14_log_methods_that_raise(
    handler: Any, server_class: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Peers 14: the response is sent, and the mistake has its traceback nevertheless."""
    with serving(handler, server_class=server_class) as server, connect(server) as client:
        client.sendall(REQUESTS[0][0] + b"Connection: close\r\n\r\n")
        assert read_to_end(client).endswith(b"\r\n\r\nok")
    assert "a mistake in log_" in capsys.readouterr().err


@pytest.mark.parametrize("server_class", SERVERS)
def test_peers_09_visits_that_are_not_logged_hide_no_warning(
    server_class: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Peers 9: twenty connects and leaves, of level INFO, do not use up the WARNINGs' allowance."""
    caplog.set_level(logging.WARNING, "tlshttp")
    with serving(Plain, server_class=server_class) as server:
        for _ in range(25):
            socket.create_connection(server.server_address, timeout=30 * UNIT).close()
        assert wait_until(lambda: sum(server.stats().handshake_failures.values()) == 25)
        with socket.create_connection(server.server_address, timeout=30 * UNIT) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert raw.recv(100)
        assert wait_until(lambda: len(caplog.messages) == 1)
    assert "plain" in caplog.messages[0].lower()
