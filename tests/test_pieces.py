"""Bytes in memory: kept as they are where nobody can change them, and else copied."""

from __future__ import annotations

import pytest

from tlshttp._pieces import Pieces


def taken(pieces: Pieces, most: int) -> bytes:
    """Return all that is in there, taken by so many bytes."""
    found = []
    while pieces.size:
        found.append(bytes(pieces.peek(most)))
        pieces.drop(len(found[-1]))
    return b"".join(found)


@pytest.mark.parametrize("most", [1, 7, 20_000, 1 << 20])
def test_what_goes_in_comes_out(most: int) -> None:
    """In order, whatever the sizes."""
    pieces = Pieces()
    data = [bytes([number]) * size for number, size in enumerate((1, 5, 17_000, 3, 16_384, 9))]
    for each in data:
        pieces.append(each)
    assert pieces.size == sum(map(len, data))
    assert taken(pieces, most) == b"".join(data)


def test_large_bytes_are_kept_as_they_are() -> None:
    """A response of one large object is not copied, when nearly all of it is to be kept."""
    data = bytes(1_000_000)
    pieces = Pieces()
    pieces.append(data)
    pieces.append(memoryview(data)[100_000:])
    assert pieces.peek(1_000_000) is data
    pieces.drop(1_000_000)
    rest = pieces.peek(1_000_000)
    assert isinstance(rest, memoryview)
    assert (rest.obj is data, len(rest)) == (True, 900_000)


def test_a_small_part_of_what_is_large_is_copied() -> None:
    """Else all of it would be kept for that."""
    pieces = Pieces()
    pieces.append(memoryview(bytes(1_000_000))[:700_000])
    assert isinstance(pieces.peek(1_000_000), bytes)


def test_what_may_be_changed_is_copied() -> None:
    """A handler fills its buffer again."""
    buffer = bytearray(b"a" * 20_000)
    pieces = Pieces()
    pieces.append(memoryview(buffer))
    buffer[:] = b"b" * 20_000
    assert taken(pieces, 30_000) == b"a" * 20_000


def test_a_piece_is_free_when_all_of_it_has_gone() -> None:
    """Before that none of its memory is."""
    pieces = Pieces()
    pieces.append(bytes(50_000))
    pieces.append(bytes(30_000))
    assert [pieces.drop(20_000), pieces.drop(30_000), pieces.drop(30_000)] == [0, 50_000, 30_000]
    assert not pieces.size


def test_small_ones_are_kept_together() -> None:
    """Each alone would cost an object."""
    pieces = Pieces()
    for number in range(1_000):
        pieces.append(bytes([number % 256]))
    assert len(pieces.peek(2_000)) == 1_000
