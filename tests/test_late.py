"""What is in memory until it is written to files: in large blocks, which are kept for a moment."""

from __future__ import annotations

import errno
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tlshttp._blocks import BLOCK, Block, SpareBlocks
from tlshttp._budget import Budget
from tlshttp._late import Late

PIECE = os.urandom(65_535)


@pytest.fixture
def budget() -> Iterator[Budget]:
    """Return one with room for three blocks, of which nothing is left afterwards."""
    budget = Budget(3 * BLOCK, None)
    yield budget
    budget.end()
    assert budget.memory == 0


def filled(budget: Budget, pieces: int) -> Late:
    """Return one with so many pieces in it."""
    late = Late(budget)
    for _ in range(pieces):
        piece = memoryview(bytearray(PIECE))
        while piece:
            piece = piece[late.copy(piece) :]
    return late


def test_a_block_takes_what_fits() -> None:
    """The rest is for the next."""
    block = Block()
    assert block.append(PIECE) == len(PIECE)
    assert block.append(bytes(BLOCK)) == BLOCK - len(PIECE)
    assert block.append(b"more") == 0
    is_whole = block.view == PIECE + bytes(BLOCK - len(PIECE))
    assert is_whole


def test_pieces_share_a_block(budget: Budget) -> None:
    """A response of many small ones takes no more memory than it has bytes, but for the last."""
    late = filled(budget, 100)
    assert (late.size, budget.memory) == (100 * len(PIECE), 2 * BLOCK)
    late.clear()
    assert late.size == 0


def test_what_does_not_fit_is_divided(budget: Budget) -> None:
    """Each part is what a block had room for; without memory for another it is none."""
    late, data = Late(budget), memoryview(bytearray(os.urandom(4 * BLOCK)))
    parts: list[int] = []
    while added := late.copy(data[sum(parts) :]):
        parts.append(added)
    assert (parts, budget.memory) == ([BLOCK] * 3, 3 * BLOCK)
    assert late.copy(memoryview(b"more")) == 0
    for number in range(3):
        is_whole = late.peek(2 * BLOCK) == data[number * BLOCK : (number + 1) * BLOCK]
        assert is_whole
        late.drop(BLOCK)
    assert late.size == 0


def test_one_that_is_used_up_is_there_for_the_next(budget: Budget) -> None:
    """It keeps its memory, and counts; what was in it is not seen any more."""
    late = filled(budget, 1)
    first = late._pieces[0]
    while late.size:
        late.drop(len(late.peek(10_000)))
    assert (budget.memory, bool(budget.spare_blocks)) == (BLOCK, True)
    other = Late(budget)
    assert other.copy(memoryview(b"other")) == 5
    assert other._pieces[0] is first
    assert (bytes(other.peek(100)), budget.memory) == (b"other", BLOCK)
    assert not budget.spare_blocks
    other.clear()


def test_nobody_else_goes_without_memory_for_it(budget: Budget) -> None:
    """What is only kept is let go of when it is needed for something else."""
    filled(budget, 100).clear()
    assert budget.memory == 2 * BLOCK
    assert budget.take_memory(BLOCK)
    assert budget.memory == 3 * BLOCK
    assert budget.take_memory(BLOCK)
    assert (budget.memory, bool(budget.spare_blocks)) == (2 * BLOCK, False)
    assert not budget.take_memory(2 * BLOCK)
    budget.give_memory(2 * BLOCK)


def test_it_is_kept_for_a_second(budget: Budget) -> None:
    """As long as nobody has needed one."""
    filled(budget, 1).clear()
    began = time.monotonic()
    budget.look_after(began)
    assert budget.memory == BLOCK
    budget.look_after(began + 1.1)
    assert (budget.memory, bool(budget.spare_blocks)) == (0, False)


@pytest.mark.parametrize("error", [OSError(errno.ENOMEM, "Cannot allocate memory"), MemoryError()])
def test_where_the_system_has_no_memory_nothing_is_kept(
    error: Exception, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the process may have no more: it is written at once then."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(mmap, "mmap", fail)
    late = Late(budget)
    assert late.copy(memoryview(PIECE)) == 0
    assert (late.size, budget.memory) == (0, 0)


def test_without_any_there_is_nothing_to_let_go_of() -> None:
    """And nothing to be taken."""
    spare = SpareBlocks()
    assert (spare.take(), spare.let_go(), bool(spare)) == (None, 0, False)


def test_its_memory_is_the_systems_again() -> None:
    """Else a server would have as much for ever as it once had at most."""
    budget = Budget(None, None)
    late = Late(budget)
    for _ in range(15):
        assert late.copy(memoryview(bytearray(BLOCK))) == BLOCK
    held = resident()
    late.clear()
    budget.end()
    assert held - resident() > 14 * BLOCK


def resident() -> int:
    """Return how many bytes of memory this process has."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except FileNotFoundError:
        pytest.skip("this system has no /proc/self/statm")
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_without_a_limit_a_connection_has_its_share() -> None:
    """Memory that nobody counts is not filled with what is for files."""
    budget = Budget(None, None)
    late, data = Late(budget), memoryview(bytearray(1 << 20))
    while late.copy(data):
        pass
    assert late.size == 64 << 20
    assert late.keep(memoryview(bytes(5 << 20))) == 0
    late.clear()
    budget.end()


def test_of_that_share_a_block_takes_all_of_its_memory() -> None:
    """Who writes a little between large objects would have a block for each little."""
    budget = Budget(None, None)
    late, large = Late(budget), memoryview(bytes(1 << 20))
    while late.copy(memoryview(b"little")) and late.keep(large):
        pass
    assert BLOCK < budget.memory <= 64 << 20
    late.clear()
    budget.end()
    assert budget.memory == 0
