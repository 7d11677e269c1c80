"""What is written is on the wire, in few pieces; what is large takes linear time and no room."""

from __future__ import annotations

import contextlib
import http.client
import math
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.handler.http_support import (
    MemoryEngine,
    Quiet,
    client_context,
    connect,
    converse,
    read_to_end,
    serving,
    streamed,
)
from tests.support import UNIT, NoOwner
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp._machinery.stream import Stream
from tlshttp.handler._reader import RequestReader
from tlshttp.limits import Limits

pytestmark = pytest.mark.thorough

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MIB = 1 << 20

# Events ------------------------------------------------------------------------------------------


class Numbers(Quiet):
    """Sends one event after the other."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(100):
            self.go_on()
            self.wfile.write(b"data: %d\n\n" % number)

    def go_on(self) -> None:
        """Wait until there is something to tell."""


@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
def test_an_event_does_not_wait_for_the_next(server_class: type[TLSHTTPServer]) -> None:
    """It reaches the client without any flush(), while its handler waits."""
    seen = threading.Semaphore(1)

    class Waits(Numbers):
        def go_on(self) -> None:
            assert seen.acquire(timeout=30 * UNIT)

    with serving(Waits, server_class=server_class) as server, connect(server) as client:
        client.sendall(ASK)
        received = b""
        for number in range(100):
            while b"data: %d\n\n" % number not in received:
                piece = client.recv(65_536)
                assert piece, received
                received += piece
            seen.release()


def test_an_event_is_sent_when_it_is_written(ready_fd: int) -> None:
    """By the time that ``write()`` returns, whatever other threads there are."""
    (head, *events) = converse(Numbers, [ASK], ready_fd).sends
    assert b"\r\n\r\n" in head
    assert [event.split()[2] for event in events[-101:-1]] == [b"%d" % n for n in range(100)]


class Waiting(Quiet):
    """Sends a head, then waits for the client to have seen it."""

    server: Any
    content_type = "text/plain"
    flushes = False
    seen: threading.Event

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.content_type)
        self.end_headers()
        if self.flushes:
            self.wfile.flush()
        in_time = self.seen.wait(30 * UNIT)
        self.wfile.write(b"in time" if in_time else b"too late")


@pytest.mark.parametrize(
    "names",
    [
        {"content_type": "text/event-stream"},
        {"content_type": "text/event-stream; charset=utf-8", "wbufsize": -1},
        {"flushes": True},
        {"flushes": True, "wbufsize": -1},
        {"flushes": True, "wbufsize": -1, "protocol_version": "HTTP/1.0"},
    ],
    ids=["events", "events-buffered", "flush", "flush-buffered", "flush-1.0"],
)
def test_head_leaves_before_the_first_byte(names: dict[str, Any]) -> None:
    """The head of an event stream at once, any other with flush()."""
    handler: Any = type("Handler", (Waiting,), {**names, "seen": threading.Event()})
    with serving(handler) as server, connect(server) as client:
        client.sendall(ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = b""
        while b"\r\n\r\n" not in received:
            received += client.recv(65_536)
        handler.seen.set()
        received += read_to_end(client)
    assert b"in time" in received


def test_interim_response_leaves_at_once() -> None:
    """103 (Early Hints) is there before the handler has anything else."""
    seen = threading.Event()

    class Early(Waiting):
        def do_GET(self) -> None:
            self.send_response_only(103)
            self.end_headers()
            super().do_GET()

    Early.seen = seen
    with serving(Early) as server, connect(server) as client:
        client.sendall(ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert client.recv(100) == b"HTTP/1.1 103 Early Hints\r\n\r\n"
        seen.set()
        assert b"in time" in read_to_end(client)


def test_conversation_within_one_request() -> None:
    """A client that waits for the head, and for each answer, before it sends more, gets them."""

    class Echo(Quiet):
        stream_request = True

        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            for line in self.rfile:
                self.wfile.write(line.upper())

    with serving(Echo) as server, connect(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.recv(1000).endswith(b"\r\n\r\n")
        for word in (b"one", b"two"):
            client.sendall(b"4\r\n%b\n\r\n" % word)
            assert client.recv(1000) == b"4\r\n%b\n\r\n" % word.upper()
        client.sendall(b"0\r\n\r\n")
        assert client.recv(1000) == b"0\r\n\r\n"


# Pieces ------------------------------------------------------------------------------------------


class RecordCounter:
    """A client that counts the TLS records it is sent."""

    def __init__(self, server: Any) -> None:
        self._socket = socket.create_connection(server.server_address, timeout=30 * UNIT)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client_context().wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost"
        )
        self._raw = b""
        self.records: list[int] = []
        self._until_done(self._tls.do_handshake)

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._socket.sendall(self._outgoing.read())

    def recv(self) -> bytes:
        data: bytes = self._until_done(lambda: self._tls.read(65_536))
        return data

    def _until_done(self, operation: Any) -> Any:
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._outgoing.read())
                self._take(self._socket.recv(65_536))
            else:
                self._socket.sendall(self._outgoing.read())
                return result

    def _take(self, data: bytes) -> None:
        """Hand ciphertext to TLS, and take note of the size of each record."""
        self._incoming.write(data)
        self._raw += data
        while len(self._raw) >= 5 and len(self._raw) >= 5 + int.from_bytes(self._raw[3:5], "big"):
            size = int.from_bytes(self._raw[3:5], "big")
            self.records.append(size)
            self._raw = self._raw[5 + size :]


class Sized(Quiet):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")


class Unsized(Quiet):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")


class Bodyless(Quiet):
    def do_GET(self) -> None:
        self.send_response(304)
        self.end_headers()


class Failing(Quiet):
    def do_GET(self) -> None:
        self.send_error(404)


@pytest.mark.usefixtures("heads_stay")
@pytest.mark.parametrize(
    ("handler", "pieces", "end"),
    [(Sized, 1, b"hello"), (Unsized, 2, b"0\r\n\r\n"), (Bodyless, 1, b"\r\n\r\n")],
)
def test_head_and_body_leave_in_one_record(handler: type[Quiet], pieces: int, end: bytes) -> None:
    """One record for head and body; one more for the chunk that ends a body without length."""
    with serving(handler) as server:
        client = RecordCounter(server)
        for _ in range(3):  # the first is preceded by session tickets
            client.records.clear()
            client.send(ASK)
            received = b""
            while not received.endswith(end):
                received += client.recv()
        client.close()
    assert len(client.records) == pieces


@pytest.mark.parametrize(("handler", "pieces"), [(Sized, 1), (Unsized, 2), (Failing, 1)])
def test_response_is_sent_in_few_calls(handler: type[Quiet], pieces: int, ready_fd: int) -> None:
    """The system is called once for head and body, also for an error page."""
    outcome = converse(handler, [ASK], ready_fd)
    assert len(outcome.sends) == pieces


# What is large -----------------------------------------------------------------------------------


class EndlessEngine(MemoryEngine):
    """A peer that sends the same piece again and again, and takes a record at a time."""

    def __init__(self, piece: bytes, fd: int) -> None:
        super().__init__([], fd)
        self._piece = piece
        self._at = 0
        self.taken = 0

    def recv(self, size: int, /) -> bytes:
        data = self._piece[self._at : self._at + min(size, 16_384)]
        self._at = (self._at + len(data)) % len(self._piece)
        return data

    def send(self, data: Any, /, *, hold: bool = False) -> int:
        size = min(len(data), 16_384)
        self.taken += size
        return size


def stream_of(piece: bytes, fd: int) -> tuple[EndlessEngine, Stream]:
    """Return a stream whose peer sends `piece` for ever."""
    engine = EndlessEngine(piece, fd)
    return engine, Stream(engine, Limits(), NoOwner())


def body(size: int, piece: bytes, fd: int, *, chunked: bool) -> RequestReader:
    """Return a body of `size` bytes."""
    if chunked:
        piece = b"%x\r\n%b\r\n" % (len(piece), piece)
    head = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % size
    return streamed(stream_of(piece, fd)[1], head).rfile


def by_read(reader: RequestReader, size: int) -> int:
    """Read 64 KiB at a time."""
    got = 0
    while got < size:
        got += len(reader.read(min(size - got, 65_536)))
    return got


def by_readinto(reader: RequestReader, size: int) -> int:
    """Read 64 KiB at a time into a buffer."""
    buffer, got = bytearray(65_536), 0
    while got < size:
        got += reader.readinto(memoryview(buffer)[: size - got])
    return got


def by_read1(reader: RequestReader, size: int) -> int:
    """Read what is there."""
    got = 0
    while got < size:
        got += len(reader.read1(size - got))
    return got


def by_line(reader: RequestReader, size: int) -> int:
    """Read line by line."""
    got = 0
    while got < size:
        got += len(reader.readline(65_536))
    return got


def at_once(reader: RequestReader, size: int) -> int:
    """Read all of it."""
    return len(reader.read(size))


def one_line(reader: RequestReader, size: int) -> int:
    """Read all of it as one line."""
    return len(reader.readline(size))


LINES = b"x" * 8191 + b"\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("how", "piece", "room"),
    [
        (by_read, LINES * 8, 0.5),
        (by_readinto, LINES * 8, 0.5),
        (by_read1, LINES * 8, 0.5),
        (by_line, LINES * 8, 0.5),
        (at_once, LINES * 8, 130),
        (one_line, b"x" * 65_536, 130),
    ],
)
def test_large_body_takes_bounded_room(
    how: Any, piece: bytes, room: float, chunked: bool, ready_fd: int
) -> None:
    """64 MiB take no room but what the handler asks for; twice that while it is put together."""
    reader = body(64 * MIB, piece, ready_fd, chunked=chunked)
    tracemalloc.start()
    try:
        assert how(reader, 64 * MIB) == 64 * MIB
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < room * MIB


def seconds(operation: Any) -> float:
    """Return the CPU time of a run."""
    began = time.thread_time()
    operation()
    return time.thread_time() - began


def takes_linear_time(run: Callable[[int], None]) -> bool:
    """Return whether four times as much takes far less than 16 times as long.

    The fastest runs tell; of a busy machine, there are more of them.
    """
    small = large = math.inf
    for times in range(20):
        small = min(small, seconds(lambda: run(40 * MIB)))
        large = min(large, seconds(lambda: run(160 * MIB)))
        if times >= 2 and large < 10 * small:
            return True
    return False


@pytest.mark.parametrize("how", [at_once, one_line, by_line])
def test_large_body_takes_linear_time(how: Any, ready_fd: int) -> None:
    """Four times as much takes far less than 16 times as long.

    Both sizes are such that the C library's allocator asks the system for them each time.
    """

    def run(size: int) -> None:
        how(body(size, b"x" * 65_536, ready_fd, chunked=False), size)

    assert takes_linear_time(run)


def test_large_write_takes_linear_time(ready_fd: int) -> None:
    """What has been sent is not copied again and again while the peer takes a record at a time."""

    def run(size: int) -> None:
        engine, stream = stream_of(b"x", ready_fd)
        stream.transmit(bytes(size))
        assert engine.taken == size

    assert takes_linear_time(run)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_large_upload_and_download_over_tls(framing: str) -> None:
    """64 MiB arrive unchanged in both directions, read piece by piece."""
    piece = bytes(range(256)) * 4096  # 1 MiB

    class Checks(Quiet):
        def do_POST(self) -> None:
            crc = size = 0
            buffer = memoryview(bytearray(100_000))
            while count := self.rfile.readinto(buffer):
                crc = zlib.crc32(buffer[:count], crc)
                size += count
            self.send_response(200)
            if framing == "length":
                self.send_header("Content-Length", str(size))
            self.send_header("X-CRC", str(crc))
            self.end_headers()
            for _ in range(size // len(piece)):
                self.wfile.write(piece)

    crc = 0
    for _ in range(64):
        crc = zlib.crc32(piece, crc)
    with serving(Checks) as server:
        connection = http.client.HTTPSConnection(
            "localhost", server.server_port, context=client_context(), timeout=30 * UNIT
        )
        headers = {"Content-Length": str(64 * MIB)} if framing == "length" else {}
        connection.request("POST", "/", repeated(piece, 64), headers)
        with connection.getresponse() as response:
            assert response.headers["X-CRC"] == str(crc)
            back = size = 0
            while data := response.read(65_536):
                back = zlib.crc32(data, back)
                size += len(data)
        connection.close()
    assert (back, size) == (crc, 64 * MIB)


def repeated(piece: bytes, times: int) -> Iterator[bytes]:
    """Yield a piece as often."""
    for _ in range(times):
        yield piece


def test_records_are_counted() -> None:
    """The counter counts: a response in two writes has two records."""

    class Twice(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"on")
            self.wfile.write(b"ce")

    with serving(Twice) as server, contextlib.closing(RecordCounter(server)) as client:
        for _ in range(2):
            client.records.clear()
            client.send(ASK)
            received = b""
            while not received.endswith(b"once"):
                received += client.recv()
    assert len(client.records) == 2
