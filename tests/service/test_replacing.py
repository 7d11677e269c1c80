"""Whatever becomes of the process that is to replace a service, there is one service after it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.service.program import Service, children, has_ended, running, serves
from tests.service.test_inherited import Manager
from tests.support import UNIT, wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and fork() of Unix"),
    pytest.mark.thorough,
]

NUMBERS = [1, 2]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """Return the file that says how the next start is to go wrong; it is not there yet."""
    return tmp_path / "wrong"


def replacement(one: Service) -> int:
    """Have the service replaced, and return the number of the process that is to do it."""
    one.tell(signal.SIGUSR2)
    return one.next_start()[0]


# Ending while it is on its way -------------------------------------------------------------------


@pytest.mark.parametrize("workers", NUMBERS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_ended_ends_its_replacement(
    wrong: Path, workers: int, number: int
) -> None:
    """Nobody serves after SIGTERM, even where a process was about to take the place."""
    with running(workers=workers, wrong=str(wrong)) as one:
        one.ask()
        wrong.write_text("hang")
        pid = replacement(one)
        one.tell(number)
        status, errors = one.end()
        assert status == 0, errors
        assert f"process {pid}, started to replace this one, is ended, too" in errors
        assert wait_until(lambda: has_ended(pid), timeout=30 * UNIT)
        assert not serves(one)


def test_a_replacement_whose_workers_hang_is_ended_with_them(wrong: Path) -> None:
    """Its workers leave when it is gone, and the port is free."""
    with running(workers=2, hanging_workers=str(wrong)) as one:
        one.ask()
        wrong.touch()
        pid = replacement(one)
        assert wait_until(lambda: len(children(pid)) == 2, timeout=30 * UNIT)
        workers = children(pid)
        one.tell(signal.SIGTERM)
        assert one.end()[0] == 0
        assert wait_until(lambda: all(map(has_ended, {pid, *workers})), timeout=30 * UNIT)


@pytest.mark.parametrize("workers", NUMBERS)
def test_sigterm_right_after_sigusr2_leaves_nobody(workers: int) -> None:
    """Until it has taken over a replacement does not stay; tried at ten moments of its start."""
    for tenth in range(10):
        with running(workers=workers) as one:
            one.ask()
            one.tell(signal.SIGUSR2)
            threading.Event().wait(tenth * 0.06 * UNIT)
            one.tell(signal.SIGTERM)
            one.process.wait(30 * UNIT)
            if "it replaces this one" not in outcome(one):
                assert wait_until(partial(nobody_serves, one), timeout=30 * UNIT)


def outcome(one: Service) -> str:
    """Return the line that says what has become of the replacement; empty: there was none.

    There is none where SIGTERM is taken first, though it was sent after SIGUSR2.
    """
    assert one.process.stderr is not None
    words = ("it replaces this one", "is ended, too")
    return next((line for line in one.process.stderr if any(map(line.__contains__, words))), "")


def nobody_serves(one: Service) -> bool:
    """Tell whether nobody answers."""
    return not serves(one)


# What becomes of it ------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", NUMBERS)
@pytest.mark.parametrize("how", ["hang", "leave a child"])
def test_a_replacement_that_does_not_become_ready_is_given_up(
    wrong: Path, workers: int, how: str
) -> None:
    """One that hangs has its time, one that has ended none; then the next may be started."""
    seconds = 6 * UNIT if how == "hang" else 300
    with running(workers=workers, wrong=str(wrong), seconds_to_start=seconds) as one:
        one.ask()
        wrong.write_text(how)
        pid = replacement(one)
        one.tell(signal.SIGUSR2)
        assert f"process {pid} has not become ready" in one.wait_for_line("has not become ready")
        assert has_ended(pid)
        assert one.ask() in {one.pid, *one.workers()}
        wrong.unlink()
        old = one.pid
        one.pid = replacement(one)
        assert wait_until(lambda: has_ended(old), timeout=30 * UNIT)
        assert one.ask() in {one.pid, *one.workers()}


def test_a_second_sigusr2_says_who_is_waited_for(wrong: Path) -> None:
    """One line names the process; there is no other."""
    with running(wrong=str(wrong)) as one:
        one.ask()
        wrong.write_text("hang")
        pid = replacement(one)
        one.tell(signal.SIGUSR2)
        assert f"still waiting for process {pid}" in one.wait_for_line("still waiting")
        os.kill(pid, signal.SIGKILL)
        assert one.wait_for_line("has not become ready")
        assert one.ask() == one.pid


@pytest.mark.parametrize("workers", NUMBERS)
def test_nothing_is_passed_on_to_programs_of_the_replacement(workers: int) -> None:
    """Neither a variable nor a descriptor of the handing over is there in those that serve.

    Nor do these programs ignore what the workers do not obey.
    """
    with running(workers=workers) as one:
        assert one.ask("/passed-on") == 0
        for _ in range(2):
            old, one.pid = one.pid, replacement(one)
            assert wait_until(partial(has_ended, old), timeout=30 * UNIT)
            assert one.ask("/passed-on") == 0


def test_the_name_of_the_socket_is_kept() -> None:
    """It is called the same after two replacements."""
    with running(name="https") as one:
        for _ in range(2):
            old, one.pid = one.pid, replacement(one)
            assert "['https']" in one.wait_for_line("inherited: ['")
            assert wait_until(partial(has_ended, old), timeout=30 * UNIT)


# Signals before all serve ------------------------------------------------------------------------


@contextlib.contextmanager
def told_at_once(workers: int, tmp_path: Path, *numbers: int) -> Iterator[tuple[Service, Manager]]:
    """Run a service that gets signals as soon as it has printed its URL."""
    manager = Manager(str(tmp_path / "n"))
    try:
        with running(environ={"NOTIFY_SOCKET": manager.name}, workers=workers) as one:
            for number in numbers:
                one.tell(number)
            yield one, manager
    finally:
        manager.socket.close()


@pytest.mark.parametrize("workers", NUMBERS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_ended_before_it_serves_ends_with_0(
    tmp_path: Path, workers: int, number: int
) -> None:
    """There is no traceback, and no death by the signal."""
    with told_at_once(workers, tmp_path, number) as (one, _):
        status, errors = one.end()
        assert status == 0, errors
        assert "Traceback" not in errors


@pytest.mark.parametrize("workers", NUMBERS)
def test_a_server_that_is_not_made_yet_does_not_delay_the_end(wrong: Path, workers: int) -> None:
    """SIGTERM ends what ``make_server()`` is waiting for."""
    wrong.write_text("hang")
    with running(workers=workers, wrong=str(wrong)) as one:
        one.tell(signal.SIGTERM)
        status, errors = one.end()
        assert status == 0, errors
        assert "ended before there was a server" in errors


@pytest.mark.parametrize("workers", NUMBERS)
def test_sighup_before_it_serves_kills_nothing(tmp_path: Path, workers: int) -> None:
    """It is obeyed, and the service becomes ready."""
    with told_at_once(workers, tmp_path, signal.SIGHUP, signal.SIGHUP) as (one, manager):
        manager.next_of("RELOADING")
        manager.next_of("READY")
        assert one.ask() in {one.pid, *one.workers()}
        one.tell(signal.SIGTERM)
        assert one.end()[0] == 0


@pytest.mark.parametrize("workers", NUMBERS)
def test_sigusr2_before_it_serves_replaces_it(tmp_path: Path, workers: int) -> None:
    """The second process serves, the first one ends."""
    with told_at_once(workers, tmp_path, signal.SIGUSR2) as (one, _):
        old = one.pid
        one.pid, _ = one.next_start()
        assert wait_until(lambda: has_ended(old), timeout=30 * UNIT)
        assert wait_until(lambda: one.ask() in {one.pid, *one.workers()}, timeout=30 * UNIT)
