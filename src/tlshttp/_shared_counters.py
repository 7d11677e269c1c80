"""What processes that were forked from one have counted, each for all others to read.

Each has a slot of shared memory, and writes there what it has counted: now and then, and before it
tells anybody. A worker that ends, however it does, is added to those that have ended before. So no
sum that has been told ever becomes smaller, which Prometheus would take for a restart.

A slot has two halves, and a number that tells which of them is valid. The writer, of whom there is
one for each slot, fills the other half and then counts the number up: so a worker that is killed
while it writes leaves what was there before.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tlshttp.stats import LATENCY_BOUNDS, Histogram, Latencies, Stats

__all__ = ["Board", "Counted", "SharedCounters", "total"]

_HALF = 8_192
"""Bytes: ten times what there is to write where every kind of failure has happened."""
_NUMBER = struct.Struct("Q")
"""A slot's, or the size of what is in a half. A write of eight bytes in place is not torn."""
_SLOT = _NUMBER.size + 2 * _HALF
_TRIES = 100
_WRITE_SECONDS = 0.25
"""How old what others read may be, while there is anything to do."""

_GAUGES = ("active", "parked", "waiting")
"""What is there now, and gone with the process."""


@dataclasses.dataclass(frozen=True)
class Counted:
    """What one process has counted, or several together."""

    stats: Stats
    latencies: Latencies


class Board:
    """The shared memory.

    Args:
        slots: How many processes may write at a time, at most.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._ended = slots
        """The slot of all that have ended."""
        self._changes = _SLOT * (slots + 1)
        """Where the number is that is odd while a slot moves to those that have ended."""
        self._memory = mmap.mmap(-1, self._changes + _NUMBER.size)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def write(self, slot: int, counted: Counted | None) -> None:
        """Leave what a process has counted; `None`: nothing any more."""
        data = b"" if counted is None else _to_json(counted)
        if len(data) > _HALF - _NUMBER.size:
            return
        number = self._number(slot * _SLOT) + 1
        self._fill(slot, number, data)
        _NUMBER.pack_into(self._memory, slot * _SLOT, number)

    def read(self, slot: int) -> Counted | None:
        """Return what is there; `None` where that is nothing."""
        for _ in range(_TRIES):
            number = self._number(slot * _SLOT)
            begin = self._half(slot, number)
            data = self._memory[begin : begin + self._number(begin - _NUMBER.size)]
            if number == self._number(slot * _SLOT):
                return _from_json(data) if data else None
            time.sleep(0)  # twice written meanwhile
        return None

    def bury(self, slot: int) -> None:
        """Add what a process has counted that has ended to that of those before; called by one."""
        counted, before = self.read(slot), self.read(self._ended)
        found = [_without_gauges(counted)] if counted is not None else []
        found += [before] if before is not None else []
        changes = self._number(self._changes)
        _NUMBER.pack_into(self._memory, self._changes, changes + 1)
        self.write(slot, None)
        self.write(self._ended, total(found) if found else None)
        _NUMBER.pack_into(self._memory, self._changes, changes + 2)

    def _fill(self, slot: int, number: int, data: bytes) -> None:
        """Write what is to be valid once the slot has this number."""
        begin = self._half(slot, number)
        _NUMBER.pack_into(self._memory, begin - _NUMBER.size, len(data))
        self._memory[begin : begin + len(data)] = data

    def _half(self, slot: int, number: int) -> int:
        """Return where in memory the half begins that is valid with a number, after its size."""
        return slot * _SLOT + _NUMBER.size + (number & 1) * _HALF + _NUMBER.size

    def _number(self, place: int) -> int:
        (number,) = _NUMBER.unpack_from(self._memory, place)
        return int(number)

    def read_others(self, slot: int) -> tuple[list[Counted], list[Counted]]:
        """Return what others have counted that serve, and what those have that have ended."""
        others: list[Counted | None] = []
        ended = None
        for _ in range(_TRIES):
            changes = self._number(self._changes)
            others = [self.read(other) for other in range(self._slots) if other != slot]
            ended = self.read(self._ended)
            if not changes & 1 and changes == self._number(self._changes):
                break
            time.sleep(0)  # else one would be counted twice, or not at all
        return [one for one in others if one is not None], [ended] if ended is not None else []


class SharedCounters:
    """The counters of other processes, as one of them sees them.

    Args:
        board: What they share.
        slot: This process's own.
    """

    def __init__(self, board: Board, slot: int) -> None:
        self._board = board
        self._slot = slot
        self._next_write = 0.0
        self._lock = threading.Lock()

    def publish_if_due(self, server: Any) -> None:
        """Leave for the others what a server has counted, if it is time."""
        if time.monotonic() >= self._next_write:
            self.publish(server)

    def publish(self, server: Any) -> Counted:
        """Leave for the others what a server has counted, and return it."""
        with self._lock:
            self._next_write = time.monotonic() + _WRITE_SECONDS
            counted = Counted(server.stats(), server.latencies())
            self._board.write(self._slot, counted)
            return counted

    def others(self) -> tuple[list[Counted], list[Counted]]:
        """Return what others have counted that serve, and what those have that have ended."""
        return self._board.read_others(self._slot)


def total(counted: Iterable[Counted]) -> Counted:
    """Add up what several processes have counted; the certificates are the first one's."""
    first, *more = counted
    stats, latencies = first.stats, first.latencies
    for one in more:
        values = {
            field.name: _sum(getattr(stats, field.name), getattr(one.stats, field.name))
            for field in dataclasses.fields(Stats)
            if field.name != "certificates"
        }
        stats = dataclasses.replace(stats, **values)
        latencies = Latencies(
            handler=_sum_of_histograms(latencies.handler, one.latencies.handler),
            handshake=_sum_of_histograms(latencies.handshake, one.latencies.handshake),
        )
    return Counted(stats, latencies)


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, Mapping):
        sums = Counter(one)
        sums.update(other)
        return dict(sums)
    return one + other


def _sum_of_histograms(one: Histogram, other: Histogram) -> Histogram:
    counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
    return Histogram(counts=counts, sum=one.sum + other.sum)


def _without_gauges(counted: Counted) -> Counted:
    nothing: dict[str, Any] = {
        name: dict.fromkeys(value, 0) if isinstance(value, Mapping) else 0
        for name in _GAUGES
        for value in [getattr(counted.stats, name)]
    }
    return Counted(dataclasses.replace(counted.stats, **nothing), counted.latencies)


def _to_json(counted: Counted) -> bytes:
    stats = {
        field.name: _plain(getattr(counted.stats, field.name))
        for field in dataclasses.fields(Stats)
        if field.name != "certificates"
    }
    latencies = {
        name: {"counts": one.counts, "sum": one.sum}
        for name, one in (
            ("handler", counted.latencies.handler),
            ("handshake", counted.latencies.handshake),
        )
    }
    return json.dumps({"stats": stats, "latencies": latencies}).encode("ascii")


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _from_json(data: bytes) -> Counted | None:
    try:
        found = json.loads(data)
    except ValueError:
        return None
    latencies = {
        name: Histogram(counts=tuple(one["counts"]), sum=one["sum"])
        for name, one in found["latencies"].items()
    }
    if any(len(one.counts) != len(LATENCY_BOUNDS) + 1 for one in latencies.values()):
        return None
    return Counted(Stats(**found["stats"]), Latencies(**latencies))
