"""The command line of the benchmarks: ``python -m tests.benchmarks``; ``nox -s bench`` calls it."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import profiling, report, session
from tests.benchmarks.ground import NotServed, prepared_ground
from tests.benchmarks.peers import PEERS
from tests.benchmarks.results import Results
from tests.benchmarks.scale import FULL, QUICK, Scale
from tests.benchmarks.works import WORKS


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or draw what was measured before, or profile."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server is left behind
    try:
        _run(options)
    except (NotServed, ValueError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("bench: interrupted; what was measured until then is in the folder")


def _run(options: argparse.Namespace) -> None:
    if options.profile:
        with prepared_ground() as ground:
            profiling.profile(options.profile, options.profiler, ground, options.out)
        return
    if options.render:
        results = Results.from_json(options.render.read_text())
    else:
        results = _measured(options)
    report.write(results, options.out)
    if options.publish:
        report.publish(results)
    print(report.text(results))


def _measured(options: argparse.Namespace) -> Results:
    latest = Results()

    def save(results: Results) -> None:
        nonlocal latest
        latest = results
        report.write(results, options.out)

    with prepared_ground() as ground:
        session.run(ground, _scale(options), options.only, save)
    return latest


def _scale(options: argparse.Namespace) -> Scale:
    scale = QUICK if options.quick else FULL
    wishes = {"rounds": options.rounds, "seconds": options.seconds}
    return dataclasses.replace(scale, **{name: value for name, value in wishes.items() if value})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nox -s bench --",
        description="Measure tlshttp beside what people would pick instead.",
        epilog=f"Works: {', '.join(work.name for work in WORKS)}. "
        f"Servers: {', '.join(peer.name for peer in PEERS)}.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it runs")
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORK/PEER",
        help="only these, as patterns: keep-alive-16, /uvicorn, 'connect-*/tlshttp*'; repeatable",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, help=f"how often all is done (default {FULL.rounds})")
    parser.add_argument(
        "--seconds", type=float, help=f"of load for each measurement (default {FULL.seconds})"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench"), help="folder for JSON, table and chart"
    )
    parser.add_argument(
        "--render", type=Path, metavar="JSON", help="measure nothing: draw this file's results"
    )
    parser.add_argument(
        "--publish", action="store_true", help="put the results into the documentation, too"
    )
    parser.add_argument(
        "--profile", metavar="WORK/PEER", help="measure nothing: profile a server under a load"
    )
    parser.add_argument(
        "--profiler", choices=profiling.PROFILERS, default="py-spy", help="with which tool"
    )
    return parser


if __name__ == "__main__":
    main()
