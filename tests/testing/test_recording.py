"""What a server remembers of the requests it got, whatever its handler does with them."""

from __future__ import annotations

import http.client
import io
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ForkingMixIn
from typing import Any

import pytest

from tests.support import UNIT
from tests.testing.raw import connected, exchange
from tlshttp import TLSRequestHandler, aio, errors, testing

BODY = bytes(range(256)) * 32  # 8 KiB

SIZE = 3 << 20
"""Bytes of a body that no server waits for before it calls the handler."""

UPLOAD = b"POST /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % SIZE


class Post(BaseHTTPRequestHandler):
    """Reads a request's body by `read`, and answers with its size."""

    def do_POST(self) -> None:
        size = self.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(size).encode())

    def read(self) -> int:
        return len(self.rfile.read(int(self.headers["Content-Length"])))


class ReadsAll(Post):
    def read(self) -> int:
        return len(self.rfile.read())


class ReadsByLines(Post):
    def read(self) -> int:
        return sum(map(len, self.rfile))


class ReadsByReadline(Post):
    def read(self) -> int:
        return sum(map(len, iter(lambda: self.rfile.readline(100), b"")))


class ReadsPieces(Post):
    def read(self) -> int:
        return sum(map(len, iter(lambda: self.rfile.read1(1000), b"")))


class ReadsInto(Post):
    def read(self) -> int:
        buffer, size = bytearray(1000), 0
        while got := self.rfile.readinto(buffer):
            size += got
        return size


class ReadsIntoOnce(Post):
    def read(self) -> int:
        buffer, size = bytearray(1000), 0
        while got := self.rfile.readinto1(buffer):
            size += got
        return size


class Copies(Post):
    def read(self) -> int:
        copy = io.BytesIO()
        shutil.copyfileobj(self.rfile, copy)
        return len(copy.getvalue())


class Peeks(Post):
    def read(self) -> int:
        assert self.rfile.peek(1)[:1] == BODY[:1]  # type: ignore[attr-defined]
        return len(self.rfile.read())


class ReadsHalf(Post):
    def read(self) -> int:
        return len(self.rfile.read(int(self.headers["Content-Length"]) // 2))


class ReadsNothing(Post):
    def read(self) -> int:
        return 0


class Classic(Post):
    """Has a loop of its own, as scripts for `http.server` have."""

    def handle(self) -> None:
        self.close_connection = True
        self.handle_one_request()
        while not self.close_connection:
            self.handle_one_request()


class ParsesItself(Post):
    """Calls ``parse_request()`` itself."""

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self.do_POST()


class KnowsUs(TLSRequestHandler):
    do_POST = Post.do_POST
    read = Post.read


HANDLERS = [
    Post,
    ReadsAll,
    ReadsByLines,
    ReadsByReadline,
    ReadsPieces,
    ReadsInto,
    ReadsIntoOnce,
    Copies,
    Peeks,
    ReadsHalf,
    ReadsNothing,
    Classic,
    ParsesItself,
    KnowsUs,
]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
def test_a_small_body_is_recorded_however_it_is_read(handler: type[Any]) -> None:
    """All of it, in order, read or not; and the handler has read what it would without us."""
    with testing.serve(handler) as server:
        answer = server.request("POST", "/path?query", body=BODY, headers={"X-Mine": "yes"})
        (request,) = server.requests
    read = {ReadsHalf: len(BODY) // 2, ReadsNothing: 0}.get(handler, len(BODY))
    assert answer.body == str(read).encode()
    assert request.body == BODY
    assert (request.method, request.path) == ("POST", "/path?query")
    assert request.headers["x-mine"] == "yes"
    assert request.tls.version == "TLSv1.3"


@pytest.mark.parametrize("handler", [ReadsAll, ReadsPieces, ReadsByLines, Classic])
def test_requests_of_one_connection_have_their_own_bodies(handler: type[Any]) -> None:
    """On a connection that is kept, each body goes to its own request."""
    with testing.serve(handler) as server:
        connection = http.client.HTTPSConnection(
            server.host, server.port, context=server.client_context(), timeout=30 * UNIT
        )
        for body in (b"first", b"", b"third"):
            connection.request("POST", "/", body)
            connection.getresponse().read()
        connection.close()
        assert [request.body for request in server.requests] == [b"first", b"", b"third"]


def test_a_chunked_body_is_recorded_without_its_chunks() -> None:
    """What the handler reads is what is recorded."""
    with testing.serve(ReadsAll) as server:
        exchange(
            server,
            b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        )
        assert server.requests[0].body == b"abcde"


@pytest.mark.parametrize("size", [(), (-1,), (None,)], ids=repr)
def test_a_body_read_to_its_end_has_ended(size: tuple[Any, ...]) -> None:
    """Where only the last chunk tells the end, who reads all need not return before it is told."""
    bodies = []

    class Asks(Post):
        def read(self) -> int:
            self.rfile.read(*size)
            bodies.append(server.requests[0].body)
            return 0

    with testing.serve(Asks) as server:
        exchange(
            server,
            b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        )
    assert bodies == [b"abcde"]


def test_a_large_body_is_recorded_as_far_as_it_was_read() -> None:
    """Nobody waits for the rest of a body that its handler does not want."""
    with testing.serve(ReadsHalf) as server:
        server.request("POST", "/", body=bytes(SIZE))
        assert server.requests[0].body == bytes(SIZE // 2)


def test_an_expected_body_is_recorded() -> None:
    """A client that waits for 100 (Continue) gets it, and its body is recorded when it comes."""
    head = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    with testing.serve(ReadsAll) as server, connected(server) as tls:
        tls.sendall(head)
        with tls.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
            tls.sendall(b"12345")
            assert b"200 OK" in answer.read()
        assert server.requests[0].body == b"12345"


def test_a_body_is_waited_for_while_the_handler_reads() -> None:
    """Who asks for a body in the middle of an upload gets the whole of it."""
    with testing.serve(ReadsAll) as server, connected(server) as tls:
        tls.sendall(UPLOAD)
        tls.sendall(bytes(SIZE - 10_000))
        (request,) = server.wait_for(1)
        bodies: list[bytes] = []
        asking = threading.Thread(target=lambda: bodies.append(request.body))
        asking.start()
        tls.sendall(bytes(10_000))
        asking.join()
        assert bodies == [bytes(SIZE)]


def test_a_body_that_does_not_come_is_an_error() -> None:
    """The message says whose and how much of it there is."""
    with testing.serve(ReadsAll, timeout=0.2 * UNIT) as server, connected(server) as tls:
        tls.sendall(UPLOAD)
        (request,) = server.wait_for(1, timeout=30 * UNIT)
        with pytest.raises(TimeoutError, match=r"POST /up .* has read \d+ bytes"):
            request.body  # noqa: B018
        server._timeout = 30 * UNIT  # closing has its time again
        tls.sendall(bytes(SIZE))  # so that it waits for nobody


def test_headers_are_the_records_own() -> None:
    """What a handler does to its headers does not change what is recorded."""

    class Changes(Post):
        def read(self) -> int:
            del self.headers["X-Mine"]
            return 0

    with testing.serve(Changes) as server:
        server.request("POST", "/", headers={"X-Mine": "yes", "Content-Length": "0"})
        assert server.requests[0].headers["X-Mine"] == "yes"


def test_json_and_text() -> None:
    """A record decodes itself."""
    with testing.serve({"POST /": "thanks"}) as server:
        server.request("POST", "/", body='{"a": "ü"}')
        latin = {"Content-Type": "text/plain; charset=latin-1"}
        server.request("POST", "/", body="ü".encode("latin-1"), headers=latin)
        assert server.requests[0].json() == {"a": "ü"}
        assert server.requests[1].text == "ü"


def test_names_of_a_handlers_own_do_not_disturb() -> None:
    """A class that uses for itself what ours might be called works as before."""

    class Namesake(Post):
        happenings = request_ = _happenings = _request = tls = None
        record = take = end = "mine"

    with testing.serve(Namesake) as server:
        assert server.request("POST", "/", body=b"12").text == "2"
        assert server.requests[0].body == b"12"
        assert server.requests[0].tls.version == "TLSv1.3"


def test_a_class_with_init_subclass_is_not_told_of_ours() -> None:
    """Registries that ``__init_subclass__`` fills have the user's classes only."""
    registry = []

    class Registered(Post):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            registry.append(cls)

    with testing.serve(Registered) as server:
        server.request("POST", "/", body=b"")
    assert registry == []


def test_wait_for_returns_what_has_come() -> None:
    """It returns as soon as there are enough, and then all there are."""
    with testing.serve({"/": ""}) as server:
        clients = [threading.Thread(target=server.get) for _ in range(3)]
        for client in clients:
            client.start()
        assert len(server.wait_for(3)) == 3
        for client in clients:
            client.join()
        server.requests.clear()
        with pytest.raises(TimeoutError, match="for 1 requests; requests: none"):
            server.wait_for(1, timeout=0.01)


def test_who_waits_in_vain_is_told_what_did_happen() -> None:
    """Other requests, failed handshakes and exceptions of handlers stand in the message."""

    class Boom(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raise ValueError("boom")

    with testing.serve(Boom) as server:
        server.get("/once")
        exchange_without_host(server)
        server.wait_for_peer_error(errors.RequestRefused)
        with pytest.raises(TimeoutError) as caught:
            server.wait_for(2, timeout=0.01)
        server.handler_errors.clear()
    message = str(caught.value)
    assert "2 requests" in message
    assert "GET /once" in message
    assert "[refused-request]" in message
    assert "ValueError: boom" in message


def exchange_without_host(server: testing.Endpoint) -> None:
    """Send what HTTP/1.1 forbids."""
    assert b" 400 " in exchange(server, b"GET / HTTP/1.1\r\n\r\n")


def test_a_refused_request_is_a_peers_error_and_no_request() -> None:
    """What never reached a handler is not among the requests."""
    with testing.serve({"/": ""}) as server:
        exchange_without_host(server)
        error = server.wait_for_peer_error(errors.RequestRefused)
        assert str(error) == "Missing Host"
        assert server.requests == []


@pytest.mark.parametrize("kind", [errors.ConnectionCut, errors.PeerError, errors.PeerDisconnected])
def test_a_cut_is_waited_for_by_any_of_its_classes(kind: type[errors.PeerError]) -> None:
    """A client that leaves in mid-request is reported a moment later, and found by its base."""
    with testing.serve(Post) as server:
        with connected(server) as tls:
            tls.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        assert isinstance(server.wait_for_peer_error(kind), errors.PeerDisconnected)
        with pytest.raises(TimeoutError, match=r"for 2 PeerError"):
            server.wait_for_peer_error(errors.PeerError, 2, timeout=0.01)


def test_a_function_that_makes_handlers_is_served_and_not_recorded() -> None:
    """Where nothing can be recorded, asking says why, instead of an empty list."""

    def make(*arguments: Any) -> Post:
        return Post(*arguments)

    class OwnServer(HTTPServer):
        def __init__(self, address: Any, **options: Any) -> None:
            super().__init__(address, make, **options)

    with testing.serve(OwnServer) as server:
        assert server.request("POST", "/", body=b"12").text == "2"
        advice = "give the handler class, or a functools.partial"
        with pytest.raises(RuntimeError, match=advice):
            server.requests  # noqa: B018
        with pytest.raises(RuntimeError, match=advice):
            server.wait_for(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
class Coroutine(aio.AsyncTLSRequestHandler):
    """Answers by a coroutine."""

    async def do_POST(self) -> None:
        """Send the body back."""
        body = await self.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        await self.write(body)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Do the same as an ASGI application."""
    assert scope["type"] == "http"
    body = (await receive())["body"]
    fields = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("handler", [Coroutine, aio.asgi(application, lifespan=False)])
def test_coroutines_are_served_and_not_recorded(handler: Any) -> None:
    """What answers later than its method returns is not taken for an answer that is missing."""
    with testing.serve(handler) as server:
        for _ in range(2):
            assert server.request("POST", "/", body="hello").text == "hello"
        with pytest.raises(RuntimeError, match="coroutines answer them"):
            server.requests  # noqa: B018


def test_child_processes_are_not_recorded() -> None:
    """A forking server works, and says that its requests are not seen here."""

    class Forking(ForkingMixIn, HTTPServer):
        pass

    with testing.serve(Post, server_class=Forking) as server:
        assert server.request("POST", "/", body=b"12").text == "2"
        with pytest.raises(RuntimeError, match="child processes"):
            server.requests  # noqa: B018
