"""Do every work with every server, in interleaved rounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from tests.benchmarks import machine
from tests.benchmarks.ground import Ground, NotServed
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.progress import Progress
from tests.benchmarks.results import Figure, Results
from tests.benchmarks.scale import Scale
from tests.benchmarks.works import WORKS, Work

Cell = tuple[Work, Peer]


def run(ground: Ground, scale: Scale, only: Sequence[str], save: Callable[[Results], None]) -> None:
    """Measure, and save after each round what there is.

    Args:
        ground: Where.
        scale: How much.
        only: Patterns ``WORK/PEER``, of which one must match; either part may be left out.
        save: Called after every round, and when the session is interrupted.
    """
    results = Results(machine=machine.facts(), scale=dataclasses.asdict(scale))
    cells = list(_possible(selection(only), results))
    results.versions = {peer.name: peer.version() for peer in dict.fromkeys(p for _, p in cells)}
    progress = Progress(scale.rounds * len(cells))
    try:
        for turn in range(scale.rounds):
            for work, peer in rotated(cells, turn):
                progress.step(f"round {turn + 1}: {work.name}", peer.name)
                _measure(work, peer, ground, scale, results, turn)
            save(results)
    finally:
        progress.end()
        save(results)


def selection(only: Sequence[str]) -> list[Cell]:
    """Return which works are done with which servers.

    Raises:
        ValueError: A pattern matches nothing.
    """
    cells = [
        (work, peer) for work in WORKS for peer in PEERS if not work.only or peer.name in work.only
    ]
    for pattern in only:
        if not any(_matches(cell, pattern) for cell in cells):
            raise ValueError(f"--only {pattern} matches no work and server")
    return [cell for cell in cells if not only or any(_matches(cell, each) for each in only)]


def rotated(cells: list[Cell], turn: int) -> Iterator[Cell]:
    """Yield all cells work by work, each round beginning with another server."""
    for work in dict.fromkeys(work for work, _ in cells):
        peers = [peer for each, peer in cells if each is work]
        first = turn % len(peers)
        yield from ((work, peer) for peer in peers[first:] + peers[:first])


def _matches(cell: Cell, pattern: str) -> bool:
    work, _, peer = pattern.partition("/")
    return fnmatchcase(cell[0].name, work or "*") and fnmatchcase(cell[1].name, peer or "*")


def _possible(cells: list[Cell], results: Results) -> Iterator[Cell]:
    """Yield the cells for which everything is installed; take note of the others."""
    for cell in cells:
        missing = {part.name: part.missing() for part in cell}
        results.skipped |= {name: why for name, why in missing.items() if why}
        if not any(missing.values()):
            yield cell


def _measure(
    work: Work, peer: Peer, ground: Ground, scale: Scale, results: Results, turn: int
) -> None:
    figure = Figure(work.name, work.metrics[0].name, peer.name)
    if peer.name in results.failures.get(work.name, {}) and not results.values(figure):
        return  # a server that wedged in the first round does so again, and that takes long
    try:
        results.add(turn, work.name, peer.name, work.measure(peer, ground, scale))
    except (NotServed, OSError) as error:
        results.fail(work.name, peer.name, str(error))
