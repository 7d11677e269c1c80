"""A response that is passed on from a handler to its peer, as long as that keeps up.

What is only passed through memory costs half of what a file costs. So a handler waits before it
writes to one, as long as nobody else wants its thread. Handlers whose peers do not keep up write
their files by turns: all together do so for a quarter of the time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tlshttp._machinery.patience import LINGER_SECONDS
from tlshttp._machinery.sending import AHEAD, SendingStream
from tlshttp._turns import TURN

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["PassingOnStream"]

_LINGER_RATE = 3_276_800
"""Bytes by which a peer earns a second of its handler's time: 64 KiB in 20 ms."""

_SHORTEST_WAIT = 0.0005
"""Seconds below which it does not wait for its turn."""


class PassingOnStream(SendingStream):
    """How a connection has a handler wait that is ahead of its peer."""

    __slots__ = ()

    def _is_worth_waiting(self, rest: Buffer) -> bool:
        """Return whether the handler may wait before it writes to a file."""
        return (
            self.known_length
            and self.backlog + memoryview(rest).nbytes > AHEAD
            and self.owner.may_linger()
        )

    def _send_or_keep(self, rest: memoryview, *, lingers: bool) -> None:
        """Send or keep what could not be kept without waiting.

        The handler has it in memory for as long as it waits here, so it counts: beside a thousand
        handlers, each with 64 KiB, others write to files.
        """
        size = min(len(rest), AHEAD)
        self.budget.hold_memory(size)
        try:
            if lingers:
                rest = self._pass_on(rest)
            if rest:
                self._send_waiting(rest)
        finally:
            self.budget.give_memory(size)

    def _pass_on(self, rest: memoryview) -> memoryview:
        """Send this as long as the peer keeps up, then keep it; return what cannot be kept."""
        while rest:
            self._await_turn()
            if self.linger_left > 0:
                rest = self._linger(rest)
            # Nobody else has a turn on the loop's thread, and what is whole may be put off there.
            size = TURN if self.owner.may_wait() else len(rest)
            if not self._put_in_turn(rest[:size]):
                break
            rest = rest[size:]
        return rest

    def _await_turn(self) -> None:
        """Have the handler linger until it is its turn to write to a file.

        Else a hundred peers that read nothing would have a hundred handlers at once write as much
        as they can, and whoever else wants a processor would have to wait for all of them.
        """
        turn = self._box().turn
        if self.linger_left <= 0 and turn.left <= 0:
            delay = turn.book(self.budget.turns)
            self.linger_left = delay if delay > _SHORTEST_WAIT else 0.0

    def _put_in_turn(self, rest: memoryview) -> bool:
        """Do what `_put` does, as a part of the turn."""
        began = time.monotonic()
        with self._lock:
            stored = self._put(rest)
        self._box().turn.wrote(len(rest), time.monotonic() - began)
        return stored

    def _linger(self, rest: memoryview) -> memoryview:
        """Send what waits, and this, as long as the peer keeps up; return what is left then.

        A response that is only passed through memory costs half of what one does that is written
        to a file and read again. A peer has a fifth of a second for a response to begin with, and
        at most. What it takes earns more, 64 KiB 20 ms. Whoever reads slowly has soon used that up,
        and keeps the handler no more than others do that write to files (`_await_turn`).
        """
        most = max(LINGER_SECONDS, self.linger_left)
        if self.watched:
            self.owner.unwatch()
        moved, then = self.moved_out, time.monotonic()
        while True:
            if self.pump():
                with self._lock:
                    left = self._send(rest, hold=False)
                rest = memoryview(b"" if left is None else left).cast("B")
            now = time.monotonic()
            earned = (self.moved_out - moved) / _LINGER_RATE
            self.linger_left = min(most, self.linger_left + earned - (now - then))
            moved, then = self.moved_out, now
            if not rest:
                return rest
            if self.linger_left <= 0 or not self.owner.linger(self.linger_left):
                self.linger_left = 0.0
                return rest
