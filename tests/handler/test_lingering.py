"""Responses that are larger than what the kernel takes: in files only where the peer is slow."""

from __future__ import annotations

import itertools
import ssl
import sys
import threading
from typing import Any, ClassVar

import pytest

from tests.handler.http_support import MemoryEngine, Quiet, connect, serving
from tests.support import NoOwner, wait_until
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer, _temporary_file
from tlshttp._budget import Budget
from tlshttp._machinery import passing_on, patience
from tlshttp._machinery.lingering import Lingering
from tlshttp._machinery.patience import LINGER_SECONDS
from tlshttp._machinery.stream import Stream
from tlshttp._turns import Turns
from tlshttp.errors import PeerDisconnected

SINGLE = pytest.param(
    TLSHTTPServer,
    marks=pytest.mark.skipif(
        sys.platform != "linux", reason="only Linux tells the loop's thread what comes meanwhile"
    ),
)

PIECE = bytes(range(256)) * 1_024  # 256 KiB
PIECES = 120  # 30 MiB: more than any socket's buffers


class Large(Quiet):
    """Sends much, in pieces or at once, and tells when it has written all."""

    wrote: ClassVar = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PIECE) * PIECES))
        self.end_headers()
        if self.path == "/pieces":
            for _ in range(PIECES):
                self.wfile.write(PIECE)
        else:
            self.wfile.write(PIECE * PIECES)
        self.wrote.set()


@pytest.fixture
def most_on_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return what is taken of the disk, in bytes, each time."""
    taken: list[int] = []
    take_disk = Budget.take_disk

    def counted(budget: Budget, size: int, *arguments: Any) -> None:
        take_disk(budget, size, *arguments)
        taken.append(size)

    monkeypatch.setattr(Budget, "take_disk", counted)
    Large.wrote.clear()
    return taken


def ask(server: TLSHTTPServer, path: str) -> Any:
    """Ask on a new connection, which is returned, and read nothing."""
    client = connect(server)
    client.sendall(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
    return client


def read_all(client: Any) -> int:
    """Read the whole response; return how long its body is."""
    head, _, data = client.recv(65_536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    size = len(data)
    while size < len(PIECE) * PIECES:
        received = client.recv(262_144)
        assert received, size
        expected = bytes(itertools.islice(itertools.cycle(range(256)), size % 256, size % 256 + 64))
        assert received[:64] == expected[: len(received)]
        size += len(received)
    return size


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Have handlers wait for ever; return a list of whom each wait was for."""
    waits: list[object] = []
    wait = Lingering.wait

    def counted(lingering: Lingering, connection: Any, seconds: float) -> bool:
        waits.append(connection)
        return wait(lingering, connection, seconds)

    monkeypatch.setattr(Lingering, "wait", counted)
    for module in (patience, passing_on):
        monkeypatch.setattr(module, "LINGER_SECONDS", 1e6)
    Large.wrote.clear()
    return waits


@pytest.mark.parametrize("path", ["pieces", "at-once"])
@pytest.mark.parametrize("server_class", [SINGLE, ThreadingTLSHTTPServer])
def test_who_keeps_up_needs_no_file(
    most_on_disk: list[int], patient: list[object], server_class: type[TLSHTTPServer], path: str
) -> None:
    """What is read as fast as it is written passes through memory."""
    with serving(Large, server_class=server_class) as server, ask(server, path) as client:
        assert read_all(client) == len(PIECE) * PIECES
    assert not most_on_disk


@pytest.mark.parametrize("server_class", [SINGLE])
def test_nobody_else_waits_for_that(
    patient: list[object], server_class: type[TLSHTTPServer]
) -> None:
    """On the loop's thread a handler waits until somebody else comes, however patient it is."""
    with serving(Large, server_class=server_class) as server, ask(server, "pieces") as client:
        assert wait_until(lambda: bool(patient))
        assert not Large.wrote.is_set()
        with connect(server):
            assert Large.wrote.is_set()
        assert read_all(client) == len(PIECE) * PIECES


@pytest.mark.parametrize("path", ["pieces", "at-once"])
@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
def test_who_does_not_read_keeps_no_handler(
    most_on_disk: list[int], server_class: type[TLSHTTPServer], path: str
) -> None:
    """Its response waits in a file, and is whole when it is read at last."""
    with serving(Large, server_class=server_class) as server, ask(server, path) as client:
        assert wait_until(Large.wrote.is_set)
        assert sum(most_on_disk) > 10_000_000
        assert read_all(client) == len(PIECE) * PIECES


def test_what_is_written_at_once_is_on_disk_when_its_handler_has_returned(
    most_on_disk: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In `TLSHTTPServer` others wait for the handler of a peer that does not read, not for a disk.

    It has waited for its peer for a while before that, with nobody else there.
    """
    returned: list[bool] = []
    write_at = _temporary_file._write_at

    def write(*arguments: Any) -> int:
        returned.append(Large.wrote.is_set())
        return write_at(*arguments)

    with serving(Large, server_class=TLSHTTPServer) as server:
        monkeypatch.setattr(_temporary_file, "_write_at", write)
        with ask(server, "at-once") as client:
            assert wait_until(lambda: len(returned) > 20)
            assert all(returned)
            assert read_all(client) == len(PIECE) * PIECES


def test_who_reads_a_little_now_and_then_keeps_no_handler(most_on_disk: list[int]) -> None:
    """A few kilobytes each time are no keeping up."""
    over = threading.Event()
    with (
        serving(Large, server_class=ThreadingTLSHTTPServer) as server,
        ask(server, "pieces") as client,
    ):

        def drip() -> None:
            while not over.wait(0.01):
                client.recv(4_096)

        reader = threading.Thread(target=drip)
        reader.start()
        try:
            assert wait_until(Large.wrote.is_set)
        finally:
            over.set()
            reader.join()
        assert sum(most_on_disk) > 10_000_000


class Deaf(MemoryEngine):
    """A channel whose peer takes nothing."""

    def send(self, data: Any, /, *, hold: bool = False) -> int:
        """Take nothing."""
        raise ssl.SSLWantWriteError


class Patient(NoOwner):
    """Whoever owns a stream whose handler may wait."""

    def may_linger(self) -> bool:
        """Let it."""
        return True


@pytest.mark.parametrize(("pieces", "turns"), [(12, 6), (1, 5)])
def test_handlers_write_files_by_turns(
    monkeypatch: pytest.MonkeyPatch, pieces: int, turns: int
) -> None:
    """However many have peers that read nothing, one at a time writes, half a MiB in its turn."""
    budget = Budget(None, None)
    budget.turns = Turns(lambda: 0.0)  # in no time
    budget.turns.book(1.0)  # as somebody else has
    streams = [Stream(Deaf([], -1), Limits(), Patient(), None, budget) for _ in range(3)]
    begins: list[float] = []
    sizes = dict.fromkeys(streams, 0)
    put = Stream._put

    def linger(stream: Stream, rest: memoryview) -> memoryview:
        if stream.linger_left != LINGER_SECONDS:  # as each may, to begin with
            begins.append(stream.linger_left)
        assert stream.backlog - sizes[stream] <= 512 << 10
        sizes[stream] = stream.backlog
        stream.linger_left = 0.0
        return rest

    def take_time(stream: Stream, rest: Any) -> bool:
        stream._box().turn.wrote(0, 0.001)  # where the clock is too coarse to see that it does
        return put(stream, rest)

    monkeypatch.setattr(Stream, "_linger", linger)
    monkeypatch.setattr(Stream, "_put", take_time)
    for stream in streams:
        stream.known_length = stream.watched = True
    for _, stream in itertools.product(range(pieces), streams):
        stream.transmit(PIECE * (12 // pieces))
    assert len(begins) == len(streams) * turns
    assert begins == sorted(set(begins)), "two at once"
    for stream in streams:
        assert stream.backlog == 12 * len(PIECE)
        stream.drop_backlog()


class Busy(Patient):
    """The same, whose thread others want: it counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def may_linger(self) -> bool:
        """Do not let it."""
        self.asked += 1
        return False


def test_whether_others_wait_is_asked_once_in_a_turn() -> None:
    """It takes as long as to write 64 KiB, and one thread may serve all."""
    owner = Busy()
    budget = Budget(None, None)
    stream = Stream(Deaf([], -1), Limits(), owner, None, budget)
    stream.known_length = stream.watched = True
    for number in range(80):
        stream.transmit(bytes([number]) * 65_536)
    assert stream.backlog == 80 * 65_536
    assert 8 <= owner.asked <= 10
    stream.drop_backlog()
    assert budget.disk == 0


@pytest.mark.parametrize(
    ("size", "counted"), [(80_000, 65_536), (70_000, 65_536), (40_000, 40_000)]
)
def test_what_a_handler_that_waits_has_in_memory_counts(
    monkeypatch: pytest.MonkeyPatch, size: int, counted: int
) -> None:
    """A thousand of them have 64 MiB, and others less; of a large object it is the handler's."""
    budget = Budget(None, None)
    stream = Stream(Deaf([], -1), Limits(), Patient(), None, budget)
    stream.known_length = stream.watched = True
    during: list[int] = []

    def linger(_: Stream, rest: memoryview) -> memoryview:
        during.append(budget.memory)
        raise PeerDisconnected("gone")

    stream.enqueue(b"a" * 60_000, 100_000)
    before = budget.memory
    monkeypatch.setattr(Stream, "_linger", linger)
    with pytest.raises(PeerDisconnected):
        stream.transmit(bytes(size))
    assert during == [before + counted]
    assert budget.memory == before
    stream.drop_backlog()


def test_turns_are_one_after_the_other_and_wait_for_nobody() -> None:
    """A turn begins when the one before has had its time, kept or not."""
    now = 100.0
    turns = Turns(lambda: now)
    assert [turns.book(0.5), turns.book(0.25), turns.book(1.0)] == [0.0, 0.5, 0.75]
    now = 101.0
    assert turns.book(1.0) == 0.75
    now = 200.0
    assert turns.book(1.0) == 0.0


def test_what_the_disk_cannot_hold_is_not_begun_where_nobody_can_wait(
    most_on_disk: list[int],
) -> None:
    """A response whose length is known, and for whose rest there is no room, is cut at once."""
    room = Limits(max_total_disk=len(PIECE) * PIECES // 2)
    serves = serving(Large, server_class=TLSHTTPServer, limits=room)
    with serves as server, ask(server, "pieces"):
        assert wait_until(lambda: server.stats().cut.get("response-aborted") == 1)
    assert not most_on_disk
