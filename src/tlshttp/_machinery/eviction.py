"""Whose connection is closed when there are too many.

Whoever holds most gives way first: of all addresses the one with the most connections, if that is a
fair part of all. Of these, the phase that most of them are in, oldest first: so a flood of
half-sent requests pushes out half-sent requests. Who has come a moment ago, or has been served and
is idle, is not suspect and comes last: an honest handshake takes its time, too.

To look through all connections takes time, so several are chosen at once.
"""

from __future__ import annotations

import socket
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

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
        self._chosen: deque[tuple[Connection, Phase]] = deque()
        self._chosen_at = 0.0

    def candidates(self) -> Iterable[Connection]:
        """Yield who can best be spared, in this order, as chosen some time ago at most."""
        now = time.monotonic()
        if not self._chosen or now - self._chosen_at > _FRESH_SECONDS:
            self._chosen.clear()
            self._chosen.extend((c, c.phase) for c in self._choose(now)[:_CHOSEN_AT_ONCE])
            self._chosen_at = now
        while self._chosen:
            connection, phase = self._chosen.popleft()
            if connection.can_be_spared and connection.phase is phase:
                yield connection

    def _choose(self, now: float) -> list[Connection]:
        parked = [connection for connection in self._connections() if connection.can_be_spared]
        holders = Counter(connection.group for connection in parked)
        if holders:
            holder, count = holders.most_common(1)[0]
            if count * FAIR_PART >= len(parked):
                parked = [connection for connection in parked if connection.group == holder]
        suspects: defaultdict[Phase, list[Connection]] = defaultdict(list)
        others: defaultdict[Phase, list[Connection]] = defaultdict(list)
        for connection in parked:
            phase = Phase.HELLO if connection.phase in HANDSHAKING else connection.phase
            is_young = phase is Phase.HELLO and now - connection.since < _YOUNG_SECONDS
            is_spared = is_young or phase in (Phase.IDLE, Phase.TAKEN_OVER)
            (others if is_spared else suspects)[phase].append(connection)
        kinds = suspects or others
        if not kinds:
            return []
        most = max(kinds, key=lambda phase: (len(kinds[phase]), _SPARED_FIRST.index(phase)))
        return sorted(kinds[most], key=lambda connection: connection.deadline)
