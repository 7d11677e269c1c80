"""What waits for its peer: in memory, then in a file of which nothing is left, both bounded."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import tempfile
import textwrap
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import UNIT, Belongings, nothing_left_behind
from tlshttp import _blocks, _budget, _late, _spool, _temporary_file, _to_write
from tlshttp._blocks import BLOCK
from tlshttp._budget import Budget, NoRoom
from tlshttp._spool import Spool
from tlshttp._to_write import AT_ONCE

FREE = 4_096
"""Bytes that each has in memory whatever the others have."""

KEEPS_NOTHING = 32 << 20
"""Bytes of disk of which a 64th is too small for a file that is kept."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have temporary files in a folder of our own, in which there is never anything to be seen."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with nothing_left_behind():
        yield tmp_path
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that grows with each temporary file that is made."""
    made: list[Any] = []
    original: Any = tempfile.TemporaryFile

    def listen(*arguments: Any, **more: Any) -> Any:
        made.append(original(*arguments, **more))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", listen)
    return made


def in_memory(spool: Spool) -> int:
    """Return how many bytes of it are not on disk."""
    return spool.size - spool._on_disk


def test_what_does_not_fit_with_all_that_is_to_come_is_refused_at_once(files: list[Any]) -> None:
    """Nothing is written, and nothing taken, unless there is room for the rest.

    That is asked once: others may have taken some of that room since.
    """
    budget = Budget(0, 10_000)
    spool = Spool(budget, FREE)
    with pytest.raises(NoRoom):
        spool.append(bytes(5_000), 5_001)
    assert (spool.size, budget.disk, files) == (0, 0, [])
    spool.append(bytes(5_000), 5_000)
    assert budget.disk == 5_000
    spool.append(bytes(2_500), 10_000)
    assert spool.size == budget.disk == 7_500
    spool.clear()
    assert not budget.disk


class Peer:
    """Whoever holds something; all of an address have one name."""

    def __init__(self, group: bytes) -> None:
        self.group = group


def on_disk(budget: Budget, size: int, holder: Any = None) -> Spool:
    """Return a spool with so many bytes, all of which are on disk."""
    spool = Spool(budget, 0, holder)
    spool.append(bytes(size))
    return spool


def test_large_files_are_closed_one_by_one_where_one_thread_serves_all(files: list[Any]) -> None:
    """Each counts until it is closed; small ones, which take no time, are closed at once."""
    budget = Budget(0, KEEPS_NOTHING)
    budget.postpones = True
    spools = [on_disk(budget, size) for size in (2 << 20, 1 << 20, 1000)]
    for spool in spools:
        spool.clear()
    assert ([file.closed for file in files], budget.disk) == ([False, False, True], 3 << 20)
    assert budget.close_one()
    assert ([file.closed for file in files], budget.disk) == ([True, False, True], 1 << 20)
    assert budget.close_one()
    assert not budget.close_one()
    assert ([file.closed for file in files], budget.disk) == ([True] * 3, 0)


def test_who_needs_room_closes_what_has_been_left_for_later() -> None:
    """What has been given back, or gives way just now, is room."""
    budget = Budget(0, 3 << 20)
    budget.postpones = True
    on_disk(budget, 2 << 20).clear()
    second = on_disk(budget, 2 << 20, Peer(b"greedy"))
    assert budget.disk == 2 << 20
    given_way: list[object] = []

    def give_way(holder: object) -> bool:
        given_way.append(holder)
        second.clear()
        return True

    budget.give_way = give_way
    third = on_disk(budget, 2 << 20, Peer(b"modest"))
    assert (len(given_way), budget.disk) == (1, 2 << 20)
    third.clear()
    assert budget.close_one()
    assert not budget.disk


def test_what_is_small_stays_in_memory(files: list[Any]) -> None:
    """In order, however small the pieces, and without taking anything of what others have."""
    budget = Budget(0, 0)
    spool = Spool(budget, 65_536)
    for number in range(FREE):
        spool.append(bytes([number % 256]))
    assert (spool.size, in_memory(spool)) == (FREE, FREE)
    assert (budget.memory, budget.disk, files) == (0, 0, [])
    assert spool.read_all() == bytes(range(256)) * (FREE // 256)
    assert (spool.size, in_memory(spool)) == (0, 0)
    assert spool.read(10) == b""


def test_what_is_more_goes_to_a_file(files: list[Any], folder: Path) -> None:
    """And comes back in order; nobody sees the file, and it is gone when it has been read."""
    budget = Budget(None, None)
    spool = Spool(budget, 10_000)
    pieces = [bytes([number]) * 3_000 for number in range(10)]
    for piece in pieces:
        spool.append(piece)
    assert (spool.size, in_memory(spool)) == (30_000, 9_000)
    assert (budget.memory, budget.disk) == (9_000 - FREE, 21_000)
    assert len(files) == 1
    assert not [*folder.iterdir()]
    assert spool.read_all() == b"".join(pieces)
    assert (budget.memory, budget.disk) == (0, 0)
    assert files[0].closed


def test_large_piece_may_go_to_a_file_whole(files: list[Any]) -> None:
    """A piece is not divided between memory and file."""
    spool = Spool(Budget(None, None), 10_000)
    spool.append(memoryview(b"x" * 20_000))
    assert (spool.size, in_memory(spool), len(files)) == (20_000, 0, 1)
    assert spool.read(5) == b"xxxxx"
    spool.clear()


def test_no_limit_in_memory_means_no_file(files: list[Any]) -> None:
    """``Limits.max_buffer_memory`` of `None`."""
    spool = Spool(Budget(None, 0), None)
    spool.append(b"x" * 1_000_000)
    assert in_memory(spool) == 1_000_000
    assert spool.read_all() == b"x" * 1_000_000
    assert not files


def test_memory_is_shared(files: list[Any]) -> None:
    """Where the others have it all, the file begins after the first few kilobytes."""
    budget = Budget(10_000, None)
    first, second = Spool(budget, 65_536), Spool(budget, 65_536)
    first.append(b"1" * 12_000)
    second.append(b"2" * FREE)
    assert budget.memory == 12_000 - FREE
    second.append(b"3" * 5_000)  # there is room for less than that
    assert (in_memory(second), len(files)) == (FREE, 1)
    first.clear()
    assert budget.memory == 0
    second.append(b"4" * 5_000)  # it has a file, and what comes in order goes there
    assert in_memory(second) == FREE
    assert second.read_all() == b"2" * FREE + b"3" * 5_000 + b"4" * 5_000
    second.append(b"5" * 9_000)
    assert in_memory(second) == 9_000
    second.clear()
    assert (budget.memory, budget.disk) == (0, 0)


def test_what_does_not_fit_on_disk_is_not_added() -> None:
    """It is told, nothing is taken, and the rest is as it was."""
    budget = Budget(0, 10_000)
    spool = Spool(budget, 0)
    spool.append(b"1" * 6_000)
    other = Spool(budget, 0)
    for _ in range(2):
        with pytest.raises(NoRoom):
            other.append(b"2" * 6_000)
    assert (other.size, budget.disk) == (0, 6_000)
    other.append(b"2" * 4_000)
    assert budget.disk == 10_000
    assert spool.read_all() == b"1" * 6_000
    other.append(b"3" * 6_000)
    assert other.read_all() == b"2" * 4_000 + b"3" * 6_000
    assert budget.disk == 0


def test_who_waits_for_room_is_told_of_it() -> None:
    """Each time that something on disk is given back."""
    told: list[int] = []
    budget = Budget(0, 10_000)
    budget.freed = lambda: told.append(budget.disk)
    spool = Spool(budget, 0)
    spool.append(b"1" * 10_000)
    assert not told
    spool.read_all()
    assert told == [0]


def test_room_on_disk_comes_back_while_there_is_always_something_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A peer that is never quite up to date does not have all on disk that it ever was sent."""
    monkeypatch.setattr(_spool, "_LARGEST_FILE", 200_000)
    budget = Budget(0, 550_000)
    spool = Spool(budget, 0)
    expected: deque[bytes] = deque()
    for number in range(400):
        piece = bytes([number % 256]) * 10_000
        spool.append(piece)
        expected.append(piece)
        if len(expected) > 10:
            assert spool.read(10_000) == expected.popleft()
    assert spool.read_all() == b"".join(expected)
    assert budget.disk == 0


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_adding_and_taking(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes in at one end comes out at the other, wherever it was meanwhile."""
    monkeypatch.setattr(_spool, "_LARGEST_FILE", 50_000 * seed or 1)
    chance = random.Random(seed)
    budget = Budget(30_000, None)
    spools = [(Spool(budget, 20_000), bytearray()) for _ in range(3)]
    for _ in range(2_000):
        spool, model = chance.choice(spools)
        if chance.random() < 0.5:
            data = chance.randbytes(chance.choice([1, 10, 3_000, 17_000]))
            spool.append(data)
            model += data
        else:
            data = spool.read(chance.choice([1, 100, 5_000, 65_536]))
            assert data == model[: len(data)]
            assert data or not model
            del model[: len(data)]
        if chance.random() < 0.01:
            spool.clear()
            model.clear()
        assert spool.size == len(model)
        assert budget.memory <= 30_000
    for spool, model in spools:
        assert spool.read_all() == model
    assert (budget.memory, budget.disk) == (0, 0)


# What is written bit by bit, where one thread serves all ------------------------------------------


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with the size of all that is written to files."""
    sizes: list[int] = []
    original = _temporary_file._write_at

    def write(file: Any, data: memoryview, at: int) -> int:
        sizes.append(len(data))
        return original(file, data, at)

    monkeypatch.setattr(_temporary_file, "_write_at", write)
    return sizes


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all be put off that a handler writes, however small, and kept as it is."""
    monkeypatch.setattr(_to_write, "_LARGE", 1)
    monkeypatch.setattr(_spool, "_SOON_WRITTEN", 0)


def postponing(memory: int | None, disk: int | None = None) -> Budget:
    """Return a budget of a server with one thread."""
    budget = Budget(memory, disk)
    budget.postpones = True
    budget.kept.end()  # else a file would be kept, not closed
    return budget


def left_of(budget: Budget) -> tuple[int, int]:
    """Return what counts in memory and on disk when nothing more is kept for others."""
    while budget.close_one():
        pass
    budget.end()
    return budget.memory, budget.disk


@pytest.mark.usefixtures("all_large")
def test_nothing_large_is_written_at_once_where_one_thread_serves_all(written: list[int]) -> None:
    """A part at a time is, afterwards; until then it counts as both, in memory and on disk."""
    budget = postponing(4 << 20)
    spool = Spool(budget, 0)
    size = 3 * AT_ONCE
    spool.append(bytes(size), 0, spool.write_on)
    assert (written, budget.memory, budget.disk) == ([], size, size)
    for memory in (size, size, 0):  # it is one object
        written.clear()
        assert len(budget.to_write) == 1
        budget.to_write.write_one()
        assert (sum(written), budget.memory, budget.disk) == (AT_ONCE, memory, size)
    assert not budget.to_write
    assert len(spool.read_all()) == size
    assert budget.disk == 0


def test_what_is_new_each_time_is_copied_and_written_later(written: list[int]) -> None:
    """As one piece after the other is that a handler reads or makes. The first are written."""
    budget = postponing(BLOCK)
    spool = Spool(budget, 0)
    pieces = [os.urandom(65_536) for _ in range(20)]
    for piece in pieces:
        spool.append(piece, 0, spool.write_on)
    assert (written, spool._late.size) == ([65_536] * 16, 4 * 65_536)
    assert (budget.memory, budget.disk) == (BLOCK, spool.size)
    assert len(budget.to_write) == 1
    budget.to_write.write_one()
    assert (written[16:], spool._late.size, len(budget.to_write)) == ([AT_ONCE], 0, 0)
    is_whole = spool.read_all() == b"".join(pieces)
    assert is_whole
    assert left_of(budget) == (0, 0)


def test_what_may_change_is_copied_however_large(written: list[int]) -> None:
    """Only `bytes` stay as they are."""
    budget = postponing(2 * BLOCK)
    spool = Spool(budget, 0)
    data = bytearray(os.urandom(5 << 20))
    before = bytes(data)
    spool.append(memoryview(data), 0, spool.write_on)
    data[:] = bytes(len(data))
    assert (written, budget.memory) == ([], 2 * BLOCK)
    is_whole = spool.read_all() == before
    assert is_whole
    assert left_of(budget) == (0, 0)


def test_what_is_written_over_and_over_takes_none(written: list[int]) -> None:
    """And what comes behind it waits for it, so that the order stays."""
    budget = postponing(8 << 20)
    spool = Spool(budget, 0)
    piece = os.urandom(65_536)
    for _ in range(10):
        if not spool.append_more(piece):
            spool.append(memoryview(piece), 0, spool.write_on)
    assert (written, spool._late.size, budget.memory) == ([65_536], 9 * 65_536, 9 * 65_536)
    spool.append(b"end", 0, spool.write_on)
    is_whole = spool.read_all() == piece * 10 + b"end"
    assert is_whole
    assert left_of(budget) == (0, 0)


def test_only_a_small_piece_is_remembered_for_that() -> None:
    """A large one would be kept by the server when nobody needs it any more."""
    budget = postponing(16 << 20)
    large = bytes(5 << 20)
    assert budget.to_write.may_have(large)
    assert budget.to_write.may_have(memoryview(large)[1:])
    assert not budget.to_write.may_have(memoryview(large)[: 1 << 20])
    assert budget.to_write._last is None


@pytest.mark.usefixtures("all_large")
def test_only_what_memory_has_no_room_for_is_written_at_once(written: list[int]) -> None:
    """The first that has come, so that the order stays."""
    budget = postponing(1 << 20)
    spool = Spool(budget, 0)
    pieces = [bytes([number]) * 65_536 for number in range(20)]
    for piece in pieces:
        spool.append(piece, 0, spool.write_on)
    assert sum(written) + budget.memory == 20 * 65_536
    assert sum(written) <= 1 << 20
    assert budget.memory
    is_whole = spool.read_all() == b"".join(pieces)
    assert is_whole
    while budget.close_one():
        pass
    assert (budget.memory, budget.disk) == (0, 0)


@pytest.mark.parametrize(
    ("memory", "parts", "kept"),
    [(13 << 20, 13, 51 * AT_ONCE + 5), (8 << 20, 33, 8 << 20)],
    ids=["as it is", "copied"],
)
def test_one_piece_that_is_too_large_for_memory_is_divided(
    memory: int, parts: int, kept: int, written: list[int]
) -> None:
    """As much is written at once as has to be, in such parts.

    Of what is left, three quarters of the piece have to be there for it to stay as it is: else
    memory would be held that does not count.
    """
    budget = postponing(memory)
    spool = Spool(budget, 0)
    data = random.Random(1).randbytes((16 << 20) + 5)
    spool.append(data, 0, spool.write_on)
    assert written == [AT_ONCE] * parts
    assert (spool.size, budget.memory) == (len(data), kept)
    is_whole = spool.read_all() == data
    assert is_whole
    assert left_of(budget) == (0, 0)


@pytest.mark.usefixtures("all_large")
def test_without_any_memory_all_is_written_at_once(written: list[int]) -> None:
    """Where others have it all, for instance, or there is none to be had."""
    budget = postponing(0)
    spool = Spool(budget, 0)
    spool.append(b"x" * 100_000, 0, spool.write_on)
    assert (sum(written), len(budget.to_write)) == (100_000, 0)
    assert spool.read_all() == b"x" * 100_000


@pytest.mark.usefixtures("all_large")
def test_without_a_limit_one_connection_has_its_share(
    written: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that nobody counts is not filled with what is for files."""
    monkeypatch.setattr(_late, "_MOST", 100_000)
    budget = postponing(None)
    spool = Spool(budget, 0)
    for _ in range(5):
        spool.append(bytes(50_000), 0, spool.write_on)
    assert spool.size - sum(written) <= 100_000
    spool.clear()


@pytest.mark.usefixtures("all_large")
def test_what_is_thrown_away_is_not_written_any_more(written: list[int]) -> None:
    """A peer that leaves has its memory and its part of the disk given back at once."""
    budget = postponing(1 << 20)
    spool = Spool(budget, 0, Peer(b"leaves"))
    spool.append(bytes(100_000), 0, spool.write_on)
    spool.clear()
    assert (budget.memory, budget.disk, budget._by_holder) == (0, 0, {})
    budget.to_write.write_one()
    assert (written, len(budget.to_write)) == ([], 0)


@pytest.mark.usefixtures("all_large")
def test_what_is_put_off_has_to_fit_on_disk() -> None:
    """So it is refused when it comes, not later."""
    budget = postponing(1 << 20, 100_000)
    spool = Spool(budget, 0)
    spool.append(bytes(60_000), 0, spool.write_on)
    with pytest.raises(NoRoom):
        spool.append(bytes(60_000), 0, spool.write_on)
    assert (spool.size, budget.memory, budget.disk) == (60_000, 60_000, 60_000)
    spool.clear()


@pytest.mark.usefixtures("all_large")
def test_who_does_not_put_off_writes_what_has_been_first(written: list[int]) -> None:
    """A handler that can wait, after one that could not."""
    budget = postponing(1 << 20)
    spool = Spool(budget, 0)
    spool.append(b"1" * 20_000, 0, spool.write_on)
    spool.append(b"2" * 10_000)
    assert written == [20_000, 10_000]
    assert spool.read_all() == b"1" * 20_000 + b"2" * 10_000
    assert (budget.memory, budget.disk) == (0, 0)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have blocks of 10 000 bytes."""
    for module in (_blocks, _budget, _late):
        monkeypatch.setattr(module, "BLOCK", 10_000)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("seed", range(10))
def test_any_order_of_adding_writing_and_taking(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes no difference to who reads what has been written meanwhile."""
    monkeypatch.setattr(_spool, "_LARGEST_FILE", 50_000 * seed or 1)
    monkeypatch.setattr(_spool, "AT_ONCE", 7_000)
    monkeypatch.setattr(_to_write, "_LARGE", 20_000)
    monkeypatch.setattr(_spool, "_SOON_WRITTEN", 30_000)
    chance = random.Random(seed)
    budget = postponing(60_000, 10_000_000)
    spools = [(Spool(budget, 20_000), bytearray()) for _ in range(3)]
    for _ in range(2_000):
        spool, model = chance.choice(spools)
        if chance.random() < 0.5:
            data = chance.randbytes(chance.choice([1, 10, 3_000, 17_000, 40_000]))
            to_come = chance.choice([0, 0, 5_000, 30_000])
            write_on = spool.write_on if chance.random() < 0.9 else None
            if chance.random() < 0.7 or not spool.append_more(data):
                spool.append(memoryview(data), to_come, write_on)
            model += data
        else:
            data = spool.read(chance.choice([1, 100, 5_000, 65_536]))
            assert data == model[: len(data)]
            assert data or not model
            del model[: len(data)]
        if budget.to_write and chance.random() < 0.3:
            budget.to_write.write_one()
        if budget.to_close and chance.random() < 0.3:
            budget.close_one()
        if chance.random() < 0.1:
            budget.look_after(chance.choice([0.0, float("inf")]))
        if chance.random() < 0.01:
            spool.clear()
            model.clear()
        assert spool.size == len(model)
        assert 0 <= budget.memory <= 60_000
    for spool, model in spools:
        assert spool.read_all() == model
    assert left_of(budget) == (0, 0)


# Disks that fail ---------------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return what makes each file have room for so many bytes, and take few at a time."""
    original = _temporary_file._write_at

    def make(room: int) -> None:
        def write(file: Any, data: memoryview, at: int) -> int:
            size = min(len(data), 1_000, room - at)
            if size <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(file, data[:size], at)

        monkeypatch.setattr(_temporary_file, "_write_at", write)

    return make


def test_full_disk_adds_nothing(full_disk: Callable[[int], None]) -> None:
    """What was there is there, and the next that fits goes behind it."""
    full_disk(10_000)
    budget = Budget(0, None)
    spool = Spool(budget, 0)
    spool.append(b"1" * 4_000)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            spool.append(b"2" * 7_000)
        assert (spool.size, budget.disk) == (4_000, 4_000)
    spool.append(b"3" * 6_000)
    assert spool.read_all() == b"1" * 4_000 + b"3" * 6_000
    assert budget.disk == 0


@pytest.mark.usefixtures("all_large")
def test_what_a_full_disk_has_no_room_for_later_stays_in_memory(
    full_disk: Callable[[int], None],
) -> None:
    """The response is whole. More is refused when there is no room in memory for it, either."""
    full_disk(30_000)
    budget = postponing(100_000)
    spool = Spool(budget, 0)
    for number in range(5):
        spool.append(bytes([number]) * 20_000, 0, spool.write_on)
    budget.to_write.write_one()
    assert not budget.to_write
    assert (budget.memory, budget.disk) == (80_000, 100_000)
    spool.append(bytes([5]) * 20_000, 0, spool.write_on)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            spool.append(bytes([6]) * 20_000, 0, spool.write_on)
        assert (spool.size, budget.disk) == (120_000, 120_000)
    assert spool.read_all() == b"".join(bytes([number]) * 20_000 for number in range(6))
    assert (budget.memory, budget.disk) == (0, 0)


def test_disk_without_any_room_leaves_no_file(
    full_disk: Callable[[int], None], files: list[Any]
) -> None:
    """What could not be used is closed with the rest."""
    full_disk(0)
    budget = Budget(0, None)
    spool = Spool(budget, 0)
    with pytest.raises(OSError, match="No space left"):
        spool.append(b"1" * 5_000)
    spool.clear()
    assert all(file.closed for file in files)
    assert budget.disk == 0


def test_folder_that_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No temporary file at all is the same kind of failure."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "nowhere"))
    budget = Budget(0, None)
    spool = Spool(budget, FREE)
    spool.append(b"1" * 1_000)
    with pytest.raises(FileNotFoundError):
        spool.append(b"2" * 5_000)
    assert (spool.size, budget.disk) == (1_000, 0)
    assert spool.read_all() == b"1" * 1_000


def test_file_that_became_shorter_is_no_end(files: list[Any]) -> None:
    """Half of what was kept must not be taken for all of it."""
    spool = Spool(Budget(0, None), 0)
    spool.append(b"1" * 5_000)
    os.truncate(files[0].fileno(), 0)
    with pytest.raises(OSError, match="shorter"):
        spool.read_all()
    spool.clear()


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with its temporary files in a folder."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=30 * UNIT,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals there")
def test_killed_process_leaves_nothing(folder: Path) -> None:
    """The file has no name, so nobody has to clean up after ``kill -9``."""
    outcome = run(
        """
        import os, signal
        from tlshttp._budget import Budget
        from tlshttp._spool import Spool
        spool = Spool(Budget(0, None), 0)
        spool.append(bytes(1_000_000))
        print(spool.size, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        folder,
    )
    assert outcome.stdout == "1000000\n"
    assert outcome.returncode == -9
    assert not [*folder.iterdir()]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits there")
def test_file_size_limit_of_the_process(folder: Path) -> None:
    """A real disk that takes no more: the error is told, and what was there is whole."""
    outcome = run(
        """
        import resource
        from tlshttp._budget import Budget
        from tlshttp._spool import Spool
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        budget = Budget(0, None)
        spool = Spool(budget, 0)
        spool.append(b"1" * 90_000)
        for _ in range(3):
            try:
                spool.append(b"2" * 20_000)
            except OSError as error:
                print(type(error).__name__, spool.size, budget.disk)
        spool.append(b"3" * 10_000)
        assert spool.read_all() == b"1" * 90_000 + b"3" * 10_000
        print(budget.disk)
        """,
        folder,
    )
    assert outcome.stderr == ""
    assert outcome.stdout == "OSError 90000 90000\n" * 3 + "0\n"


def test_files_are_counted() -> None:
    """What watches over this module's files sees one that is open."""
    before = Belongings()
    spool = Spool(Budget(0, None), 0)
    spool.append(b"1" * 5_000)
    assert len(Belongings().since(before)) == 1
    spool.clear()


def test_a_piece_that_has_been_taken_in_part_takes_its_memory_as_before() -> None:
    """It is free as a whole, when the last of it has gone."""
    budget = Budget(None, None)
    spool = Spool(budget, 65_536)
    spool.append(b"a" * 65_536)
    assert spool.read(49_152) == b"a" * 49_152
    spool.append(b"b" * 40_000)
    assert budget.disk == 40_000
    assert spool.read_all() == b"a" * 16_384 + b"b" * 40_000
    spool.append(b"c" * 65_536)
    assert (budget.memory, budget.disk) == (65_536 - 4_096, 0)
    spool.clear()
    assert budget.memory == 0
