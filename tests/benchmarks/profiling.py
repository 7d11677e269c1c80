"""Run one server under one load and a public profiler."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.benchmarks import client, wrk
from tests.benchmarks.ground import Ground, NotServed
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.running import Server, serving

PROFILERS: Final = ("py-spy", "cprofile", "perf")
SECONDS: Final = 10

Load = Callable[[Server], object]

LOADS: Final[dict[str, Load]] = {
    "keep-alive-1": lambda server: wrk.run(server.url, 1, SECONDS + 1),
    "keep-alive-16": lambda server: wrk.run(server.url, 16, SECONDS + 1),
    "keep-alive-256": lambda server: wrk.run(server.url, 256, SECONDS + 1),
    "connect-full": lambda server: client.connections_for(server.port, SECONDS, resume=False),
    "connect-resumed": lambda server: client.connections_for(server.port, SECONDS, resume=True),
}


def profile(wish: str, profiler: str, ground: Ground, folder: Path) -> None:
    """Profile and write the result into a folder.

    Raises:
        ValueError: There is no such load or server.
        NotServed: The server or the profiler failed.
    """
    work, _, name = wish.partition("/")
    load, peer = LOADS.get(work), next((peer for peer in PEERS if peer.name == name), None)
    if load is None or peer is None:
        raise ValueError(f"--profile takes one of {', '.join(LOADS)}, a slash and a server")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{work}-{name}"
    try:
        {"py-spy": _py_spy, "cprofile": _cprofile, "perf": _perf}[profiler](
            peer, ground, load, file.resolve()
        )
    except FileNotFoundError as error:
        raise NotServed(f"{error.filename} is not installed") from error


def _py_spy(peer: Peer, ground: Ground, load: Load, file: Path) -> None:
    """Sample a hundred times a second, native frames included, and draw a flame graph."""
    svg = file.with_suffix(".svg")
    with serving(peer, ground) as server:
        _attached(
            [
                "py-spy",
                "record",
                "--native",
                "--subprocesses",
                "--threads",
                f"--pid={server.pid}",
                f"--duration={SECONDS}",
                f"--output={svg}",
            ],
            lambda: load(server),
        )
    print(f"flame graph: {svg}")


def _cprofile(peer: Peer, ground: Ground, load: Load, file: Path) -> None:
    """Count every call on the main thread: the whole of TLSHTTPServer."""
    prof = file.with_suffix(".prof")
    with serving(peer, ground, prefix=["-m", "cProfile", "-o", str(prof)]) as server:
        load(server)
    program = "import pstats, sys; pstats.Stats(sys.argv[1]).sort_stats('tottime').print_stats(25)"
    subprocess.run([sys.executable, "-c", program, str(prof)], check=True)
    print(f"profile: {prof}")


def _perf(peer: Peer, ground: Ground, load: Load, file: Path) -> None:
    """Sample kernel, OpenSSL and interpreter; with Python functions from Python 3.12 on."""
    data = file.with_suffix(".data")
    prefix = ["-X", "perf"] if sys.version_info >= (3, 12) and peer.program is None else []
    with serving(peer, ground, prefix=prefix) as server:
        _attached(
            [
                "perf",
                "record",
                "-q",
                "-g",
                f"--pid={server.pid}",
                f"--output={data}",
                "--",
                "sleep",
                str(SECONDS),
            ],
            lambda: load(server),
        )
    shown = ["perf", "report", f"--input={data}", "--stdio", "--no-children", "-g", "none"]
    report = subprocess.run(shown, capture_output=True, text=True, check=False).stdout
    print("\n".join(report.splitlines()[:60]), f"\nprofile: {data}")


def _attached(command: list[str], load: Callable[[], object]) -> None:
    """Run a profiler, from this environment or the system, while the load runs."""
    beside = shutil.which(command[0], path=Path(sys.executable).parent)
    thread = threading.Thread(target=load)
    thread.start()
    try:
        done = subprocess.run(
            [beside or command[0], *command[1:]], capture_output=True, text=True, check=False
        )
    finally:
        thread.join()
    if done.returncode:
        raise NotServed(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
