"""WSGI beside what people would pick: ``python -m tests.benchmarks.wsgi``.

The server has one core, the load another. Every server serves the same application, by turns:
figures are requests a second over kept connections, and CPU of the server for each request.
waitress has no TLS, and is asked without. ``handler`` is no WSGI at all: a handler class of
`http.server` that answers the same, to see what the adapter costs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import os
import platform
import socket
import statistics
import sys
from collections.abc import Iterator
from typing import Any, Final

from tests.benchmarks import apps, peers, wrk
from tests.benchmarks.ground import Ground, NotServed, prepared_ground
from tests.benchmarks.peers import Peer
from tests.benchmarks.proc import cpu_seconds
from tests.benchmarks.running import serving

OURS: Final = "tlshttp"
SINGLE: Final = "tlshttp-single"
HANDLER: Final = "handler"
WAITRESS: Final = "waitress"

WANTED: Final = {"gunicorn": 4.0, "cheroot": 4.0, WAITRESS: 1.0}
"""How many times as many requests ours is to answer, at least."""


def serve(name: str, port: int, certfile: str, keyfile: str) -> None:
    """Serve with one of ours until SIGTERM."""
    import tlshttp
    from tlshttp import wsgi

    logging.disable()
    quiet = {"log_message": lambda *_: None}
    handler: Any = type("Quiet", (wsgi.handler(apps.wsgi),), quiet)
    server_class = tlshttp.TLSHTTPServer if name == SINGLE else tlshttp.ThreadingTLSHTTPServer
    with server_class(
        ("127.0.0.1", port),
        apps.Handler if name == HANDLER else handler,
        certfile=certfile,
        keyfile=keyfile,
    ) as server:
        server.serve_forever()


def _ours(name: str) -> Peer:
    def command(ground: Ground, port: int) -> list[str]:
        files = str(ground.certfile), str(ground.keyfile)
        return [sys.executable, "-m", "tests.benchmarks.wsgi", "--serve", name, str(port), *files]

    return Peer(name, name, command)


def _waitress(ground: Ground, port: int) -> list[str]:
    """Return the command of waitress, which speaks plain HTTP."""
    listen = f"--listen=127.0.0.1:{port}"
    return [sys.executable, "-m", "waitress", listen, "--threads=8", "tests.benchmarks.apps:wsgi"]


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


@contextlib.contextmanager
def _running(name: str, ground: Ground) -> Iterator[tuple[str, int]]:
    """Run a server; yield its URL and its process."""
    if name == WAITRESS:
        with serving(Peer(name, name, _waitress), ground, ask=_connect) as server:
            yield f"http://127.0.0.1:{server.port}", server.pid
        return
    others = {peer.name: peer for peer in peers.PEERS}
    peer = others[name] if name in WANTED else _ours(name)
    with serving(peer, ground) as server:
        yield server.url, server.pid


def compare(ground: Ground, rounds: int, seconds: float, connections: int) -> None:
    """Print requests a second and CPU a request of everybody, by turns, and what is reached."""
    names = [OURS, SINGLE, HANDLER, *WANTED]
    names = [name for name in names if name not in WANTED or importlib.util.find_spec(name)]
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names if turn % 2 else reversed(names):
            with _running(name, ground) as (url, pid):
                with contextlib.suppress(NotServed):  # some take long to begin
                    wrk.run(url, connections, 1)
                before = cpu_seconds(pid)
                report = wrk.run(url, connections, seconds)
                cost = (cpu_seconds(pid) - before) * 1e6 / report.requests
            figures[name].append((report.rate, cost))
    print(f"{'server':16}{'requests/s':>12}{'us CPU':>9}{'ours, times':>13}{'by CPU':>9}  wanted")
    for name, found in figures.items():
        rate, cost = (statistics.median(one[index] for one in found) for index in (0, 1))
        times, by_cpu = (
            statistics.median(
                (ours[0] / one[0] if index == 0 else one[1] / ours[1])
                for ours, one in zip(figures[OURS], found, strict=True)
            )
            for index in (0, 1)
        )
        wanted = f"at least {WANTED[name]}" if name in WANTED else ""
        print(f"{name:16}{rate:12.0f}{cost:9.1f}{times:13.2f}{by_cpu:9.2f}  {wanted}")


def main() -> None:
    """Measure, or serve to be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.wsgi")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    if given.serve:
        name, port, certfile, keyfile = given.serve
        serve(name, int(port), certfile, keyfile)
        return
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    with prepared_ground() as ground:
        compare(ground, given.rounds, given.seconds, given.connections)


if __name__ == "__main__":
    main()
