"""How each work is done once, with one server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from tests.benchmarks import client, h2load, wrk
from tests.benchmarks.ground import GIB, UPLOAD, Ground
from tests.benchmarks.peers import Peer
from tests.benchmarks.proc import cpu_seconds, resident_kib
from tests.benchmarks.results import percentile
from tests.benchmarks.running import Server, serving
from tests.benchmarks.scale import Scale

_SETTLE_SECONDS = 0.2

Measure = Callable[[Peer, Ground, Scale], dict[str, float]]
"""Does a work with a server and returns its metrics."""
OpenAll = Callable[[int, int, contextlib.ExitStack], None]
"""Opens connections to a port, so and so many, that stay open."""
Run = Callable[[Peer, Ground], float]
"""Runs a program once and returns what it has measured."""


def keep_alive(connections: int) -> Measure:
    """Many requests over a fixed number of connections, by wrk."""

    def measure(peer: Peer, ground: Ground, scale: Scale) -> dict[str, float]:
        with serving(peer, ground) as server:
            wrk.run(server.url, connections, 1)
            before = cpu_seconds(server.pid)
            report = wrk.run(server.url, connections, scale.seconds)
            cpu = cpu_seconds(server.pid) - before
        microseconds = cpu * 1e6 / report.requests
        return {"rate": report.rate, "p50": report.p50, "p99": report.p99, "cpu": microseconds}

    return measure


def keep_alive_h2load(peer: Peer, ground: Ground, scale: Scale) -> dict[str, float]:
    """The same by another tool: requests over 16 connections, about as long."""
    with serving(peer, ground) as server:
        trial = h2load.run(f"{server.url}/", requests=500, connections=16)
        requests = max(500, int(500 / trial.seconds * scale.seconds))
        report = h2load.run(f"{server.url}/", requests=requests, connections=16)
    return {"rate": report.done / report.seconds}


def connect(*, resume: bool) -> Measure:
    """One connection for each request; CPU of the server, as the client is no faster than it."""

    def measure(peer: Peer, ground: Ground, scale: Scale) -> dict[str, float]:
        with serving(peer, ground) as server:
            client.connections_for(server.port, 0.2, resume=resume)
            time.sleep(_SETTLE_SECONDS)
            before = cpu_seconds(server.pid)
            count = client.connections_for(server.port, scale.seconds, resume=resume)
            time.sleep(_SETTLE_SECONDS)
            cpu = cpu_seconds(server.pid) - before
        return {"cpu": cpu * 1000 / count}

    return measure


def transfer(path: str, size: int, connections: int, *, upload: bool = False) -> Measure:
    """Large bodies; CPU of the server for each GiB."""

    def measure(peer: Peer, ground: Ground, scale: Scale) -> dict[str, float]:
        requests = max(connections, scale.transferred // size)
        body = ground.folder / UPLOAD[0] if upload else None
        with serving(peer, ground) as server:
            url = f"{server.url}/{path}"
            h2load.run(url, requests=connections, connections=connections, body=body)
            before = cpu_seconds(server.pid)
            report = h2load.run(url, requests=requests, connections=connections, body=body)
            cpu = cpu_seconds(server.pid) - before
        gigabytes = requests * size / GIB
        return {"cpu": cpu / gigabytes, "rate": gigabytes * 1024 / report.seconds}

    return measure


def idle(open_all: OpenAll) -> Measure:
    """By how much the server's resident memory grows with connections that wait."""

    def measure(peer: Peer, ground: Ground, scale: Scale) -> dict[str, float]:
        stack = contextlib.ExitStack()
        with serving(peer, ground) as server, client.held(stack):
            # The first ones fill what starting up has left free.
            first, second = (
                _resident_with_more(open_all, server, scale.idle_connections, stack)
                for _ in range(2)
            )
        return {"memory": (second - first) / scale.idle_connections}

    return measure


def _resident_with_more(
    open_all: OpenAll, server: Server, count: int, stack: contextlib.ExitStack
) -> int:
    """Open connections; return how much memory the server then has, in KiB."""
    open_all(server.port, count, stack)
    client.get_once(server.port)  # accepted after all others
    time.sleep(_SETTLE_SECONDS)
    return resident_kib(server.pid)


def stalled(peer: Peer, ground: Ground, scale: Scale) -> dict[str, float]:
    """How long honest clients take while others stall, and before that."""
    stack = contextlib.ExitStack()
    with serving(peer, ground) as server, client.held(stack):
        client.latencies(server.port, scale.honest_requests // 10)
        unloaded = client.latencies(server.port, scale.honest_requests)
        client.open_stalled(server.port, scale.stalled_connections, stack)
        loaded = client.latencies(server.port, scale.honest_requests)
    return {"p99": percentile(loaded, 99), "unloaded": percentile(unloaded, 99)}


def program(run: Run) -> Measure:
    """A program that measures itself, several times."""

    def measure(peer: Peer, ground: Ground, scale: Scale) -> dict[str, float]:
        run(peer, ground)  # compiles what has not been
        taken = [run(peer, ground) for _ in range(scale.program_runs)]
        return {"time": percentile(taken, 50)}

    return measure
