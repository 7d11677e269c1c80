"""What comes before a handler is called: the head is judged, the body collected."""

from __future__ import annotations

import errno
import io
import itertools
import ssl
import tempfile
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.handler.http_support import MemoryEngine, Outcome, Quiet, Recorder, converse, statuses
from tests.support import NoOwner, nothing_left_behind
from tlshttp import TLSRequestHandler, _temporary_file
from tlshttp._budget import Budget
from tlshttp._interfaces import BODY_MISSING, HEAD_MISSING, OTHERS_FIRST, READY, ROOM_MISSING
from tlshttp._machinery.stream import Stream
from tlshttp._spool import Spool
from tlshttp.handler._compose import compose
from tlshttp.handler._exchange import HTTPExchange
from tlshttp.limits import Limits

KIB = 1_024
MIB = 1_048_576
SIZES = (1, 4_096, 65_535, 65_536, 65_537, 70_000, 300_000)
SMALL = Limits(max_body_bytes=1_000, max_header_bytes=2_000)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have temporary files in a folder of our own, of which nothing is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with nothing_left_behind():
        yield tmp_path


def post(*fields: bytes, path: str = "/") -> bytes:
    """Return the head of a POST request with these fields besides Host."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path.encode(), lines)


def chunked(body: bytes, size: int = 1_000) -> bytes:
    """Return a body in chunks."""
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def content(size: int) -> bytes:
    """Return bytes that are not the same everywhere."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def cut(data: bytes, size: int) -> list[bytes]:
    """Cut data into pieces."""
    return [data[place : place + size] for place in range(0, len(data), size)]


class OpenEngine(MemoryEngine):
    """A channel whose peer stays: there is more, or one has to wait."""

    def recv(self, size: int, /) -> bytes:
        """Return a piece of what has arrived."""
        if not self._now:
            raise ssl.SSLWantReadError
        return super().recv(size)


class Connected:
    """An exchange, and the connection in memory that it is of."""

    def __init__(
        self,
        handler: type[BaseHTTPRequestHandler] = Recorder,
        *,
        limits: Limits = Limits(),
        budget: Budget | None = None,
        collects_all: bool = True,
    ) -> None:
        self.engine = OpenEngine([], -1)
        self.budget = budget or Budget(None, None)
        self.stream = Stream(self.engine, limits, NoOwner(), None, self.budget)
        self.exchange = HTTPExchange(
            self.stream, limits, compose(handler), collects_all=collects_all
        )
        self.stream.exchange = self.exchange

    def send(self, *segments: bytes) -> int:
        """Have segments arrive; return what is missing then."""
        missing = self.exchange.receive()
        for segment in segments:
            self.engine._now = segment
            while self.engine.has_input:
                self.stream.fill()
                missing = self.look()
                if missing in (READY, ROOM_MISSING):
                    return missing
        return missing

    def look(self) -> int:
        """Return what is missing, when all that has arrived has been looked at."""
        while (missing := self.exchange.receive()) == OTHERS_FIRST:
            pass
        return missing

    def begin(self) -> HTTPExchange:
        """Begin with the request that is ready, and pass over its head."""
        assert self.exchange.begin()
        self.exchange.rfile.skip_head()
        return self.exchange


# Judged before anything else ---------------------------------------------------------------------


class Picky(Recorder, TLSRequestHandler):
    """Answers for one host."""

    allowed_hosts = ("a",)


REFUSED = [
    (post(b"Content-Length: 1001"), 413),
    (post(b"Content-Length: 1001", b"Expect: 100-continue"), 413),
    (post(b"Content-Length: 10", b"Transfer-Encoding: chunked"), 400),
    (post(b"Content-Length: 10", b"Content-Length: 10"), 400),
    (post(b"Content-Length: 10").replace(b"Host: a\r\n", b""), 400),
    (post(b"Content-Length: 10").replace(b" a\r\n", b" b\r\n"), 421),
    (post(b"Transfer-Encoding: chunked").replace(b" a\r\n", b" b\r\n"), 421),
    (post(b"Content-Length: 10", b"X: " + b"y" * 2_000), 431),
    (post(b"Transfer-Encoding: gzip"), 501),
    (post(b"Content-Length: 10").replace(b"HTTP/1.1", b"HTTP/2.0"), 505),
]


@pytest.mark.parametrize(("head", "status"), REFUSED, ids=[*map(str, range(len(REFUSED)))])
@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("streams", [False, True])
def test_refusal_does_not_wait_for_the_body(
    head: bytes, status: int, threaded: bool, streams: bool, ready_fd: int
) -> None:
    """Nor asks for it, nor calls a handler's method; the connection ends, and says so."""
    kind = type("Kind", (Picky,), {"stream_request": streams})
    outcome = converse(kind, [head], ready_fd, limits=SMALL, threaded=threaded)
    assert statuses(outcome.sent) == (status,)
    assert outcome.handled == []
    assert not outcome.kept
    assert b"Connection: close\r\n" in outcome.sent


def test_head_is_judged_when_it_is_there_and_once() -> None:
    """Byte by byte nothing is decided; then the state is the same however often it is asked."""
    connected = Connected()
    head = post(b"Content-Length: 5")
    for byte in head[:-1]:
        assert connected.send(bytes([byte])) == HEAD_MISSING
        assert not connected.exchange.streams
    assert connected.send(head[-1:]) == BODY_MISSING
    assert connected.exchange.begun
    assert connected.send(b"hell") == BODY_MISSING
    assert connected.send(b"oGET") == READY
    assert connected.look() == READY
    assert connected.begin().rfile.read() == b"hello"
    assert connected.stream.take(10) == b"GET"


# Collected ---------------------------------------------------------------------------------------


class Seer(Quiet):
    """Answers with what it sees of a request."""

    server: Any

    def do_POST(self) -> None:
        """Answer."""
        fields = {name: self.headers.get(name) for name in ("Content-Length", "Transfer-Encoding")}
        announced = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(announced)
        rest = self.rfile.read()
        self.server.handled.append((fields, len(body), zlib.crc32(body), rest))
        self.send_response(204)
        self.end_headers()


def seen(body: bytes) -> tuple[Any, ...]:
    """Return what a handler sees of a request with that body."""
    fields = {"Content-Length": str(len(body)), "Transfer-Encoding": None}
    return fields, len(body), zlib.crc32(body), b""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [1_000, 16_384, MIB])
@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("threaded", [False, True])
def test_body_is_whole_when_the_handler_is_called(
    size: int, piece: int, in_chunks: bool, threaded: bool, ready_fd: int
) -> None:
    """Handlers F8: whatever its framing, with its length and without a coding."""
    body = content(size)
    data = (
        post(b"Transfer-Encoding: chunked") + chunked(body)
        if in_chunks
        else post(b"Content-Length: %d" % size) + body
    )
    outcome = converse(Seer, cut(data * 2, piece), ready_fd, threaded=threaded)
    assert outcome.handled == [seen(body), seen(body)]
    assert statuses(outcome.sent) == (204, 204)
    assert outcome.kept


def test_chunked_head_read_line_by_line_has_a_length(ready_fd: int) -> None:
    """A handler that reads the head by itself sees the request that it can read."""
    heads = []

    class ByHand(Quiet):
        def handle(self) -> None:
            lines = [self.rfile.readline(65_537)]
            while lines[-1] not in (b"\r\n", b"\n", b""):
                lines.append(self.rfile.readline(65_537))
            heads.append(b"".join(lines))
            heads.append(self.rfile.read(5))
            heads.append(self.rfile.read())
            self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    data = post(b"X: y", b"transfer-encoding: Chunked", b"Z: y") + chunked(b"hello")
    converse(ByHand, [data], ready_fd)
    assert heads == [
        b"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\nZ: y\r\nContent-Length: 5\r\n\r\n", b"hello", b"",
    ]  # fmt: skip


def test_head_read_line_by_line_is_the_one_that_came(ready_fd: int) -> None:
    """Byte for byte, where nothing had to be changed."""
    lines: list[bytes] = []

    class ByHand(Quiet):
        def handle(self) -> None:
            lines.extend(self.rfile)
            self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    data = b"POST /\xe4 HTTP/1.1\nHost:a\r\nx:  y \r\nContent-Length:\t3\r\n\r\na\nb"
    converse(ByHand, cut(data, 7), ready_fd)
    assert b"".join(lines) == data


def by_readinto(file: Any) -> bytes:
    """Read into a buffer."""
    buffer, pieces = bytearray(5_000), []
    while count := file.readinto(buffer):
        pieces.append(bytes(buffer[:count]))
    return b"".join(pieces)


def by_peek(file: Any) -> bytes:
    """Read no more than has been looked at."""
    pieces = []
    while data := file.peek(1):
        assert file.read(min(3, len(data))) == data[:3]
        pieces.append(data[:3])
    return b"".join(pieces)


READS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda file: file.read(),
    "read-1": lambda file: file.read(-1),
    "read-none": lambda file: file.read(None),
    "pieces": lambda file: b"".join(iter(lambda: file.read(7_001), b"")),
    "read1": lambda file: b"".join(iter(lambda: file.read1(9_999), b"")),
    "readinto": by_readinto,
    "lines": b"".join,
    "readlines": lambda file: b"".join(file.readlines()),
    "short-lines": lambda file: b"".join(iter(lambda: file.readline(100), b"")),
    "peek": by_peek,
    "text": lambda file: io.TextIOWrapper(file, "latin-1", newline="").read().encode("latin-1"),
}


@pytest.mark.parametrize("how", [*READS])
@pytest.mark.parametrize("size", [0, 10, 65_536, 100_000])
@pytest.mark.parametrize("streams", [False, True])
def test_body_is_read_in_any_way(how: str, size: int, streams: bool, ready_fd: int) -> None:
    """From memory, from a file, as it comes: the same bytes, and then nothing for ever."""
    bodies = []

    class Reads(Quiet):
        stream_request = streams

        def do_POST(self) -> None:
            bodies.append(READS[how](self.rfile))
            assert self.rfile.read(5) == self.rfile.readline() == self.rfile.read() == b""
            self.send_response(204)
            self.end_headers()

    body = content(size)
    data = post(b"Content-Length: %d" % size) + body
    outcome = converse(Reads, cut(data * 2, 10_000), ready_fd)
    assert bodies == [body, body]
    assert outcome.kept


@pytest.mark.parametrize("reads", [0, 10, 200_000])
@pytest.mark.parametrize("ends", ["answer", "error", "exception"])
def test_memory_and_disk_are_given_back(reads: int, ends: str) -> None:
    """Whatever the handler has read of the body, and however it ends."""
    budget = Budget(None, None)
    connected = Connected(budget=budget)
    data = post(b"Content-Length: 200000") + content(200_000)
    assert connected.send(*cut(data, 16_384)) == READY
    assert budget.disk + budget.memory > 100_000
    exchange = connected.begin()
    assert len(exchange.rfile.read(reads)) == reads
    if ends == "answer":
        exchange.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    elif ends == "exception":
        exchange.apologise()
    assert exchange.end() == (ends == "answer")
    assert (budget.memory, budget.disk) == (0, 0)


@pytest.mark.parametrize("arrived", [100, 100_000, 200_000])
def test_peer_that_leaves_leaves_nothing(arrived: int) -> None:
    """What was collected of an unfinished request is given back with the connection."""
    budget = Budget(None, None)
    connected = Connected(budget=budget)
    data = post(b"Content-Length: 200000") + content(200_000)
    assert connected.send(*cut(data[:arrived], 16_384)) == BODY_MISSING
    connected.stream.close()
    assert (budget.memory, budget.disk) == (0, 0)


def test_many_tiny_chunks_let_others_have_their_turn() -> None:
    """Peers 11: what lies in the buffer is worked through a few hundred chunks at a time."""
    connected = Connected()
    data = post(b"Transfer-Encoding: chunked") + chunked(b"x" * 2_000, 1)
    connected.engine._now = data
    connected.stream.fill()
    turns = 0
    while (missing := connected.exchange.receive()) != READY:
        assert missing in (OTHERS_FIRST, BODY_MISSING)
        turns += 1
        if missing == BODY_MISSING:
            connected.stream.fill()
    assert turns > 2_000 / 256
    assert connected.begin().rfile.read() == b"x" * 2_000


# Sizes -------------------------------------------------------------------------------------------


def test_server_with_threads_collects_up_to_a_size(ready_fd: int) -> None:
    """``Limits.max_collected_body``; a handler with a larger body is called at once."""
    limits = Limits(max_collected_body=10_000)
    for size, collected in ((10_000, True), (10_001, False)):
        data = post(b"Content-Length: %d" % size) + content(size)
        connected = Connected(Seer, limits=limits, collects_all=False)
        expected = BODY_MISSING if collected else READY
        assert connected.send(data[:100]) == expected
        outcome = converse(Seer, cut(data * 2, 3_000), ready_fd, limits=limits, threaded=True)
        assert outcome.handled == [seen(content(size))] * 2
        assert outcome.kept


def test_server_with_threads_collects_all_chunks(ready_fd: int) -> None:
    """How many there will be nobody knows, and the handler is to have a length."""
    body = content(3 * MIB)
    data = post(b"Transfer-Encoding: chunked") + chunked(body, 65_536)
    outcome = converse(Seer, cut(data, 200_000), ready_fd, threaded=True)
    assert outcome.handled == [seen(body)]


def test_single_threaded_server_collects_all(ready_fd: int) -> None:
    """Its only thread must not wait for anybody."""
    body = content(3 * MIB)
    connected = Connected(Seer)
    assert connected.send(post(b"Content-Length: %d" % len(body)), body[:100]) == BODY_MISSING
    data = post(b"Content-Length: %d" % len(body)) + body
    assert converse(Seer, cut(data, 200_000), ready_fd).handled == [seen(body)]


# As it comes -------------------------------------------------------------------------------------


class Streaming(Seer):
    """Wants bodies as they come."""

    stream_request = True


@pytest.mark.parametrize("field", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("collects_all", [False, True])
def test_streaming_handler_is_called_with_the_head(field: bytes, collects_all: bool) -> None:
    """In either server, before a byte of the body has come."""
    connected = Connected(Streaming, collects_all=collects_all)
    assert connected.send(post(field)) == READY
    assert connected.exchange.streams


def test_streaming_handler_sees_no_coding(ready_fd: int) -> None:
    """The body it reads has no chunks any more, so its head must not speak of them."""
    heads: list[Any] = []

    class Reads(Quiet):
        stream_request = True

        def do_POST(self) -> None:
            heads.append(self.headers.items())
            heads.append(self.rfile.read())
            self.send_response(204)
            self.end_headers()

    data = post(b"Transfer-Encoding: chunked") + chunked(b"hello", 2)
    outcome = converse(Reads, cut(data * 2, 9), ready_fd)
    assert heads == [[("Host", "a")], b"hello"] * 2
    assert outcome.kept


def test_answer_before_the_body_announces_the_end(ready_fd: int) -> None:
    """Handlers F12: what the rest of the body would be taken for, nobody is to find out."""

    class Early(Quiet):
        stream_request = True

        def do_POST(self) -> None:
            self.send_error(403)

    for field in (b"Content-Length: 300000", b"Content-Length: 5\r\nExpect: 100-continue"):
        outcome = converse(Early, [post(field)], ready_fd)
        assert statuses(outcome.sent) == (403,)
        assert not outcome.kept
        assert b"Connection: close\r\n" in outcome.sent


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("place", [*range(60, 140, 7)])
def test_unread_body_is_never_a_request(streams: bool, place: int, ready_fd: int) -> None:
    """Whether it has come or not, and where it is cut; kept or closed, as the response has said."""
    inner = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
    data = post(b"Content-Length: %d" % len(inner), path="/unread") + inner
    data += b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
    kind = type("Kind", (Recorder,), {"stream_request": streams})
    outcome = converse(kind, [data[:place], data[place:]], ready_fd)
    assert outcome.handled in (["POST /unread"], ["POST /unread", "GET /next."])
    assert outcome.kept == (len(outcome.handled) == 2)
    assert streams or outcome.kept
    assert outcome.kept or b"Connection: close\r\n" in outcome.sent


# 100 (Continue) ----------------------------------------------------------------------------------

EXPECT = b"Expect: 100-continue"


@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("arrived", [0, 1, 99])
def test_continue_is_said_once_to_who_waits_for_it(field: bytes, arrived: int) -> None:
    """And not to who has sent all of it (RFC 9110, section 10.1.1)."""
    body = chunked(b"hello") if b"chunked" in field else b"hello"
    connected = Connected()
    connected.send(post(field, EXPECT) + body[:arrived])
    connected.send(body[arrived:])
    assert connected.look() == READY
    assert connected.begin().rfile.read() == b"hello"
    sent = bytes(connected.engine.sent)
    if not arrived:
        assert sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    else:
        assert sent in (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
        assert not (arrived == 99 and sent)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("old", ["client", "server"])
def test_continue_is_of_http_1_1(streams: bool, old: str, ready_fd: int) -> None:
    """RFC 9110, section 15.2: a client of HTTP/1.0 must not get it."""
    version = "HTTP/1.0" if old == "server" else "HTTP/1.1"
    kind = type("Kind", (Seer,), {"stream_request": streams, "protocol_version": version})
    data = post(b"Content-Length: 5", EXPECT)
    if old == "client":
        data = data.replace(b"HTTP/1.1", b"HTTP/1.0")
    outcome = converse(kind, [data, b"hello"], ready_fd)
    assert statuses(outcome.sent) == (204,)
    assert outcome.handled == [seen(b"hello")]


def test_continue_is_the_handlers_where_it_decides(ready_fd: int) -> None:
    """``handle_expect_100()`` of its own is called before the body is asked for."""

    class Decides(Seer):
        def handle_expect_100(self) -> bool:
            self.server.handled.append("asked")
            if self.headers["X-No"]:
                self.send_error(417)
                return False
            return super().handle_expect_100()

    for threaded in (False, True):
        head = post(b"Content-Length: 5", EXPECT)
        outcome = converse(Decides, [head, b"hello"], ready_fd, threaded=threaded)
        assert statuses(outcome.sent) == (100, 204)
        assert outcome.handled == ["asked", seen(b"hello")]
        head = post(b"Content-Length: 5", b"X-No: 1", EXPECT)
        outcome = converse(Decides, [head], ready_fd, threaded=threaded)
        assert statuses(outcome.sent) == (417,)
        assert not outcome.kept
        assert b"Connection: close\r\n" in outcome.sent


def test_handler_that_says_continue_by_hand_says_it_once(ready_fd: int) -> None:
    """Many do; a second one would be taken for the response by some."""

    class Says(Quiet):
        def do_POST(self) -> None:
            self.send_response_only(100)
            self.end_headers()
            self.rfile.read()
            self.send_response(204)
            self.end_headers()

    for streams in (False, True):
        kind = type("Kind", (Says,), {"stream_request": streams})
        head = post(b"Content-Length: 5", EXPECT)
        assert statuses(converse(kind, [head, b"hello"], ready_fd).sent) == (100, 204)


# No room -----------------------------------------------------------------------------------------


def test_no_room_on_disk_is_waited_for() -> None:
    """Nothing is lost and nothing is read: the peer is simply not served further."""
    limits = Limits(max_buffer_memory=4_096)
    budget = Budget(0, 100_000)
    other = Spool(budget, 0)
    other.append(bytes(60_000))
    connected = Connected(limits=limits, budget=budget)
    body = content(90_000)
    pieces = cut(post(b"Content-Length: 90000") + body, 10_000)
    sent = 0
    while (missing := connected.send(pieces[sent])) != ROOM_MISSING:
        assert missing == BODY_MISSING
        sent += 1
    for _ in range(3):
        assert connected.look() == ROOM_MISSING
    other.clear()
    assert connected.look() == BODY_MISSING
    assert connected.send(*pieces[sent + 1 :]) == READY
    assert connected.begin().rfile.read() == body
    connected.exchange.let_go()
    assert (budget.memory, budget.disk) == (0, 0)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_full_disk_refuses_the_request_and_goes_on(
    in_chunks: bool, ready_fd: int, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """507 (Insufficient Storage), said in the log; small requests are served as ever."""

    def write(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_temporary_file, "_write_at", write)
    body = content(200_000)
    large = (
        post(b"Transfer-Encoding: chunked") + chunked(body)
        if in_chunks
        else post(b"Content-Length: 200000") + body
    )
    outcome = converse(Seer, cut(large, 16_384), ready_fd)
    assert statuses(outcome.sent) == (507,)
    assert outcome.handled == []
    assert not outcome.kept
    assert "No space left on device" in caplog.text
    small = post(b"Content-Length: 1000") + body[:1_000]
    assert converse(Seer, [small], ready_fd).handled == [seen(body[:1_000])]


def test_handler_in_blocking_mode_does_not_wait_for_room(
    ready_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for its own second request in a thread, which is not to stand there for others."""

    class Loops(Seer):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            super().handle()

    limits = Limits(max_buffer_memory=4_096, max_total_memory=1, max_total_disk=10_000)
    data = post(b"Content-Length: 5") + b"hello" + post(b"Content-Length: 90000") + content(90_000)
    original = Stream.__init__

    def with_budget(self: Stream, *arguments: Any, **more: Any) -> None:
        original(self, *arguments, **more)
        self.budget = Budget(limits.max_total_memory, limits.max_total_disk)

    monkeypatch.setattr(Stream, "__init__", with_budget)
    outcome = converse(Loops, cut(data, 16_384), ready_fd, limits=limits)
    assert outcome.handled == [seen(b"hello")]
    assert statuses(outcome.sent) == (204, 507)


# Handlers with a loop of their own ---------------------------------------------------------------


class OwnLoop(Recorder):
    """Asks for its requests by itself."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        """Do as `http.server` does."""
        self.close_connection = True
        self.handle_one_request()
        while not self.close_connection:
            self.handle_one_request()


def test_own_loop_serves_one_after_the_other(ready_fd: int) -> None:
    """In one call of ``handle()``, however the requests arrive."""
    data = (
        post(b"Content-Length: 5") + b"hello"
        + post(b"Transfer-Encoding: chunked", path="/unread") + chunked(b"hello")
        + b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )  # fmt: skip
    for size in (1, 10, 1_000):
        outcome: Outcome = converse(OwnLoop, cut(data, size), ready_fd)
        assert outcome.handled == ["POST / hello.", "POST /unread", "GET /x."]
        assert statuses(outcome.sent) == (200, 200, 200)


def test_own_loop_of_http_1_0_says_that_each_response_is_the_last(ready_fd: int) -> None:
    """Whoever sets no version may return after any of them, as on `http.server`."""

    class Once(Recorder):
        def handle(self) -> None:
            self.handle_one_request()

    data = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2
    outcome = converse(Once, [data], ready_fd)
    assert outcome.handled == ["GET /."]
    assert outcome.sent.startswith(b"HTTP/1.0 200 ")
    assert not outcome.kept


def test_protocol_of_a_handlers_own_is_let_through(ready_fd: int) -> None:
    """A function that makes handlers may make some that do not speak HTTP at all."""
    lines: list[bytes] = []

    def make(request: Any, _address: object, _server: object) -> None:
        file = request.makefile("rb")
        lines.extend(itertools.islice(file, 2))
        request.sendall(b"250 Hello\r\n")

    kind: Any = make
    outcome = converse(kind, [b"EHLO there\r\n", b"QUIT\r\n\r\n", b"more"], ready_fd)
    assert lines == [b"EHLO there\r\n", b"QUIT\r\n"]
    assert outcome.sent == b"250 Hello\r\n"


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_taken_over_connection_gives_what_comes(method: str, ready_fd: int) -> None:
    """Handlers F4: after 101, and 2xx to CONNECT, ``rfile`` is the connection."""
    heard = []

    class Tunnel(Quiet):
        rfile: Any

        def do_GET(self) -> None:
            self.send_response(101 if method == "GET" else 200)
            self.end_headers()
            heard.append(self.rfile.read(2))
            heard.append(self.rfile.readline())
            heard.append(self.rfile.read1(100))
            heard.append(self.rfile.peek(1)[:1])
            heard.append(self.rfile.read())
            self.wfile.write(b"bye")

        do_CONNECT = do_GET

    head = f"{method} a:443 HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    for first in (b"", b"ABli", b"ABline\nGET / HTTP/1.1\r\n"):
        heard.clear()
        rest = b"ABline\nGET / HTTP/1.1\r\n"[len(first) :]
        outcome = converse(Tunnel, [head + first, rest, b"end"], ready_fd)
        assert heard == [b"AB", b"line\n", b"GET / HTTP/1.1\r\n", b"e", b"end"]
        assert outcome.sent.endswith(b"\r\n\r\nbye")
        assert not outcome.kept


def test_timeout_of_the_handlers_own_passes_through() -> None:
    """A handler in non-blocking mode is told that there is nothing, in both usual ways."""
    connected = Connected(Streaming)
    assert connected.send(post(b"Content-Length: 5")) == READY
    exchange = connected.begin()
    connected.stream.settimeout(0)
    with pytest.raises(BlockingIOError) as caught:
        exchange.rfile.read(5)
    assert isinstance(caught.value, ssl.SSLWantReadError)
