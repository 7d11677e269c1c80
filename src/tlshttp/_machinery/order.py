"""In which order the one thread of `TLSHTTPServer` takes connections up.

While it runs a handler everybody else waits. A large response that its peer does not take keeps it
for longest, because all of that is written to a file. That cannot be helped; but nobody has to wait
for a hundred of them, one after the other, because a hundred peers have asked. So:

*   Who has had no turn comes first. Who has had one and is not done (`Order.again`) comes after
    those, for `_SECONDS_AT_ONCE`; then the sockets are looked at.
*   A request for what was not taken the last time (`Order.note`) waits until nobody else is ready,
    and then one such request is answered between two looks at the sockets. That is remembered by
    what is asked for: a connection costs nothing, and who attacks has many new ones.
*   Who is in the middle of something, such as a handshake, goes on within a millisecond or so. When
    others have had a turn, the next large one waits a moment for that; else each step of theirs
    would find another large one at work.
*   What such a response has in memory is written to its file bit by bit, between two looks, and the
    next large one waits for that (`Order.write`): to write it takes longer than to run the handler.
*   Large ones have a quarter of the time, whatever the others do.

Whoever asks for something else each time is not held back by that.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlshttp._budget import Budget
    from tlshttp._machinery.connection import Connection

__all__ = ["LARGE", "Order"]

_ABSENT = object()

LARGE = 1 << 20
"""Bytes of a response that a handler leaves to be sent, from which on the next one like it has to
wait for others: to write as many to a file takes some hundred microseconds."""

_SECONDS_AT_ONCE = 0.002
"""For how long those go on who are not done, before the sockets are looked at: as a leader."""

_MOMENT, _LONGEST_MOMENT = 1 / 8, 0.005
"""How long others have for their next step, before another large one: such a part of what the last
one took, so that waiting costs little, and so many seconds at most."""

_SHARE, _LONGEST_PATIENCE = 3, 0.1
"""How long others come first: so many times what the last large one took, so that a quarter of the
time is left for those, and so many seconds at most."""

_WRITING_SECONDS = 0.0005
"""For how long is written between two looks at the sockets, if one part does not take longer."""

_MOST_REMEMBERED = 1024
"""How many things that were not taken are remembered."""


class Order:
    """Connections that wait for the thread.

    Args:
        clock: Tells the time in seconds.
        to_write: What large responses have left to be written; the next one waits for that.
    """

    __slots__ = (
        "_admitted", "_clock", "_moment", "_next", "_others", "_patience", "_to_write", "_took",
        "again", "known", "large", "ready",
    )  # fmt: skip

    def __init__(self, clock: Callable[[], float] = time.monotonic, to_write: Sized = ()) -> None:
        self._clock = clock
        self._to_write = to_write
        self.ready: collections.deque[Connection] = collections.deque()
        """Those that have had no turn since they were ready."""
        self.again: collections.deque[Connection] = collections.deque()
        """Those that have had one, and want another."""
        self.large: collections.OrderedDict[Connection, object] = collections.OrderedDict()
        """Those that ask for what was not taken the last time."""
        self.known: dict[str, None] = {}
        """What that is."""
        self._admitted: Connection | None = None
        self._others = 0
        self._moment = self._next = self._patience = 0.0
        self._took = 0.0

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self.ready or self.again or self.large)

    def expect(self) -> None:
        """Take note that somebody is about to say something."""
        self._others += 1

    def due(self) -> float:
        """Return in how many seconds the first of `large` has its turn."""
        return max(0.0, min(self._next, self._patience) - self._clock())

    def may_begin(self, connection: Connection) -> bool:
        """Tell whether a request may be answered now; else it waits for its turn in `large`."""
        if connection is self._admitted or connection.subject not in self.known:
            return True
        self._others -= 1
        self.large[connection] = None
        return False

    def take(self, connection: Connection) -> bool:
        """Take one of `large`, to end it; false where it is not there."""
        return self.large.pop(connection, _ABSENT) is None

    def take_all(self) -> list[Connection]:
        """Take all of `large`: the server closes."""
        taken = list(self.large)
        self.large.clear()
        return taken

    def note(self, connection: Connection) -> None:
        """Take note that a response has been left that is `LARGE`."""
        if len(self.known) >= _MOST_REMEMBERED:
            del self.known[next(iter(self.known))]
        self.known[connection.subject] = None
        self._took = 0.0

    def serve(self, advance: Callable[[Connection], None]) -> None:
        """Give each its turn whose turn it is, between two looks at the sockets."""
        ready, again = self.ready, self.again
        self._others += len(ready)
        for _ in range(len(ready)):
            if ready:  # a handler may close the server
                advance(ready.popleft())
        if again:
            end = self._clock() + _SECONDS_AT_ONCE
            for _ in range(len(again)):
                if again:
                    advance(again.popleft())
                if self._clock() >= end:
                    break
        if not self.large:
            self._others = 0
        elif not self._to_write:
            self._serve_large(advance)

    def _serve_large(self, advance: Callable[[Connection], None]) -> None:
        """Give one of those its turn, if the others have had theirs."""
        began = self._clock()
        if self._others > 0:
            self._next = began + self._moment
        self._others = 0
        if began < self._next and began < self._patience:
            return
        connection = self._admitted = self.large.popitem(last=False)[0]
        self.known.pop(connection.subject, None)  # if this one is taken, it is like others
        self._took = 0.0
        try:
            advance(connection)
        finally:
            self._admitted = None
            self._rest(began)

    def catch_up(self, budget: Budget) -> None:
        """Do a part of what has been put off: write, or close a file where there is nothing else.

        Args:
            budget: Knows what that is.
        """
        if budget.to_write:
            self.write(budget.to_write.write_one)
        else:
            budget.close_one()

    def write(self, work: Callable[[], None]) -> None:
        """Do a part of what the last large one has left to be written, or a few.

        Args:
            work: Does one.
        """
        began = self._clock()
        while self._to_write:
            work()
            if self._clock() >= began + _WRITING_SECONDS:
                break
        self._rest(began)

    def _rest(self, began: float) -> None:
        """Have others come first for a while."""
        self._next = end = self._clock()
        self._took += end - began
        self._moment = min(self._took * _MOMENT, _LONGEST_MOMENT)
        self._patience = end + min(self._took * _SHARE, _LONGEST_PATIENCE)
