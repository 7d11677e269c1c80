"""The turns of a server within a loop that is there already: when, and no later."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, cast

import pytest

from tests.support import UNIT
from tlshttp.aio._serve import _Turns


class Turned:
    """Stands for a server; notes down its turns, and says when it wants the next."""

    def __init__(self, near: socket.socket, dues: list[float | None]) -> None:
        self._near = near
        self._dues = dues
        self.turns = 0

    def _serving(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def _turn(self, poll_interval: float, *, waits: bool) -> float | None:
        assert not waits
        with contextlib.suppress(BlockingIOError):
            self._near.recv(1)
        self.turns += 1
        return self._dues.pop(0)


@pytest.mark.parametrize("due", [0.0, 0.0001, 0.01], ids=["now", "at once", "soon"])
def test_a_turn_that_is_wanted_soon_does_not_wait_for_the_tick(due: float) -> None:
    """Whatever has brought the turn that wants it, here something in the socket."""

    async def serve() -> int:
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            server = Turned(near, [3_600.0, due, 3_600.0, due, None])
            turns = _Turns(cast(Any, server), asyncio.get_running_loop(), near.fileno())
            try:
                for number in (1, 3):
                    while server.turns < number:
                        await asyncio.sleep(0)
                    far.send(b"x")
                await asyncio.wait_for(turns.over, 20 * UNIT)
            finally:
                turns.end()
            return server.turns

    assert asyncio.run(serve()) == 5
