"""Leaders without a server, for the tests of who leads and what comes first."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import UNIT
from tlshttp._machinery.leader import Leaders
from tlshttp._machinery.workers import Workers


class Office:
    """Leaders whose connections are functions to call."""

    def __init__(self, workers: Workers, processes: int = 1) -> None:
        self.arrived: collections.deque[Callable[[], None]] = collections.deque()
        self.threads: list[str] = []
        self.resigned = threading.Semaphore(0)
        self.leaders = Leaders(
            workers.submit, self._ask, self._advance, self._resigned, processes=processes
        )

    def bring(self, *tasks: Callable[[], None]) -> None:
        """Have something be ready, and a leader called."""
        self.arrived.extend(tasks)
        self.leaders.call()

    def _resigned(self) -> None:
        self.resigned.release()
        if self.arrived:  # since it asked last
            self.leaders.call()

    def _ask(self) -> None:
        ready: Any = self.leaders.ready
        while self.arrived:
            ready.append(self.arrived.popleft())

    def _advance(self, connection: Any) -> None:
        self.threads.append(threading.current_thread().name)
        connection()


@pytest.fixture
def office() -> Iterator[Office]:
    """Return an office with four workers."""
    workers = Workers(4, name="office", daemon=lambda: True)
    yield Office(workers)
    workers.close()
    assert workers.join(60 * UNIT)
