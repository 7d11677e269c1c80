"""Large bodies that go to a file: in blocks, all of it, and nothing of what comes after."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.handler.http_support import MemoryEngine
from tests.handler.test_exchange import Connected, content, post
from tests.support import nothing_left_behind
from tlshttp._budget import Budget, NoRoom
from tlshttp._interfaces import BODY_MISSING, OTHERS_FIRST, READY, ROOM_MISSING
from tlshttp.errors import PeerDisconnected

MIB = 1 << 20
BLOCK = 262_144
RECORD = 16_384
FIRST = 100_000
"""Bytes of a body, of which some are in a file."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have temporary files in a folder of our own, of which nothing is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with nothing_left_behind():
        yield tmp_path


def begun(body: bytes, budget: Budget | None = None) -> Connected:
    """Return an exchange with the beginning of a body."""
    connected = Connected(budget=budget)
    head = post(b"Content-Length: %d" % len(body))
    assert connected.send(head, body[:65_536], body[65_536:FIRST]) == BODY_MISSING
    return connected


def body_of(connected: Connected) -> bytes:
    """Return the body of the request that is ready."""
    body: bytes = connected.begin().rfile.read()
    return body


def test_a_look_takes_a_block_and_no_more() -> None:
    """As much as is taken of others, too, before the next has a turn."""
    body = content(MIB)
    connected = begun(body)
    connected.engine._now = body[FIRST:]
    taken: list[int] = []
    while (missing := connected.exchange.receive()) == OTHERS_FIRST:
        left = len(connected.engine._now)
        taken.append(MIB - left - FIRST - sum(taken))
    assert taken == [BLOCK] * 3
    assert missing == BODY_MISSING  # the rest is less than a block
    assert connected.send(connected.engine._now) == READY
    assert body_of(connected) == body


def test_nothing_is_taken_of_the_next_request() -> None:
    """Although it has come with the last block of the body."""
    body = content(FIRST + BLOCK)
    connected = begun(body)
    connected.engine._now = body[FIRST:] + post(b"Content-Length: 3", path="/next") + b"abc"
    assert connected.exchange.receive() == READY
    assert body_of(connected) == body
    assert connected.engine._now.startswith(b"POST /next ")


def test_what_comes_slowly_is_waited_for() -> None:
    """Nobody is asked to look again, with nothing there."""
    body = content(MIB)
    connected = begun(body)
    for at in range(FIRST, MIB - BLOCK, 10_000):
        connected.engine._now = body[at : at + 10_000]
        assert connected.exchange.receive() == BODY_MISSING
        assert connected.exchange.receive() == BODY_MISSING
    assert connected.send(body[at + 10_000 :]) == READY
    assert body_of(connected) == body


def test_without_room_for_a_block_there_is_none() -> None:
    """What waits for room is as small as ever."""
    body = content(FIRST + BLOCK)
    connected = begun(body, Budget(None, BLOCK))
    connected.engine._now = body[FIRST:]
    assert connected.exchange.receive() == BODY_MISSING
    assert len(connected.engine._now) == BLOCK
    connected.stream.close()


def test_a_block_waits_for_room_that_others_have_taken_just_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is there when there is room again, and not twice."""
    body = content(FIRST + BLOCK)
    budget = Budget(None, FIRST + BLOCK)
    connected = begun(body, budget)
    budget.take_disk(BLOCK // 2)
    connected.engine._now = body[FIRST:]
    with monkeypatch.context() as patch:
        patch.setattr(budget, "has_disk", lambda _size: True)
        patch.setattr(budget, "take_disk", _has_none)
        assert connected.exchange.receive() == ROOM_MISSING
    assert connected.exchange.receive() == ROOM_MISSING
    budget.give_disk(BLOCK // 2)
    assert connected.exchange.receive() == READY
    assert body_of(connected) == body


def _has_none(*_: object) -> None:
    raise NoRoom


# What a connection receives right there ----------------------------------------------------------


class Records(MemoryEngine):
    """Each segment is a record, of which some may be read; after the last one there is `then`."""

    def __init__(self, records: list[bytes], then: Any, fd: int) -> None:
        super().__init__([], fd)
        self.records = records
        self.then = then

    def recv(self, size: int, /) -> bytes:
        """Return the next, or a part of it."""
        if not self.records:
            if self.then == b"":
                return b""
            raise self.then
        record = self.records.pop(0)
        if size < len(record):
            self.records.insert(0, record[size:])
        return record[:size]

    def recv_more(self, pieces: list[bytes], size: int) -> None:
        """Append as many as are wanted."""
        while size > 0 and (not pieces or pieces[-1]):
            pieces.append(self.recv(size))
            size -= len(pieces[-1])


def stream_of(records: list[bytes], then: Any = ssl.SSLWantReadError, fd: int = -1) -> Any:
    """Return a connection on which these arrive."""
    connected = Connected()
    connected.stream._channel = Records(records, then, fd)
    return connected.stream


def test_records_stand_one_after_the_other() -> None:
    """Of whatever size; what is behind them stays as it was."""
    stream = stream_of([b"1" * RECORD, b"2", b"3" * 5])
    buffer = bytearray(b"-" * 3 * RECORD)
    assert stream.fill_into(memoryview(buffer)) == RECORD + 6
    assert buffer == b"1" * RECORD + b"2" + b"3" * 5 + b"-" * (2 * RECORD - 6)
    assert stream.bytes_in == RECORD + 6
    assert stream.buffered == 0


def test_a_record_that_might_not_fit_is_left() -> None:
    """It would have no place."""
    stream = stream_of([b"1" * RECORD, b"2", b"3"])
    assert stream.fill_into(memoryview(bytearray(2 * RECORD))) == RECORD + 1
    assert stream._channel.records == [b"3"]


def test_of_small_records_a_few_are_taken() -> None:
    """Then others have their turn."""
    stream = stream_of([b"1"] * 100)
    assert stream.fill_into(memoryview(bytearray(BLOCK))) == 64


def test_the_end_comes_after_what_was_there() -> None:
    """And `fill` tells of it."""
    stream = stream_of([b"1"], then=b"")
    assert stream.fill_into(memoryview(bytearray(BLOCK))) == 1
    assert stream.fill_into(memoryview(bytearray(BLOCK))) == 0
    assert not stream.fill()


def test_so_does_a_broken_connection(ready_fd: int) -> None:
    """And `fill` raises it."""
    stream = stream_of([b"1"], then=ConnectionResetError(104, "reset"), fd=ready_fd)
    assert stream.fill_into(memoryview(bytearray(BLOCK))) == 1
    assert stream.fill_into(memoryview(bytearray(BLOCK))) == 0
    with pytest.raises(PeerDisconnected):
        stream.fill()


def test_what_was_received_before_comes_first() -> None:
    """Where something is buffered nothing is received."""
    stream = stream_of([b"1", b"2"])
    stream.fill()
    assert stream.fill_into(memoryview(bytearray(BLOCK))) == 0
    assert stream.take(10) == b"1"
    assert stream.fill_into(memoryview(bytearray(BLOCK))) == 1
