"""Large reads of a body that comes quickly: past the buffer, all of it, and nothing behind it."""

from __future__ import annotations

import ssl

import pytest

from tests.handler.http_support import MemoryEngine, streamed
from tests.handler.test_blocks import stream_of
from tests.handler.test_exchange import content, cut, post
from tests.support import NoOwner
from tlshttp import Limits
from tlshttp._machinery.stream import Stream
from tlshttp.errors import PeerDisconnected

RECORD = 16_384
BODY = content(1_000_000)
NEXT = post(b"Content-Length: 3", path="/next") + b"abc"


# What a connection receives right there ----------------------------------------------------------


def test_no_more_is_taken_than_is_asked_for() -> None:
    """The rest stays where it is, and no buffer has any of it."""
    stream = stream_of([b"1" * RECORD, b"22", b"333"])
    assert stream.receive(RECORD + 3) == b"1" * RECORD + b"223"
    assert stream.bytes_in == RECORD + 3
    assert stream.buffered == 0
    assert stream.receive(100) == b"33"


def test_where_nothing_is_there_nothing_is_raised() -> None:
    """`fill` tells that one has to wait."""
    stream = stream_of([])
    assert stream.receive(100) == b""
    assert not stream.at_end
    with pytest.raises(ssl.SSLWantReadError):
        stream.fill()


def test_the_end_comes_after_what_was_there() -> None:
    """And `fill` tells of it."""
    stream = stream_of([b"1"], then=b"")
    assert stream.receive(100) == b"1"
    assert stream.receive(100) == b""
    assert not stream.fill()


def test_so_does_a_broken_connection(ready_fd: int) -> None:
    """And `fill` raises it."""
    stream = stream_of([b"1"], then=ConnectionResetError(104, "reset"), fd=ready_fd)
    assert stream.receive(100) == b"1"
    assert stream.receive(100) == b""
    with pytest.raises(PeerDisconnected):
        stream.fill()


def test_what_was_received_before_comes_first() -> None:
    """Where something is buffered nothing is received."""
    stream = stream_of([b"1", b"2"])
    stream.fill()
    assert stream.receive(100) == b""
    assert stream.take(100) == b"1"
    assert stream.receive(100) == b"2"


def test_a_server_that_ends_is_looked_at_by_fill() -> None:
    """Nobody asks the engine, which would take it for the peer's fault."""
    stream = stream_of([b"1"])
    stream.awaits_more = False
    assert stream.receive(100) == b""
    assert stream.fill_into(memoryview(bytearray(65_536))) == 0
    assert stream._channel.records == [b"1"]


# What a handler reads ----------------------------------------------------------------------------


class Watched:
    """A body on its way, and how much of it has passed by the buffer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, segments: list[bytes], fd: int) -> None:
        self.received = 0
        self.looks = 0
        receive = Stream.receive

        def watched(stream: Stream, size: int) -> bytes:
            data = receive(stream, size)
            self.looks += 1
            self.received += len(data)
            return data

        monkeypatch.setattr(Stream, "receive", watched)
        self.engine = MemoryEngine(segments, fd)
        self.rfile = streamed(Stream(self.engine, Limits(), NoOwner()), SIZED).rfile


SIZED = b"Content-Length: %d\r\n" % len(BODY)


@pytest.mark.parametrize("read", [RECORD, 50_000, 65_536, 300_000])
@pytest.mark.parametrize("segment", [70_000, 100_000, 200_000])
def test_large_reads_pass_by_the_buffer(
    monkeypatch: pytest.MonkeyPatch, ready_fd: int, read: int, segment: int
) -> None:
    """All of the body is read, in its order, and nothing of what comes after it."""
    watched = Watched(monkeypatch, cut(BODY + NEXT, segment), ready_fd)
    pieces = list(iter(lambda: watched.rfile.read(read), b""))
    assert {len(piece) for piece in pieces[:-1]} == {read}
    assert b"".join(pieces) == BODY
    assert watched.received > 0


def test_of_a_body_that_is_there_only_the_beginning_is_buffered(
    monkeypatch: pytest.MonkeyPatch, ready_fd: int
) -> None:
    """That shows how quick the peer is."""
    watched = Watched(monkeypatch, [BODY + NEXT], ready_fd)
    assert b"".join(iter(lambda: watched.rfile.read(65_536), b"")) == BODY
    assert watched.received >= len(BODY) - 2 * 65_536
    assert watched.engine._now == NEXT


@pytest.mark.parametrize(
    ("read", "segment"), [(1_000, 65_536), (RECORD - 1, 65_536), (65_536, 9), (65_536, 20_000)]
)
def test_small_reads_and_slow_peers_have_the_buffer(
    monkeypatch: pytest.MonkeyPatch, ready_fd: int, read: int, segment: int
) -> None:
    """A look past it would be one more for each read, or for each wait."""
    watched = Watched(monkeypatch, cut(BODY[:200_000], segment), ready_fd)
    assert watched.rfile.read(read) == BODY[:read]
    assert watched.rfile.read(read) == BODY[read : 2 * read]
    assert watched.looks == 0
