"""The speed of two checkouts, in one run, by turns.

Run by hand: ``python -m tests.benchmarks.compare OLD NEW``, each the path of a checkout. The server
has one core, the load another. Each checkout's ``src`` is run by its own ``.venv`` where there is
one. All figures are the server's CPU time, by the kernel's clock of its process.

Both servers are there all the time, and do the same work by turns, once without being measured:
what is measured is neither how a process begins nor how a file comes to be in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import apps, client, wrk
from tests.benchmarks.ground import (
    DOWNLOADS,
    GIB,
    UPLOAD,
    Ground,
    NotServed,
    on_core,
    prepared_ground,
)
from tests.benchmarks.proc import cpu_clock, kernel_seconds
from tests.support import free_port

HERE: Final = Path(__file__).parents[2]
SERVERS: Final = ("TLSHTTPServer", "ThreadingTLSHTTPServer")

_START_SECONDS = 20.0
_BLOCK = 1 << 18
_WARM_SECONDS = 0.5


@dataclass(frozen=True)
class Running:
    """A server under measurement."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Return the seconds of CPU that the process has used, of threads that ended, too."""
        return cpu_clock(self.pid)


# What is measured --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """One measurement; the figure is the server's CPU for each unit."""

    name: str
    unit: str
    handler: str
    measure: Callable[[Running, Ground, float], float]
    """Takes a server, the ground and seconds of load."""
    bound: float
    """The issue asks for at most so many times the old figure."""


def _keep_alive(connections: int) -> Callable[[Running, Ground, float], float]:
    def measure(server: Running, ground: Ground, seconds: float) -> float:
        url = f"https://127.0.0.1:{server.port}"
        wrk.run(url, connections, 1)
        before = server.cpu()
        report = wrk.run(url, connections, seconds)
        return (server.cpu() - before) * 1e6 / report.requests

    return measure


def _connect(server: Running, ground: Ground, seconds: float) -> float:
    client.connections_for(server.port, 0.3, resume=False)
    before = server.cpu()
    count = client.connections_for(server.port, seconds, resume=False)
    return (server.cpu() - before) * 1e6 / count


def _download(server: Running, ground: Ground, seconds: float) -> float:
    name, size = "256m", DOWNLOADS["256m"]
    buffer = bytearray(_BLOCK)
    before = server.cpu()
    with client.connect(server.port, client.create_context()) as peer:
        peer.sendall(f"GET /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        left = size + _head_size(peer, size)
        while left > 0 and (count := peer.recv_into(buffer)):
            left -= count
    if left:
        raise ValueError(f"{left} bytes of the download are missing")
    return (server.cpu() - before) * GIB / size


def _head_size(peer: ssl.SSLSocket, size: int) -> int:
    """Receive the head, and return how much of the body came with it, as less than nothing."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(16_384)
        if not piece:
            raise ValueError("no response")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0] or b"%d" % size not in head:
        raise ValueError(f"another response: {head[:100]!r}")
    return -len(body)


def _upload(server: Running, ground: Ground, seconds: float) -> float:
    size = UPLOAD[1]
    block = bytes(_BLOCK)
    before = server.cpu()
    with client.connect(server.port, client.create_context()) as peer:
        peer.settimeout(60)
        peer.sendall(
            f"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        for _ in range(size // _BLOCK):
            peer.sendall(block)
        _head_size(peer, len(apps.BODY))
    return (server.cpu() - before) * GIB / size


WORKS: Final = (
    Work("keep-alive-1", "us/request", "plain", _keep_alive(1), 1 / 0.97),
    Work("keep-alive-16", "us/request", "plain", _keep_alive(16), 1 / 0.97),
    Work("keep-alive-256", "us/request", "plain", _keep_alive(256), 1 / 0.97),
    Work("connect-GET-close", "us/request", "plain", _connect, 1 / 0.97),
    Work("download-copyfileobj", "s/GiB", "plain", _download, 0.9),
    Work("download-copyfile", "s/GiB", "simple", _download, 0.9),
    Work("download-files", "s/GiB", "files", _download, 0.9),
    Work("upload-collected", "s/GiB", "plain", _upload, 1.1),
    Work("upload-streamed", "s/GiB", "streaming", _upload, 0.85),
)

# The server --------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(tree: Path, server_class: str, handler: str, ground: Ground) -> Iterator[Running]:
    """Run a checkout's server on its core while the block runs."""
    python = _python_of(tree)
    port = free_port()
    words = ("serve", server_class, handler, str(port))
    files = (str(ground.certfile), str(ground.keyfile))
    with on_core(ground.server_core):
        process = subprocess.Popen(
            [python, "-m", "tests.benchmarks.compare", *words, *files],
            stdin=subprocess.DEVNULL,
            cwd=HERE,
            env=os.environ | {"PYTHONPATH": f"{tree / 'src'}", "BENCH_FOLDER": str(ground.folder)},
        )
    try:
        _wait_for(process, port)
        yield Running(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _python_of(tree: Path) -> str:
    """Return the interpreter that runs a checkout: its own, or ours."""
    own = tree / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


def _version_of(tree: Path) -> str:
    """Return the version and build of that interpreter."""
    command = (_python_of(tree), "-c", "import sys; print(sys.version)")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)


def serve(server_class: str, handler: str, port: str, certfile: str, keyfile: str) -> None:
    """Serve until SIGTERM: what runs on the server's core."""
    import logging

    import tlshttp

    expected = os.environ["PYTHONPATH"].partition(os.pathsep)[0]
    if not str(tlshttp.__file__).startswith(expected):
        sys.exit(f"{tlshttp.__file__} is not in {expected}")
    logging.disable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    kind = getattr(tlshttp, server_class)
    with kind(
        ("127.0.0.1", int(port)), _handler(handler), certfile=certfile, keyfile=keyfile
    ) as server:
        server.serve_forever()


def _handler(name: str) -> Any:
    import functools

    import tlshttp

    folder = os.environ["BENCH_FOLDER"]
    quiet = {"log_message": lambda *_: None, "log_request": lambda *_: None}
    match name:
        case "simple":
            simple = {**quiet, "protocol_version": "HTTP/1.1"}
            kind = type("Simple", (SimpleHTTPRequestHandler,), simple)
            return functools.partial(kind, directory=folder)
        case "files":
            kind = type("Files", (tlshttp.TLSFileRequestHandler,), quiet)
            return functools.partial(kind, directory=folder)
        case "streaming":
            return type("Streaming", (apps.Handler,), {"stream_request": True})
    return apps.Handler


# The comparison ----------------------------------------------------------------------------------


def compare(options: argparse.Namespace) -> None:
    """Do each work by turns, and print medians and the median of the ratios of each round.

    Besides, what part of it was in the kernel, by its coarse clock.
    """
    trees = {"old": options.old.resolve(), "new": options.new.resolve()}
    versions = {name: _version_of(tree) for name, tree in trees.items()}
    if versions["old"] != versions["new"]:
        sys.exit(f"they would run on different Pythons: {versions}")
    print(f"{'work':22} {'server':24} {'unit':10} {'old':>9} {'new':>9}  new/old  wanted")
    with prepared_ground() as ground:
        for work in WORKS:
            for server_class in SERVERS:
                if not fnmatchcase(f"{work.name}/{server_class}", options.only):
                    continue
                try:
                    line = _compared(work, server_class, trees, ground, options)
                except (OSError, ValueError, NotServed) as error:
                    line = f"failed: {error!r}"
                print(f"{work.name:22} {server_class:24} {line}", flush=True)


def _compared(
    work: Work,
    server_class: str,
    trees: dict[str, Path],
    ground: Ground,
    options: argparse.Namespace,
) -> str:
    figures: dict[str, list[float]] = {"old": [], "new": []}
    shares = []
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(serving(trees[name], server_class, work.handler, ground))
            for name in figures
        }
        for server in servers.values():
            work.measure(server, ground, _WARM_SECONDS)
        began = [kernel_seconds(server.pid) for server in servers.values()]
        for turn in range(options.rounds):
            for name in ("old", "new") if turn % 2 else ("new", "old"):
                figures[name].append(work.measure(servers[name], ground, options.seconds))
        for (kernel, whole), server in zip(began, servers.values(), strict=True):
            kernel_now, now = kernel_seconds(server.pid)
            shares.append((kernel_now - kernel) / max(now - whole, 0.01))
    ratios = [new / old for old, new in zip(figures["old"], figures["new"], strict=True)]
    ratio = statistics.median(ratios)
    old, new = (statistics.median(figures[name]) for name in ("old", "new"))
    verdict = "yes" if ratio <= work.bound else "NO"
    spread = f"({min(ratios):.3f} to {max(ratios):.3f})"
    in_kernel = "in the kernel " + ", ".join(f"{share:.2f}" for share in shares)
    return (
        f"{work.unit:10} {old:9.3f} {new:9.3f}  {ratio:.3f} {spread}  <= {work.bound:.3f} {verdict}"
        f"  {in_kernel}"
    )


def main() -> None:
    """Compare, or serve for a comparison."""
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.compare", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("old", type=Path, help="a checkout")
    parser.add_argument("new", type=Path, help="another")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load where time is given")
    parser.add_argument("--only", default="*", metavar="WORK/SERVER", help="a pattern")
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
