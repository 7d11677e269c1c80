"""Where a body ends: however its bytes arrive, whatever its sender puts around them."""

from __future__ import annotations

import contextlib
import ssl
from http import HTTPStatus

import pytest

from tests.handler.http_support import MemoryEngine, streamed
from tests.support import NoOwner
from tlshttp._machinery.stream import Stream
from tlshttp.errors import RequestRefused
from tlshttp.handler._framing import Body, ChunkedBody, SizedBody
from tlshttp.limits import Limits

NEXT = b"GET /next HTTP/1.1\r\n"
"""What follows the body, and is not to be touched."""

MESSAGE = b'5;a="b"\r\nhello\r\n1 ;\r\n,\r\n00006\r\n world\r\n0;last\r\nX: y\r\nEmpty:\r\n\r\n'
"""Chunks with all that may be around them."""


def stream_of(*segments: bytes) -> Stream:
    """Return a stream on which these segments arrive."""
    return Stream(MemoryEngine(segments, -1), Limits(), NoOwner())


def receive(stream: Stream) -> bool:
    """Receive a segment; tell if there was one."""
    before = stream.buffered
    for _ in range(2):  # between two of them one has to wait
        with contextlib.suppress(ssl.SSLWantReadError):
            stream.fill()
            break
    return stream.buffered > before


def take_all(body: Body, stream: Stream, most: int = 65_536) -> bytes:
    """Take all that comes of a body."""
    pieces = []
    while not body.done:
        before = stream.buffered
        data = body.take(stream, most)
        assert len(data) <= most
        pieces.append(data)
        if stream.buffered == before and not receive(stream):
            break
    return b"".join(pieces)


def chunk(size: int, line: int) -> bytes:
    """Return a chunk whose first line has so many bytes, its line end included."""
    begin = b"%x" % size
    extension = b";" + b"e" * (line - len(begin) - 3) if line > len(begin) + 2 else b""
    return begin + extension + b"\r\n" + b"x" * size + b"\r\n"


# Bodies with a length ---------------------------------------------------------------------------


def test_sized_body_takes_what_belongs_to_it() -> None:
    """Neither more than is asked for nor a byte of what follows."""
    stream, body = stream_of(b"hel", b"lo" + NEXT), SizedBody(5)
    receive(stream)
    assert [body.take(stream, 2), body.take(stream, 9), body.take(stream, 9)] == [b"he", b"l", b""]
    assert (body.left, body.done) == (2, False)
    while not body.done:
        receive(stream)
        assert body.take(stream, 9) in (b"", b"lo")
    assert stream.take(100) == NEXT


def test_sized_body_of_nothing_is_done() -> None:
    """There is nothing to wait for."""
    assert SizedBody(0).done


# Chunks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(1, len(MESSAGE + NEXT)))
def test_chunks_cut_in_two_anywhere(place: int) -> None:
    """What a body says does not depend on how it arrives, and what follows it stays there."""
    data = MESSAGE + NEXT
    stream, body = stream_of(data[:place], data[place:]), ChunkedBody(None)
    assert take_all(body, stream) == b"hello, world"
    while receive(stream):
        pass
    assert body.done
    assert stream.take(100) == NEXT


@pytest.mark.parametrize("most", [1, 2, 3, 7, 65_536])
def test_chunks_byte_by_byte(most: int) -> None:
    """Dripped and read in bites of any size, they are the same."""
    stream, body = stream_of(*(bytes([byte]) for byte in MESSAGE)), ChunkedBody(None)
    assert take_all(body, stream, most) == b"hello, world"
    assert body.done


@pytest.mark.parametrize("size", [1, 2, 3])
def test_chunks_of_a_byte_are_legitimate(size: int) -> None:
    """However many: whoever sends what he types does not know of more (peers 11)."""
    count = 50_000
    stream, body = stream_of(chunk(size, 3) * count + b"0\r\n\r\n"), ChunkedBody(None)
    assert len(take_all(body, stream)) == size * count
    assert body.done


@pytest.mark.parametrize("size", [1, 15, 100, 1000])
def test_chunk_may_have_its_fair_share_of_framing(size: int) -> None:
    """Sixteen bytes and twice its own size, in each of them."""
    line = min(4096, 16 + 2 * size - 2)
    stream, body = stream_of(chunk(size, line) * 1000 + b"0\r\n\r\n"), ChunkedBody(None)
    assert len(take_all(body, stream)) == size * 1000


@pytest.mark.parametrize(("last", "accepted"), [(80, True), (81, False)])
def test_framing_beyond_that_is_bounded(last: int, accepted: bool) -> None:
    """16 KiB over the whole body, to the byte; the bound is that of Go's net/http/internal."""
    # A line of n bytes for a chunk of one byte has n + 2 bytes of framing, and a share of 18.
    data = chunk(1, 4096) * 4 + chunk(1, last) + b"0\r\n\r\n"
    stream, body = stream_of(data), ChunkedBody(None)
    if accepted:
        assert take_all(body, stream) == b"xxxxx"
    else:
        with pytest.raises(RequestRefused, match="Too much framing"):
            take_all(body, stream)


def test_extensions_are_no_way_to_send_for_ever() -> None:
    """Peers 11: of chunks that are all extension, no more than 16 KiB and a line are read."""
    stream, body = stream_of(chunk(1, 4000) * 1000), ChunkedBody(None)
    with pytest.raises(RequestRefused, match="Too much framing"):
        take_all(body, stream)
    read = 4_003_000 - stream.buffered - sum(map(len, _left(stream)))
    assert read <= 16_384 + 3 * 4_096


def _left(stream: Stream) -> list[bytes]:
    """Return what the peer has sent and nobody has received."""
    pieces = []
    stream.take(stream.buffered)
    while receive(stream):
        pieces.append(stream.take(stream.buffered))
    return pieces


def test_data_pays_for_framing_only_of_its_own_chunk() -> None:
    """Who has sent much may not then send nothing but framing."""
    data = chunk(60_000, 7) * 10 + chunk(1, 4000) * 10
    stream, body = stream_of(data), ChunkedBody(None)
    with pytest.raises(RequestRefused, match="Too much framing"):
        take_all(body, stream)


@pytest.mark.parametrize(("line", "accepted"), [(4096, True), (4097, False)])
def test_chunk_line_is_bounded(line: int, accepted: bool) -> None:
    """Four kilobytes, whether its end has come or not."""
    stream, body = stream_of(chunk(1, line) + b"0\r\n\r\n"), ChunkedBody(None)
    if accepted:
        assert take_all(body, stream) == b"x"
    else:
        with pytest.raises(RequestRefused, match="Chunk line too long"):
            take_all(body, stream)


def test_chunk_line_without_end_is_not_waited_for() -> None:
    """What is longer than any line is refused before its end comes."""
    stream, body = stream_of(b"5;" + b"e" * 5000), ChunkedBody(None)
    with pytest.raises(RequestRefused, match="Chunk line too long"):
        take_all(body, stream)


@pytest.mark.parametrize("data", [b"5\r\nhelloxx", b"5\r\nhello\nx", b"5\r\nhello0\r\n"])
def test_chunk_that_is_longer_than_said(data: bytes) -> None:
    """Is refused as soon as that is seen."""
    stream, body = stream_of(data), ChunkedBody(None)
    with pytest.raises(RequestRefused, match="Malformed chunk"):
        take_all(body, stream)


# Trailers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "accepted"), [(65_534, True), (65_537, False)])
@pytest.mark.parametrize("line", [65_534, 1_000, 17])
def test_trailers_are_bounded(size: int, accepted: bool, line: int) -> None:
    """64 KiB of them all, in one line or in many."""
    lines, left = [], size
    while left:
        length = line if left - line > 4 else left
        lines.append(b"X:" + b"y" * (min(length, left) - 4) + b"\r\n")
        left -= len(lines[-1])
    stream, body = stream_of(b"0\r\n" + b"".join(lines) + b"\r\n" + NEXT), ChunkedBody(None)
    if accepted:
        assert take_all(body, stream) == b""
        assert body.done
    else:
        with pytest.raises(RequestRefused, match="too long"):
            take_all(body, stream)


def test_trailers_become_no_fields(ready_fd: int) -> None:
    """They are dropped: what they say has not been judged when the head was (RFC 9110, 6.5.1)."""
    data = b"2\r\nhi\r\n0\r\nContent-Length: 9\r\nX-User: admin\r\n\r\n"
    stream = Stream(MemoryEngine([data], ready_fd), Limits(), NoOwner())
    exchange = streamed(stream, b"Transfer-Encoding: chunked\r\n")
    assert exchange.rfile.read() == b"hi"
    assert [name for name, _ in exchange.fields] == ["Host"]


# Limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("largest", "accepted"), [(12, True), (11, False), (None, True)])
def test_largest_body_is_of_all_chunks(largest: int | None, accepted: bool) -> None:
    """A chunk that would be too much is refused by its first line, with 413."""
    stream, body = stream_of(MESSAGE), ChunkedBody(largest)
    if accepted:
        assert take_all(body, stream) == b"hello, world"
        return
    with pytest.raises(RequestRefused, match="Body too large") as caught:
        take_all(body, stream)
    assert caught.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_chunk_that_is_too_large_is_not_waited_for() -> None:
    """Before any of its bytes has come."""
    stream, body = stream_of(b"fffffff\r\n"), ChunkedBody(1000)
    with pytest.raises(RequestRefused, match="Body too large"):
        take_all(body, stream)


def test_others_have_their_turn_between_small_chunks() -> None:
    """Peers 11: of a buffer full of tiny chunks, some hundred are looked at in one go."""
    stream, body = stream_of(chunk(1, 3) * 2_000), ChunkedBody(None)
    receive(stream)
    before = stream.buffered
    data = body.take(stream, 65_536)
    assert 50 <= len(data) <= 256
    assert before - stream.buffered <= 256 * 6
    assert stream.buffered


# What is refused stays so -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"zz\r\n5\r\nhello\r\n0\r\n\r\n",
        b"2\r\nhixx\r\n5\r\nhello\r\n0\r\n\r\n",
        b"0\r\nX\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"0\r\nX: \0\r\n\r\n0\r\n\r\n",
        chunk(1, 4000) * 6 + b"0\r\n\r\n",
        b"ffffff\r\n0\r\n\r\n",
    ],
    ids=["size", "end", "trailer", "trailer-value", "framing", "large"],
)
def test_refused_body_stays_refused(data: bytes) -> None:
    """Whoever reads on after a refusal gets it again, and never what stands behind it."""
    stream, body = stream_of(data + NEXT), ChunkedBody(1000)
    with pytest.raises(RequestRefused) as first:
        take_all(body, stream)
    for _ in range(10):
        with pytest.raises(RequestRefused) as again:
            body.take(stream, 65_536)
        assert str(again.value) == str(first.value)
        receive(stream)
    assert not body.done


def test_every_prefix_of_a_body_is_unfinished() -> None:
    """Only its last byte ends it."""
    for end in range(len(MESSAGE)):
        body = ChunkedBody(None)
        assert b"hello, world".startswith(take_all(body, stream_of(MESSAGE[:end])))
        assert not body.done
