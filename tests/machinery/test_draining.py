"""A server that drains answers what is under way, says that it ends, and keeps to its time."""

from __future__ import annotations

import signal
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from tests.machinery.conftest import Recording, RecordingThreading, Serve, serving
from tests.machinery.handlers import Classic, Gate, Plain
from tests.machinery.peers import (
    closing_all,
    connect,
    get,
    handshake,
    read_response,
    read_to_end,
    request,
)
from tests.machinery.test_never_wedged import half_head, idle
from tests.support import UNIT, wait_until
from tlshttp import Limits


@contextmanager
def draining(server: Recording, timeout: float | None) -> Iterator[threading.Thread]:
    """Have another thread drain the server while the block runs."""
    thread = threading.Thread(target=server.drain, args=(timeout,), name="drain")
    thread.start()
    assert wait_until(lambda: server.draining)
    yield thread
    thread.join(55 * UNIT)
    assert not thread.is_alive()


@contextmanager
def at_work(server: Recording, client: ssl.SSLContext, gate: type[Gate]) -> Iterator[ssl.SSLSocket]:
    """Yield a connection whose handler has begun to wait."""
    with handshake(server.server_address, client) as busy:
        busy.sendall(request("/wait"))
        assert gate.entered.acquire(timeout=30 * UNIT)
        yield busy


@pytest.mark.parametrize("handler", [Plain, Classic], ids=["driven", "blocking"])
def test_idle_connections_end_with_a_goodbye(
    serve: Serve, any_client: ssl.SSLContext, handler: type[Plain]
) -> None:
    """An idle connection gets close_notify, serve_forever() returns, and there is no event."""
    with serve(handler) as server, handshake(server.server_address, any_client) as kept:
        kept.sendall(request())
        read_response(kept)
        began = time.monotonic()
        server.drain(55 * UNIT)
        assert time.monotonic() - began < 30 * UNIT
        assert kept.recv(1) == b""  # an end without close_notify would raise
        assert server.draining
    assert not server.events


def test_a_request_under_way_is_answered_with_the_end_announced(
    serve: Serve, any_client: ssl.SSLContext, gate: type[Gate]
) -> None:
    """A handler at work answers; what it sends after drain() began says Connection: close."""
    with serve(gate) as server, at_work(server, any_client, gate) as busy:
        with draining(server, 55 * UNIT) as thread:
            assert thread.is_alive()
            gate.opened.set()
            response = read_to_end(busy)
        assert b"\r\nConnection: close\r\n" in response
        assert response.endswith(b"/wait")


def test_a_request_that_is_being_sent_is_answered(serve: Serve, any_client: ssl.SSLContext) -> None:
    """Whoever has sent half a head when drain() begins sends the rest and is served."""
    with serve(Plain) as server, half_head(server.server_address, any_client) as slow:
        assert wait_until(lambda: server.stats().parked["request"] == 1)
        with draining(server, 55 * UNIT):
            slow.sendall(b"Host: localhost\r\n\r\n")
            response = read_to_end(slow)
        assert b"\r\nConnection: close\r\n" in response


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give those who say nothing all the time that clients on a slow machine may need."""
    monkeypatch.setattr("tlshttp._machinery.draining._SILENT_SECONDS", 50.0 * UNIT)
    monkeypatch.setattr("tlshttp._machinery.draining._IDLE_SECONDS", 50.0 * UNIT)


@pytest.mark.usefixtures("patient")
def test_a_client_that_has_just_connected_is_served(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """A connection in the listen queue, or without its first byte, is served before the end."""
    with (
        serve(Plain) as server,
        connect(server.server_address) as sock,
        draining(server, 55 * UNIT),
        any_client.wrap_socket(sock) as client,
    ):
        client.sendall(request("/late"))
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")


class _Taken:
    """A lock that somebody has whenever one does not wait for it."""

    def acquire(self, *, blocking: bool = True) -> bool:
        return blocking

    def release(self) -> None:
        """Do nothing."""

    def __enter__(self) -> None:
        """Wait no time."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


@pytest.mark.usefixtures("patient")
def test_the_listen_queue_is_let_in_though_another_thread_accepts(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """All that wait when a drain begins are served, whoever was about to let one of them in."""
    with serve(Plain) as server, closing_all([]) as waiting:
        listener = server._TLSHTTPServer__loop.listener  # type: ignore[attr-defined]
        listener._accepting = _Taken()
        waiting.extend(connect(server.server_address) for _ in range(5))
        assert server.stats().accepted == 0
        with draining(server, 55 * UNIT):
            for sock in waiting:
                with any_client.wrap_socket(sock) as client:
                    client.sendall(request("/late"))
                    assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert server.stats().accepted == 5


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("in_time", [True, False])
def test_a_full_server_lets_in_who_waits_when_there_is_room(
    server_context: ssl.SSLContext, any_client: ssl.SSLContext, gate: type[Gate], *, in_time: bool
) -> None:
    """Nobody in the queue is reset for want of room, unless there is none in the time there is."""
    server = RecordingThreading(
        ("127.0.0.1", 0), gate, ssl_context=server_context, limits=Limits(max_connections=2)
    )
    with serving(server), closing_all([]) as waiting, ExitStack() as busy:
        for _ in range(2):
            busy.enter_context(at_work(server, any_client, gate))
        waiting.extend(connect(server.server_address) for _ in range(5))
        with draining(server, 60 * UNIT):
            state = server._TLSHTTPServer__loop.draining  # type: ignore[attr-defined]
            assert wait_until(lambda: state._next_look > 0)
            if not in_time:
                server.drain(0)
            gate.opened.set()
            for sock in waiting if in_time else ():
                with any_client.wrap_socket(sock) as client:
                    client.sendall(request("/late"))
                    assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert server.stats().accepted == (7 if in_time else 2)


def test_whoever_never_says_anything_is_not_waited_for_long(serve: Serve) -> None:
    """Connections made ahead of need end after two seconds, not with the time for draining."""
    with serve(Plain) as server, closing_all([]) as held:
        held.extend(connect(server.server_address) for _ in range(20))
        assert wait_until(lambda: server.stats().parked["hello"] == 20)
        began = time.monotonic()
        server.drain(60 * UNIT)
        assert time.monotonic() - began < 30 * UNIT
        assert held[0].recv(1) == b""
    assert not server.events


@contextmanager
def draining_half_way(server: Recording, client: ssl.SSLContext) -> Iterator[None]:
    """Have the server drain while the block runs: one request has been begun, nobody is let in."""
    with half_head(server.server_address, client) as slow:
        assert wait_until(lambda: server.stats().parked["request"] == 1)
        with draining(server, 55 * UNIT):
            assert wait_until(lambda: server._TLSHTTPServer__loop.draining._is_shut)  # type: ignore[attr-defined]
            accepted = server.stats().accepted
            yield
            slow.sendall(b"Host: localhost\r\n\r\n")
            assert b"\r\nConnection: close\r\n" in read_to_end(slow)
        assert server.stats().accepted == accepted


def test_whoever_connects_while_a_server_drains_is_refused_at_once(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """Rather than to wait for its end; what has been begun is answered all the same."""
    with (
        serve(Plain) as server,
        draining_half_way(server, any_client),
        pytest.raises(ConnectionRefusedError),
    ):
        connect(server.server_address)


def test_others_that_share_the_socket_go_on_to_accept(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """As another process does, that has a descriptor of its own."""
    with (
        serve(Plain) as server,
        server.socket.dup() as shared,
        draining_half_way(server, any_client),
        connect(server.server_address) as late,
    ):
        assert server.socket.fileno() == -1
        assert _accepts(shared, late)


def test_a_socket_that_was_given_stays_open(serve: Serve, any_client: ssl.SSLContext) -> None:
    """Whoever connects while a server drains stays in its queue: who knows who else has it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as given,
        serve(Plain, listening_socket=given) as server,
    ):
        with draining_half_way(server, any_client), connect(server.server_address) as late:
            assert _accepts(given, late)
        assert server.socket is given
        assert given.fileno() != -1


def _accepts(shared: socket.socket, client: socket.socket) -> bool:
    """Tell whether a client waits in the queue of a socket."""
    shared.settimeout(60 * UNIT)
    other, address = shared.accept()
    with other:
        return bool(address == client.getsockname())


def test_what_does_not_end_in_time_is_named_and_broken(
    server_context: ssl.SSLContext,
    any_client: ssl.SSLContext,
    gate: type[Gate],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At the end of its time drain() names the peer of a handler and breaks its connection."""
    server = RecordingThreading(("127.0.0.1", 0), gate, ssl_context=server_context)
    with serving(server), at_work(server, any_client, gate) as busy:
        began = time.monotonic()
        server.drain(0.3 * UNIT)
        assert time.monotonic() - began < 30 * UNIT
        line = next(r.getMessage() for r in caplog.records if "drain()" in r.getMessage())
        assert "{}:{} (handler)".format(*busy.getsockname()) in line
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            busy.recv(1)
        gate.opened.set()


def test_calling_it_again_or_closing_is_harmless(
    serve: Serve, any_client: ssl.SSLContext, gate: type[Gate]
) -> None:
    """A second drain() waits, too, or shortens the time of the first; afterwards it returns."""
    with serve(gate) as server, at_work(server, any_client, gate):
        with draining(server, None), ThreadPoolExecutor(1) as pool:
            again = pool.submit(server.drain, 0.1 * UNIT)
            assert wait_until(lambda: server._TLSHTTPServer__loop.draining._given_up)  # type: ignore[attr-defined]
            gate.opened.set()
            again.result(timeout=60 * UNIT)
        server.drain(30 * UNIT)
        server.server_close()
        server.server_close()
        server.drain()


def test_a_server_that_was_never_started_drains_at_once(
    server_class: type[Recording], server_context: ssl.SSLContext
) -> None:
    """drain() before serve_forever() makes that return at once."""
    with server_class(("127.0.0.1", 0), Plain, ssl_context=server_context) as server:
        server.drain()
        began = time.monotonic()
        server.serve_forever()
        assert time.monotonic() - began < 30 * UNIT


def test_a_signal_handler_drains_the_server_of_its_own_thread(
    server_class: type[Recording], server_context: ssl.SSLContext, any_client: ssl.SSLContext
) -> None:
    """In the thread that serves, drain() returns at once and serve_forever() a little later."""
    before = signal.signal(signal.SIGTERM, lambda *_: server.drain(50 * UNIT))
    try:
        with server_class(("127.0.0.1", 0), Plain, ssl_context=server_context) as server:
            answers: list[bytes] = []

            def client() -> None:
                answers.append(get(server.server_address, any_client))
                signal.raise_signal(signal.SIGTERM)

            thread = threading.Thread(target=client)
            thread.start()
            server.serve_forever()
            thread.join()
        assert answers[0].startswith(b"HTTP/1.1 200 ")
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("patient")
def test_under_load_no_response_is_lost(serve: Serve, any_client: ssl.SSLContext) -> None:
    """Clients that ask all the time get each answer whole, up to the one that announces the end."""
    with serve(Plain) as server, ThreadPoolExecutor(8) as pool:
        address = server.server_address
        started = threading.Barrier(9)
        asking = [pool.submit(_ask_on, address, any_client, started) for _ in range(8)]
        started.wait(60 * UNIT)
        server.drain(50 * UNIT)
        assert all(one.result(timeout=50 * UNIT) > 0 for one in asking)
    assert not server.events


def _ask_on(address: object, client: ssl.SSLContext, started: threading.Barrier) -> int:
    """Ask on one connection until a response says that it is the last; return how many came."""
    with handshake(address, client) as sock:
        sock.sendall(request())
        count = 1 if read_response(sock) else 0
        started.wait(60 * UNIT)
        while True:
            sock.sendall(request())
            response = read_response(sock)
            count += 1
            if b"\r\nConnection: close\r\n" in response:
                assert sock.recv(1) == b""
                return count


def test_idle_connections_are_found_quickly_among_many(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """Two hundred idle connections are gone within a second or so."""
    with serve(Plain) as server, closing_all([]) as held:
        held.extend(idle(server.server_address, any_client) for _ in range(200))
        assert wait_until(lambda: server.stats().parked["idle"] == 200)
        began = time.monotonic()
        server.drain(55 * UNIT)
        assert time.monotonic() - began < 30 * UNIT
        assert not any(server.stats().parked.values())


def test_sockets_of_peers_that_are_gone_do_no_harm(serve: Serve) -> None:
    """A peer that has left without a word is not named, and costs no time."""
    with serve(Plain) as server:
        socket.create_connection(server.server_address).close()
        server.drain(50 * UNIT)
        assert server.stats().parked["hello"] == 0


class Drains(Plain):
    """Drain the server that it belongs to."""

    def do_GET(self) -> None:
        """Begin the end, then answer."""
        self.server.drain(60 * UNIT)  # type: ignore[attr-defined]
        super().do_GET()


def test_a_handler_may_drain_its_server(serve: Serve, any_client: ssl.SSLContext) -> None:
    """It does not wait for itself: its own answer is the last one."""
    with serve(Drains) as server, handshake(server.server_address, any_client) as sock:
        began = time.monotonic()
        sock.sendall(request())
        response = read_to_end(sock)
        assert b"\r\nConnection: close\r\n" in response
        server.drain(60 * UNIT)
        assert time.monotonic() - began < 30 * UNIT


def test_threads_of_a_mix_in_are_drained(
    server_context: ssl.SSLContext, any_client: ssl.SSLContext
) -> None:
    """With ThreadingMixIn a thread that waits for the next request ends, with a goodbye."""

    class Mixed(socketserver.ThreadingMixIn, Recording):
        daemon_threads = True

    server = Mixed(("127.0.0.1", 0), Plain, ssl_context=server_context)
    with serving(server), handshake(server.server_address, any_client) as kept:
        kept.sendall(request())
        read_response(kept)
        began = time.monotonic()
        server.drain(55 * UNIT)
        assert time.monotonic() - began < 30 * UNIT
        assert kept.recv(1) == b""
    assert not server.events
