"""A byte now and then buys a peer nothing: every phase has one absolute deadline."""

from __future__ import annotations

import contextlib
import itertools
import select
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.conftest import RecordingThreading, Serve, serving
from tests.machinery.handlers import Gate, Plain
from tests.machinery.peers import (
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
from tlshttp._machinery import loop
from tlshttp._machinery.poller import SelectorPoller


class Blocking(Plain):
    """Runs in blocking mode, because it has a ``handle()`` of its own."""

    def handle(self) -> None:
        """Serve one request after the other."""
        super().handle()


SHORT = 0.3 * UNIT
GRACE = 1.0 * UNIT
EARLY = 0.1 * UNIT
"""A server's clock starts before the peer's: when it has accepted, or shaken hands."""
INTERVALS = [0.002, 0.02, 0.2]
"""Seconds between two bytes. The shortest is less than a worker lingers for the next one."""


def drip(sock: Any, data: Iterable[int], interval: float) -> float:
    """Send a byte at a time until the server ends; return how many seconds it took to do so."""
    began = time.monotonic()
    with sock, contextlib.suppress(OSError):
        for byte in data:
            sock.sendall(bytes([byte]))
            ready, _, _ = select.select([sock], [], [], interval)
            if ready and not sock.recv(65_536):
                break
        else:
            raise AssertionError("all has been sent, and the server has not ended")
    return time.monotonic() - began


def drip_all(start: Callable[[], Any], data: Iterable[int]) -> list[float]:
    """Drip at every interval at the same time; return the seconds until each was cut."""
    socks = [start() for _ in INTERVALS]
    with ThreadPoolExecutor(len(socks)) as pool:
        return list(pool.map(drip, socks, itertools.repeat(list(data)), INTERVALS))


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
    monkeypatch.setattr(loop, "create_poller", SelectorPoller)
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
        for seconds in drip_all(start, endless_head()):
            assert SHORT - EARLY <= seconds <= SHORT + GRACE
        assert wait_until(lambda: len(server.events) == len(INTERVALS))
    assert {type(error) for error, _ in server.events} == {errors.RequestTimeout}


def test_a_dripped_second_head_is_cut_at_the_deadline(serve: Serve) -> None:
    """The head of a later request has the same time, from its first byte on."""

    def start() -> Any:
        sock = handshake(server.server_address, client_context())
        sock.sendall(request())
        read_response(sock)
        return sock

    with serve(Plain, Limits(header_timeout=SHORT)) as server:
        for seconds in drip_all(start, endless_head()):
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
        sock.sendall(head)
        return drip(sock, bytes(size), interval)

    with serve(Plain, Limits(body_timeout=SHORT)) as server:
        for interval in INTERVALS[1:]:
            assert SHORT - EARLY <= seconds_until_cut(interval) <= 1.5 * SHORT + GRACE
    assert {type(error) for error, _ in server.events} == {errors.BodyTimeout}


def test_a_body_above_the_minimum_rate_is_taken(serve: Serve) -> None:
    """A slow sender that keeps to the minimum rate may take several times the time limit."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000\r\n\r\n"
    with (
        serve(Plain, Limits(body_timeout=SHORT, body_min_rate=4000)) as server,
        handshake(server.server_address, client_context()) as sock,
    ):
        sock.sendall(head)
        began, pace = time.monotonic(), threading.Event()
        for _ in range(40):
            sock.sendall(bytes(1000))
            pace.wait(0.06 * UNIT)
        assert read_response(sock).endswith(b"\r\n40000")
        assert time.monotonic() - began > 3 * SHORT
    assert not server.events


def test_a_body_sent_ahead_buys_no_more_than_the_time_limit(serve: Serve) -> None:
    """Megabytes sent at once do not allow a peer to keep a handler waiting for hours."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
    with (
        serve(Plain, Limits(body_timeout=SHORT, body_min_rate=500)) as server,
        handshake(server.server_address, client_context()) as sock,
    ):
        sock.sendall(head + bytes(4_000_000))
        assert wait_until(lambda: bool(server.events), timeout=SHORT + 4 * UNIT)
        assert isinstance(server.events[0][0], errors.BodyTimeout)


@pytest.mark.parametrize("used", [False, True])
def test_an_unused_connection_ends_without_an_event(serve: Serve, used: bool) -> None:
    """A connection without a request, the first or another, is closed in an orderly way."""
    with (
        serve(Plain, Limits(header_timeout=SHORT, keep_alive_timeout=SHORT)) as server,
        handshake(server.server_address, client_context()) as sock,
    ):
        if used:
            sock.sendall(request())
            read_response(sock)
        began = time.monotonic()
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
        serve(handler, Limits(header_timeout=SHORT, keep_alive_timeout=3 * SHORT)) as server,
        handshake(server.server_address, client_context()) as sock,
    ):
        sock.sendall(body)
        read_response(sock)
        began = time.monotonic()
        assert sock.recv(1) == b""
        assert 3 * SHORT - EARLY <= time.monotonic() - began <= 3 * SHORT + GRACE
    assert not server.events


def test_deadlines_hold_while_every_worker_is_busy(
    gate: type[Gate], server_context: ssl.SSLContext
) -> None:
    """A stalled handshake and a half-sent first request are cut although no thread is free."""
    limits = Limits(handshake_timeout=SHORT, header_timeout=SHORT)
    server = RecordingThreading(
        ("127.0.0.1", 0), gate, ssl_context=server_context, limits=limits, max_workers=1
    )
    with (
        serving(server),
        handshake(server.server_address, client_context()) as half,
        connect(server.server_address) as silent,
        handshake(server.server_address, client_context()) as busy,
    ):
        half.sendall(b"GET / HT")
        silent.sendall(client_hello(client_context()))
        silent.recv(1)
        assert wait_until(lambda: server.stats().bytes_in == len(b"GET / HT"))
        busy.sendall(request("/wait"))
        assert gate.entered.acquire(timeout=5 * UNIT)
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
        handshake(server.server_address, context) as sock,
    ):
        sock.sendall(request())
        read_response(sock)
        sock.sendall(b"GET / HT")
        assert wait_until(lambda: bool(server.events), timeout=SHORT + GRACE)
        assert isinstance(server.events[0][0], errors.RequestTimeout)
