"""Promise P2: no peer, however slow, silent, broken or hostile, delays another."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.conftest import VERSIONS
from tests.machinery.peers import (
    client_context,
    close_all,
    closing_all,
    connect,
    get,
    handshake,
    read_response,
    request,
)
from tests.machinery.program import ServerProcess, server_process
from tests.support import UNIT, wait_until

pytestmark = pytest.mark.thorough

TLS12, TLS13 = VERSIONS
MAX_WORKERS = 8
KIB = 1024
PATIENT = {
    "handshake_timeout": 120 * UNIT,
    "header_timeout": 120 * UNIT,
    "keep_alive_timeout": 120 * UNIT,
    "max_connections": 4_000,
}
"""Limits under which no stalled peer is let go while a test runs."""


@dataclass(frozen=True)
class Stall:
    """One way of keeping a server waiting."""

    count: int
    connect: Callable[[Any, ssl.SSLContext], Any]
    phase: str
    """The key of ``Stats.parked``."""
    kib_each: int
    """Most kibibytes of resident memory that one may cost."""


def one_byte(address: Any, context: ssl.SSLContext) -> Any:
    """Send the first byte of a ClientHello."""
    sock = connect(address)
    sock.sendall(b"\x16")
    return sock


def half_head(address: Any, context: ssl.SSLContext) -> Any:
    """Send half a request head after the handshake."""
    sock = handshake(address, context)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Ha")
    return sock


def idle(address: Any, context: ssl.SSLContext) -> Any:
    """Make a request and keep the connection."""
    sock = handshake(address, context)
    ask(sock)
    return sock


STALLS = {
    "silent": Stall(1000, lambda address, context: connect(address), "hello", 8),
    "one byte": Stall(1000, one_byte, "hello", 32),
    "half head": Stall(1000, half_head, "request", 64),
    "idle": Stall(500, idle, "idle", 64),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server_class", "version", "part"),
    [
        ("TLSHTTPServer", TLS13, 1),
        ("ThreadingTLSHTTPServer", TLS13, 1),
        # Less of it suffices to show that the older version is no different.
        ("ThreadingTLSHTTPServer", TLS12, 10),
    ],
)
def test_stalled_peers_cost_little_and_delay_nobody(
    server_class: str, version: ssl.TLSVersion, part: int
) -> None:
    """With 3 500 stalled connections of four kinds honest clients are served as fast as without.

    The process has no thread for them, little memory, and nothing to do.
    """
    options = {"max_workers": MAX_WORKERS} if server_class.startswith("Threading") else {}
    context = client_context(version)
    with server_process(server_class, limits=PATIENT, **options) as server, closing_all([]) as held:
        warm_up(server, context)
        unloaded = measure(server, context)
        for name, stall in STALLS.items():
            grown = hold(server, context, stall, stall.count // part, held)
            say(f"{name}: {grown / KIB:.1f} KiB each")
            assert grown <= stall.kib_each * KIB, name
        busy = cpu_share(server, 2 * UNIT)
        loaded = measure(server, context)
        for _ in range(2):
            if not loaded.within(unloaded):
                loaded = loaded.better(measure(server, context))
        threads = server.threads()
        assert busy < 0.02
        assert threads <= MAX_WORKERS + 3
        assert server.stats().parked["request"] == STALLS["half head"].count // part
        if not loaded.within(unloaded):
            # Has the machine become slower since? What else runs on it is no fault of the server's.
            close_all(held)
            unloaded = unloaded.worse(measure(server, context))
        say(f"p99 unloaded {unloaded}, loaded {loaded}; {busy:.2%} of a core; {threads} threads")
        assert loaded.within(unloaded)


def say(line: str) -> None:
    """Leave a figure in pytest's report (option ``-rA``)."""
    sys.stdout.write(line + "\n")


@dataclass(frozen=True)
class Latency:
    """Seconds that one request in a hundred exceeds."""

    fresh: float
    kept: float

    def within(self, unloaded: Latency) -> bool:
        """Return whether this is at most three times as long, plus 5 ms."""
        return self.fresh <= 3 * unloaded.fresh + 0.005 and self.kept <= 3 * unloaded.kept + 0.005

    def better(self, other: Latency) -> Latency:
        """Return the shorter of either sort."""
        return Latency(min(self.fresh, other.fresh), min(self.kept, other.kept))

    def worse(self, other: Latency) -> Latency:
        """Return the longer of either sort."""
        return Latency(max(self.fresh, other.fresh), max(self.kept, other.kept))

    def __str__(self) -> str:
        return f"{self.fresh * 1000:.1f} ms (fresh connections), {self.kept * 1000:.1f} ms (kept)"


def measure(server: ServerProcess, context: ssl.SSLContext) -> Latency:
    """Make 200 honest requests on fresh connections, and 200 on one that is kept."""
    fresh = [timed(lambda: get(server.address, context)) for _ in range(200)]
    with handshake(server.address, context) as sock:
        kept = [timed(lambda: ask(sock)) for _ in range(200)]
    return Latency(sorted(fresh)[197], sorted(kept)[197])


def ask(sock: ssl.SSLSocket) -> bytes:
    """Make one request on a connection that is kept."""
    sock.sendall(request())
    return read_response(sock)


def timed(action: Callable[[], Any]) -> float:
    """Return how many seconds an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def warm_up(server: ServerProcess, context: ssl.SSLContext) -> None:
    """Have the server come to its usual size: all its threads, its allocator's arenas."""
    with closing_all([]) as held:
        held.extend(half_head(server.address, context) for _ in range(50))
        for _ in range(100):
            get(server.address, context)
    assert wait_until(lambda: sum(server.stats().parked.values()) == 0)


def hold(
    server: ServerProcess, context: ssl.SSLContext, stall: Stall, count: int, held: list[Any]
) -> float:
    """Add the stalled peers; return the bytes of memory each of them costs the server."""
    parked = server.stats().parked[stall.phase]
    before = server.resident()
    held.extend(stall.connect(server.address, context) for _ in range(count))
    assert wait_until(lambda: server.stats().parked[stall.phase] >= parked + count)
    return (server.resident() - before) / count


def cpu_share(server: ServerProcess, seconds: float) -> float:
    """Return which part of a core the process uses while nothing is done to it."""
    used, began = server.cpu_seconds(), time.monotonic()
    # Nothing signals that nothing happens: the wait itself is what is measured.
    wait_until(lambda: False, timeout=seconds)
    return (server.cpu_seconds() - used) / (time.monotonic() - began)


@pytest.fixture(params=["TCP", "AF_UNIX", "SelectorPoller"])
def stalled_by(
    request: pytest.FixtureRequest, server_name: str, tmp_path: Path
) -> Iterator[ServerProcess]:
    """Return a server in a process of its own, on TCP, on AF_UNIX, and with the other poller."""
    options: dict[str, Any] = {"limits": PATIENT}
    if request.param == "AF_UNIX":
        options["address"] = str(tmp_path / "socket")
    options["selector"] = request.param == "SelectorPoller"
    with server_process(server_name, **options) as server:
        yield server


@pytest.mark.parametrize("server_name", ["TLSHTTPServer", "ThreadingTLSHTTPServer"])
def test_a_slow_peer_does_not_make_the_poller_spin(stalled_by: ServerProcess) -> None:
    """Peers that have sent part of what is awaited are not reported as ready over and over."""
    context = client_context()
    partial = [b"\x16", b"\x16\x03\x01\x02\x00", b"GET / HT", b"\x16\x03\x01\x02\x00\x01\x00\x01"]
    with closing_all([]) as held:
        for data in partial * 5:
            held.append(connect(stalled_by.address))
            held[-1].sendall(data)
        held.extend(half_head(stalled_by.address, context) for _ in range(5))
        assert wait_until(lambda: stalled_by.stats().parked["request"] == 5)
        assert cpu_share(stalled_by, 0.5 * UNIT) < 0.1


@pytest.mark.parametrize("server_name", ["TLSHTTPServer", "ThreadingTLSHTTPServer"])
@pytest.mark.parametrize(
    ("data", "phase"),
    [
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nhalf", "request"),
        (request("/large"), "response"),
    ],
    ids=["sends half a large body", "does not read a large response"],
)
def test_a_peer_that_stalls_a_handler_delays_nobody(
    server_name: str, data: bytes, phase: str
) -> None:
    """A client that stops in the middle of a large body or response costs others no time."""
    context = client_context()
    limits = {**PATIENT, "body_timeout": 60 * UNIT, "write_timeout": 60 * UNIT}
    with (
        server_process(server_name, limits=limits) as server,
        handshake(server.address, context) as stalled,
    ):
        stalled.sendall(data)
        assert wait_until(lambda: server.stats().parked[phase] == 1)
        assert server.stats().active == 0
        assert timed(lambda: get(server.address, context)) < 15 * UNIT
