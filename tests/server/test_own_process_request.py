"""A ``process_request()`` of one's own, as it is mostly written: nobody sees to the end.

On `http.server` the socket is collected and closed, however a thread has ended. So it is here, and
without the garbage collector, which may be long in coming.
"""

from __future__ import annotations

import contextlib
import gc
import queue
import socketserver
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.handler.http_support import Quiet, connect, read_to_end, serving
from tests.support import UNIT, wait_until
from tlshttp import TLSHTTPServer


class Fails(Quiet):
    """Fails before, within or after its response, as the path says; or tells the truth."""

    def do_GET(self) -> None:
        if self.path == "/before":
            raise LookupError("before")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"whole")
        if self.path == "/within":
            raise LookupError("within")

    def do_POST(self) -> None:
        self.rfile.read()
        self.do_GET()


class InThread:
    """The one that everybody writes."""

    def process_request(self: Any, request: Any, client_address: Any) -> None:
        threading.Thread(target=self.run, args=(request, client_address)).start()

    def run(self: Any, request: Any, client_address: Any) -> None:
        self.finish_request(request, client_address)
        self.shutdown_request(request)


class NeverShutDown(InThread):
    """It leaves the end to the garbage collector."""

    def run(self: Any, request: Any, client_address: Any) -> None:
        self.finish_request(request, client_address)


class ByItself(InThread):
    """It makes the handler without the hook."""

    def run(self: Any, request: Any, client_address: Any) -> None:
        self.RequestHandlerClass(request, client_address, self)


class MixedIn(socketserver.ThreadingMixIn):
    """It has the thread of `socketserver`, and no ``try`` in it."""

    daemon_threads = True

    def process_request_thread(self: Any, request: Any, client_address: Any) -> None:
        self.finish_request(request, client_address)


class InPool:
    """It has a pool, and looks at no result."""

    pool: ThreadPoolExecutor

    def process_request(self: Any, request: Any, client_address: Any) -> None:
        self.pool.submit(self.finish_request, request, client_address)


class InQueue:
    """It has one thread for all, which bears whatever comes."""

    queue: queue.SimpleQueue[Any]

    def process_request(self: Any, request: Any, client_address: Any) -> None:
        self.queue.put((request, client_address))

    def work(self: Any) -> None:
        while (item := self.queue.get()) is not None:
            with contextlib.suppress(LookupError, OSError):
                self.finish_request(*item)
            del item


WAYS = [InThread, NeverShutDown, ByItself, MixedIn, InPool, InQueue]


@pytest.fixture(autouse=True)
def without_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have nothing be collected in passing, and what ends threads be thrown away."""
    monkeypatch.setattr(threading, "excepthook", lambda _arguments: None)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def served(way: type, base: type[TLSHTTPServer], handler: type = Fails) -> Iterator[Any]:
    """Serve that way."""
    server_class = type("Server", (way, base), {})
    with contextlib.ExitStack() as stack:
        if way is InPool:
            server_class.pool = stack.enter_context(  # type: ignore[attr-defined]
                ThreadPoolExecutor(2)
            )
        server = stack.enter_context(serving(handler, server_class=server_class))
        if way is InQueue:
            server.queue = queue.SimpleQueue()
            thread = threading.Thread(target=server.work)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.queue.put, None)
        yield server


def ask(server: Any, path: str) -> bytes:
    """Ask for a path; return all that comes until the server ends."""
    with connect(server) as client:
        client.settimeout(30 * UNIT)
        client.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        return read_to_end(client)


@pytest.mark.parametrize("way", WAYS)
def test_handlers_a_connection_ends_however_its_thread_has(
    way: type, server_class: type[TLSHTTPServer]
) -> None:
    """With 500 where nothing was sent, cut where it was, and whole where all is well."""
    with served(way, server_class) as server:
        answers = [ask(server, path) for path in ("/before", "/within", "/well")]
        if way is ByItself:  # the class as it was given: HTTP/1.0, and its exceptions are its own
            assert answers[0] == b""
            assert all(answer.endswith(b"\r\n\r\nwhole") for answer in answers[1:])
        else:
            assert answers[0].startswith(b"HTTP/1.1 500 ")
            assert answers[1].endswith(b"\r\n\r\n5\r\nwhole\r\n")
            assert answers[2].endswith(b"\r\n\r\n5\r\nwhole\r\n0\r\n\r\n")
        assert wait_until(lambda: server.stats().active == 0)
        assert wait_until(lambda: not len(vars(server)["_TLSHTTPServer__loop"].loans))


def leave_in_the_middle(way: type, server_class: type[TLSHTTPServer]) -> None:
    """Have three peers leave in the middle of a body; each is an event, and none is left."""
    with served(way, server_class) as server:
        for _ in range(3):
            with connect(server) as client:
                client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\nx")
                assert wait_until(
                    lambda: server.stats().active == 1 or server_class is TLSHTTPServer
                )
        assert wait_until(lambda: sum(server.stats().cut.values()) == 3)
        assert wait_until(lambda: server.stats().active == 0)


@pytest.mark.parametrize("way", WAYS)
def test_handlers_what_a_peer_did_wrong_keeps_no_connection(
    way: type, server_class: type[TLSHTTPServer]
) -> None:
    """The exception is remembered, with the frames that it came through."""
    leave_in_the_middle(way, server_class)


def test_handlers_a_connection_that_is_thrown_away_is_closed(
    server_class: type[TLSHTTPServer], caplog: pytest.LogCaptureFixture
) -> None:
    """And somebody is told, since a request is lost."""

    class ThrownAway:
        def process_request(self, request: Any, client_address: Any) -> None:
            pass

    with served(ThrownAway, server_class) as server:
        assert ask(server, "/lost") == b""
        assert wait_until(lambda: "let go of 'GET /lost HTTP/1.1' of 127.0.0.1" in caplog.text)
        assert wait_until(lambda: server.stats().active == 0)


def test_handlers_a_connection_that_is_kept_stays_open(server_class: type[TLSHTTPServer]) -> None:
    """As long as anybody has it; and it is the same thing for all hooks."""
    kept: list[Any] = []
    closed: list[Any] = []

    class Keeps:
        def process_request(self: Any, request: Any, client_address: Any) -> None:
            kept.append(request)
            request.mark = "mine"

        def close_request(self: Any, request: Any) -> None:
            closed.append(hash(request))
            super().close_request(request)  # type: ignore[misc]

    with served(Keeps, server_class) as server, connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wait_until(lambda: bool(kept))
        request = kept[0]
        same = request.tls and request.exchange.rfile
        assert same is not None
        assert {request: 1}[request.owner.stream] == 1
        assert request == request.owner.stream == request
        assert request != object()
        assert request.owner.stream.mark == "mine"
        del request.mark
        assert not hasattr(request, "mark")
        assert repr(request).startswith("<tlshttp connection")
        server.finish_request(request, ("127.0.0.1", 0))
        answer = b""
        while not answer.endswith(b"whole\r\n"):
            answer += client.recv(1)
        assert server.stats().active == 1
        number = hash(request)
        kept.clear()
        del request
        client.settimeout(30 * UNIT)
        assert client.recv(4_096) in (b"", b"0\r\n\r\n")
        assert wait_until(lambda: closed == [number])


@pytest.mark.parametrize("manages", [False, True])
def test_handlers_what_a_peer_did_wrong_is_an_event_where_its_thread_closes(
    manages: bool, server_class: type[TLSHTTPServer]
) -> None:
    """``close()`` in the place of ``shutdown_request()`` loses none."""

    class Closes(InThread):
        def run(self: Any, request: Any, client_address: Any) -> None:
            with request if manages else contextlib.closing(request):
                self.finish_request(request, client_address)

    leave_in_the_middle(Closes, server_class)


def test_handlers_what_is_lent_is_closed_by_with(server_class: type[TLSHTTPServer]) -> None:
    """``with request``, as of any socket."""

    class InWith(InThread):
        def run(self: Any, request: Any, client_address: Any) -> None:
            with request as same:
                assert same is request
                self.finish_request(same, client_address)

    with served(InWith, server_class) as server:
        assert b"whole" in ask(server, "/well")
        assert wait_until(lambda: server.stats().active == 0)


def test_handlers_a_connection_that_outlives_its_server_is_closed_in_the_end(
    server_class: type[TLSHTTPServer],
) -> None:
    """When nobody has it any more."""
    kept: list[Any] = []

    class Keeps:
        block_on_close = False

        def process_request(self: Any, request: Any, client_address: Any) -> None:
            kept.append(request)

    with contextlib.ExitStack() as stack:
        with served(Keeps, server_class) as server:
            client = stack.enter_context(connect(server))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert wait_until(lambda: bool(kept))
        kept.clear()
        client.settimeout(30 * UNIT)
        assert read_to_end(client) == b""
