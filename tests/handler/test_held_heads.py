"""A response head of a body without a length does not wait for it longer than milliseconds."""

from __future__ import annotations

import socket
import socketserver
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.handler.http_support import (
    MemoryEngine,
    Quiet,
    connect,
    read_to_end,
    serving,
    streamed,
)
from tests.support import UNIT, NoOwner, wait_until
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp._machinery import heads as heads_module
from tlshttp._machinery.heads import Heads
from tlshttp._machinery.stream import Stream
from tlshttp.errors import PeerDisconnected
from tlshttp.handler._compose import compose
from tlshttp.handler._exchange import HTTPExchange

SERVERS = [TLSHTTPServer, ThreadingTLSHTTPServer]
GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"


class Waits(Quiet):
    """Ends a head, and goes on when the test says so."""

    protocol_version = "HTTP/1.1"
    go_on: threading.Semaphore

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()
        if self.path != "/at-once" and not self.go_on.acquire(timeout=30 * UNIT):
            return
        if self.path == "/fails":
            raise LookupError("when its head has left")
        if self.path == "/again":
            self.send_error(503)
        self.wfile.write(b"body")


class Blocking(Waits):
    def handle(self) -> None:
        super().handle()


class Buffered(Waits):
    wbufsize = 4_096


class Old(Waits):
    protocol_version = "HTTP/1.0"


class ByHand(Waits):
    """Writes its head itself."""

    def do_GET(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
        self.wfile.write(b"X-Mine: yes\r\n\r\n")
        assert self.go_on.acquire(timeout=30 * UNIT)
        self.wfile.write(b"body")


def read(client: ssl.SSLSocket, size: int) -> bytes:
    """Read so many bytes, fewer where the server ends before."""
    data = b""
    while len(data) < size and (piece := client.recv(size - len(data))):
        data += piece
    return data


class Mixed(socketserver.ThreadingMixIn, TLSHTTPServer):
    daemon_threads = True


def new(handler: type[Waits]) -> type[Waits]:
    """Return a handler class with its own signals."""
    return type("Own", (handler,), {"go_on": threading.Semaphore(0)})


@pytest.mark.parametrize("server_class", [*SERVERS, Mixed])
@pytest.mark.parametrize("handler", [Waits, Blocking, Buffered, Old, ByHand])
def test_a_head_is_there_while_its_handler_waits(
    handler: type[Waits], server_class: type[TLSHTTPServer]
) -> None:
    """And the response is as it would be otherwise."""
    own = new(handler)
    with serving(own, server_class=server_class) as server:
        for _ in range(5):
            with connect(server) as client:
                client.sendall(GET % b"/")
                head = client.recv(4_096)
                assert head.startswith(b"HTTP/1.")
                assert head.endswith(b"\r\n\r\n")
                own.go_on.release()
                chunked = b"\r\nTransfer-Encoding: chunked" in head
                body = b"4\r\nbody\r\n0\r\n\r\n" if chunked else b"body"
                assert read(client, len(body)) == body


def test_a_head_waits_for_milliseconds() -> None:
    """That is what the thread means to sleep; how long it does is the machine's doing."""
    assert heads_module._HELD_SECONDS + heads_module._LOOK_SECONDS <= 0.010


@pytest.mark.usefixtures("heads_stay")
@pytest.mark.parametrize("server_class", SERVERS)
def test_a_body_that_follows_at_once_leaves_with_its_head(
    server_class: type[TLSHTTPServer],
) -> None:
    """As ever, in one record."""
    own = new(Waits)
    with serving(own, server_class=server_class) as server, connect(server) as client:
        for _ in range(20):
            client.sendall(GET % b"/at-once")
            assert client.recv(4_096).endswith(b"\r\n\r\n4\r\nbody\r\n")
            assert read(client, 5) == b"0\r\n\r\n"


@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize(
    ("path", "rest"),
    [(b"/fails", b""), (b"/again", b"HTTP/1.1 503 Service Unavailable\r\n")],
    ids=["fails", "again"],
)
def test_what_comes_after_a_head_that_has_left_is_body(
    server_class: type[TLSHTTPServer], path: bytes, rest: bytes
) -> None:
    """No second response: a cut one, or one that has it in its body, and the connection ends."""
    own = new(Waits)
    with serving(own, server_class=server_class) as server:
        server.handle_error = lambda *_: None
        with connect(server) as client:
            client.sendall((GET % path).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            head = client.recv(4_096)
            assert head.startswith(b"HTTP/1.1 200 ")
            own.go_on.release()
            if path == b"/fails":
                assert read_to_end(client) == b""
                return
            data = read_to_end(client)
            assert rest in data
            assert data.endswith(b"4\r\nbody\r\n0\r\n\r\n")


@pytest.mark.skipif(not hasattr(socketserver, "ForkingMixIn"), reason="there is no fork() here")
def test_in_a_forked_child_a_head_does_not_wait_at_all() -> None:
    """There is no thread that could send it."""

    class Forks(socketserver.ForkingMixIn, TLSHTTPServer):
        pass

    near, far = socket.socketpair()

    class Pauses(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.rfile.fileno()
            far.recv(1)
            self.wfile.write(b"body")

    with near, far, serving(Pauses, server_class=Forks) as server, connect(server) as client:
        client.sendall(GET % b"/")
        try:
            assert client.recv(4_096).endswith(b"\r\n\r\n")
        finally:
            near.send(b"x")
        assert b"body" in read_to_end(client)


# Without a network --------------------------------------------------------------------------------


class Racing(NoOwner):
    """Has another thread send the head at the worst moment."""

    def __init__(self) -> None:
        self.held = threading.Event()

    def watch_head(self) -> None:
        self.held.set()


class Answers(BaseHTTPRequestHandler):
    """Writes a body right after its head."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response_only(200)
        self.end_headers()
        if self.path == "/error":
            self.send_error(500)
            return
        for piece in (b"one", b"two"):
            self.wfile.write(piece)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_whoever_sends_a_head_it_is_there_once_and_first(ready_fd: int) -> None:
    """The handler's thread and the other one may come at any moment of each other."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        outcomes = {_race(ready_fd) for _ in range(400)}
    finally:
        sys.setswitchinterval(before)
    whole = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    )
    assert outcomes == {whole}


def _race(fd: int) -> bytes:
    engine: Any = MemoryEngine([GET % b"/"], fd)
    owner = Racing()
    stream = Stream(engine, Limits(), owner)
    composition = compose(Answers)
    exchange = HTTPExchange(stream, Limits(), composition, collects_all=True)
    stream.exchange = exchange
    stream.fill()
    assert exchange.receive() == 0
    stream.driven = True  # type: ignore[attr-defined]

    def send() -> None:
        owner.held.wait()
        head = stream.held_head
        if head:
            stream.send_held(head)

    thread = threading.Thread(target=send)
    thread.start()
    composition.factory(stream, ("a", 1), None)
    assert stream.handler is not None
    assert exchange.run(stream.handler)
    thread.join()
    return bytes(engine.sent)


class Head:
    """A stream, as far as the thread that sends heads needs it."""

    def __init__(self) -> None:
        self.held_head = b"head"
        self.sent = threading.Event()

    def send_held(self, head: bytes) -> None:
        self.sent.set()
        raise OSError("whatever is wrong with one harms no other")


def test_the_thread_comes_and_goes_with_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends what is still held, ends when it is idle, and comes again."""
    monkeypatch.setattr("tlshttp._machinery.heads._IDLE_SECONDS", 0.05)
    heads = Heads("heads-of-a-test")

    def is_there() -> bool:
        return any(thread.name == "heads-of-a-test" for thread in threading.enumerate())

    assert not is_there()
    for _ in range(2):
        streams: list[Any] = [Head() for _ in range(10)]
        streams[3].held_head = b""  # it has left with its body
        streams[4].held_head = b"another"
        for stream in streams:
            heads.watch(stream, streams[0].held_head)
        for stream in streams[:3] + streams[5:]:
            assert stream.sent.wait(30 * UNIT)
        assert not streams[3].sent.is_set()
        assert not streams[4].sent.is_set()
        assert wait_until(lambda: not is_there())
    monkeypatch.setattr("tlshttp._machinery.heads._IDLE_SECONDS", 3_600.0)
    last: Any = Head()
    heads.watch(last, b"head")
    assert wait_until(is_there)
    heads.close()
    assert not is_there()
    heads.watch(last, b"head")
    assert not is_there()


class ReadsLate(Quiet):
    """Ends a head of a body without a length, then reads, at once or when the test says so."""

    protocol_version = "HTTP/1.1"
    stream_request = True
    go_on: threading.Semaphore | None = None

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.go_on is not None:
            assert self.go_on.acquire(timeout=30 * UNIT)
        self.wfile.write(self.rfile.read())


POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"


@pytest.mark.usefixtures("heads_stay")
@pytest.mark.parametrize("server_class", SERVERS)
def test_100_continue_comes_before_a_head_that_is_held_back(
    server_class: type[TLSHTTPServer],
) -> None:
    """Its client waits for it, and the response is whole."""
    first = b"HTTP/1.1 100 Continue\r\n\r\n"
    with serving(ReadsLate, server_class=server_class) as server, connect(server) as client:
        client.sendall(POST)
        assert read(client, len(first)) == first
        client.sendall(b"body")
        data = read_to_end(client)
    assert b"100 Continue" not in data
    assert data.endswith(b"\r\n\r\n4\r\nbody\r\n0\r\n\r\n")


@pytest.mark.parametrize("server_class", SERVERS)
def test_100_continue_does_not_come_into_a_response(server_class: type[TLSHTTPServer]) -> None:
    """It does not come at all after a head that has left."""
    own: Any = type("Own", (ReadsLate,), {"go_on": threading.Semaphore(0)})
    with serving(own, server_class=server_class) as server, connect(server) as client:
        client.sendall(POST)
        data = client.recv(4_096)
        own.go_on.release()
        client.sendall(b"body")
        data += read_to_end(client)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"100 Continue" not in data
    assert data.endswith(b"\r\n\r\n4\r\nbody\r\n0\r\n\r\n")


@pytest.mark.parametrize("fields", [b"", b"Content-Length: 4\r\n"], ids=["open", "sized"])
def test_a_head_that_nobody_takes_is_let_go_of(ready_fd: int, fields: bytes) -> None:
    """When its peer has left: closing the file, as Python does when it goes, sends nothing."""
    engine = MemoryEngine([], ready_fd)
    stream = Stream(engine, Limits(), NoOwner())
    exchange = streamed(stream, b"Content-Length: 1\r\n")
    writer = exchange.wfile
    writer.write(b"HTTP/1.1 200 OK\r\n%s\r\n" % fields)
    with pytest.raises(PeerDisconnected):
        stream.fail(PeerDisconnected("it has left"))
    with pytest.raises(PeerDisconnected):
        writer.write(b"body")
    stream.forget_exchange()
    writer.close()
    assert not engine.sent
