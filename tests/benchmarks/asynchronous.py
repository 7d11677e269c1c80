"""ASGI beside what people would pick, and what waiting handlers cost.

Run by hand: ``python -m tests.benchmarks.asynchronous``. The server has one core, the load another.
Every server serves the same application over TLS, by turns; figures are requests a second, and CPU
of the server's process for each request, by the kernel's clock. Then thousands of handlers wait,
each in a coroutine, and honest clients are served beside.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import logging
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import apps, client, peers, wrk
from tests.benchmarks.ground import Ground, prepared_ground
from tests.benchmarks.peers import Peer
from tests.benchmarks.proc import cpu_clock, family
from tests.benchmarks.running import Server, serving

OURS: Final = {
    "tlshttp": "TLSHTTPServer, aio.serve(), uvloop",
    "tlshttp-asyncio": "TLSHTTPServer, aio.serve(), asyncio's own loop",
    "tlshttp-thread": "TLSHTTPServer, serve_forever(), coroutines in their own thread",
    "tlshttp-pool": "ThreadingTLSHTTPServer, serve_forever(), coroutines in their own thread",
    "tlshttp-handler": "AsyncTLSRequestHandler, TLSHTTPServer, aio.serve(), uvloop",
}
OTHERS: Final = ("uvicorn", "hypercorn")


# The servers -------------------------------------------------------------------------------------


def serve(name: str, port: int, certfile: str, keyfile: str) -> None:
    """Serve with one of ours until SIGTERM."""
    import tlshttp
    from tlshttp import aio

    logging.disable()

    class Quiet(aio.asgi(apps.asgi)):  # type: ignore[misc]
        def log_message(self, *arguments: object) -> None:
            """Say nothing, as all servers here."""

    class Handler(aio.AsyncTLSRequestHandler):
        async def do_GET(self) -> None:
            if self.path == "/wait":
                await asyncio.sleep(3600)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(apps.BODY)))
            self.end_headers()
            await self.write(apps.BODY)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    handler: Any = Handler if name in ("tlshttp-handler", "waiting") else Quiet
    threads = name in ("tlshttp-pool", "waiting-pool")
    server_class = tlshttp.ThreadingTLSHTTPServer if threads else tlshttp.TLSHTTPServer
    limits = tlshttp.Limits(max_connections=6000)
    server = server_class(
        ("127.0.0.1", port), handler, certfile=certfile, keyfile=keyfile, limits=limits
    )
    if name in ("tlshttp-thread", "tlshttp-pool"):
        with server:
            server.serve_forever()
        return
    with asyncio.Runner(loop_factory=None if name == "tlshttp-asyncio" else _new_loop) as runner:
        runner.run(aio.serve(server, drain_timeout=0.5))


def _new_loop() -> asyncio.AbstractEventLoop:
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
    return loop


@dataclass(frozen=True)
class Running(Server):
    """A server under measurement."""

    def cpu(self) -> float:
        """Return the seconds of CPU that the process and its children have used."""
        return sum(cpu_clock(pid) for pid in family(self.pid))

    def memory(self) -> int:
        """Return the bytes of memory that are its own."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(
            int(line.split()[1]) << 10
            for line in text.splitlines()
            if line.startswith(("Private_Clean", "Private_Dirty"))
        )

    def threads(self) -> int:
        """Return how many threads it has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def _ours(name: str) -> Peer:
    def command(ground: Ground, port: int) -> list[str]:
        files = str(ground.certfile), str(ground.keyfile)
        return [sys.executable, "-m", __spec__.name, "--serve", name, str(port), *files]

    return Peer(name, name, command)


@contextlib.contextmanager
def running(name: str, ground: Ground) -> Iterator[Running]:
    """Run a server as long as the block lasts."""
    others = {peer.name: peer for peer in peers.PEERS if peer.name in OTHERS}
    with serving(others.get(name) or _ours(name), ground) as server:
        yield Running(server.port, server.pid)


# What is measured --------------------------------------------------------------------------------


def compare(ground: Ground, rounds: int, seconds: float, connections: int) -> None:
    """Print requests a second and CPU a request of everybody, by turns."""
    rates: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in (*OURS, *OTHERS):
            if name in OTHERS and importlib.util.find_spec(name) is None:
                continue
            with running(name, ground) as server:
                wrk.run(server.url, connections, 1)
                before = server.cpu()
                report = wrk.run(server.url, connections, seconds)
                cost = (server.cpu() - before) * 1e6 / report.requests
                rates.setdefault(name, []).append(report.rate)
                costs.setdefault(name, []).append(cost)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{'server':<18}{'requests/s':>12}{'us CPU':>9}" + "".join(f"{o:>11}" for o in OTHERS))
    for name, rate in middle.items():
        ratios = "".join(f"{rate / middle[o]:>11.2f}" for o in OTHERS if o in middle)
        print(f"{name:<18}{rate:>12.0f}{statistics.median(costs[name]):>9.1f}{ratios}")


def wait(ground: Ground, name: str, count: int) -> None:
    """Print what `count` waiting handlers cost, and how honest clients fare beside them."""
    with running(name, ground) as server:
        honest = _honest(server.port)
        memory, threads = server.memory(), server.threads()
        socks = []
        context = client.create_context()
        try:
            for _ in range(count):
                sock = client.connect(server.port, context)
                sock.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
                socks.append(sock)
            time.sleep(1)
            each = (server.memory() - memory) / count / 1024
            more = server.threads() - threads
            beside = _honest(server.port)
        finally:
            for sock in socks:
                sock.close()
    print(
        f"{count} waiting handlers ({name}): {each:.1f} KiB each, {more} threads more;"
        f" honest p99 {beside:.1f} ms beside them, {honest:.1f} ms without"
    )


def _honest(port: int, count: int = 400) -> float:
    """Return the 99th percentile of a kept GET's time, in milliseconds."""
    times = []
    with client.connect(port, client.create_context()) as peer:
        for _ in range(count):
            began = time.perf_counter()
            peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while not peer.recv(65_536).endswith(apps.BODY):
                pass
            times.append((time.perf_counter() - began) * 1e3)
    return statistics.quantiles(times, n=100)[98]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.asynchronous")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--waiting", type=int, default=5000)
    given = parser.parse_args()
    if given.serve:
        name, port, certfile, keyfile = given.serve
        serve(name, int(port), certfile, keyfile)
        return
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    with prepared_ground() as ground:
        if given.rounds:
            compare(ground, given.rounds, given.seconds, given.connections)
        if given.waiting:
            wait(ground, "waiting", given.waiting)


if __name__ == "__main__":
    main()
