"""Whose connection is closed when there are too many.

Whoever holds most gives way first: of all addresses the one with the most connections, if that is a
fair part of all. Of these, the phase that most of them are in, oldest first: so a flood of
half-sent requests pushes out half-sent requests. Who has come a moment ago, or has been served and
is idle, is not suspect and comes last: an honest handshake takes its time, too.

To look through all connections takes time, so several are chosen at once.
"""

from __future__ import annotations

import math
import socket
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from tlshttp._machinery.registry import HANDSHAKING, Phase

if TYPE_CHECKING:
    from tlshttp._machinery.connection import Connection

__all__ = ["FAIR_PART", "Eviction", "group_of"]

_YOUNG_SECONDS = 1.0
"""For how long a handshake is not suspect: a client at the other end of the world needs half."""

FAIR_PART = 8
"""An address that holds one of so many connections, or more, gives way before all others."""

_CHOSEN_AT_ONCE = 32

_FRESH_SECONDS = 0.25
"""For how long a choice holds."""

_MOMENT = 0.25
"""For how long nobody else gives way, where all that the address with most has are at work."""

_Spared: TypeAlias = "tuple[Connection, Phase]"

_SPARED_FIRST = (
    Phase.HANDLER, Phase.CLOSED, Phase.PLAIN, Phase.HANDSHAKE, Phase.TAKEN_OVER, Phase.IDLE,
    Phase.LATER, Phase.RESPONSE, Phase.BODY, Phase.REQUEST, Phase.HELLO, Phase.CLOSING,
)  # fmt: skip
"""Where as many are in one phase as in another, the later one gives way."""


def group_of(address: object) -> bytes:
    """Return what the connections of one holder have in common.

    That is the IPv4 address, or the /64 network of IPv6, which a single customer is given at least
    (RFC 6177, section 2).
    """
    if not isinstance(address, tuple) or not address or not isinstance(address[0], str):
        return b""
    host = address[0].partition("%")[0]
    if ":" not in host:
        return host.encode("utf-8", "replace")
    try:
        packed = socket.inet_pton(socket.AF_INET6, host)
    except OSError:
        return host.encode("utf-8", "replace")
    mapped = packed.startswith(b"\0" * 10 + b"\xff\xff")
    return ".".join(map(str, packed[12:])).encode() if mapped else packed[:8]


class Eviction:
    """The choice.

    Args:
        connections: Returns all there are.
    """

    def __init__(self, connections: Callable[[], Iterable[Connection]]) -> None:
        self._connections = connections
        self._chosen: deque[_Spared] = deque()
        self._chosen_at = 0.0
        self._at_work_since = math.inf
        """Since when all that the address with most has are at work."""

    def find(self) -> Connection | None:
        """Return who can best be spared, as chosen some time ago at most; `None`: nobody."""
        now = time.monotonic()
        if now - self._chosen_at > _FRESH_SECONDS or self._first() is None:
            self._chosen.clear()
            self._chosen.extend(self._choose(now)[:_CHOSEN_AT_ONCE])
            self._chosen_at = now
        return self._first()

    def forget(self, connection: Connection) -> None:
        """Have the next one be found, not this one."""
        if self._chosen and self._chosen[0][0] is connection:
            self._chosen.popleft()

    def _first(self) -> Connection | None:
        """Return the first of those chosen who can still be spared."""
        while self._chosen:
            connection, phase = self._chosen[0]
            if connection.spared_as is phase:
                return connection
            self._chosen.popleft()
        return None

    def _choose(self, now: float) -> list[_Spared]:
        """Return who can be spared, the first first."""
        suspects: defaultdict[Phase, list[_Spared]] = defaultdict(list)
        others: defaultdict[Phase, list[_Spared]] = defaultdict(list)
        for connection, phase in self._choose_holder(now):
            kind = Phase.HELLO if phase in HANDSHAKING else phase
            is_young = kind is Phase.HELLO and now - connection.since < _YOUNG_SECONDS
            is_spared = is_young or kind in (Phase.IDLE, Phase.TAKEN_OVER)
            (others if is_spared else suspects)[kind].append((connection, phase))
        kinds = suspects or others
        if not kinds:
            return []
        most = max(kinds, key=lambda phase: (len(kinds[phase]), _SPARED_FIRST.index(phase)))
        return sorted(kinds[most], key=_oldest)

    def _choose_holder(self, now: float) -> list[_Spared]:
        """Return all who can be spared of who gives way first."""
        everybody = [*self._connections()]
        spared = [(one, phase) for one in everybody if (phase := one.spared_as) is not None]
        holder = _greediest(everybody)
        if holder is not None:
            found = [one for one in spared if one[0].group == holder]
            if found:
                self._at_work_since = math.inf
                return found
            # None of others is to give way because all of these are at work for a moment.
            self._at_work_since = min(self._at_work_since, now)
            if now - self._at_work_since < _MOMENT:
                return []
            holder = _greediest(one for one, _ in spared)
        return [one for one in spared if holder in (None, one[0].group)]


def _greediest(connections: Iterable[Connection]) -> bytes | None:
    """Return the address with most of these, if that is a fair part."""
    holders = Counter(connection.group for connection in connections)
    holder, count = next(iter(holders.most_common(1)), (None, 0))
    return holder if count * FAIR_PART >= holders.total() else None


def _oldest(found: _Spared) -> float:
    """Return what tells who has been in its phase for longest."""
    connection, _ = found
    return connection.deadline if connection.parked else connection.handler_waits_since
