from __future__ import annotations

import contextlib
import ssl
import threading
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
    read_all,
)
from tests.support import UNIT, wait_until

# handle_error -------------------------------------------------------------------------------------


def test_exception_before_anything_is_sent_is_a_500_with_a_traceback(
    serve: Serve, versioned_client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A handler that fails early: the client gets 500, standard error one traceback."""

    class Fails(Plain):
        def do_GET(self) -> None:
            raise LookupError("lost")

    server = serve(Fails)
    answer = versioned_client.exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"LookupError" not in answer
    error = capsys.readouterr().err
    assert error.count("Traceback") == 1
    assert "LookupError: lost" in error
    assert "in do_GET" in error


def test_exception_after_something_is_sent_adds_no_500(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A handler that fails late: the response stays as it was begun, and the connection ends."""

    class FailsLate(Plain):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"a beginning")
            raise LookupError("lost")

    answer = client.exchange(serve(FailsLate), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\na beginning")
    assert capsys.readouterr().err.count("LookupError: lost") == 1


def test_headers_that_were_not_sent_yet_do_not_leak_into_the_500(
    serve: Serve, client: Client
) -> None:
    """What a handler had put into its header buffer is no part of the 500."""

    class Fails(Plain):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("X-Begun", "yes")
            raise LookupError("lost")

    answer = client.exchange(serve(Fails), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"X-Begun" not in answer


@pytest.mark.parametrize("size", [10, 100_000])
def test_exception_with_a_buffered_wfile_does_not_mix_two_responses(
    serve: Serve, client: Client, size: int
) -> None:
    """With ``wbufsize`` the client sees the begun response or a 500, never one inside the other."""

    class Buffered(Plain):
        wbufsize = -1

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * size)
            raise LookupError("lost")

    answer = client.exchange(serve(Buffered), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_handle_error_may_be_overridden_and_sees_the_exception(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """``handle_error()`` is called with the exception at hand; nothing else is printed."""
    seen: list[tuple[BaseException | None, Any]] = []

    class Listens(ServerBase):
        def handle_error(self, request: Any, client_address: Any) -> None:
            import sys

            seen.append((sys.exception(), client_address))

    class Fails(OneRequest):
        def do_GET(self) -> None:
            raise LookupError("lost")

    server = serve(Fails, Listens)
    with client.connect(server) as sock:
        own_address = sock.getsockname()
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(sock).startswith(b"HTTP/1.0 500")
    assert wait_until(lambda: len(seen) == 1)
    ((error, address),) = seen
    assert isinstance(error, LookupError)
    assert address == own_address
    assert capsys.readouterr().err == ""


class Fragile(Plain):
    def do_GET(self) -> None:
        if self.path == "/raise":
            raise LookupError("as asked")
        super().do_GET()


def test_handle_error_that_raises_ends_only_its_connection(
    serve: Serve, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken ``handle_error()`` is logged; the server goes on."""

    class Broken(Balance):
        def handle_error(self, request: Any, client_address: Any) -> None:
            raise OverflowError("too many errors")

    server: Any = serve(Fragile, Broken)
    with contextlib.suppress(ssl.SSLEOFError):
        client.exchange(server, b"GET /raise HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.get(server).status == 200
    assert wait_until(lambda: "too many errors" in caplog.text)


@pytest.mark.parametrize("where", ["__init__", "setup", "handle", "finish"])
def test_exception_in_any_part_of_a_handler_is_reported_once(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    """Constructor, ``setup()``, ``handle()``, ``finish()``: one traceback, and a clean end."""

    def fail(self: Any, *arguments: Any) -> None:
        getattr(OneRequest, where)(self, *arguments)
        raise LookupError("lost")

    handler = type("Fails", (OneRequest,), {where: fail})
    server: Any = serve(handler, Balance)
    client.exchange(server, b"GET / HTTP/1.0\r\n\r\n")
    assert wait_until(lambda: len(server.closed) == 1)
    assert capsys.readouterr().err.count("LookupError: lost") == 1
    assert server.balanced()


def test_peers_fault_seen_by_a_handler_is_no_traceback(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client that goes away in the middle of a response leaves no traceback but an event."""
    writing = threading.Event()
    cuts: list[str] = []

    class Listens(ServerBase):
        def handle_connection_cut(self, exc: Any, client_address: Any) -> None:
            cuts.append(exc.reason)

    class Endless(Plain):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 100_000)
                writing.set()

    server = serve(Endless, Listens)
    with client.connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert writing.wait(30 * UNIT)
    assert wait_until(lambda: cuts == ["disconnected"])
    assert capsys.readouterr().err == ""
    assert server.stats().cut == {"disconnected": 1}


def test_client_that_leaves_instead_of_asking_again_is_no_event(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kept-alive connection that ends without ``close_notify`` has ended, and no more."""

    class Classic(Plain):
        def handle(self) -> None:
            super().handle()
            ended.set()

    ended = threading.Event()
    server = serve(Classic)
    with contextlib.closing(client.http(server)) as connection:
        assert [ask(connection, "GET", path).body for path in ("/a", "/b")] == [b"/a", b"/b"]
    assert ended.wait(30 * UNIT), "handle() did not come to its end"
    assert server.stats().cut == {}
    assert capsys.readouterr().err == ""
