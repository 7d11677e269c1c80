"""A temporary file that is kept to be written over: one, not for long, not in two processes."""

from __future__ import annotations

import gc
import io
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.support import nothing_left_behind
from tlshttp._budget import Budget
from tlshttp._kept_file import KeptFile
from tlshttp._spool import Spool

MIB = 1 << 20
LONG = 3_600.0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have temporary files in a folder of our own, in which there is never anything to be seen."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with nothing_left_behind():
        yield tmp_path
    assert not [*tmp_path.iterdir()]


def file_of(spool: Spool) -> IO[bytes]:
    """Return what is underneath a spool."""
    return spool._files[-1]._file


def filled(budget: Budget, data: bytes) -> Spool:
    """Return a spool with all of that in a file."""
    spool = Spool(budget, 0)
    spool.append(data)
    return spool


@pytest.fixture
def budget() -> Iterator[Budget]:
    """Return a budget without limits, of which nothing is left afterwards."""
    budget = Budget(0, None)
    yield budget
    assert budget.disk == 0
    budget.kept.close(time.monotonic() + LONG)
    assert not budget.kept.there


def test_the_next_writes_over_it_and_reads_nothing_of_it(budget: Budget) -> None:
    """However much of what was in it before is still there behind the end."""
    first = filled(budget, b"1" * (2 * MIB))
    kept = file_of(first)
    first.clear()
    assert (budget.disk, kept.closed) == (0, False)
    second = filled(budget, b"2" * 10)
    assert file_of(second) is kept
    assert budget.disk == 10
    second.append(b"3" * 10)
    assert second.read_all() == b"2" * 10 + b"3" * 10
    third = filled(budget, b"4" * (3 * MIB))
    assert third.read_all() == b"4" * (3 * MIB)


def test_there_is_one(budget: Budget) -> None:
    """What ends next is closed, and who comes next makes another."""
    spools = [filled(budget, bytes(2 * MIB)) for _ in range(3)]
    files = [file_of(spool) for spool in spools]
    for spool in spools:
        spool.clear()
    assert [file.closed for file in files] == [False, True, True]
    first, second = filled(budget, bytes(10)), filled(budget, bytes(10))
    assert file_of(first) is files[0]
    assert file_of(second) not in files
    first.clear()
    second.clear()


@pytest.fixture
def at_odds() -> Iterator[None]:
    """Have threads take turns after every few steps."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("at_odds")
def test_there_is_one_whichever_threads_give_and_take(budget: Budget) -> None:
    """Nobody gets what another has, and no second one is kept."""
    kept = budget.kept
    held: set[IO[bytes]] = set()
    wrong: list[str] = []

    def give_and_take() -> None:
        for _ in range(2_000):
            file = kept.take() or io.BytesIO()
            if file in held:
                wrong.append("two have it")
            held.add(file)
            held.discard(file)
            if kept.keep(file, MIB) and len(kept.there) > 1:
                wrong.append("two are kept")

    threads = [threading.Thread(target=give_and_take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert kept.there


def test_there_is_one_in_all(budget: Budget) -> None:
    """Used again, it counts for what is in it then, and has what has been there: but for one.

    Else each of a thousand small bodies could have a large file, one after the other.
    """
    filled(budget, bytes(2 * MIB)).clear()
    small, other = filled(budget, bytes(10)), filled(budget, bytes(2 * MIB))
    large = file_of(other)
    other.clear()
    assert large.closed
    assert not budget.kept.there
    small.clear()  # too small by now: it is closed, too
    other = filled(budget, bytes(2 * MIB))
    large = file_of(other)
    other.clear()
    assert not large.closed


@pytest.mark.parametrize(
    ("disk", "size", "kept"),
    [
        (None, 64 * MIB, True),
        (None, 64 * MIB + 1, False),
        (None, MIB, True),
        (None, MIB - 1, False),
        (128 * MIB, 2 * MIB, True),
        (128 * MIB, 2 * MIB + 1, False),
        (64, 1, False),
    ],
)
def test_how_large_it_may_be(disk: int | None, size: int, kept: bool) -> None:
    """A 64th of the disk, and 64 MiB, at most; a small one is not worth it."""
    place = KeptFile(disk)
    with tempfile.TemporaryFile() as file:
        assert place.keep(file, size) is kept
        assert bool(place.there) is kept
        assert place.take() is (file if kept else None)


def test_it_is_closed_when_nobody_has_needed_it_for_a_while() -> None:
    """Not before: a second, counted from when it was given back."""
    place = KeptFile(None)
    with tempfile.TemporaryFile() as file:
        before = time.monotonic()
        assert place.keep(file, MIB)
        place.close(before + 0.9)
        assert (file.closed, bool(place.there)) == (False, True)
        place.close(time.monotonic() + 1.1)
        assert (file.closed, bool(place.there)) == (True, False)


def test_it_is_closed_when_its_budget_goes_in_a_reference_cycle() -> None:
    """Before Python finalizes the file itself, which would warn that it was open.

    The file is older than its place, and so the first to be finalized.
    """
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (it is kept)
    budget = Budget(0, None)
    cycle: dict[str, object] = {"budget": budget}
    budget.give_way = cycle.get  # type: ignore[assignment]
    assert budget.kept.keep(file, MIB)
    del file, budget, cycle
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert not caught


def test_when_a_server_has_ended_none_is_kept() -> None:
    """What others give back later, they close."""
    place = KeptFile(None)
    with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second:
        assert place.keep(first, MIB)
        place.end()
        assert (first.closed, bool(place.there)) == (True, False)
        assert not place.keep(second, MIB)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_child_has_none_of_its_parents(budget: Budget) -> None:
    """Both would write to the same file."""
    filled(budget, bytes(MIB)).clear()
    assert budget.kept.there
    child = os.fork()
    if not child:
        os._exit(len(budget.kept.there))
    assert os.waitpid(child, 0)[1] == 0
    assert budget.kept.there
