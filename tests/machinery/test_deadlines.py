"""A byte now and then buys a peer nothing: every phase has one absolute deadline."""

from __future__ import annotations

import contextlib
import itertools
import math
import select
import ssl
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.conftest import RecordingThreading, Serve, change_limits, serving
from tests.machinery.handlers import Gate, Plain
from tests.machinery.peers import (
    Prompt,
    client_context,
    client_hello,
    connect,
    handshake,
    read_response,
    request,
)
from tests.machinery.test_client_hello import padded
from tests.support import UNIT, wait_until
from tlshttp import Limits, errors
from tlshttp._machinery import dispatcher
from tlshttp._machinery.clock import Clock
from tlshttp._machinery.minimum_rate import MinimumRate
from tlshttp._machinery.poller import SelectorPoller


class Blocking(Plain):
    """Runs in blocking mode, because it has a ``handle()`` of its own."""

    def handle(self) -> None:
        """Serve one request after the other."""
        super().handle()


SHORT = 0.3 * UNIT
GRACE = 20.0 * UNIT
"""A slow machine may be that late. Without deadlines all this would take minutes, or for ever."""
EARLY = 0.01 * UNIT
"""Clocks are rounded."""
INTERVALS = [0.002, 0.02, 0.2]
"""Seconds between two bytes. The shortest is less than a worker lingers for the next one."""


def drip(sock: Any, data: Iterable[int], interval: float) -> float:
    """Send a byte at a time until the server ends; return when it did so."""
    sock.setblocking(False)
    with sock, contextlib.suppress(OSError):
        for byte in data:
            sock.sendall(bytes([byte]))
            if select.select([sock], [], [], interval)[0] and has_ended(sock):
                break
        else:
            raise AssertionError("all has been sent, and the server has not ended")
    return time.monotonic()


def has_ended(sock: Any) -> bool:
    """Tell whether what has come is the end; a TLS session is none."""
    try:
        return not sock.recv(65_536)
    except ssl.SSLWantReadError:
        return False


def drip_all(start: Callable[[], Any], data: Iterable[int]) -> list[float]:
    """Drip at every interval at the same time; return the seconds until each was cut."""
    began = time.monotonic()
    socks = [start() for _ in INTERVALS]
    with ThreadPoolExecutor(len(socks)) as pool:
        ends = pool.map(drip, socks, itertools.repeat(list(data)), INTERVALS)
        return [end - began for end in ends]


def endless_head() -> bytes:
    """Return a request head that takes minutes to drip."""
    return b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 1000


@pytest.fixture(params=["TCP", "AF_UNIX", "SelectorPoller"])
def serve_any_way(
    request: pytest.FixtureRequest, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Serve:
    """Return `serve` for TCP, for an AF_UNIX socket, and for the poller of other platforms."""
    if request.param == "TCP":
        return serve
    if request.param == "AF_UNIX":
        return lambda *arguments: serve(*arguments, address=str(tmp_path / "socket"))
    monkeypatch.setattr(dispatcher, "create_poller", SelectorPoller)
    return serve


def test_a_dripped_hello_is_cut_at_the_deadline(serve_any_way: Serve) -> None:
    """Neither a byte every 2 ms nor one every 200 ms keeps a handshake alive."""
    hello = padded(client_hello(client_context()), 4000)
    with serve_any_way(Plain, Limits(handshake_timeout=SHORT)) as server:
        for seconds in drip_all(lambda: connect(server.server_address), hello):
            assert SHORT - EARLY <= seconds <= SHORT + GRACE
        assert wait_until(lambda: len(server.events) == len(INTERVALS))
    assert {type(error) for error, _ in server.events} == {errors.HandshakeTimeout}


def test_a_dripped_head_is_cut_at_the_deadline(
    serve_any_way: Serve, tls_version: ssl.TLSVersion
) -> None:
    """Nor do they keep a request head alive."""
    context = client_context(tls_version)
    with serve_any_way(Plain, Limits(header_timeout=SHORT)) as server:
        start = lambda: handshake(server.server_address, context)  # noqa: E731
        # Who is cut before its first byte, on a slow machine, is no event.
        while len(server.events) < len(INTERVALS):
            for seconds in drip_all(start, endless_head()):
                assert SHORT - EARLY <= seconds <= SHORT + GRACE
    assert {type(error) for error, _ in server.events} == {errors.RequestTimeout}


def test_a_dripped_second_head_is_cut_at_the_deadline(serve: Serve) -> None:
    """The head of a later request has the same time, from its first byte on."""
    with serve(Plain) as server:
        socks = [handshake(server.server_address, client_context()) for _ in INTERVALS]
        for sock in socks:
            sock.sendall(request())
            read_response(sock)
        change_limits(server, header_timeout=SHORT)
        for seconds in drip_all(socks.pop, endless_head()):
            assert SHORT - EARLY <= seconds <= SHORT + GRACE


def test_a_dripped_plain_request_is_cut_at_the_deadline(serve: Serve) -> None:
    """What comes without TLS has no more time than a handshake."""
    with serve(Plain, Limits(handshake_timeout=SHORT)) as server:
        for seconds in drip_all(lambda: connect(server.server_address), endless_head()):
            assert SHORT - EARLY <= seconds <= SHORT + GRACE
        assert wait_until(lambda: len(server.events) == len(INTERVALS))
    assert {type(error) for error, _ in server.events} == {errors.HandshakeTimeout}


@pytest.mark.parametrize("size", [10_000, 100_000], ids=["small", "large"])
def test_a_dripped_body_is_cut(serve: Serve, size: int) -> None:
    """A body that is sent below the minimum rate is cut, whoever waits for it."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size

    def seconds_until_cut(interval: float) -> float:
        sock = handshake(server.server_address, client_context())
        began = time.monotonic()
        sock.sendall(head)
        return drip(sock, bytes(size), interval) - began

    with serve(Plain, Limits(body_timeout=SHORT)) as server:
        for interval in INTERVALS[1:]:
            assert SHORT - EARLY <= seconds_until_cut(interval) <= 1.5 * SHORT + GRACE
    assert {type(error) for error, _ in server.events} == {errors.BodyTimeout}


class Stepped(Clock):
    """A clock that goes on when it is told to."""

    moment = 1000.0

    def now(self) -> float:
        """Return the time."""
        return self.moment

    def after(self, timeout: float | None) -> float:
        """Return the moment so much later."""
        return math.inf if timeout is None else self.moment + timeout


def test_a_body_above_the_minimum_rate_is_taken(serve: Serve) -> None:
    """A slow sender that keeps to the minimum rate may take several times the time limit."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000\r\n\r\n"
    with serve(Plain, Limits(body_timeout=SHORT, body_min_rate=4000)) as server:
        clock = vars(server)["_TLSHTTPServer__loop"].clock = Stepped()
        with handshake(server.server_address, client_context()) as sock:
            sock.sendall(head)
            for sent in range(0, 40_000, 1000):
                assert wait_until(lambda sent=sent: server.stats().bytes_in == len(head) + sent)  # type: ignore[misc]
                clock.moment += 0.8 * SHORT
                sock.sendall(bytes(1000))
            assert read_response(sock).endswith(b"\r\n40000")
    assert not server.events


def test_time_that_is_used_up_is_not_bought_back_byte_by_byte() -> None:
    """Bytes are worth what they are worth, however often somebody looks; enough of them pay all."""
    rate = MinimumRate(1.0, 500.0, errors.BodyTimeout, "sent", 0)
    rate.spend(1.0)
    for total in range(1, 100):
        rate.spend(0.05)
        rate.earn(total)
        assert not rate.left
    rate.earn(5000)
    assert rate.left == 1.0


def test_time_in_which_two_wait_at_once_counts_once() -> None:
    """Two tasks of a coroutine may wait for the same peer, which is not twice as slow for that."""
    rate = MinimumRate(10.0, None, errors.WriteTimeout, "took", 0)
    for began, ended in [(100.0, 103.0), (101.0, 104.0), (104.0, 105.0), (99.0, 105.0)]:
        rate.spend_between(began, ended)
    assert (rate.waited, rate.left) == (5.0, 5.0)


def test_a_body_sent_ahead_buys_no_more_than_the_time_limit(serve: Serve) -> None:
    """Megabytes sent at once do not allow a peer to keep a handler waiting for hours."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
    with (
        serve(Plain, Limits(body_timeout=SHORT, body_min_rate=500)) as server,
        handshake(server.server_address, client_context()) as sock,
    ):
        sock.sendall(head + bytes(4_000_000))
        assert wait_until(lambda: bool(server.events), timeout=SHORT + GRACE)
        assert isinstance(server.events[0][0], errors.BodyTimeout)


@pytest.mark.parametrize("used", [False, True])
def test_an_unused_connection_ends_without_an_event(serve: Serve, used: bool) -> None:
    """A connection without a request, the first or another, is closed in an orderly way."""
    limits = Limits(keep_alive_timeout=SHORT) if used else Limits(header_timeout=SHORT)
    with serve(Plain, limits) as server:
        began = time.monotonic()
        with handshake(server.server_address, client_context()) as sock:
            if used:
                sock.sendall(request())
                read_response(sock)
            assert sock.recv(1) == b""
        assert SHORT - EARLY <= time.monotonic() - began <= SHORT + GRACE
    assert not server.events


@pytest.mark.parametrize("handler", [Plain, Blocking])
@pytest.mark.parametrize("lines", [b"\r\n", b"\n", b"\r\n" * 3])
def test_an_empty_line_after_a_body_begins_no_request(
    serve: Serve, handler: type[Plain], lines: bytes
) -> None:
    """A client that sends one, as old browsers did, is idle, and told of nothing."""
    body = b"POST /1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab" + lines
    with (
        serve(handler, Limits(header_timeout=60 * UNIT, keep_alive_timeout=3 * SHORT)) as server,
        handshake(server.server_address, client_context()) as sock,
    ):
        began = time.monotonic()
        sock.sendall(body)
        read_response(sock)
        assert sock.recv(1) == b""
        assert 3 * SHORT - EARLY <= time.monotonic() - began <= 3 * SHORT + GRACE
    assert not server.events


def test_deadlines_hold_while_every_worker_is_busy(
    gate: type[Gate], server_context: ssl.SSLContext
) -> None:
    """A stalled handshake and a half-sent first request are cut although no thread is free."""
    server = RecordingThreading(("127.0.0.1", 0), gate, ssl_context=server_context, max_workers=1)
    with serving(server), contextlib.ExitStack() as stack:
        busy = stack.enter_context(handshake(server.server_address, client_context()))
        assert wait_until(lambda: server.stats().handshakes == 1)
        change_limits(server, header_timeout=SHORT)
        stack.enter_context(Prompt(server.server_address, client_context(), b"GET / HT"))
        assert wait_until(lambda: server.stats().bytes_in == len(b"GET / HT"))
        change_limits(server, handshake_timeout=SHORT)
        silent = stack.enter_context(connect(server.server_address))
        silent.sendall(client_hello(client_context()))
        silent.recv(1)
        busy.sendall(request("/wait"))
        assert gate.entered.acquire(timeout=30 * UNIT)
        assert wait_until(lambda: len(server.events) == 2, timeout=SHORT + GRACE)
        assert {type(error) for error, _ in server.events} == {
            errors.HandshakeTimeout,
            errors.RequestTimeout,
        }
        gate.opened.set()
        assert read_response(busy).endswith(b"/wait")


def test_a_handlers_own_timeout_holds_behind_longer_ones(serve: Serve) -> None:
    """A handler's ``timeout`` cuts a half-sent request, whoever came before with more time."""

    class Brief(Plain):
        timeout = SHORT

    context = client_context()
    with (
        serve(Brief, Limits(header_timeout=60 * UNIT)) as server,
        handshake(server.server_address, context),
        Prompt(server.server_address, context, request()) as sock,
    ):
        read_response(sock)
        sock.sendall(b"GET / HT")
        assert wait_until(lambda: bool(server.events), timeout=SHORT + GRACE)
        assert isinstance(server.events[0][0], errors.RequestTimeout)
