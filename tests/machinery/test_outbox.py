"""What waits to be sent: parts of files, and what the others see of it while it is sent."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tlshttp import Limits, _spool, _temporary_file
from tlshttp._blocks import BLOCK
from tlshttp._budget import Budget, NoRoom
from tlshttp._machinery import outbox as module
from tlshttp._machinery.outbox import FilePart, Outbox
from tlshttp._machinery.stream import Stream
from tlshttp._spool import Spool
from tlshttp._turns import TURN
from tlshttp.errors import PeerDisconnected


def outbox_of(path: Path, *, before: bytes = b"", after: bytes = b"") -> Outbox:
    """Return one with a file, and bytes on either side."""
    outbox = Outbox(Spool(Budget(None, None), None))
    with path.open("rb") as file:
        if before:
            outbox.put(before)
        outbox.put_file(FilePart(file.fileno(), 0, path.stat().st_size))
        if after:
            outbox.put(after)
    return outbox


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Make two files of many reads each."""
    made = [tmp_path / name for name in "ab"]
    for path in made:
        path.write_bytes(path.name.encode() * 300_001)
    return made


def test_files_that_are_sent_by_turns_do_not_mix(paths: list[Path]) -> None:
    """All of a thread share a buffer: what could not be sent is read again."""
    outboxes = [outbox_of(path, before=b"<", after=b">") for path in paths]
    sent = [bytearray(), bytearray()]
    while any(outbox.size for outbox in outboxes):
        for outbox in outboxes:
            outbox.next(65_536)  # this one is not sent
        for outbox, data in zip(outboxes, sent, strict=True):
            piece = bytes(outbox.next(65_536))
            taken = piece[: max(1, len(piece) - 7)]
            data.extend(taken)
            outbox.took(len(taken))
    assert [bytes(data) for data in sent] == [b"<" + p.read_bytes() + b">" for p in paths]


def test_only_what_is_still_in_files_counts_as_in_files(paths: list[Path]) -> None:
    """It goes down with what is taken, and to nothing when all is thrown away."""
    outbox = outbox_of(paths[0], before=b"head")
    assert (outbox.size, outbox.in_files) == (300_005, 300_001)
    outbox.next(65_536)
    outbox.took(4)
    assert (outbox.size, outbox.in_files) == (300_001, 300_001)
    outbox.took(len(outbox.next(65_536)))
    assert outbox.size == outbox.in_files < 300_001
    outbox.clear()
    assert (outbox.size, outbox.in_files) == (0, 0)


def test_descriptor_is_given_back_with_the_last_byte(paths: list[Path]) -> None:
    """A file of which all has been sent is closed."""
    outbox = Outbox(Spool(Budget(None, None), None))
    with paths[0].open("rb") as file:
        part = FilePart(file.fileno(), 0, 300_001)
    outbox.put_file(part)
    outbox.put(b"more")
    while outbox.in_files:
        assert part._fd >= 0
        outbox.took(len(outbox.next(65_536)))
    assert part._fd < 0
    assert bytes(outbox.next(65_536)) == b"more"


needs_preadv = pytest.mark.skipif(not hasattr(os, "preadv"), reason="files are read otherwise")


@needs_preadv
@pytest.mark.parametrize("start", [0, 1, 2047, 2048, 4095, 65_536, 70_001])
def test_a_file_is_read_to_half_a_page_from_where_the_kernel_has_it(
    paths: list[Path], start: int
) -> None:
    """Where both begin at nearly the same place of a page, some processors copy far more slowly."""
    with paths[0].open("r+b") as file:
        file.write(os.urandom(300_001))
        file.flush()
        part = FilePart(file.fileno(), start, 300_001 - start)
    data = part.peek(131_072)
    address = ctypes.addressof(ctypes.c_char.from_buffer(data))
    assert (address - start) % 4096 == 2048
    assert data == paths[0].read_bytes()[start : start + 131_072]
    part.close()


@needs_preadv
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_process_does_not_read_into_its_parents_buffer(paths: list[Path]) -> None:
    """What one has read it may still have to send when the other reads."""
    ours, others = outbox_of(paths[0]), outbox_of(paths[1])
    data = ours.next(65_536)
    child = os.fork()
    if not child:
        os._exit(not others.next(65_536))
    assert os.waitpid(child, 0)[1] == 0
    assert bytes(data) == b"a" * 65_536


# One object over and over ------------------------------------------------------------------------

PIECE = os.urandom(65_536)


def add(outbox: Outbox, data: bytes, times: int = 1) -> None:
    """Add an object so many times, as the stream does."""
    for _ in range(times):
        if not outbox.put_more(data):
            outbox.put(memoryview(data))


def taken(outbox: Outbox, most: int = 262_144) -> bytes:
    """Take all that is in there, by such pieces and parts of them."""
    found: list[bytes] = []
    while outbox.size:
        piece = bytes(outbox.next(most))
        size = max(1, len(piece) - 1000 * (len(found) % 2))
        found.append(piece[:size])
        outbox.took(size)
    return b"".join(found)


@pytest.mark.parametrize("most", [262_144, 65_536, 65_535, 10_000])
def test_one_object_over_and_over_takes_the_memory_of_two(most: int) -> None:
    """And no disk, however often it was written; it arrives as often."""
    budget = Budget(200_000, 0)
    outbox = Outbox(Spool(budget, 65_536))
    add(outbox, PIECE, 700)
    assert (outbox.size, budget.memory) == (700 * len(PIECE), 2 * len(PIECE) - 4096)
    is_whole = taken(outbox, most) == PIECE * 700
    assert is_whole
    assert (outbox.size, budget.memory, budget.disk) == (0, 0, 0)
    add(outbox, PIECE, 3)
    assert taken(outbox) == PIECE * 3


def test_what_another_has_written_between_stays_where_it_was() -> None:
    """The order is that of the calls, wherever each of them waits."""
    budget = Budget(None, None)
    outbox = Outbox(Spool(budget, 150_000))
    pieces = {name: os.urandom(size) for name, size in (("p", 65_536), ("q", 70_000), ("s", 100))}
    order = "spppqqqspppppssqpp"
    for name in order:
        add(outbox, pieces[name])
    expected = b"".join(pieces[name] for name in order)
    assert outbox.size == len(expected)
    is_whole = taken(outbox) == expected
    assert is_whole
    assert (budget.memory, budget.disk) == (0, 0)


def test_what_is_added_while_it_is_taken_comes_after_it() -> None:
    """The object goes on being the last one until it has gone."""
    budget = Budget(None, None)
    outbox = Outbox(Spool(budget, 65_536))
    received = bytearray()
    for number in range(50):
        add(outbox, PIECE, number % 4)
        for _ in range(number % 3):
            if outbox.size:
                piece = bytes(outbox.next(40_000))
                received += piece
                outbox.took(len(piece))
    received += taken(outbox)
    is_whole = received == PIECE * sum(number % 4 for number in range(50))
    assert is_whole
    assert (budget.memory, budget.disk) == (0, 0)


def test_what_is_thrown_away_takes_no_memory() -> None:
    """A peer that leaves in the middle of it."""
    budget = Budget(None, None)
    outbox = Outbox(Spool(budget, 65_536))
    add(outbox, PIECE, 9)
    outbox.took(len(outbox.next(30_000)))
    outbox.clear()
    assert (outbox.size, budget.memory, budget.disk) == (0, 0, 0)
    assert not outbox.put_more(PIECE)


def test_an_object_that_is_equal_is_the_same() -> None:
    """As where a handler makes its piece for each `write()` anew."""
    budget = Budget(None, None)
    outbox = Outbox(Spool(budget, 65_536))
    outbox.put(PIECE)
    outbox.put(bytes(bytearray(PIECE)))
    for _ in range(3):
        assert outbox.put_more(bytes(bytearray(PIECE)))
    outbox.put(PIECE)
    assert (budget.memory, budget.disk) == (2 * len(PIECE) - _spool._FIRST, 0)
    is_whole = taken(outbox) == PIECE * 6
    assert is_whole
    assert budget.memory == 0


@pytest.mark.parametrize(
    "other",
    [bytes([PIECE[0] ^ 1]) + PIECE[1:], PIECE[:-1], bytearray(PIECE), memoryview(PIECE[:-1])],
    ids=["another byte", "shorter", "bytearray", "memoryview"],
)
def test_what_is_only_like_it_is_not(other: Any) -> None:
    """One byte makes a difference, and what can change is not compared."""
    budget = Budget(None, None)
    outbox = Outbox(Spool(budget, 65_536))
    add(outbox, PIECE, 2)
    assert not outbox.put_more(other)
    outbox.put(memoryview(other))
    if type(other) is bytes:
        assert budget.disk == len(other)
    is_whole = taken(outbox) == PIECE * 2 + bytes(other)
    assert is_whole


def test_objects_over_and_over_have_no_more_memory_than_all_others() -> None:
    """One connection may have so much for them besides; the rest goes to a file."""
    budget = Budget(None, None)
    outbox = Outbox(Spool(budget, 65_536))
    pieces = [os.urandom(20_000) for _ in range(6)]
    for piece in pieces:
        add(outbox, piece, 4)
    assert budget.memory <= 2 * 65_536
    assert budget.disk
    is_whole = taken(outbox) == b"".join(piece * 4 for piece in pieces)
    assert is_whole
    assert (budget.memory, budget.disk) == (0, 0)


def test_where_memory_is_used_up_they_go_to_a_file() -> None:
    """As everything does; the first few bytes of each do not count."""
    budget = Budget(65_536, None)
    outbox = Outbox(Spool(budget, 65_536))
    add(outbox, PIECE, 3)
    assert budget.disk == 2 * len(PIECE)
    is_whole = taken(outbox) == PIECE * 3
    assert is_whole
    assert (budget.memory, budget.disk) == (0, 0)


def test_who_writes_one_for_ever_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limits of what may be on disk, where nothing else is one."""
    monkeypatch.setattr(module, "_MOST_AGAIN", 10 * len(PIECE))
    budget = Budget(None, 3 * len(PIECE))
    outbox = Outbox(Spool(budget, 65_536))
    with pytest.raises(NoRoom):
        add(outbox, PIECE, 100)
    assert outbox.size == 13 * len(PIECE)
    is_whole = taken(outbox) == PIECE * 13
    assert is_whole


# More of what goes to a file --------------------------------------------------------------------


def on_disk(budget: Budget, memory: int | None = 65_536) -> Outbox:
    """Return one that has bytes in a file, whose handler has a turn."""
    outbox = Outbox(Spool(budget, memory))
    outbox.put(PIECE)
    outbox.put(b"x" * 10)
    outbox.turn.begin()
    return outbox


def test_more_is_written_to_the_file_as_long_as_the_turn_is_not_over() -> None:
    """Then `put` sees to it, whose caller looks around first."""
    budget = Budget(None, None)
    outbox = on_disk(budget)
    pieces = [os.urandom(65_536) for _ in range(9)]
    assert [outbox.put_more(piece) for piece in pieces] == [True] * 8 + [False]
    assert outbox.turn.left == 0
    assert budget.disk == 10 + 8 * 65_536
    outbox.put(pieces[8])
    is_whole = taken(outbox) == PIECE + b"x" * 10 + b"".join(pieces)
    assert is_whole
    assert (outbox.size, budget.memory, budget.disk) == (0, 0, 0)


def test_a_turn_is_not_for_more_than_is_left_of_it() -> None:
    """A large object may be put off; a small one still has its place after that."""
    outbox = on_disk(Budget(None, None))
    assert not outbox.put_more(bytes(TURN + 1))
    assert outbox.put_more(b"y" * TURN)
    assert not outbox.put_more(b"y")
    outbox.turn.begin()
    assert outbox.put_more(b"y")
    is_whole = taken(outbox) == PIECE + b"x" * 10 + b"y" * (TURN + 1)
    assert is_whole


@pytest.mark.parametrize("data", [bytearray(b"a"), memoryview(b"a"), memoryview(b"abcd").cast("I")])
def test_only_bytes_are_added_without_a_look(data: Any) -> None:
    """The others count in items, or change."""
    outbox = on_disk(Budget(None, None))
    assert not outbox.put_more(data)
    assert outbox.size == len(PIECE) + 10
    outbox.clear()


def test_nothing_is_written_while_there_is_room_in_memory() -> None:
    """What is only passed through it costs half."""
    budget = Budget(None, None)
    outbox = Outbox(Spool(budget, 200_000))
    assert not outbox.put_more(PIECE)
    outbox.put(PIECE)
    outbox.turn.begin()
    assert not outbox.put_more(b"more")
    assert (outbox.size, budget.disk) == (len(PIECE), 0)


def test_nor_when_the_peer_has_taken_all_that_was_in_the_file() -> None:
    """Neither what is left of the turn nor the file is needed then."""
    budget = Budget(None, None)
    outbox = on_disk(budget)
    taken(outbox)
    assert not outbox.put_more(b"more")
    outbox.put(b"more")
    assert (outbox.size, budget.disk) == (4, 0)


def test_nor_behind_a_file_of_the_handlers(paths: list[Path]) -> None:
    """The bytes are in another order in the outbox than in the temporary file."""
    budget = Budget(None, None)
    outbox = on_disk(budget)
    with paths[0].open("rb") as file:
        outbox.put_file(FilePart(file.fileno(), 0, 1_000))
    assert not outbox.put_more(b"more")
    outbox.put(b"more")
    assert outbox.put_more(b" and more")
    is_whole = taken(outbox) == PIECE + b"x" * 10 + b"a" * 1_000 + b"more and more"
    assert is_whole


def test_nor_before_what_has_been_put_off() -> None:
    """That comes first, and is in memory as yet."""
    budget = Budget(None, None)
    budget.postpones = True
    outbox = on_disk(budget)
    large = bytes(5 << 20)
    outbox.put(large, 0, outbox.write_on)
    assert not outbox.put_more(b"more")
    while outbox.write_on():
        pass
    assert outbox.put_more(b"more")
    is_whole = taken(outbox) == PIECE + b"x" * 10 + large + b"more"
    assert is_whole
    assert (budget.memory, budget.disk) == (0, 0)


def test_behind_what_has_been_put_off_more_is_kept_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as there is room in the last block of memory."""
    monkeypatch.setattr(_spool, "_SOON_WRITTEN", 0)
    budget = Budget(None, None)
    budget.postpones = True
    outbox, others = on_disk(budget), [os.urandom(1 << 19) for _ in range(9)]
    outbox.put(others[0], 0, outbox.write_on)
    for other in others[1:8]:
        outbox.turn.begin()
        assert outbox.put_more(other)
    assert (len(budget.to_write), outbox._spool._late.size, budget.memory) == (
        1, BLOCK, len(PIECE) - _spool._FIRST + BLOCK,
    )  # fmt: skip
    outbox.turn.begin()
    assert not outbox.put_more(others[8])
    assert budget.disk == 10 + BLOCK
    outbox.put(others[8], 0, outbox.write_on)
    is_whole = taken(outbox) == PIECE + b"x" * 10 + b"".join(others)
    assert is_whole
    budget.end()
    assert (budget.memory, budget.disk) == (0, 0)


def test_no_more_than_may_wait_is_written_so() -> None:
    """The caller knows what to do then."""
    outbox = Outbox(Spool(Budget(None, None), 65_536), len(PIECE) + 20)
    outbox.put(PIECE)
    outbox.put(b"x" * 10)
    outbox.turn.begin()
    assert not outbox.put_more(b"y" * 11)
    assert outbox.put_more(b"y" * 10)
    assert outbox.size == len(PIECE) + 20
    outbox.clear()


def test_where_there_is_no_room_nothing_is_added() -> None:
    """`put` says so."""
    budget = Budget(None, 70_000)
    outbox = on_disk(budget)
    assert not outbox.put_more(PIECE + PIECE)
    assert (outbox.size, budget.disk, outbox.turn.left) == (len(PIECE) + 10, 10, TURN)
    with pytest.raises(NoRoom):
        outbox.put(PIECE + PIECE)
    assert outbox.put_more(b"more")
    outbox.clear()
    assert budget.disk == 0


def test_where_the_disk_is_full_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been taken of it is given back."""
    budget = Budget(None, None)
    outbox = on_disk(budget)

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_temporary_file, "_write_at", fail)
        assert not outbox.put_more(PIECE)
        assert (outbox.size, budget.disk, outbox.turn.left) == (len(PIECE) + 10, 10, TURN)
    assert outbox.put_more(b"more")
    is_whole = taken(outbox) == PIECE + b"x" * 10 + b"more"
    assert is_whole


# While it is sent --------------------------------------------------------------------------------


class Sending:
    """A channel and an outbox; another thread sends as soon as either has been looked at."""

    has_input = False

    def __init__(self) -> None:
        self._waiting, self._unsent = b"some bytes", b""

    def _looked_at(self, value: Any) -> Any:
        if self._waiting:
            self._waiting, self._unsent = b"", self._waiting
        return value

    @property
    def unsent(self) -> bytes:
        """What is encrypted."""
        return bytes(self._looked_at(self._unsent))

    @property
    def size(self) -> int:
        """What is not."""
        return int(self._looked_at(len(self._waiting)))

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.fixture
def sending() -> Iterator[Stream]:
    """Return a stream of which another thread sends something."""
    both: Any = Sending()
    stream = Stream(both, Limits(), both)
    stream._outbox = both
    yield stream
    stream._outbox = None


def test_what_another_thread_just_sends_is_not_overlooked(sending: Stream) -> None:
    """Else the connection would be parked, or closed, with the end of a response in it."""
    assert sending.backlog


def test_what_another_thread_just_sends_is_something_left(sending: Stream) -> None:
    """The same, where a connection that is kept is looked at."""
    assert not sending.has_nothing_left()


def test_a_file_that_is_refused_is_closed_however_long_the_exception_is_kept(
    paths: list[Path],
) -> None:
    """Events are remembered, and with them the frames that they came through."""
    nobody: Any = Sending()
    stream = Stream(nobody, Limits(), nobody)
    stream.failure = PeerDisconnected("the peer has left")
    with paths[0].open("rb") as file, pytest.raises(PeerDisconnected) as kept:
        stream.transmit_file(file.fileno(), 0, 1_000)
    assert kept.tb is not None
    assert paths[0].stat().st_ino not in [os.fstat(fd).st_ino for fd in open_files()]


def open_files() -> list[int]:
    """Return the descriptors that this process has."""
    found = []
    for fd in range(256):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            found.append(fd)
    return found
