"""How a server ends: everything joined, nothing left, and nothing that went wrong kept quiet."""

from __future__ import annotations

import socket
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.support import UNIT, nothing_left_behind, wait_until
from tests.testing.raw import connected, exchange
from tests.testing.test_recording import UPLOAD
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, testing

SERVERS = pytest.mark.parametrize(
    "server_class", [TLSHTTPServer, ThreadingTLSHTTPServer], ids=lambda given: given.__name__
)


class Boom(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        raise ValueError(f"boom at {self.path}")


@SERVERS
def test_a_handlers_exception_is_raised_at_the_end(server_class: type[HTTPServer]) -> None:
    """The very exception, with its traceback and a note that names the request."""
    with (
        pytest.raises(ValueError, match="boom at /first") as caught,
        testing.serve(Boom, server_class=server_class) as server,
    ):
        assert server.get("/first").status == 500
    assert caught.traceback[-1].name == "do_GET"
    assert any("GET /first" in note for note in caught.value.__notes__)


def test_several_exceptions_are_raised_as_a_group() -> None:
    """None of them is lost."""
    server = testing.serve(Boom)
    for path in ("/1", "/2"):
        server.get(path)
    with pytest.raises(BaseExceptionGroup) as caught:
        server.close()
    assert [str(error) for error in caught.value.exceptions] == ["boom at /1", "boom at /2"]


def test_the_test_s_own_failure_comes_first() -> None:
    """What the block raises is raised, and the handler's traceback is a note of it."""
    with pytest.raises(AssertionError, match="mine") as caught, testing.serve(Boom) as server:
        assert server.get("/").status == 200, "mine"
    (note,) = caught.value.__notes__
    assert note.startswith("Traceback")
    assert 'raise ValueError(f"boom at {self.path}")' in note
    assert "connection.py" not in note


def test_an_exception_that_is_expected_is_forgiven() -> None:
    """Cleared, it is not raised."""
    with testing.serve(Boom) as server:
        server.get("/")
        assert [str(error) for error in server.handler_errors] == ["boom at /"]
        server.handler_errors.clear()


def test_exceptions_are_there_before_the_client_has_its_500() -> None:
    """Who has been told of a failure finds it at once, each time."""
    with testing.serve(Boom) as server:
        for number in range(30):
            server.get("/")
            assert len(server.handler_errors) == number + 1
        server.take_handler_errors()


def test_a_handler_may_fail_its_test() -> None:
    """``pytest.fail()`` in a handler is the test's failure, and the client gets its 500."""

    class Fails(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pytest.fail("not this path")

    server = testing.serve(Fails)
    assert server.get("/").status == 500
    with pytest.raises(pytest.fail.Exception, match="not this path"):
        server.close()


class InItsOwnLoop(Boom):
    def handle(self) -> None:
        self.handle_one_request()


class InItsSetup(Boom):
    def setup(self) -> None:
        super().setup()
        raise ValueError("boom in setup")


class InItsFinish(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def finish(self) -> None:
        super().finish()
        raise ValueError("boom in finish")


@pytest.mark.parametrize("handler", [InItsOwnLoop, InItsSetup, InItsFinish])
def test_exceptions_anywhere_in_a_handler_are_raised(handler: type[Any]) -> None:
    """In whatever method it is raised, it is raised once."""
    with pytest.raises(ValueError, match="boom"), testing.serve(handler) as server:
        exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")


def test_exceptions_are_not_hidden_by_hooks_of_the_server() -> None:
    """A ``handle_error()`` of the user's is called, and the exception raised nevertheless."""
    called = []

    class Mine(HTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            called.append(client_address)

    with pytest.raises(ValueError, match="boom"), testing.serve(Boom, server_class=Mine) as server:
        server.get("/")
    assert len(called) == 1


def test_a_peer_that_leaves_is_no_exception_of_the_handler() -> None:
    """A handler that stumbles over a lost client, wrapped or not, fails no test."""

    class Reads(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read()

    class Wraps(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                self.rfile.read()
            except OSError as error:
                raise RuntimeError("cannot go on") from error

    for handler in (Reads, Wraps):
        with testing.serve(handler) as server, connected(server) as tls:
            tls.sendall(UPLOAD)
            server.wait_for(1)
        assert server.handler_errors == []


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither requests nor exceptions, which are raised, appear on standard error."""
    with pytest.raises(ValueError, match="boom"), testing.serve(Boom) as server:
        server.get("/")
    assert capfd.readouterr() == ("", "")


def test_requests_are_logged_unless_the_handler_does_so_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What `http.server` would print goes to a logger of ours; a log of the user's stays theirs."""
    lines = []

    class Logs(Boom):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            lines.append(format % args)

    with caplog.at_level("INFO", "tlshttp.testing"):
        with testing.serve({"/": ""}) as server:
            server.get("/?100%")
        with testing.serve(Logs) as server:
            server.get("/")
    assert [record.getMessage() for record in caplog.records] == [
        '127.0.0.1 "GET /?100% HTTP/1.1" 200 -'
    ]
    assert lines == ['"GET / HTTP/1.1" 204 -']


def is_at(line: str) -> bool:
    """Tell whether a thread is at a line of this file, and waits in what is called there."""
    stacks = map(traceback.extract_stack, sys._current_frames().values())
    return any(frame.line == line for stack in stacks for frame in stack[:-1])


@SERVERS
def test_closing_says_whom_it_waits_for(server_class: type[HTTPServer]) -> None:
    """After its timeout it names the client, the request, the method and the very line."""
    goes_on = threading.Event()

    class Stuck(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wait_for_it()

        def wait_for_it(self) -> None:
            goes_on.wait()  # this very line

    server = testing.serve(Stuck, server_class=server_class, timeout=0.2 * UNIT)
    with connected(server) as tls:
        tls.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert wait_until(lambda: is_at("goes_on.wait()  # this very line"))
        port = tls.getsockname()[1]
        with pytest.raises(TimeoutError) as caught:
            server.close()
        goes_on.set()
    message = str(caught.value)
    assert f"127.0.0.1:{port} (GET /slow HTTP/1.1)" in message
    assert "wait_for_it()" in message
    assert "goes_on.wait()  # this very line" in message
    assert __file__ in message


@pytest.mark.parametrize("kind", ["function", "application", "reading"])
def test_whatever_is_stuck_is_named(kind: str) -> None:
    """A function, a WSGI application and a handler that reads."""
    goes_on = threading.Event()

    def stuck(*arguments: Any) -> Any:
        goes_on.wait()  # the function's line
        return ""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        goes_on.wait()  # the application's line
        start_response("204 No Content", [])
        return []

    class Reads(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read()  # the reader's line

    served: Any = {
        "function": {"/": stuck},
        "application": application,
        "reading": Reads,
    }[kind]
    expected = {
        "function": "goes_on.wait()  # the function's line",
        "application": "goes_on.wait()  # the application's line",
        "reading": "self.rfile.read()  # the reader's line",
    }[kind]
    server = testing.serve(served, timeout=0.2 * UNIT)
    with connected(server) as tls:
        tls.sendall(UPLOAD if kind == "reading" else b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert wait_until(lambda: is_at(expected))
        with pytest.raises(TimeoutError) as caught:
            server.close()
        goes_on.set()
    assert expected in str(caught.value)


def test_a_handler_that_ends_in_time_is_waited_for() -> None:
    """A request that is being answered is answered."""
    goes_on = threading.Event()
    has_begun = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            has_begun.set()
            goes_on.wait()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"late")

    answers: list[bytes] = []
    server = testing.serve(Slow)
    client = threading.Thread(target=lambda: answers.append(server.get("/").body))
    client.start()
    assert has_begun.wait(30 * UNIT)
    closer = threading.Thread(target=server.close)
    closer.start()
    goes_on.set()
    for thread in (closer, client):
        thread.join()
    assert answers == [b"late"]


def test_closing_waits_for_no_idle_peer() -> None:
    """Silent, half-shaken, idle and kept connections are closed, at once."""
    with (
        testing.serve({"/": ""}) as server,
        connected(server) as tls,
        socket.create_connection((server.host, server.port), timeout=30 * UNIT) as silent,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        server.wait_for(1)
        assert wait_until(lambda: server.stats().parked["hello"] == 1)  # it has been accepted
        server.close()
        assert silent.recv(1) == b""
    assert repr(server).endswith(" closed>")


def test_closing_twice_does_nothing() -> None:
    """Neither raises, nor waits, nor closes anything of somebody else's."""
    server = testing.serve({"/": ""})
    server.close()
    server.close()
    with pytest.raises(OSError, match="refused"):
        server.get("/")


@pytest.mark.parametrize("make", [testing.serve, testing.bad_server])
def test_what_is_closed_is_not_entered_again(make: Any) -> None:
    """``with`` on a closed server is an error, where it would only fail at the first request."""
    with make() as server:
        pass
    with pytest.raises(RuntimeError, match=r"closed> cannot be started again"), server:
        pytest.fail("it has been entered")


def test_closing_at_once_ends_a_server_that_has_hardly_begun() -> None:
    """A server that nobody asked anything is closed however early."""
    for _ in range(20):
        testing.serve().close()


@pytest.mark.slow
@pytest.mark.timeout(600 * UNIT)
def test_two_hundred_servers_leave_nothing_behind() -> None:
    """Started, asked and closed, one after the other: no thread, no socket, no file, no class."""
    import gc

    with testing.serve({"/": ""}) as server:
        server.get("/")  # what stays for the process is there now
    gc.collect()
    before = number_of_classes(testing.RunningServer)
    with nothing_left_behind():
        for _ in range(200):
            with testing.serve({"/": ""}) as server:
                server.get("/")
    del server
    gc.collect()
    assert number_of_classes(testing.RunningServer) <= before


def number_of_classes(kind: type) -> int:
    """Count the instances of a class that are alive."""
    import gc

    return sum(1 for thing in gc.get_objects() if type(thing) is kind)


@pytest.mark.timeout(300 * UNIT)
def test_a_hundred_servers_at_once() -> None:
    """Many servers in one process do not disturb each other."""
    servers: list[testing.RunningServer] = []
    try:
        servers.extend(testing.serve({"/": str(number)}) for number in range(100))
        assert [server.get("/").text for server in servers] == [str(n) for n in range(100)]
        assert len({server.port for server in servers}) == 100
    finally:
        for server in servers:
            server.close()
