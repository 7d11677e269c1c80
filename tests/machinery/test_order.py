"""The order in which one thread serves all: nobody waits for all who ask for what is large."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.machinery.conftest import Recording, serving
from tests.machinery.handlers import LARGE, Plain
from tests.machinery.peers import handshake
from tests.support import UNIT, wait_until
from tlshttp import _kept_file, _temporary_file
from tlshttp._budget import Budget
from tlshttp._machinery import order as module
from tlshttp._machinery.loop import Loop
from tlshttp._machinery.order import Order
from tlshttp._machinery.outbox import Outbox
from tlshttp._to_write import AT_ONCE
from tlshttp.errors import ResponseBacklog
from tlshttp.limits import Limits


class Peer:
    """A connection that asks for something, large or not."""

    def __init__(self, subject: str, *, is_large: bool = False) -> None:
        self.subject = subject
        self.is_large = is_large


class Turns:
    """The one thread of a server, with a clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.to_write: list[str] = []
        self.order = Order(lambda: self.now, self.to_write)
        self.served: list[str] = []

    def bring(self, *peers: Peer) -> None:
        """Have peers be ready."""
        self.order.ready.extend(peers)  # type: ignore[arg-type]

    def turn(self, *, passes: float = 0.0) -> list[str]:
        """Let time pass, give turns, and return who had one."""
        self.now += passes
        self.served = []
        self.order.serve(self._advance)
        return self.served

    def know(self, subject: str) -> None:
        """Have something be known to be large, by somebody who has asked for it."""
        self.bring(Peer(subject, is_large=True))
        assert self.turn() == [subject]

    def _advance(self, connection: Any) -> None:
        if self.order.known and not self.order.may_begin(connection):
            return
        self.served.append(connection.subject)
        if connection.is_large:
            self.now += 0.064
            self.order.note(connection)


@pytest.fixture
def thread() -> Turns:
    """Return a thread that knows ``large`` to be what its name says."""
    thread = Turns()
    thread.know("large")
    return thread


def test_between_two_large_ones_whoever_is_ready_is_served(thread: Turns) -> None:
    """Of a hundred that are large one is answered between two looks, when the others have been."""
    thread.bring(*[Peer("large", is_large=True) for _ in range(100)])
    assert thread.turn() == ["large"]
    for _ in range(99):
        thread.bring(Peer("small"), Peer("other"))
        assert thread.turn() == ["small", "other"]
        assert thread.turn(passes=1) == ["large"]
    assert not thread.order


def test_with_nobody_else_ready_they_follow_each_other(thread: Turns) -> None:
    """No moment is lost for others where there are none."""
    thread.bring(*[Peer("large", is_large=True) for _ in range(10)])
    for _ in range(10):
        assert thread.order.due() == 0
        assert thread.turn() == ["large"]
    assert not thread.order


def test_others_have_a_moment_for_their_next_step(thread: Turns) -> None:
    """When somebody has had a turn, a large one waits a moment for the next step, and is due then.

    The moment is 5 ms at most; so long a client takes for its part of a handshake.
    """
    thread.bring(*[Peer("large", is_large=True) for _ in range(3)])
    assert thread.turn() == ["large"]
    thread.bring(Peer("hello"))
    assert thread.turn() == ["hello"]
    assert thread.order.due() == pytest.approx(0.005)
    assert thread.turn(passes=0.004) == []
    thread.bring(Peer("finished"))
    assert thread.turn() == ["finished"]
    assert thread.turn(passes=0.004) == []
    assert thread.turn(passes=0.0011) == ["large"]


def test_who_has_been_let_in_has_the_moment_for_its_first_step(thread: Turns) -> None:
    """The first bytes of a new connection come a little after it has been accepted."""
    thread.bring(Peer("large", is_large=True), Peer("large", is_large=True))
    assert thread.turn() == ["large"]
    thread.order.expect()
    assert thread.turn() == []
    assert thread.turn(passes=0.0051) == ["large"]


def test_large_ones_have_a_quarter_of_the_time(thread: Turns) -> None:
    """Others who come without a pause do not keep them for ever: three times what the last took.

    That is 0.1 s at most.
    """
    thread.bring(*[Peer("large", is_large=True) for _ in range(4)])
    assert thread.turn() == ["large"]
    for _ in range(3):
        looks = 0
        while "large" not in thread.served or not looks:
            thread.bring(Peer("small"))
            assert thread.turn(passes=0.001)[0] == "small"
            looks += 1
        assert looks == pytest.approx(100, abs=1)


def test_the_next_large_one_waits_until_the_last_has_been_written(thread: Turns) -> None:
    """What one has in memory takes longer to write than its handler ran; then others come first.

    They have three times what both took.
    """
    thread.bring(*[Peer("large", is_large=True) for _ in range(2)])
    assert thread.turn() == ["large"]
    thread.to_write.extend(["first part", "second part"])

    def write() -> None:
        thread.to_write.pop()
        thread.now += 0.008

    for _ in range(2):
        thread.bring(Peer("small"))
        assert thread.turn(passes=1) == ["small"]
        thread.order.write(write)
    assert thread.order._patience - thread.now == pytest.approx(min(3 * 0.080, 0.1))
    assert thread.turn() == []  # the moment that others have for their next step
    assert thread.turn(passes=0.0051) == ["large"]


def test_what_has_been_written_counts_for_the_large_one_whose_it_is(thread: Turns) -> None:
    """Others have three times what that one took, not what the one before did."""

    def write() -> None:
        thread.to_write.pop()
        thread.now += 0.002

    for _ in range(2):
        thread.to_write.append("part")
        thread.order.write(write)
    thread.know("other")
    thread.to_write.append("part")
    thread.order.write(write)
    assert thread.order._patience - thread.now == pytest.approx(0.006)


def test_for_half_a_millisecond_is_written_between_two_looks(thread: Turns) -> None:
    """Small parts one after the other, and at least one."""
    for seconds, parts in ((0.00012, 5), (0.0004, 2), (0.1, 1)):
        thread.to_write[:] = ["part"] * 10

        def write(seconds: float = seconds) -> None:
            thread.to_write.pop()
            thread.now += seconds

        thread.order.write(write)
        assert 10 - len(thread.to_write) == parts
    thread.to_write[:] = ["part"] * 3
    thread.order.write(thread.to_write.clear)
    assert not thread.to_write


def test_what_is_taken_now_is_like_all_others(thread: Turns) -> None:
    """What has been left by one peer, and is taken by the next, waits for nobody afterwards."""
    thread.bring(Peer("large"))
    assert thread.turn() == ["large"]
    assert not thread.order.known
    thread.bring(Peer("large"), Peer("small"))
    assert thread.turn() == ["large", "small"]


def test_who_wants_turn_after_turn_comes_after_others_for_a_while(thread: Turns) -> None:
    """Those who are not done go on for 2 ms; then the sockets are looked at."""

    def advance(connection: Any) -> None:
        thread.served.append(connection.subject)
        if connection.subject == "again":
            thread.order.again.append(connection)
            thread.now += 0.0011

    for _ in range(10):
        thread.order.again.append(Peer("again"))  # type: ignore[arg-type]
    thread.bring(Peer("small"))
    thread.served = []
    thread.order.serve(advance)
    assert thread.served == ["small", "again", "again"]
    assert thread.order.due() == 0


def test_only_so_many_things_are_remembered(thread: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for something else each time fills no memory: the oldest is forgotten."""
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 3)
    for number in range(5):
        thread.know(f"large {number}")
    assert list(thread.order.known) == ["large 2", "large 3", "large 4"]


class Recorder(Plain):
    """Says which requests have reached it, and keeps the thread until it is told not to."""

    asked: list[str]
    at_gate: threading.Event
    opened: threading.Event
    whole = False
    """Whether it writes what is large as one object."""

    def do_GET(self) -> None:
        """Answer, or wait before that."""
        self.path = self.path.partition("?")[0]
        self.asked.append(self.path)
        if self.path == "/gate":
            self.at_gate.set()
            assert self.opened.wait(15 * UNIT)
        if self.whole and self.path == "/large":
            self._answer(bytes(LARGE))
        else:
            super().do_GET()


@pytest.fixture
def recorder() -> Iterator[type[Recorder]]:
    """Return such a handler class, and let the thread go on in the end."""
    events = {"at_gate": threading.Event(), "opened": threading.Event()}
    chosen: Any = type("Recorder", (Recorder,), {"asked": [], **events})
    yield chosen
    chosen.opened.set()


def test_who_asks_for_little_is_served_before_all_who_do_not_take_what_is_large(
    recorder: type[Recorder], server_context: ssl.SSLContext, any_client: ssl.SSLContext
) -> None:
    """As ``slowhttptest -X`` does, peers ask for the same, each in its own way, and read nothing.

    Their requests have come before that of the other, while the thread was kept.
    """
    server = Recording(("127.0.0.1", 0), recorder, ssl_context=server_context)
    with serving(server):
        socks = [handshake(server.server_address, any_client, rcvbuf=4096) for _ in range(6)]
        first, keeper, *greedy, honest = socks
        first.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        for sock in (keeper, *greedy, honest):
            sock.sendall(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
        keeper.sendall(b"GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")
        assert recorder.at_gate.wait(15 * UNIT)
        recorder.asked.clear()
        for number, sock in enumerate(greedy):
            target = b"/large?%d" % number
            padding = b"x" * 4000 * number
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (target, padding))
        honest.sendall(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        recorder.opened.set()
        assert honest.recv(4096).startswith(b"HTTP/1.1 200 ")
        for sock in greedy:
            assert sock.recv(1)
        for sock in socks:
            sock.close()
    assert recorder.asked == ["/small", "/large", "/large", "/large"]


def test_what_is_large_is_written_in_parts_between_two_looks(
    recorder: type[Recorder],
    server_context: ssl.SSLContext,
    any_client: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of several that nobody reads; their handlers write one large object each.

    One part is enough here, as if it took long.
    """
    monkeypatch.setattr(module, "_WRITING_SECONDS", 0.0)
    written = [0]
    take_up, write_at = Loop._take_up, _temporary_file._write_at

    def looked(loop: Loop, fds: list[int]) -> None:
        written.append(0)
        take_up(loop, fds)

    def wrote(*arguments: Any) -> int:
        size = write_at(*arguments)
        written[-1] += size
        return size

    monkeypatch.setattr(Loop, "_take_up", looked)
    monkeypatch.setattr(_temporary_file, "_write_at", wrote)
    limits = Limits(max_total_memory=None)
    recorder.whole = True
    server = Recording(("127.0.0.1", 0), recorder, ssl_context=server_context, limits=limits)
    with serving(server):
        socks = [handshake(server.server_address, any_client, rcvbuf=4096) for _ in range(4)]
        keeper, *greedy = socks
        keeper.sendall(b"GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")
        assert recorder.at_gate.wait(15 * UNIT)
        for sock in greedy:
            sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        recorder.opened.set()
        assert wait_until(lambda: sum(written) > LARGE)  # more than one of them
        for sock in socks:
            sock.close()
    assert max(written) <= AT_ONCE


class OverAndOver(Plain):
    """Writes one piece over and over."""

    def do_GET(self) -> None:
        """Answer with very much."""
        self.send_response(200)
        self.send_header("Content-Length", str(LARGE))
        self.end_headers()
        piece = bytes(65_536)
        for _ in range(LARGE // len(piece)):
            self.wfile.write(piece)


@pytest.mark.parametrize("most", [3 << 20, 3_333_333, 200_000])
def test_no_more_is_put_off_than_may_wait_for_one_peer(
    server_context: ssl.SSLContext,
    any_client: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    """``Limits.max_response_backlog`` holds for what takes neither memory nor disk, as well."""
    highest = [0]
    original = Outbox.put_more

    def put_more(outbox: Outbox, data: Any) -> bool:
        done = original(outbox, data)
        highest[0] = max(highest[0], outbox.size)
        return done

    monkeypatch.setattr(Outbox, "put_more", put_more)
    server = Recording(
        ("127.0.0.1", 0),
        OverAndOver,
        ssl_context=server_context,
        limits=Limits(max_response_backlog=most),
    )
    with serving(server):
        sock = handshake(server.server_address, any_client, rcvbuf=4096)
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wait_until(lambda: bool(server.events))
        sock.close()
    assert isinstance(server.events[0][0], ResponseBacklog)
    assert most - 131_072 <= highest[0] <= most  # and what is encrypted counts as well


def test_the_files_of_those_who_leave_are_closed_one_at_a_time(
    recorder: type[Recorder],
    server_context: ssl.SSLContext,
    any_client: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two looks at the sockets one file is given back, when several peers have left."""
    monkeypatch.setattr(_kept_file, "_AT_MOST", 0)  # one would not be closed
    happened: list[str] = []
    take_up, close_one = Loop._take_up, Budget.close_one

    def looked(loop: Loop, fds: list[int]) -> None:
        happened.append("look")
        take_up(loop, fds)

    def closed(budget: Budget) -> bool:
        if budget.to_close:
            happened.append("close")
        return close_one(budget)

    monkeypatch.setattr(Loop, "_take_up", looked)
    monkeypatch.setattr(Budget, "close_one", closed)
    server = Recording(("127.0.0.1", 0), recorder, ssl_context=server_context)
    with serving(server):
        socks = [handshake(server.server_address, any_client, rcvbuf=4096) for _ in range(4)]
        keeper, *greedy = socks
        for sock in greedy:
            sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            assert sock.recv(1)
        keeper.sendall(b"GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")
        assert recorder.at_gate.wait(15 * UNIT)
        for sock in greedy:
            sock.close()
        recorder.opened.set()
        assert wait_until(lambda: happened.count("close") == 3)
        keeper.close()
    assert "close,close" not in ",".join(happened)
