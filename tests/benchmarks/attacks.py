"""How long honest clients wait while others attack, and what the worst peers cost.

Run by hand: ``python -m tests.benchmarks.attacks NAME... --server single|threading|both``. The
server, the attackers and the honest client are a process each. ``--source`` measures another
checkout's tlshttp: the path of its folder ``src``.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.server.attacks import Honest, ask_honestly, besieged, client_context
from tests.server.program import ServerProcess, server_process

SERVERS: Final = {"single": "TLSHTTPServer", "threading": "ThreadingTLSHTTPServer"}

Load = Callable[[ServerProcess, str], contextlib.AbstractContextManager[object]]
"""Attacks a server, with a version of TLS, while its block runs."""


@dataclass(frozen=True)
class Row:
    """One attack at full size."""

    load: Load
    options: dict[str, Any] = field(default_factory=dict)
    """Of the server."""
    program: str | None = None
    """What must be installed."""


def _ours(name: str, count: int, **options: Any) -> Row:
    """Return an attack written in Python."""

    def load(server: ServerProcess, version: str) -> contextlib.AbstractContextManager[object]:
        return besieged(name, count, server.port, version)

    return Row(load, options)


def _program(*command: str) -> Row:
    """Return an attack by a program; ``{url}`` in its arguments is the server's."""

    @contextlib.contextmanager
    def load(server: ServerProcess, version: str) -> Iterator[None]:
        url = f"https://localhost:{server.port}"
        with subprocess.Popen(
            [word.replace("{url}", url) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield
            finally:
                process.terminate()

    return Row(load, program=command[0])


def _slowhttptest(*options: str) -> Row:
    common = ("-c", "300", "-r", "150", "-l", "25", "-p", "3")
    return _program("slowhttptest", *options, *common)


def _wrk_pipelining(batch: int) -> Row:
    """Return an attack by wrk, whose script has so many requests in a batch."""
    script = (
        f"init=function() local r={{}}; for i=1,{batch} do r[i]=wrk.format('GET','/') end; "
        "req=table.concat(r) end request=function() return req end\n"
    )

    @contextlib.contextmanager
    def load(server: ServerProcess, version: str) -> Iterator[None]:
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
            file.write(script)
            file.flush()
            wrk = _program("wrk", "-t1", "-c16", "-d60s", "-s", file.name, "{url}/")
            with wrk.load(server, version):
                yield

    return Row(load, program="wrk")


_LARGE_BODY = ("-B", "-i", "5", "-s", "1000000", "-t", "POST", "-x", "10", "-u", "{url}/x")
_SMALL_BODY = ("-B", "-i", "5", "-s", "8192", "-t", "POST", "-x", "10", "-u", "{url}/x")
_SLOW_READ = (
    "-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3", "-u", "{url}/large",
)  # fmt: skip

ROWS: Final[dict[str, Row]] = {
    "uploads": _ours("slow-length", 128),
    "uploads-chunked": _ours("slow-chunked", 128),
    "uploads-expected": _ours("slow-expected", 128),
    "non-readers": _ours("non-readers", 128),
    "non-readers-of-new-pieces": _ours("non-readers-of-new-pieces", 128),
    "non-readers-of-one-object": _ours("non-readers-of-one-object", 128),
    "slow-readers": _ours("slow-readers", 128),
    "idle-functions": _ours("many-idle", 128, handler="function"),
    "idle-own-handle": _ours("many-idle", 128, handler="own-handle"),
    "everything": _ours("everything", 128),
    "everything-of-new-pieces": _ours("everything-of-new-pieces", 128),
    "everything-of-one-object": _ours("everything-of-one-object", 128),
    "everything-functions": _ours("everything", 128, handler="function"),
    "everything-streaming": _ours("everything", 128, handler="streaming"),
    "pipelining-1": _ours("pipelining", 1),
    "pipelining-2": _ours("pipelining", 2),
    "pipelining-4": _ours("pipelining", 4),
    "pipelining-32": _ours("pipelining", 32),
    "wrk-400": _wrk_pipelining(400),
    "wrk-4000": _wrk_pipelining(4000),
    "tiny-pipeline": _ours("tiny-pipeline", 8),
    "silent-expected": _ours("silent-expected", 128),
    "silent-chunked": _ours("silent-chunked", 128),
    "silent-zeros": _ours("silent-zeros", 128),
    "one-byte-records": _ours("one-byte-records", 2),
    "one-byte-records-of-a-body": _ours("one-byte-records-of-a-body", 2),
    "one-byte-chunks": _ours("one-byte-chunks", 2),
    "chunk-extensions": _ours("chunk-extensions", 2),
    "slowhttptest-H": _slowhttptest("-H", "-i", "10", "-u", "{url}/"),
    "slowhttptest-B-8192": _slowhttptest(*_SMALL_BODY),
    "slowhttptest-B-1000000": _slowhttptest(*_LARGE_BODY),
    "slowhttptest-X": _slowhttptest(*_SLOW_READ),
    "slowhttptest-R": _slowhttptest("-R", "-a", "10", "-b", "3000", "-u", "{url}/"),
}


def measure(row: Row, server_class: str, options: argparse.Namespace) -> str:
    """Measure an attack once, and return a line of the table."""
    context = client_context(options.tls)
    with server_process(server_class, source=options.source, **row.options) as server:
        _ask(server, context, 1)
        unloaded = _ask(server, context, options.seconds / 3)
        with row.load(server, options.tls) as refused:
            loaded = _ask(server, context, options.seconds)
    within = all(
        loaded.percentile(99, kept=kept) <= 3 * unloaded.percentile(99, kept=kept) + 0.005
        for kept in (False, True)
    )
    verdict = "yes" if within and not loaded.failed else "NO"
    more = f", attackers gave up: {refused}" if refused else ""
    return f"{_figures(unloaded)} | {_figures(loaded)} | {verdict}{more}"


def _ask(server: ServerProcess, context: Any, seconds: float) -> Honest:
    return ask_honestly(
        server.address, context, count=100_000, seconds=seconds, patience=15, pause=0.01
    )


def _figures(honest: Honest) -> str:
    """Return p50 and p99 of fresh connections, p99 of the kept one, and the worst of all."""
    seconds = (
        honest.percentile(50),
        honest.percentile(99),
        honest.percentile(99, kept=True),
        honest.worst,
    )
    p50, p99, kept, worst = (each * 1000 for each in seconds)
    count = len(honest.fresh)
    return f"{p50:7.1f} {p99:8.1f} {kept:8.1f} {worst:8.1f} {count:5} {honest.failed:3}"


HEAD: Final = (
    f"{'attack':28} {'server':10} | ms, unloaded: p50, p99, p99 kept, worst; count, failed | "
    "the same under attack | both p99 within 3 times plus 5 ms"
)


def main() -> None:
    """Measure what the command line names."""
    options = _parser().parse_args()
    print(HEAD)
    servers = SERVERS if options.server == "both" else (options.server,)
    for name, server in itertools.product(options.names or ROWS, servers):
        row = ROWS[name]
        if row.program and shutil.which(row.program) is None:
            print(f"{name:28} {row.program} is not installed")
            continue
        try:
            line = measure(row, SERVERS[server], options)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            line = f"the server did not survive: {str(error)[:100]}"
        print(f"{name:28} {server:10} | {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.attacks", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", choices=[*ROWS, []], help="which; default: all")
    parser.add_argument("--server", choices=[*SERVERS, "both"], default="both")
    parser.add_argument("--tls", choices=["1.2", "1.3"], default="1.3", help="version of TLS")
    parser.add_argument("--seconds", type=float, default=12.0, help="under attack")
    parser.add_argument("--source", type=Path, help="the folder src of another checkout")
    return parser


if __name__ == "__main__":
    main()
