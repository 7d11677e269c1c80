"""Deadlines that measure the peer, eviction that spares the honest, and streams that stream."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import ssl
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.attacks import (
    GET,
    Attack,
    Siege,
    client_context,
    connects,
    half_requests,
    many_idle,
    non_readers,
    non_readers_of_new_pieces,
    slow_chunked,
    slow_length,
)
from tests.server.program import LARGE, ServerProcess, server_process
from tests.support import UNIT, at_some_pace, wait_until

pytestmark = pytest.mark.parametrize("server_class", ["TLSHTTPServer", "ThreadingTLSHTTPServer"])

POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab"
LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 as loopback addresses"
)

PATIENCE = 30 * UNIT

# peers 6: the server is late ---------------------------------------------------------------------

CLIENTS = 20


def _answer(sock: ssl.SSLSocket, body: bytes) -> bytes:
    """Receive a response that ends with a body, or all there is."""
    sock.settimeout(PATIENCE)  # a server may be as late as the scenario has it
    data = b""
    with contextlib.suppress(OSError):
        while not data.endswith(body) and (piece := sock.recv(4096)):
            data += piece
    return data


def _hurried(pace: float) -> dict[str, float]:
    """Return limits of half a second, or so many times as much."""
    phases = "keep_alive", "handshake", "header", "body"
    return {f"{phase}_timeout": 0.5 * pace for phase in phases}


@contextlib.contextmanager
def _stopped(server: ServerProcess, pace: float) -> Iterator[None]:
    """Stop the process for longer than its limits last."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
        time.sleep(pace)  # that time passes is what is tested
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def _occupy(server: ServerProcess, siege: Siege, workers: int, pace: float) -> None:
    """Have all workers compute for longer than the limits last."""
    ask = GET.replace(b"/ ", b"/sleep/%.1f " % pace, 1)
    for _ in range(workers):
        siege.tls().sendall(ask)
    wait_until(lambda: server.stats()["active"] >= workers, timeout=0.2 * UNIT)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_peers_06_what_arrived_in_time_is_answered_by_a_late_server(
    version: str, server_class: str
) -> None:
    """A server that was stopped for longer than its limits answers what came in time.

    peers 6: a POST on an idle connection, a ClientHello, a whole request after the handshake.
    """

    def scenario(pace: float) -> None:
        with (
            server_process(server_class, limits=_hurried(pace)) as server,
            Siege(server.address, client_context(version), patience=PATIENCE) as siege,
        ):
            idle = siege.peers(CLIENTS, lambda sock: sock.sendall(GET))
            assert all(_answer(sock, b"hello") for sock in idle)
            shaken = siege.peers(CLIENTS, lambda sock: None)
            with _stopped(server, pace):
                for sock in idle:
                    sock.sendall(POST)
                for sock in shaken:
                    sock.sendall(GET)
                connected = [siege.raw() for _ in range(CLIENTS)]
                hellos = [_say_hello(siege, sock) for sock in connected]
            assert [_answer(sock, b"2")[9:12] for sock in idle] == [b"200"] * CLIENTS
            assert [_answer(sock, b"hello")[9:12] for sock in shaken] == [b"200"] * CLIENTS
            assert [_finish(*each) for each in hellos] == [b"200"] * CLIENTS
            assert not server.stats()["cut"]
            assert not server.stats()["handshake_failures"]

    at_some_pace(scenario)


def _say_hello(siege: Siege, sock: socket.socket) -> tuple[Any, ...]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    engine = siege.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        engine.do_handshake()
    sock.sendall(outgoing.read())
    return sock, engine, incoming, outgoing


def _finish(sock: socket.socket, engine: Any, incoming: Any, outgoing: Any) -> bytes:
    """Finish a handshake, ask, and return the status."""
    sock.settimeout(PATIENCE)
    with contextlib.suppress(OSError):
        asked = False
        while True:
            try:
                if not asked:
                    engine.do_handshake()
                    engine.write(GET)
                    asked = True
                data: bytes = engine.read(1000)
                return data[9:12]
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                received = sock.recv(65_536)
                if not received:
                    break
                incoming.write(received)
    return b"lost"


@pytest.mark.parametrize("workers", [1, 4])
def test_peers_06_what_waits_for_our_handlers_does_not_expire(
    workers: int, server_class: str
) -> None:
    """Time in our own queue, while handlers compute, does not count for those who wait.

    peers 6.
    """
    threading_server = server_class.startswith("Threading")
    options: dict[str, Any] = {"max_workers": workers} if threading_server else {}

    def scenario(pace: float) -> None:
        with (
            server_process(server_class, limits=_hurried(pace), **options) as server,
            Siege(server.address, patience=PATIENCE) as siege,
        ):
            idle = siege.peers(CLIENTS, lambda sock: sock.sendall(GET))
            assert all(_answer(sock, b"hello") for sock in idle)
            _occupy(server, siege, workers if threading_server else 1, pace)
            for sock in idle:
                sock.sendall(POST)
            assert [_answer(sock, b"2")[9:12] for sock in idle] == [b"200"] * CLIENTS
            assert not server.stats()["cut"]

    at_some_pace(scenario)


def test_peers_06_what_is_cut_has_its_event(server_class: str) -> None:
    """Each request begun and not answered stands in a counter."""

    def scenario(pace: float) -> None:
        with (
            server_process(server_class, limits=_hurried(pace)) as server,
            Siege(server.address, patience=PATIENCE) as siege,
        ):
            halves = siege.peers(CLIENTS, lambda sock: sock.sendall(POST[:-1]))
            halves += siege.peers(CLIENTS, lambda sock: sock.sendall(GET[:-1]))
            statuses = [_answer(sock, b"never")[9:12] for sock in halves]
            assert len(statuses) == 2 * CLIENTS
            assert not [status for status in statuses if status == b"200"]
            # Who is cut before its first byte, on a slow machine, is no event.
            timeout = 3 * pace
            assert wait_until(
                lambda: sum(server.stats()["cut"].values()) == 2 * CLIENTS, timeout=timeout
            )

    at_some_pace(scenario)


# peers 7: who gives way --------------------------------------------------------------------------

CONNECTIONS = 60
HONEST = 20
CROWD = 12


@LINUX
def test_peers_07_whoever_holds_most_gives_way(server_class: str) -> None:
    """Half-requests from one address crowd out none of another: no handshake, no idle connection.

    peers 7. Each honest client is 50 ms away.
    """
    with (
        server_process(server_class, limits={"max_connections": CONNECTIONS}) as server,
        Siege(server.address, source="127.0.0.2", patience=PATIENCE) as honest,
        Siege(server.address, patience=PATIENCE) as attacker,
    ):
        idle = honest.peers(10, lambda sock: sock.sendall(GET))
        assert all(_answer(sock, b"hello") for sock in idle)
        half_requests(attacker, CONNECTIONS)
        connects(attacker, 1)
        served = _served_far_away(honest, HONEST)
        assert served == HONEST
        for sock in idle:
            sock.sendall(GET)
        assert [_answer(sock, b"hello")[9:12] for sock in idle] == [b"200"] * len(idle)
        stats = server.stats()
        assert stats["evicted"] + sum(stats["handshake_failures"].values()) > 0


def _half_bodies(siege: Siege, count: int) -> None:
    """Send half of a body that the server has no room for."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\n\r\n"
    siege.peers(count, lambda sock: sock.sendall(head + bytes(300_000)))


@LINUX
@pytest.mark.only_engine("ssl", reason="it is about connections, not about engines")
@pytest.mark.parametrize(
    ("handler", "attack"),
    [
        ("own-handle", non_readers_of_new_pieces),
        ("function", non_readers_of_new_pieces),
        ("function", many_idle),
        ("function", slow_length),
        ("streaming", slow_chunked),
        ("plain", non_readers_of_new_pieces),
        ("plain", _half_bodies),
    ],
)
def test_peers_07_who_is_waited_for_inside_a_handler_gives_way(
    server_class: str, handler: str, attack: Attack
) -> None:
    """It makes no difference whether the loop waits for a peer, or its handler, or it for room."""
    limits = {"max_connections": CROWD, "max_total_disk": 1_000_000 + LARGE}
    with (
        server_process(server_class, limits=limits, handler=handler) as server,
        Siege(server.address, source="127.0.0.2", patience=PATIENCE) as honest,
        Siege(server.address, patience=PATIENCE) as attacker,
    ):
        idle = honest.peers(1, lambda sock: sock.sendall(GET))
        assert [_answer(sock, b"hello")[9:12] for sock in idle] == [b"200"]
        attack(attacker, 2 * CROWD)
        assert attacker.refused == 0
        assert all(_served_once(honest) for _ in range(4))
        for sock in idle:
            sock.sendall(GET)
        assert [_answer(sock, b"hello")[9:12] for sock in idle] == [b"200"]


@LINUX
@pytest.mark.only_engine("ssl", reason="it is about connections, not about engines")
def test_peers_07_handlers_that_wait_give_way_without_a_descriptor(server_class: str) -> None:
    """A process that has none left could not make a double of a socket to hang up on its peer."""
    limits = {"max_connections": 1000}
    with (
        server_process(server_class, limits=limits, handler="function", files=4 * CROWD) as server,
        Siege(server.address, source="127.0.0.2", patience=PATIENCE) as honest,
        Siege(server.address, patience=PATIENCE) as attacker,
    ):
        many_idle(attacker, 5 * CROWD)
        assert all(_served_once(honest) for _ in range(4))
        assert server.stats()["evicted"]


def _served_far_away(honest: Siege, count: int) -> int:
    """Return how many of so many clients, five at once, are served at a distance of 50 ms."""
    numbers = itertools.count()
    served: list[bool] = []

    def run() -> None:
        while next(numbers) < count:
            served.append(_served_once(honest))

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(served)


def _served_once(honest: Siege) -> bool:
    """Tell whether a client is served, which leaves then: else these would hold most of all."""
    try:
        with honest.raw() as sock:
            time.sleep(0.05)  # the way to the server and back
            hello = _say_hello(honest, sock)
            time.sleep(0.05)
            return _finish(*hello) == b"200"
    except OSError:
        return False


# Streams -----------------------------------------------------------------------------------------

EVENTS = 100


def test_an_event_is_at_its_client_at_once(server_class: str) -> None:
    """While another client reads nothing of its 50 MB, events arrive when they are sent.

    The issue's figures are 20 ms at most and a median under 1 ms; these here have a margin.
    """
    with server_process(server_class) as server, Siege(server.address, patience=PATIENCE) as siege:
        non_readers(siege, 2)

        def is_quick() -> bool:
            late = sorted(event_delays(siege, EVENTS))
            assert len(late) == EVENTS
            median, most = statistics.median(late), late[-EVENTS // 20]
            sys.stdout.write(f"median {median:.2f} ms, nearly all within {most:.2f} ms\n")
            return median < 20 * UNIT and most < 300 * UNIT

        # What holds an event back does so whenever one is sent; a busy machine, now and then.
        assert any(is_quick() for _ in range(10))


def event_delays(siege: Siege, count: int) -> list[float]:
    """Return how many milliseconds after it was sent each event has arrived."""
    sock = siege.tls()
    sock.sendall(GET.replace(b"/ ", b"/events/%d " % count, 1))
    delays: list[float] = []
    data = b""
    while len(delays) < count and (piece := sock.recv(4096)):
        now = time.monotonic_ns()
        data += piece
        *events, data = data.split(b"\n\n")
        sent = [int(event.rpartition(b"data: ")[2]) for event in events if b"data: " in event]
        delays.extend((now - each) / 1e6 for each in sent)
    return delays


@pytest.mark.parametrize("framing", ["Content-Length: 15", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_an_upload_streams_where_the_handler_says_so(
    framing: str, expect: str, server_class: str
) -> None:
    """With ``stream_request = True`` the handler has each piece before the next one is sent."""
    with (
        server_process(server_class, handler="streaming") as server,
        Siege(server.address, patience=PATIENCE) as siege,
    ):
        sock = siege.tls()
        sock.sendall(f"PUT / HTTP/1.1\r\nHost: a\r\n{expect}{framing}\r\n\r\n".encode())
        if expect:
            assert _answer(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        for piece in (b"one--", b"two--", b"three"):
            sock.sendall(b"5\r\n%s\r\n" % piece if "chunked" in framing else piece)
            assert piece in _received_with(sock, b"got " + piece)
        if "chunked" in framing:
            sock.sendall(b"0\r\n\r\n")
        rest = _answer(sock, b"never")
        assert b"got" not in rest
        assert not server.stats()["cut"]


def _received_with(sock: ssl.SSLSocket, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data and (piece := sock.recv(4096)):
        data += piece
    return data


def test_a_slow_upload_that_streams_delays_nobody(server_class: str) -> None:
    """The handler of a streaming request waits on a thread of its own, in either server."""
    with (
        server_process(server_class, handler="streaming") as server,
        Siege(server.address, patience=PATIENCE) as siege,
    ):
        slow = siege.tls()
        slow.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\none--")
        assert b"got one" in _received_with(slow, b"got one")
        began = time.monotonic()
        other = siege.tls()
        other.sendall(GET)
        assert _answer(other, b"hello")
        assert time.monotonic() - began < 15 * UNIT  # the body has 20 s
        slow.sendall(b"two--")
        assert b"got two" in _received_with(slow, b"got two")
