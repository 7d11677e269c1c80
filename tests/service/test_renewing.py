"""However often new workers are asked for, and whenever: one set of them serves in the end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.machinery.peers import handshake, read_response, request
from tests.service.program import Service, running
from tests.service.test_inherited import Manager
from tests.support import UNIT, wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and fork() of Unix"),
    pytest.mark.thorough,
]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Return what the service tells how it is."""
    one = Manager(str(tmp_path / "n"))
    one.socket.settimeout(30 * UNIT)
    try:
        yield one
    finally:
        one.socket.close()


def storm(one: Service, manager: Manager, times: int, pause: float) -> None:
    """Send SIGHUP so many times; each is taken before the next, so that none is lost."""
    for _ in range(times):
        one.tell(signal.SIGHUP)
        manager.next_of("RELOADING")
        threading.Event().wait(pause * UNIT)


@pytest.mark.parametrize(("times", "pause"), [(2, 0.0), (4, 0.12), (12, 0.0), (8, 0.05), (5, 0.4)])
@pytest.mark.parametrize("workers", [2, 3])
def test_after_a_storm_of_sighup_workers_are_new_and_as_many_as_wanted(
    manager: Manager, workers: int, times: int, pause: float
) -> None:
    """The manager hears that all is ready; those before have left; the next SIGHUP does as much."""
    with running(environ={"NOTIFY_SOCKET": manager.name}, workers=workers) as one:
        manager.next_of("READY")
        before = one.workers()
        storm(one, manager, times, pause)
        manager.next_of("READY")
        assert wait_until(lambda: len(one.workers()) == workers, timeout=30 * UNIT)
        between = one.workers()
        assert not between & before
        storm(one, manager, 1, 0.0)
        manager.next_of("READY")
        assert wait_until(lambda: len(one.workers()) == workers, timeout=30 * UNIT)
        assert not between & one.workers()
        assert one.ask() in one.workers()
        one.tell(signal.SIGTERM)
        status, errors = one.end()
        assert status == 0, errors
        assert "killed" not in errors


def test_sighup_before_all_serve_is_obeyed_when_they_do(manager: Manager) -> None:
    """Signals that come while the first workers are on their way lead to one more set of them."""
    with running(environ={"NOTIFY_SOCKET": manager.name}, workers=2) as one:
        assert wait_until(lambda: bool(one.workers()), timeout=30 * UNIT)
        storm(one, manager, 3, 0.0)
        manager.next_of("READY")
        assert wait_until(lambda: len(one.workers()) == 2, timeout=30 * UNIT)
        assert one.ask() in one.workers()


def test_workers_that_cannot_drain_delay_a_renewal_and_no_more(manager: Manager) -> None:
    """With all places taken the last set serves on; when some have left, the renewal goes on."""
    environ = {"NOTIFY_SOCKET": manager.name}
    with running(environ=environ, workers=2, drain_timeout=300) as one, ExitStack() as sockets:
        manager.next_of("READY")
        first = last = hold_all(one, sockets, set())
        held = set(first)
        for number in range(2, 5):  # four places for each worker
            storm(one, manager, 1, 0.0)
            manager.next_of("READY")
            assert len(one.workers()) == 2 * number
            last = hold_all(one, sockets, held)
            held |= last
        storm(one, manager, 3, 0.0)
        assert "6 that drain" in one.wait_for_line("new workers wait")
        assert one.ask() in last
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        manager.next_of("READY")
        assert wait_until(lambda: one.ask() not in last, timeout=30 * UNIT)
        assert last < one.workers()


def hold_all(one: Service, sockets: ExitStack, others: set[int]) -> set[int]:
    """Have a handler at work for ever in each of two that serve besides others; return who."""
    held: set[int] = set()
    while len(held) < 2:
        sock = handshake(one.address, one.client)
        sock.sendall(request())
        pid = int(read_response(sock).rpartition(b"\r\n")[2])
        if pid in held | others:
            sock.close()
            continue
        sock.sendall(request("/never"))
        one.wait_for_work()
        sockets.enter_context(sock)
        held.add(pid)
    return held
