from __future__ import annotations

import contextlib
import ssl
import threading
import xmlrpc.client
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

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
    running,
)
from tests.support import UNIT, wait_until
from tlshttp import Limits, TLSHTTPServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def test_handle_that_is_overridden_is_called_once_for_a_connection(
    serve: Serve, versioned_client: Client
) -> None:
    """A class with a ``handle()`` of its own has the connection to itself, in its constructor."""
    calls: list[str] = []

    class Classic(BaseHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            calls.append("constructor")
            super().__init__(*arguments)
            calls.append("constructed")

        def handle(self) -> None:
            calls.append("handle")
            line = self.rfile.readline()
            while self.rfile.readline() != b"\r\n":
                pass
            self.wfile.write(b"raw: " + line)

    server: Any = serve(Classic, Balance)
    answer = versioned_client.exchange(server, b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer == b"raw: GET /a HTTP/1.1\r\n"
    assert wait_until(lambda: len(server.closed) == 1)
    assert calls == ["constructor", "handle", "constructed"]


def test_handle_may_call_super_and_keeps_the_connection_alive(serve: Serve, client: Client) -> None:
    """``super().handle()`` serves one request after the other on one connection."""
    handlers: set[int] = set()

    class Classic(Plain):
        def handle(self) -> None:
            handlers.add(id(self))
            super().handle()

    server = serve(Classic)
    with contextlib.closing(client.http(server)) as connection:
        for number in range(5):
            assert ask(connection, "GET", f"/{number}").body == f"/{number}".encode()
            assert ask(connection, "POST", body=b"form").body == b"form"
        assert server.stats().accepted == 1
    assert len(handlers) == 1


def test_unread_body_is_not_the_next_request_in_blocking_mode(serve: Serve, client: Client) -> None:
    """What a handler leaves of a body is not executed; the connection ends."""

    class Classic(Plain):
        def handle(self) -> None:
            super().handle()

        def do_POST(self) -> None:
            self.reply(b"not read")

    body = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40_000
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    server = serve(Classic, limits=Limits(linger_timeout=60 * UNIT))
    answer = client.exchange(server, head.encode() + body)
    assert answer.endswith(b"\r\n\r\nnot read")
    assert answer.count(b"HTTP/1.1 200") == 1


def test_wsgi_request_handler_serves_an_application(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, client: Client
) -> None:
    """`wsgiref`'s handler, which overrides ``handle()``, serves through ``make_server()``."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["REQUEST_METHOD"].encode(), b" ", environ["PATH_INFO"].encode(), body]

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Base(ServerBase):
        def __init__(self, address: Any, handler: Any) -> None:
            super().__init__(address, handler, ssl_context=server_context)

    with running(
        make_server(
            "127.0.0.1",
            0,
            validator(application),
            server_class=combine(WSGIServer, Base, server_class),
            handler_class=Quiet,
        )
    ) as server:
        for _ in range(2):
            answer = client.ask(server, "POST", "/form", body=b" (body)")
            assert (answer.status, answer.body) == (200, b"POST /form (body)")


def test_xml_rpc_handler_serves_calls(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, client: Client
) -> None:
    """`xmlrpc`'s handler, which buffers its writes, answers calls small and large."""

    class Quiet(SimpleXMLRPCRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Base(SimpleXMLRPCDispatcher, ServerBase):
        logRequests = False  # noqa: N815
        _send_traceback_header = False

        def __init__(self, address: Any) -> None:
            SimpleXMLRPCDispatcher.__init__(self, allow_none=False, encoding=None)
            server_class.__init__(self, address, Quiet, ssl_context=server_context)

    server = combine(Base, server_class)(("127.0.0.1", 0))
    server.register_function(lambda text, times: text * times, "repeat")
    proxy = xmlrpc.client.ServerProxy(f"{server.url}/RPC2", context=client.context)
    with running(server), proxy:
        assert proxy.repeat("ab", 2) == "abab"
        assert proxy.repeat("ab", 300_000) == "ab" * 300_000
        with pytest.raises(xmlrpc.client.Fault, match="is not supported"):
            proxy.unknown()


def test_factory_function_makes_the_handler(serve: Serve, client: Client) -> None:
    """A function that returns a handler is called with request, address and server."""
    seen: list[Any] = []

    def factory(request: Any, client_address: Any, server: Any) -> BaseHTTPRequestHandler:
        seen.append(server)
        return Plain(request, client_address, server)

    server = serve(factory)
    assert server.RequestHandlerClass is factory
    with contextlib.closing(client.http(server)) as connection:
        assert [ask(connection, "GET", path).body for path in ("/a", "/b")] == [b"/a", b"/b"]
    assert seen == [server]


def test_function_that_is_no_class_may_do_without_a_handler(serve: Serve, client: Client) -> None:
    """Whatever is called with the request may answer it, as with `socketserver`."""

    def serve_it(request: Any, client_address: Any, server: Any) -> None:
        assert request.recv(65_536).startswith(b"GET / ")
        request.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")

    answer = client.exchange(serve(serve_it), b"GET / HTTP/1.0\r\n\r\n")
    assert answer == b"HTTP/1.0 204 No Content\r\n\r\n"


def test_connection_is_a_socket_with_files(serve: Serve, client: Client) -> None:
    """``request.makefile()`` reads and writes, as text and as bytes."""

    def echo(request: Any, client_address: Any, server: Any) -> None:
        with (
            request.makefile("r", encoding="ascii", newline="\r\n") as reader,
            request.makefile("wb", buffering=0) as writer,
        ):
            for line in reader:
                if line == "\r\n":
                    break
                writer.write(line.upper().encode("ascii"))

    answer = client.exchange(serve(echo), b"get / http/1.1\r\nhost: x\r\n\r\n")
    assert answer == b"GET / HTTP/1.1\r\nHOST: X\r\n"


def test_connection_that_upgrades_stays_a_socket(serve: Serve, client: Client) -> None:
    """After its response a handler may go on speaking another protocol, both ways."""

    class Upgrades(Plain):
        def handle(self) -> None:
            self.handle_one_request()
            while data := self.connection.recv(5):
                self.connection.sendall(data[::-1])

        def do_GET(self) -> None:
            self.send_response(101)
            self.end_headers()

    with client.connect(serve(Upgrades)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n12345")
        received = b""
        while not received.endswith(b"\r\n\r\n54321"):
            received += sock.recv(100)
        sock.sendall(b"abcde")
        assert sock.recv(100) == b"edcba"
        sock.unwrap().close()


def test_peers_fault_in_a_classic_handler_is_an_event_too(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same, where the handler runs in blocking mode because it overrides ``handle()``."""
    writing = threading.Event()

    class Classic(BaseHTTPRequestHandler):
        def handle(self) -> None:
            while True:
                self.wfile.write(b"x" * 100_000)
                writing.set()

    server: Any = serve(Classic, Balance)
    with client.connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert writing.wait(30 * UNIT)
    assert wait_until(lambda: len(server.closed) == 1)
    assert capsys.readouterr().err == ""
    assert wait_until(lambda: server.stats().cut == {"disconnected": 1})


def test_request_of_a_classic_handler_is_counted(serve: Serve, client: Client) -> None:
    """A connection served in blocking mode counts as a request handed to a handler."""

    class Classic(OneRequest):
        def handle(self) -> None:
            super().handle()

    server = serve(Classic)
    assert client.get(server).status == 200
    assert wait_until(lambda: server.stats().requests == 1)


@pytest.mark.parametrize("hook", ["process_request", "finish_request", "handle"])
def test_blocking_mode_keeps_nobody_waiting(serve: Serve, client: Client, hook: str) -> None:
    """While blocking handlers wait for idle clients, others are served by either server."""

    class Literal(ServerBase):
        def process_request(self, request: Any, client_address: Any) -> None:
            self.finish_request(request, client_address)
            self.shutdown_request(request)

    class Makes(ServerBase):
        def finish_request(self, request: Any, client_address: Any) -> None:
            handler: Any = self.RequestHandlerClass
            handler(request, client_address, self)

    class Classic(Plain):
        def handle(self) -> None:
            super().handle()

    hooks: dict[str, type] = {"process_request": Literal, "finish_request": Makes}
    server = serve(Plain, hooks[hook]) if hook in hooks else serve(Classic)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            idle = stack.enter_context(contextlib.closing(client.http(server)))
            assert ask(idle, "GET").status == 200
        assert client.get(server).status == 200
