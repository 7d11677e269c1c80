"""What processes that were forked from one have counted, each for all others to read.

Each has a slot of shared memory, and writes there now and then what it has counted. A worker that
ends is added to those that have ended before, so that sums never become smaller.

A slot begins with a number that is odd while the rest is written: who finds it odd, or changed,
reads again. There is one writer for each.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import struct
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tlshttp.stats import LATENCY_BOUNDS, Histogram, Latencies, Stats

__all__ = ["Board", "Counted", "SharedCounters", "total"]

_SLOT = 16_384
_HEAD = struct.Struct("QQ")
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
        self._memory = mmap.mmap(-1, _SLOT * (slots + 1))
        self._ended = slots
        """The slot of all that have ended."""

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def write(self, slot: int, counted: Counted | None) -> None:
        """Leave what a process has counted; `None`: nothing any more."""
        data = b"" if counted is None else _to_json(counted)
        if len(data) > _SLOT - _HEAD.size:
            return
        begin = slot * _SLOT
        number, _ = _HEAD.unpack_from(self._memory, begin)
        number |= 1
        _HEAD.pack_into(self._memory, begin, number, len(data))
        self._memory[begin + _HEAD.size : begin + _HEAD.size + len(data)] = data
        _HEAD.pack_into(self._memory, begin, number + 1, len(data))

    def read(self, slot: int) -> Counted | None:
        """Return what is there; `None` where that is nothing."""
        begin = slot * _SLOT
        for _ in range(_TRIES):
            number, size = _HEAD.unpack_from(self._memory, begin)
            data = self._memory[begin + _HEAD.size : begin + _HEAD.size + size]
            if not number & 1 and (number, size) == _HEAD.unpack_from(self._memory, begin):
                return _from_json(data) if data else None
            time.sleep(0)  # the writer is at work, or was killed there
        return None

    def bury(self, slot: int) -> None:
        """Add what a process has counted that has ended to that of those before; called by one."""
        counted, before = self.read(slot), self.read(self._ended)
        found = [_without_gauges(counted)] if counted is not None else []
        found += [before] if before is not None else []
        self._begin_change(self._ended)  # who reads now would count it twice, or not at all
        self.write(slot, None)
        self.write(self._ended, total(found) if found else None)

    def _begin_change(self, slot: int) -> None:
        """Have readers of a slot read again until it has been written."""
        number, size = _HEAD.unpack_from(self._memory, slot * _SLOT)
        _HEAD.pack_into(self._memory, slot * _SLOT, number | 1, size)

    def _state(self, slot: int) -> int:
        """Return a number that changes with each change; odd while there is one."""
        number, _ = _HEAD.unpack_from(self._memory, slot * _SLOT)
        return int(number)

    def read_others(self, slot: int) -> tuple[list[Counted], list[Counted]]:
        """Return what others have counted that serve, and what those have that have ended."""
        others: list[Counted | None] = []
        ended = None
        for _ in range(_TRIES):
            state = self._state(self._ended)
            others = [self.read(other) for other in range(self._slots) if other != slot]
            ended = self.read(self._ended)
            if not state & 1 and state == self._state(self._ended):
                break
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

    def publish(self, server: Any, *, at_once: bool = False) -> None:
        """Leave for the others what a server has counted, if it is time."""
        now = time.monotonic()
        if now < self._next_write and not at_once:
            return
        self._next_write = now + _WRITE_SECONDS
        self._board.write(self._slot, Counted(server.stats(), server.latencies()))

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
