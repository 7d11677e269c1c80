"""The server ends in time, and leaves nothing; what it has too much of it turns away in order."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.machinery.conftest import Recording, RecordingThreading, Serve, serving
from tests.machinery.handlers import Gate, Plain
from tests.machinery.peers import (
    client_context,
    closing_all,
    connect,
    get,
    handshake,
    read_response,
    read_to_end,
    request,
)
from tests.machinery.program import server_process
from tests.machinery.test_never_wedged import PATIENT, half_head, idle, one_byte
from tests.support import UNIT, wait_until
from tlshttp import Limits, errors
from tlshttp._machinery.closing import _PATIENCE_SECONDS as PATIENCE_SECONDS
from tlshttp._machinery.patience import PatientStream
from tlshttp._machinery.poller import wait_for

PATIENT_LIMITS = Limits(
    max_connections=4_000,
    handshake_timeout=PATIENT["handshake_timeout"],
    header_timeout=PATIENT["header_timeout"],
    keep_alive_timeout=PATIENT["keep_alive_timeout"],
)


class Working(Plain):
    """Work for half a second where the path says so."""

    entered = threading.Semaphore(0)

    def do_GET(self) -> None:
        """Work, then answer."""
        if self.path == "/work":
            self.entered.release()
            threading.Event().wait(0.5 * UNIT)
        super().do_GET()


def test_shutdown_is_quick_and_lets_a_handler_finish(
    server_class: type[Recording], server_context: ssl.SSLContext, any_client: ssl.SSLContext
) -> None:
    """With 1 000 parked connections and a handler at work shutdown() takes a second or so.

    The handler's response arrives whole, and server_close() leaves no connection.
    """
    server = server_class(
        ("127.0.0.1", 0), Working, ssl_context=server_context, limits=PATIENT_LIMITS
    )
    address = server.server_address
    loop = threading.Thread(target=server.serve_forever)
    loop.start()
    with closing_all([]) as held, handshake(address, any_client) as busy:
        held.extend(connect(address) for _ in range(400))
        held.extend(one_byte(address, any_client) for _ in range(400))
        held.extend(half_head(address, any_client) for _ in range(100))
        held.extend(idle(address, any_client) for _ in range(100))
        assert wait_until(lambda: sum(server.stats().parked.values()) == 1001)
        busy.sendall(request("/work", close=True))
        assert Working.entered.acquire(timeout=30 * UNIT)
        began = time.monotonic()
        server.shutdown()
        took = time.monotonic() - began
        loop.join()
        server.server_close()
        assert read_response(busy).endswith(b"/work")
        assert took < 20 * UNIT  # one connection after the other would take two minutes
        assert time.monotonic() - began < 30 * UNIT
        assert not any(server.stats().parked.values())
        assert server.stats().active == 0
        assert held[-1].recv(1) == b""
    assert not server.events


def test_server_close_names_and_breaks_a_handler_that_does_not_end(
    gate: type[Gate],
    server_context: ssl.SSLContext,
    any_client: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """server_close() says whom it waits for, then breaks that connection rather than wait on."""
    monkeypatch.setattr("tlshttp._machinery.closing._PATIENCE_SECONDS", 0.1 * UNIT)
    monkeypatch.setattr("tlshttp._machinery.closing._GRACE_SECONDS", 0.1 * UNIT)
    server = RecordingThreading(("127.0.0.1", 0), gate, ssl_context=server_context)
    loop = threading.Thread(target=server.serve_forever)
    loop.start()
    with handshake(server.server_address, any_client) as sock:
        sock.sendall(request("/wait"))
        assert gate.entered.acquire(timeout=30 * UNIT)
        server.server_close()
        loop.join()
        assert "{}:{}".format(*sock.getsockname()) in caplog.text
        with pytest.raises(ssl.SSLEOFError):
            sock.recv(1)
        gate.opened.set()


def parked_in(server: Recording, *phases: str) -> int:
    """Return how many connections are parked in these phases."""
    stats = server.stats()
    return sum(stats.parked[phase] for phase in phases)


def all_parked(server: Any) -> bool:
    """Return whether no worker is with a connection, as one is for a moment after a response."""
    return all(connection.parked for connection in server._TLSHTTPServer__loop.registry)


def test_the_oldest_handshake_goes_first_then_the_oldest_idle(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At max_connections unfinished handshakes make room before idle connections do, by age."""
    monkeypatch.setattr("tlshttp._machinery.eviction._YOUNG_SECONDS", 0.0)
    context = client_context()
    with serve(Plain, Limits(max_connections=5)) as server, closing_all([]) as held:
        address = server.server_address
        idle_ones = [idle(address, context) for _ in range(3)]
        held.extend(idle_ones)
        silent = [connect(address) for _ in range(2)]
        held.extend(silent)
        assert wait_until(lambda: server.stats().accepted == 5)
        for gone in [*silent, *idle_ones]:
            assert wait_until(lambda: all_parked(server))
            held.append(idle(address, context))
            assert gone.recv(1) == b""
            assert wait_until(lambda: parked_in(server, "idle", "hello") == 5)
        assert server.stats().evicted == 3
    assert [type(error) for error, _ in server.events] == [errors.HandshakeCrowdedOut] * 2


def test_a_young_handshake_is_spared(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has just come is not pushed out by the next one while somebody else can be."""
    monkeypatch.setattr("tlshttp._machinery.eviction._YOUNG_SECONDS", 60.0 * UNIT)
    context = client_context()
    with serve(Plain, Limits(max_connections=3)) as server, closing_all([]) as held:
        idle_ones = [idle(server.server_address, context) for _ in range(2)]
        held.extend(idle_ones)
        young = connect(server.server_address)
        held.append(young)
        assert wait_until(lambda: server.stats().accepted == 3 and all_parked(server))
        held.append(connect(server.server_address))
        assert idle_ones[0].recv(1) == b""
        with context.wrap_socket(young, server_hostname="localhost") as sock:
            sock.sendall(request(close=True))
            assert read_to_end(sock).endswith(b"/")
    assert not [error for error, _ in server.events if "crowded" in error.reason]


def test_a_half_sent_request_makes_room(serve: Serve) -> None:
    """A request that does not come to its end makes room before a connection that is idle."""
    context = client_context()
    with serve(Plain, Limits(max_connections=2)) as server, closing_all([]) as held:
        half = half_head(server.server_address, context)
        held.extend([half, idle(server.server_address, context)])
        assert wait_until(lambda: all_parked(server))
        held.append(idle(server.server_address, context))
        assert half.recv(1) == b""
        held[1].sendall(request())
        assert read_response(held[1]).endswith(b"/")
    assert [type(error) for error, _ in server.events] == [errors.RequestCrowdedOut]


def test_who_has_gone_when_it_is_to_give_way_is_not_counted_as_leaving(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler's thread may end its connection in the middle of that."""

    def handle(*arguments: Any) -> None:
        Plain(*arguments)

    with serve(handle) as server, closing_all([]) as held:
        loop: Any = server._TLSHTTPServer__loop  # type: ignore[attr-defined]
        held.append(idle(server.server_address, client_context()))
        assert wait_until(lambda: bool(loop._waiting._connections))
        [connection] = loop.registry
        take = loop._waiting.take

        def end_meanwhile(taken: Any) -> bool:
            is_taken = take(taken)
            taken.closed()
            return bool(is_taken)

        monkeypatch.setattr(loop._waiting, "take", end_meanwhile)
        assert loop.room._evict(connection)
        assert not loop.room.leaving


def test_who_waits_for_another_turn_makes_room(server_context: ssl.SSLContext) -> None:
    """Whoever pipelines without end is never parked; who is in the middle of a turn is spared."""
    server = Recording(
        ("127.0.0.1", 0), Plain, ssl_context=server_context, limits=Limits(max_connections=1)
    )
    loop: Any = server._TLSHTTPServer__loop  # type: ignore[attr-defined]
    with server, connect(server.server_address) as sock:
        loop.listener.accept()
        loop.registry.take_all()
        assert not loop.room.has_room()
        loop.resume_again(*loop.registry)
        assert loop.room.has_room()
        loop.room.make_room()
        assert sock.recv(1) == b""
        assert not loop._again
        assert not loop.room.leaving


def test_new_connections_wait_while_all_are_busy(
    gate: type[Gate], server_context: ssl.SSLContext, any_client: ssl.SSLContext
) -> None:
    """With every place taken by a running handler a client waits, and is then served."""
    server = RecordingThreading(
        ("127.0.0.1", 0), gate, ssl_context=server_context, limits=Limits(max_connections=2)
    )
    with serving(server), closing_all([]) as held, ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            held.append(handshake(server.server_address, any_client))
            held[-1].sendall(request("/wait", close=True))
            assert gate.entered.acquire(timeout=30 * UNIT)
        waiting = pool.submit(get, server.server_address, any_client)
        assert not wait_until(lambda: server.stats().accepted > 2, timeout=0.5 * UNIT)
        gate.opened.set()
        assert waiting.result(timeout=30 * UNIT).endswith(b"\r\n\r\n/")
        for sock in held:
            read_to_end(sock)
    assert not server.events


def test_there_are_never_more_connections_than_allowed(
    gate: type[Gate], server_context: ssl.SSLContext, any_client: ssl.SSLContext
) -> None:
    """Not even while no thread is free to end those that make room, but for one on its way in."""
    server = RecordingThreading(
        ("127.0.0.1", 0), gate, ssl_context=server_context, max_workers=1,
        limits=Limits(max_connections=6),
    )  # fmt: skip
    with serving(server), closing_all([]) as held:
        held.extend(idle(server.server_address, any_client) for _ in range(5))
        held.append(handshake(server.server_address, any_client))
        held[-1].sendall(request("/wait"))
        assert gate.entered.acquire(timeout=30 * UNIT)
        most = 0
        for _ in range(10):
            held.append(connect(server.server_address))
            held[-1].sendall(b"\x16\x03\x01\x00\x01\x01")

            def count() -> bool:
                nonlocal most
                stats = server.stats()
                most = max(most, stats.active + sum(stats.parked.values()))
                return False

            wait_until(count, timeout=0.02 * UNIT)
        gate.opened.set()
    assert most <= 7


@pytest.mark.parametrize("server_name", ["TLSHTTPServer", "ThreadingTLSHTTPServer"])
def test_running_out_of_files_neither_spins_nor_ends_service(server_name: str) -> None:
    """A process without a free descriptor makes room, does not spin, and serves on afterwards."""
    limits: dict[str, Any] = {**PATIENT, "max_connections": 1000}
    context = client_context()
    with server_process(server_name, limits=limits, files=64) as server:
        with closing_all([]) as held:
            held.extend(connect(server.address) for _ in range(200))
            assert get(server.address, context).endswith(b"\r\n\r\n/")
            used, began = server.cpu_seconds(), time.monotonic()
            wait_until(lambda: False, timeout=0.5 * UNIT)
            assert server.cpu_seconds() - used < 0.3 * (time.monotonic() - began)
            assert server.files() <= 64
        for _ in range(10):
            assert get(server.address, context).endswith(b"\r\n\r\n/")
        assert wait_until(lambda: not any(server.stats().parked.values()))


def test_running_out_of_files_with_all_busy_pauses_accepting(
    gate: type[Gate], server_context: ssl.SSLContext, any_client: ssl.SSLContext
) -> None:
    """accept() that fails is not tried over and over; the queue is served when there is a place."""
    attempts: list[float] = []

    class Exhausted(RecordingThreading):
        def get_request(self) -> Any:
            """Fail as the system does without a free descriptor."""
            if gate.opened.is_set() or not (attempts or self.stats().active):
                return super().get_request()
            attempts.append(time.monotonic())
            raise OSError(24, "Too many open files")

    server = Exhausted(("127.0.0.1", 0), gate, ssl_context=server_context)
    with serving(server), ThreadPoolExecutor(2) as pool:
        busy = pool.submit(get, server.server_address, any_client, "/wait")
        assert gate.entered.acquire(timeout=30 * UNIT)
        waiting = pool.submit(get, server.server_address, any_client)
        assert wait_until(lambda: bool(attempts))
        wait_until(lambda: False, timeout=0.5 * UNIT)
        assert 1 <= len(attempts) <= 10
        gate.opened.set()
        assert busy.result(30 * UNIT).endswith(b"/wait")
        assert waiting.result(30 * UNIT).endswith(b"\r\n\r\n/")


def test_an_idle_handler_that_gives_way_answers_what_has_just_come(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request has come, and its thread has not seen it yet, when its place is needed."""
    has_come, may_see = threading.Event(), threading.Event()
    wait_here: Any = PatientStream._wait_here

    def see_late(stream: Any, event: int, timeout: float | None, wait: Any = wait_for) -> bool:
        def wait_longer(*arguments: Any) -> bool:
            found: bool = wait(*arguments)
            has_come.set()
            assert may_see.wait(30 * UNIT)
            return found

        return bool(wait_here(stream, event, timeout, wait_longer if stream.idle else wait))

    def handle(*arguments: Any) -> None:
        Plain(*arguments)

    context = client_context()
    with serve(handle, Limits(max_connections=1)) as server, closing_all([]) as held:
        loop: Any = server._TLSHTTPServer__loop  # type: ignore[attr-defined]
        monkeypatch.setattr(PatientStream, "_wait_here", see_late)
        first = idle(server.server_address, context)
        held.append(first)
        assert wait_until(lambda: bool(loop._waiting._connections))
        [connection] = loop.registry
        first.sendall(request("/first"))
        assert has_come.wait(30 * UNIT)
        second = connect(server.server_address)
        held.append(second)
        assert wait_until(lambda: not connection.stream.awaits_more)
        may_see.set()
        text = read_to_end(first)
        assert text.endswith(b"/first")
        assert b"\r\nConnection: close\r\n" in text
        with context.wrap_socket(second, server_hostname="localhost") as sock:
            sock.sendall(request("/second", close=True))
            assert read_to_end(sock).endswith(b"/second")
    assert not server.events


def test_a_handler_that_is_a_function_ends_with_the_server(serve: Serve) -> None:
    """It is at work when that closes; its client is told, and it waits for no other request."""
    begun, may_end = threading.Event(), threading.Event()

    class Slow(Plain):
        def do_GET(self) -> None:
            begun.set()
            assert may_end.wait(30 * UNIT)
            super().do_GET()

    def handle(*arguments: Any) -> None:
        Slow(*arguments)

    with (
        serve(handle) as server,
        contextlib.closing(handshake(server.server_address, client_context())) as sock,
        ThreadPoolExecutor(1) as pool,
    ):
        sock.sendall(request("/slow"))
        assert begun.wait(30 * UNIT)
        server.shutdown()
        closing = pool.submit(server.server_close)
        loop: Any = server._TLSHTTPServer__loop  # type: ignore[attr-defined]
        [connection] = loop.registry
        assert wait_until(lambda: connection.stream.awaits_no_other)
        may_end.set()
        began = time.monotonic()
        response = read_response(sock)
        assert response.endswith(b"/slow")
        assert b"\r\nConnection: close\r\n" in response
        closing.result(30 * UNIT)
        assert time.monotonic() - began < PATIENCE_SECONDS
    assert not server.events
