"""Both TLS engines beside uvicorn, in one run, by turns: the server's CPU for each thing done.

Run by hand: ``python -m tests.benchmarks.engines``. The servers share one core, and only one of
them is under load; clients are processes of their own on another core, since a client in a server's
process keeps its OpenSSL in the caches. uvicorn is measured with X25519: with the hybrid group it
cannot be before Python has OpenSSL 3.5.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from tests.benchmarks import apps, client, wrk
from tests.benchmarks.ground import Ground, NotServed, prepared_ground
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.proc import cpu_clock
from tests.benchmarks.running import Server, serving

HYBRID: Final = "X25519MLKEM768"

_HOST: Final = "127.0.0.1"
_WARM_UP_SECONDS: Final = 0.4


# Servers -----------------------------------------------------------------------------------------


def serve(server_class: str, engine: str, port: str, certfile: str, keyfile: str) -> None:
    """Serve until SIGTERM, with a hardened context on one engine."""
    import logging

    import tlshttp

    logging.disable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    certificate = tlshttp.certs.load(certfile, keyfile)
    with getattr(tlshttp, server_class)(
        (_HOST, int(port)), apps.Handler, certificate=certificate, engine=engine
    ) as server:
        server.serve_forever()


def _ours(server_class: str, engine: str) -> Peer:
    def command(ground: Ground, port: int) -> list[str]:
        files = str(ground.certfile), str(ground.keyfile)
        program = [sys.executable, "-m", "tests.benchmarks.engines", "serve"]
        return [*program, server_class, engine, str(port), *files]

    return Peer(f"{server_class}, {engine}", engine, command, module="tlshttp", ours=True)


def _servers() -> list[Peer]:
    ours = [
        _ours(server_class, engine)
        for server_class in ("TLSHTTPServer", "ThreadingTLSHTTPServer")
        for engine in ("ssl", "pyopenssl")
    ]
    return [*ours, *(peer for peer in PEERS if peer.name == "uvicorn")]


# Clients, each a process -------------------------------------------------------------------------


def visit(work: str, port: str, seconds: str) -> None:
    """Connect, get and close for some time; print how often."""
    if work == "hybrid":
        print(_visit_by_hybrid(int(port), float(seconds)))
    else:
        resume = work == "resumed"
        print(client.connections_for(int(port), float(seconds), resume=resume))


def _visit_by_hybrid(port: int, seconds: float) -> int:
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        with socket.create_connection((_HOST, port)) as raw:
            raw.settimeout(None)
            peer = SSL.Connection(context, raw)
            peer.set_connect_state()
            peer.do_handshake()
            if peer.get_group_name() != HYBRID:
                raise NotServed(f"by {peer.get_group_name()}, not {HYBRID}")
            peer.sendall(client.CLOSE)
            answer = b""
            with contextlib.suppress(SSL.ZeroReturnError):
                while True:
                    answer += peer.recv(4096)
        if not answer.endswith(apps.BODY):
            raise NotServed(f"answered {answer[:40]!r}")
        count += 1
    return count


def _connections(work: str) -> Callable[[Server, float], int]:
    def load(server: Server, seconds: float) -> int:
        program = [sys.executable, "-m", "tests.benchmarks.engines", "visit"]
        done = subprocess.run(
            [*program, work, str(server.port), str(seconds)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise NotServed(done.stderr.strip().rpartition("\n")[2])
        return int(done.stdout)

    return load


def _keep_alive(server: Server, seconds: float) -> int:
    return wrk.run(server.url, 16, seconds).requests


WORKS: Final[dict[str, Callable[[Server, float], int]]] = {
    "X25519": _connections("x25519"),
    "hybrid": _connections("hybrid"),
    "resumed": _connections("resumed"),
    "keep-alive-16": _keep_alive,
}


def has(peer: Peer, work: str) -> bool:
    """Tell whether a server can do a work."""
    return work != "hybrid" or peer.title == "pyopenssl" or ssl.OPENSSL_VERSION_INFO >= (3, 5)


# The comparison ----------------------------------------------------------------------------------


def compare(rounds: int, seconds: float) -> None:
    """Do each work on each server by turns; print medians, and ratios to uvicorn in each round."""
    figures: dict[tuple[str, str], list[float]] = defaultdict(list)
    with prepared_ground() as ground, contextlib.ExitStack() as stack:
        running = [(peer, stack.enter_context(serving(peer, ground))) for peer in _servers()]
        for work, load in WORKS.items():
            able = [(peer, server) for peer, server in running if has(peer, work)]
            for _, server in able:
                load(server, _WARM_UP_SECONDS)
            for turn in range(rounds):
                for peer, server in able if turn % 2 else reversed(able):
                    before = cpu_clock(server.pid)
                    count = load(server, seconds)
                    figures[work, peer.name].append((cpu_clock(server.pid) - before) * 1e6 / count)
    for (work, name), own in figures.items():
        base = figures.get((work, "uvicorn")) or figures["X25519", "uvicorn"]
        ratio = statistics.median(one / other for one, other in zip(own, base, strict=True))
        print(f"{work:14} {name:34} {statistics.median(own):8.1f} us  {ratio:.2f} of uvicorn's")


def main() -> None:
    """Compare; or serve, or visit, for a comparison."""
    roles: dict[str, Callable[..., None]] = {"serve": serve, "visit": visit}
    if sys.argv[1:2] and sys.argv[1] in roles:
        roles[sys.argv[1]](*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.engines", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each figure")
    options = parser.parse_args()
    compare(options.rounds, options.seconds)


if __name__ == "__main__":
    main()
