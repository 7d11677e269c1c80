"""What handlers raise in special ways, and what they may not call: nothing is lost, none hangs."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.support import UNIT, wait_until
from tests.testing.raw import connected
from tests.testing.test_closing import SERVERS
from tlshttp import testing

SAME = ValueError("always the same")


class RaisesTheSame(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        raise SAME


class RaisesTheSameInSetup(BaseHTTPRequestHandler):
    def setup(self) -> None:
        super().setup()
        raise SAME


class RaisesTheSameInALoopOfItsOwn(RaisesTheSame):
    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ValueError as error:
            raise KeyError("wrapped") from error


@SERVERS
def test_the_same_exception_may_be_raised_again(server_class: type[HTTPServer]) -> None:
    """One object that two requests raise is two errors, and one that has been forgiven is new."""
    SAME.__notes__ = []
    server = testing.serve(RaisesTheSame, server_class=server_class)
    server.get("/a")
    assert server.handler_errors == [SAME]
    server.handler_errors.clear()
    server.get("/b")
    server.get("/b")
    with pytest.raises(BaseExceptionGroup) as caught:
        server.close()
    assert list(caught.value.exceptions) == [SAME, SAME]
    assert [note.rpartition(" ")[2] for note in SAME.__notes__] == ["/a", "/b"]


class BearsItself(RaisesTheSame):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        """Serve two requests of one connection, and let nobody hear of what they raise."""
        for _ in range(2):
            try:
                self.handle_one_request()
            except ValueError:
                self.send_error(500)
                self.wfile.flush()


def test_the_same_exception_is_an_error_of_each_request_of_a_connection() -> None:
    """Where a handler swallows it, too, so that the server has not heard of the first."""
    server = testing.serve(BearsItself)
    with connected(server) as tls:
        for _ in range(2):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while tls.recv(1000):
            pass
    with pytest.raises(BaseExceptionGroup) as caught:
        server.close()
    assert list(caught.value.exceptions) == [SAME, SAME]


@pytest.mark.parametrize("handler", [RaisesTheSameInSetup, RaisesTheSameInALoopOfItsOwn])
def test_each_is_raised_once_wherever_it_passes(handler: type[Any]) -> None:
    """What passes several of ours on its way, wrapped or not, is one error for each request."""
    server = testing.serve(handler)
    for _ in range(2):
        with connected(server) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while tls.recv(1000):
                pass
    with pytest.raises(BaseExceptionGroup) as caught:
        server.close()
    assert list(caught.value.exceptions) == [SAME, SAME]


@SERVERS
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_would_end_the_run_is_an_error_of_the_test(
    kind: type[BaseException], server_class: type[HTTPServer]
) -> None:
    """It is told as a failure, by an ordinary exception, and the server serves on."""

    class Leaves(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raise kind("enough")

    server = testing.serve(Leaves, server_class=server_class)
    assert server.get("/").status == 500
    assert len(server.take_handler_errors()) == 1
    assert server.get("/").status == 500
    with pytest.raises(RuntimeError, match=rf"a handler has raised {kind.__name__}") as caught:
        server.close()
    assert isinstance(caught.value.__cause__, kind)
    assert any("GET /" in note for note in caught.value.__notes__)


@SERVERS
def test_a_handler_cannot_close_its_server(server_class: type[HTTPServer]) -> None:
    """It would wait for itself: that is an error at once, and the server serves on."""

    class Closes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.close()

    server = testing.serve(Closes, server_class=server_class, timeout=30 * UNIT)
    assert server.get("/").status == 500
    (error,) = server.take_handler_errors()
    assert isinstance(error, RuntimeError)
    assert "a handler has called close(), which waits for all handlers" in str(error)
    assert server.get("/").status == 500
    with pytest.raises(RuntimeError, match="has called close"):
        server.close()
    assert repr(server).endswith(" closed>")


def test_a_function_that_answers_cannot_close_either() -> None:
    """Nor can one that a handler calls; another server's handler can."""
    servers: list[testing.RunningServer] = []

    def close(request: testing.RecordedRequest) -> str:
        servers[int(request.path[1:])].close()
        return "closed"

    answers = {"/0": close, "/1": close}
    servers += [testing.serve(answers), testing.serve(answers)]
    assert servers[0].get("/1").text == "closed"
    assert repr(servers[1]).endswith(" closed>")
    servers[0].get("/0")
    with pytest.raises(RuntimeError, match="has called close"):
        servers[0].close()


def test_closing_again_raises_what_has_come_since() -> None:
    """What a handler raises after a `close` that did not wait for it longer is not lost."""
    goes_on, is_over = threading.Event(), threading.Event()

    class Late(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            goes_on.wait()
            raise ValueError("late")

        def finish(self) -> None:
            super().finish()
            is_over.set()

    server = testing.serve(Late, timeout=0.2 * UNIT)
    with connected(server) as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        server.wait_for(1, timeout=30 * UNIT)
        with pytest.raises(TimeoutError):
            server.close()
        goes_on.set()
        assert is_over.wait(30 * UNIT)
        assert wait_until(lambda: bool(server.handler_errors))
        with pytest.raises(ValueError, match="late"):
            server.close()
    server.close()  # there is nothing more


def test_a_process_ends_though_its_handler_does_not() -> None:
    """Who has not closed a server can leave the interpreter, as with `bad_server`."""
    program = (
        "import socket, threading\n"
        "from tlshttp import testing\n"
        "server = testing.serve({'/': lambda request: threading.Event().wait()})\n"
        "threading.Thread(target=server.get, daemon=True).start()\n"
        "server.wait_for(1)\n"
        "print('left')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120 * UNIT,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("left\n", "")
