"""What a second worker adds, beside nginx: ``python -m tests.benchmarks.workers``.

``wrk`` asks `tlshttp.service` and nginx, with one worker and with two, by turns in one run: over
connections that are kept, and over a new one for each request. Each worker has a core, and as many
connections as any other has: one on one core is compared with two on two. Where load and workers
have to share these, as on a machine with two, rates tell less than what is used: so there is,
besides, how many times one worker's load two can carry, each on a core of its own, by the CPU time
of a request; and how evenly they have shared the work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.benchmarks import apps, wrk
from tests.benchmarks.ground import Ground, NotServed, prepared_ground
from tests.benchmarks.peers import PEERS, Command, Peer
from tests.benchmarks.proc import cpu_clock, family
from tests.benchmarks.running import Server, serving

WORKS: Final = {"keep-alive": (), "connect": ("-H", "Connection: close")}
"""What is asked, by the arguments of wrk."""

_CONNECTIONS: Final = 16
"""For each worker: one that has fewer sleeps more often, and each time it is woken costs."""

_FULL, _ENOUGH = 2, 1.7
_MOST_ERRORS: Final = 0.01
"""Of requests: wrk counts what takes two seconds, as on a machine that has other things to do."""


@dataclass(frozen=True)
class Sample:
    """What one server did in one round."""

    rate: float
    """Requests a second."""
    cpu: float
    """Seconds of CPU for a request, of all processes of the server."""
    busiest: float
    """The part of that which the process used that used most."""


Samples = dict[tuple[str, int, str], list[Sample]]
"""By server, workers and work."""


def main() -> None:
    """Measure, or serve for another process that does."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.workers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each measurement")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(*options.serve)
        return
    with prepared_ground() as ground:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        samples = measure(ground, options.rounds, options.seconds)
    for line in report(samples):
        print(line)


def measure(ground: Ground, rounds: int, seconds: float) -> Samples:
    """Have all servers asked by turns."""
    samples: Samples = defaultdict(list)
    servers = [(name, workers) for workers in (1, _FULL) for name in ("tlshttp", "nginx")]
    for number in range(rounds):
        for name, workers in servers[number % 4 :] + servers[: number % 4]:
            with serving(_peer(name, workers), ground) as server:
                for work in WORKS:
                    samples[name, workers, work].append(_sample(server, workers, work, seconds))
    return samples


def report(samples: Samples) -> Iterator[str]:
    """Yield medians, and what the second worker adds: medians of the rounds' ratios."""
    yield f"{'':22}{'requests/s':>12}{'us CPU each':>13}{'busiest':>9}"
    for (name, workers, work), found in sorted(samples.items(), key=lambda item: item[0][::-1]):
        rate = statistics.median(sample.rate for sample in found)
        cpu = statistics.median(sample.cpu for sample in found) * 1e6
        busiest = statistics.median(sample.busiest for sample in found)
        yield f"{work:11}{name:9}{workers:2}{rate:12.0f}{cpu:13.1f}{busiest:9.0%}"
    for work in WORKS:
        for name in ("tlshttp", "nginx"):
            pairs = list(zip(samples[name, 1, work], samples[name, _FULL, work], strict=True))
            rates = statistics.median(two.rate / one.rate for one, two in pairs)
            carried = statistics.median(_FULL * one.cpu / two.cpu for one, two in pairs)
            yield (
                f"{work}, {name}: two workers answer {rates:.2f} times as many here, and carry"
                f" {carried:.2f} times as many by their CPU time (wanted: {_ENOUGH})"
            )


def _sample(server: Server, workers: int, work: str, seconds: float) -> Sample:
    command = [
        "wrk", "-t1", f"-c{_CONNECTIONS * workers}", f"-d{max(1, round(seconds))}s", "--latency",
        *WORKS[work], f"{server.url}/",
    ]  # fmt: skip
    processes = list(family(server.pid))
    before = [cpu_clock(pid) for pid in processes]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30)
    used = [cpu_clock(pid) - began for pid, began in zip(processes, before, strict=True)]
    found = wrk.parse(done.stdout)
    if found.errors > _MOST_ERRORS * found.requests or not found.requests:
        raise NotServed(f"{found.errors} errors in {found.requests} requests")
    return Sample(found.rate, sum(used) / found.requests, max(used) / sum(used))


# The servers --------------------------------------------------------------------------------------


def _peer(name: str, workers: int) -> Peer:
    command = _nginx(workers) if name == "nginx" else _service(workers)
    cores = ",".join(map(str, range(workers)))
    return Peer(name, name, lambda ground, port: ["taskset", "-c", cores, *command(ground, port)])


def _nginx(workers: int) -> Command:
    (one,) = (peer for peer in PEERS if peer.name == "nginx")

    def command(ground: Ground, port: int) -> list[str]:
        words = one.command(ground, port)
        file = ground.folder / "nginx.conf"
        text = file.read_text()
        file.write_text(text.replace("worker_processes 1;", f"worker_processes {workers};"))
        return words

    return command


def _service(workers: int) -> Command:
    def command(ground: Ground, port: int) -> list[str]:
        words = map(str, (workers, port, ground.certfile, ground.keyfile))
        return [sys.executable, "-m", "tests.benchmarks.workers", "--serve", *words]

    return command


def _serve(workers: str, port: str, certfile: str, keyfile: str) -> None:
    import logging

    from tlshttp import ThreadingTLSHTTPServer, service

    logging.disable()

    def make_server() -> ThreadingTLSHTTPServer:
        return ThreadingTLSHTTPServer(
            ("127.0.0.1", int(port)), apps.Handler, certfile=certfile, keyfile=keyfile
        )

    service.run(make_server, workers=int(workers))


if __name__ == "__main__":
    main()
