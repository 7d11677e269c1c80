from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.server.support import (
    TIMEOUT,
    Client,
    OneRequest,
    Plain,
    ServerBase,
    ask,
    combine,
    ends,
    read_all,
    read_until,
    running,
    start,
)
from tests.support import UNIT, wait_until
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

Make = Callable[..., TLSHTTPServer]


@pytest.fixture
def make(server_class: type[TLSHTTPServer], server_context: ssl.SSLContext) -> Iterator[Make]:
    """Return what makes a server of either class, with hooks, that is closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(handler: Any = Plain, *hooks: type, **options: Any) -> TLSHTTPServer:
            chosen = combine(*hooks, server_class)
            server: TLSHTTPServer = chosen(
                ("127.0.0.1", 0), handler, ssl_context=server_context, **options
            )
            return stack.enter_context(server)

        yield make


class Waits(Plain):
    """A handler that waits for an event of its test."""

    begun: threading.Event
    go_on: threading.Event
    workers: list[threading.Thread]

    def do_GET(self) -> None:
        if self.path == "/wait":
            self.workers.append(threading.current_thread())
            self.begun.set()
            assert self.go_on.wait(60 * UNIT)
        super().do_GET()


@pytest.fixture
def waits() -> Iterator[type[Waits]]:
    """Return a `Waits` with events of its own; whatever still waits in the end goes on."""
    names = {"begun": threading.Event(), "go_on": threading.Event(), "workers": []}
    handler: Any = type("Waits", (Waits,), names)
    yield handler
    handler.go_on.set()


# shutdown() ---------------------------------------------------------------------------------------


def test_shutdown_waits_until_serve_forever_has_returned(make: Make) -> None:
    """When ``shutdown()`` returns, the loop is over; it may be called again without harm."""
    returned = threading.Event()

    class Notes(ServerBase):
        def serve_forever(self, poll_interval: float = 0.5) -> None:
            super().serve_forever(poll_interval)
            returned.set()

    server: Any = make(Plain, Notes)
    loop = start(server.serve_forever, 60)
    assert wait_until(lambda: server._TLSHTTPServer__loop_thread is not None)
    server.shutdown()
    assert ends(loop)
    assert returned.is_set()
    server.shutdown()


def test_shutdown_before_serve_forever_makes_it_return_at_once(make: Make) -> None:
    """A ``shutdown()`` that comes too early does not wait and is not forgotten."""
    server = make()
    server.shutdown()
    loop = start(server.serve_forever)
    assert ends(loop)


def test_server_serves_again_after_shutdown(make: Make, client: Client) -> None:
    """After ``shutdown()``, ``serve_forever()`` may serve again, new and old connections."""
    server = make()
    with contextlib.closing(client.http(server)) as connection:
        for number in range(3):
            loop = start(server.serve_forever)
            assert client.get(server, f"/new/{number}").body == f"/new/{number}".encode()
            assert ask(connection, "GET", f"/old/{number}").body == f"/old/{number}".encode()
            server.shutdown()
            assert ends(loop)
    assert server.stats().accepted == 4


def test_connections_made_between_two_loops_are_served_by_the_second(
    make: Make, client: Client
) -> None:
    """While nobody serves, clients wait in the listen queue."""
    server = make()
    loop = start(server.serve_forever)
    server.shutdown()
    assert ends(loop)
    with (
        client.dial(server) as sock,
        running(server),
        client.context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        tls.sendall(GET)
        assert read_until(tls, b"\r\n\r\n/").startswith(b"HTTP/1.1 200")


def test_shutdown_lets_the_request_at_hand_finish(
    make: Make, client: Client, waits: type[Waits]
) -> None:
    """A request that is being answered is answered to its end."""
    server = make(waits)
    loop = start(server.serve_forever)
    with client.connect(server) as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert waits.begun.wait(30 * UNIT)
        stopping = start(server.shutdown)
        # In a worker it goes on by itself; in the loop's own thread it is waited for.
        at_once = isinstance(server, ThreadingTLSHTTPServer)
        assert ends(stopping, TIMEOUT if at_once else 0.2 * UNIT) is at_once
        waits.go_on.set()
        assert ends(stopping)
        assert ends(loop)
        server.server_close()
        assert read_all(sock).endswith(b"\r\n\r\n/wait")


def test_shutdown_from_a_handler_does_not_wait_for_itself(make: Make, client: Client) -> None:
    """A handler may shut its own server down; its response arrives."""

    class Stops(OneRequest):
        def do_GET(self) -> None:
            self.server.shutdown()
            self.reply(b"stopped")

    server = make(Stops)
    loop = start(server.serve_forever, 60)
    answers: list[bytes] = []
    asking = start(lambda: answers.append(client.get(server).body))
    assert ends(loop)
    server.server_close()
    assert ends(asking)
    assert answers == [b"stopped"]


def test_shutdown_from_several_threads_at_once(make: Make) -> None:
    """Everybody who calls ``shutdown()`` comes back."""
    server = make()
    loop = start(server.serve_forever)
    stopping = [start(server.shutdown) for _ in range(8)]
    assert all(ends(thread) for thread in stopping)
    assert ends(loop)


# server_close() -----------------------------------------------------------------------------------


def test_server_close_ends_every_connection_and_may_be_called_again(
    make: Make, client: Client
) -> None:
    """Waiting clients see an orderly end, new ones are refused, and once more is no error."""
    server = make()
    with contextlib.ExitStack() as stack:
        with running(server):
            silent = stack.enter_context(client.dial(server))
            shaken = stack.enter_context(client.connect(server))
            idle = stack.enter_context(client.connect(server))
            idle.sendall(GET)
            read_until(idle, b"\r\n\r\n/")
            assert wait_until(
                lambda: (
                    [server.stats().parked[key] for key in ("hello", "request", "idle")]
                    == [1, 1, 1]
                )
            )
        assert [read_all(sock) for sock in (silent, shaken, idle)] == [b"", b"", b""]
    server.server_close()
    with pytest.raises(ConnectionRefusedError):
        client.dial(server)
    assert server.fileno() == -1
    assert server.stats().accepted == 3
    assert server.stats().cut == server.stats().handshake_failures == {}


def test_server_that_never_served_can_be_closed(make: Make) -> None:
    """``server_close()`` needs no ``serve_forever()`` before."""
    make().server_close()


def test_context_manager_closes_the_server(make: Make, client: Client) -> None:
    """Leaving the ``with`` block is ``server_close()``."""
    with make() as server:
        assert isinstance(server, TLSHTTPServer)
    assert server.fileno() == -1


def test_server_close_waits_for_handlers(make: Make, client: Client, waits: type[Waits]) -> None:
    """A handler at work comes to its end, and its client gets the response."""
    server = make(waits)
    with running(server), client.connect(server) as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert waits.begun.wait(30 * UNIT)
        closing = start(server.server_close)
        assert not ends(closing, 0.2 * UNIT)
        waits.go_on.set()
        assert ends(closing)
        assert read_all(sock).endswith(b"\r\n\r\n/wait")


def test_server_close_stops_a_running_loop(make: Make) -> None:
    """``server_close()`` while ``serve_forever()`` runs ends that first."""
    server: Any = make()
    loop = start(server.serve_forever, 60)
    assert wait_until(lambda: server._TLSHTTPServer__loop_thread is not None)
    server.server_close()
    assert ends(loop)


def test_server_close_from_a_handler_does_not_wait_for_itself(make: Make, client: Client) -> None:
    """A handler may close its own server; its response arrives."""

    class Closes(OneRequest):
        def do_GET(self) -> None:
            self.server.server_close()
            self.reply(b"closed")

    server = make(Closes)
    loop = start(server.serve_forever, 60)
    assert client.get(server).body == b"closed"
    assert ends(loop)


class Classic(Waits):
    """A handler in blocking mode, which either server runs in a thread of its own."""

    def handle(self) -> None:
        super().handle()


@pytest.fixture
def busy(
    make: Make, client: Client, waits: type[Waits], request: pytest.FixtureRequest
) -> Iterator[TLSHTTPServer]:
    """Return a server with a handler, in a thread of its own, that does not end."""
    handler = type("Never", (Classic, waits), {})
    hooks = type("Hooks", (), getattr(request, "param", {}))
    server = make(handler, hooks)
    with running(server), client.connect(server) as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert waits.begun.wait(30 * UNIT)
        yield server
        waits.go_on.set()


@pytest.mark.parametrize("busy", [{"daemon_threads": True}], indirect=True)
def test_server_close_gives_up_on_daemons(
    busy: TLSHTTPServer,
    waits: type[Waits],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With ``daemon_threads`` an endless handler delays the end only for a while, and is named."""
    monkeypatch.setattr("tlshttp._machinery.closing._PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("tlshttp._machinery.closing._GRACE_SECONDS", 0.1)
    (worker,) = waits.workers
    assert worker.daemon
    closing = start(busy.server_close)
    assert ends(closing)
    assert worker.is_alive()
    (record,) = (record for record in caplog.records if record.name == "tlshttp.server")
    assert record.levelno == logging.WARNING
    assert "waited 0.1 s for the handlers of 127.0.0.1:" in record.getMessage()
    waits.go_on.set()
    assert ends(worker)


@pytest.mark.parametrize("busy", [{"daemon_threads": False}], indirect=True)
def test_server_close_waits_for_ever_where_threads_are_no_daemons(
    busy: TLSHTTPServer, waits: type[Waits], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ``daemon_threads`` an endless handler is waited for, however long it takes."""
    monkeypatch.setattr("tlshttp._machinery.closing._PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr("tlshttp._machinery.closing._GRACE_SECONDS", 0.05)
    (worker,) = waits.workers
    assert not worker.daemon
    closing = start(busy.server_close)
    assert not ends(closing, 0.5 * UNIT)
    waits.go_on.set()
    assert ends(closing)
    assert not worker.is_alive()


@pytest.mark.parametrize("busy", [{"block_on_close": False}], indirect=True)
def test_server_close_need_not_wait(
    busy: TLSHTTPServer, waits: type[Waits], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ``block_on_close`` nobody is waited for; the handler still comes to its end."""
    monkeypatch.setattr("tlshttp._machinery.closing._PATIENCE_SECONDS", 2 * TIMEOUT)
    (worker,) = waits.workers
    closing = start(busy.server_close)
    assert ends(closing)
    assert worker.is_alive()
    waits.go_on.set()
    assert ends(worker)


def test_server_close_breaks_the_connection_of_an_endless_reader(
    make: Make, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that waits for its client when patience ends is freed from that."""
    monkeypatch.setattr("tlshttp._machinery.closing._PATIENCE_SECONDS", 0.1)
    begun = threading.Event()
    workers: list[threading.Thread] = []

    class Reads(Plain):
        def handle(self) -> None:
            workers.append(threading.current_thread())
            begun.set()
            self.rfile.read()

    server = make(Reads)
    with running(server), client.connect(server) as sock:
        sock.sendall(GET)
        assert begun.wait(30 * UNIT)
        server.server_close()
        assert [ends(worker) for worker in workers] == [True]


# handle_request() ---------------------------------------------------------------------------------


class Patience(ServerBase):
    """Notes down calls of ``handle_timeout()``."""

    timeout: float | None = 0.1
    timeouts = 0

    def handle_timeout(self) -> None:
        self.timeouts += 1


def test_handle_request_serves_one_request(make: Make, versioned_client: Client) -> None:
    """One call is one request, its handshake included, however many come at once."""
    server: Any = make(OneRequest, Patience)
    server.timeout = None
    answers: list[bytes] = []
    asking = [
        start(lambda path=path: answers.append(versioned_client.get(server, path).body))
        for path in ("/a", "/b", "/c")
    ]
    for served in range(1, 4):
        server.handle_request()
        assert server.stats().requests >= served
    assert all(ends(thread) for thread in asking)
    assert sorted(answers) == [b"/a", b"/b", b"/c"]
    server.timeout = 0.1
    server.handle_request()
    assert server.timeouts == 1


def test_handle_request_serves_the_next_request_of_an_open_connection(
    make: Make, client: Client
) -> None:
    """A connection that is kept alive is served further by the next call."""
    server = make(Plain)
    answers: list[bytes] = []

    def get_twice() -> None:
        with contextlib.closing(client.http(server)) as connection:
            answers.extend(ask(connection, "GET", path).body for path in ("/a", "/b"))

    asking = start(get_twice)
    server.handle_request()
    server.handle_request()
    assert ends(asking)
    assert answers == [b"/a", b"/b"]
    assert server.stats().accepted == 1


def test_handle_request_calls_handle_timeout_when_nobody_comes(make: Make) -> None:
    """After ``timeout`` seconds ``handle_timeout()`` is called, once."""
    server: Any = make(Plain, Patience)
    began = time.monotonic()
    server.handle_request()
    assert server.timeouts == 1
    assert time.monotonic() - began >= 0.1


def test_handle_request_is_not_kept_by_a_silent_peer(make: Make, client: Client) -> None:
    """A connection without a word does not stretch ``timeout``; its peer is served later."""
    server: Any = make(Plain, Patience)
    with client.dial(server) as sock:
        server.handle_request()
        assert server.timeouts == 1
        server.timeout = None
        serving = start(server.handle_request)
        with client.context.wrap_socket(sock, server_hostname="localhost") as tls:
            tls.sendall(GET)
            assert read_until(tls, b"\r\n\r\n/").startswith(b"HTTP/1.1 200")
        assert ends(serving)


def test_handle_request_with_no_time_at_all_polls(make: Make, client: Client) -> None:
    """With a ``timeout`` of 0 each call does what can be done at once, as `socketserver` does."""
    server: Any = make(OneRequest, Patience)
    server.timeout = 0
    answers: list[bytes] = []
    asking = start(lambda: answers.append(client.get(server, "/polled").body))

    def poll() -> bool:
        server.handle_request()
        return not asking.is_alive()

    assert wait_until(poll)
    assert answers == [b"/polled"]
    assert server.timeouts > 0


def test_handle_request_returns_after_a_refusal(make: Make, client: Client) -> None:
    """A connection that ``verify_request()`` refuses counts as handled, as in `socketserver`."""

    class Refuses(ServerBase):
        def verify_request(self, request: Any, client_address: Any) -> bool:
            return False

    server = make(Plain, Refuses)
    with client.dial(server) as sock:
        server.handle_request()
        assert read_all(sock) == b""


def test_socket_with_a_timeout_bounds_handle_request(make: Make, client: Client) -> None:
    """``server.socket.settimeout()``, the old way to bound ``handle_request()``, still does."""
    server: Any = make(OneRequest, Patience)
    server.timeout = None
    server.socket.settimeout(0.1)
    server.handle_request()
    assert server.timeouts == 1
    asking = start(client.get, server)
    server.timeout = 20 * UNIT
    server.socket.settimeout(20 * UNIT)
    server.handle_request()
    assert ends(asking)
    assert server.stats().requests == 1


def test_blocking_listening_socket_blocks_no_loop(make: Make, client: Client) -> None:
    """A listening socket that somebody made blocking does not hold up the loop."""
    server = make()
    server.socket.setblocking(True)
    with running(server):
        assert client.get(server, "/served").body == b"/served"


def test_server_can_be_selected(make: Make, client: Client) -> None:
    """A new connection makes the server's ``fileno()`` readable, for loops of one's own."""
    server = make(OneRequest)
    assert select.select([server], [], [], 0)[0] == []
    asking = start(client.get, server)
    assert select.select([server], [], [], 30 * UNIT)[0] == [server]
    server.handle_request()
    assert ends(asking)


# Binding later ------------------------------------------------------------------------------------


def test_server_may_be_bound_and_activated_later(make: Make, client: Client) -> None:
    """With ``bind_and_activate=False`` the server is set up before it takes its port."""
    server = make(bind_and_activate=False)
    assert server.socket.getsockname()[1] == 0
    server.allow_reuse_address = False
    server.server_bind()
    server.server_activate()
    assert server.server_port == server.socket.getsockname()[1] > 0
    with running(server):
        assert client.get(server).status == 200


def test_server_that_was_never_bound_can_be_closed(make: Make) -> None:
    """``bind_and_activate=False`` alone leaves nothing behind."""
    make(bind_and_activate=False).server_close()


def test_server_may_take_over_a_listening_socket(make: Make, client: Client) -> None:
    """A socket that listens already may take the place of the server's own."""
    server = make(bind_and_activate=False)
    server.socket.close()
    server.socket = socket.create_server(("127.0.0.1", 0))
    server.server_address = server.socket.getsockname()
    server.server_activate()
    with running(server):
        assert client.get(server, "/served").body == b"/served"
