"""The leader: one worker while work is quick, another at once when it is kept."""

from __future__ import annotations

import http.client
import math
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.machinery.conftest import RecordingThreading, serving
from tests.machinery.office import Office
from tests.support import UNIT, wait_until
from tlshttp import TLSRequestHandler
from tlshttp._machinery import leader as module
from tlshttp._machinery import starving
from tlshttp._machinery.leader import Leaders
from tlshttp._machinery.workers import Workers


class Clock:
    """The clock and the processor time of a thread, which pass when they are told to.

    Those of a crowded machine say of a thread that works that it waits.
    """

    def __init__(self) -> None:
        self._now = self._worked = 1000.0

    def pass_by(self, seconds: float, *, worked: float) -> None:
        """Let time pass, in which the thread has worked for some time."""
        self._now += seconds
        self._worked += worked

    def monotonic(self) -> float:
        """Return the time."""
        return self._now

    def thread_time(self) -> float:
        """Return for how long the thread has worked."""
        return self._worked


def test_quick_work_has_one_worker(office: Office) -> None:
    """A hundred quick tasks are done in order by one thread, which then resigns, once."""
    done: list[int] = []
    office.bring(*(lambda number=number: done.append(number) for number in range(100)))
    assert office.resigned.acquire(timeout=30 * UNIT)
    assert done == list(range(100))
    assert len(set(office.threads)) == 1
    assert not office.leaders.present
    assert not office.resigned.acquire(blocking=False)


def test_calling_twice_appoints_one(office: Office) -> None:
    """While there is a leader no other is called."""
    inside, go_on = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        assert go_on.wait(60 * UNIT)

    office.bring(stay)
    assert inside.wait(30 * UNIT)
    later: list[str] = []
    office.bring(lambda: later.append("done"))
    assert not later
    go_on.set()
    assert wait_until(lambda: later == ["done"])
    assert len(set(office.threads)) == 1


def test_who_steps_aside_is_replaced_at_once(office: Office) -> None:
    """What is ready besides is done by another worker before the first goes on."""
    other, result = threading.Event(), []

    def wait_for_peer() -> None:
        office.leaders.step_aside()
        office.leaders.step_aside()  # it is not the leader any more
        result.append(other.wait(30 * UNIT))

    office.bring(wait_for_peer, other.set)
    assert wait_until(lambda: result == [True])
    assert len(set(office.threads)) == 2


def test_only_the_leader_steps_aside(office: Office) -> None:
    """A thread that does not lead changes nothing."""
    inside, go_on = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        assert go_on.wait(60 * UNIT)

    office.bring(stay, lambda: None)
    assert inside.wait(30 * UNIT)
    office.leaders.step_aside()
    office.leaders.before_handler()
    assert len(office.threads) == 1
    go_on.set()
    assert wait_until(lambda: len(office.threads) == 2)
    assert len(set(office.threads)) == 1


def test_a_leader_that_is_kept_is_deposed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch finds it, the rest is done by another, and then each steps aside beforehand."""
    other, go_on = threading.Event(), threading.Event()
    # A moment before it waits it may be that.
    monkeypatch.setattr(office.leaders._starving, "starves_now", lambda _: False)
    office.bring(lambda: do(go_on.wait, 60 * UNIT), other.set)
    assert wait_until(lambda: bool(office.threads))
    term = office.leaders._term
    assert term is not None
    office.leaders.watch(term.began + 0.003)
    assert office.leaders._term is term
    office.leaders.watch(term.began + 60 * UNIT)  # as if so much later: caution lasts from there
    assert other.wait(30 * UNIT)
    go_on.set()

    side_by_side = threading.Barrier(3)

    def slow() -> None:
        office.leaders.before_handler()
        side_by_side.wait(30 * UNIT)

    office.bring(slow, slow, slow)  # a broken barrier is a failing thread
    assert wait_until(lambda: side_by_side.n_waiting == 0 and len(office.threads) == 5)
    assert not side_by_side.broken


def test_waiting_makes_cautious_and_working_does_not(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader that has waited for most of its time makes those after it step aside."""
    stepped: list[str] = []
    clock = Clock()
    starved: list[float] = []
    monkeypatch.setattr(office.leaders, "step_aside", lambda: stepped.append("aside"))
    monkeypatch.setattr(office.leaders._starving, "look", lambda _: starved.pop() if starved else 0)
    monkeypatch.setattr(module, "time", clock)
    office.bring(lambda: clock.pass_by(0.02, worked=0.02))
    assert office.resigned.acquire(timeout=30 * UNIT)
    office.bring(office.leaders.before_handler)
    assert office.resigned.acquire(timeout=30 * UNIT)
    assert not stepped
    starved.append(0.012)  # it has neither worked nor waited: others had the processor
    office.bring(lambda: clock.pass_by(0.02, worked=0.005))
    assert office.resigned.acquire(timeout=30 * UNIT)
    office.bring(office.leaders.before_handler)
    assert office.resigned.acquire(timeout=30 * UNIT)
    assert not stepped
    office.bring(lambda: clock.pass_by(0.02, worked=0.005))
    assert office.resigned.acquire(timeout=30 * UNIT)
    office.bring(office.leaders.before_handler)
    assert office.resigned.acquire(timeout=30 * UNIT)
    assert stepped == ["aside"]


def keep_leader(office: Office) -> tuple[module._Term, threading.Event]:
    """Have a handler keep the leader; return its term, and what lets the handler go on."""
    inside, go_on = threading.Event(), threading.Event()

    def stay() -> None:
        inside.set()
        assert go_on.wait(60 * UNIT)

    office.bring(stay)
    assert inside.wait(30 * UNIT)
    term = office.leaders._term
    assert term is not None
    return term, go_on


@pytest.mark.parametrize(("starved", "late"), [(0.5, 0.0), (0.0, 0.5), (0.2, 0.3)])
def test_a_leader_without_a_processor_is_deposed_late_and_makes_nobody_cautious(
    office: Office, monkeypatch: pytest.MonkeyPatch, starved: float, late: float
) -> None:
    """Another may find one; but handlers have not been slow. So it is if the loop has had none."""
    monkeypatch.setattr(office.leaders._starving, "look", lambda _: starved)
    term, go_on = keep_leader(office)
    office.leaders.watch(term.began + 0.02, late)
    assert office.leaders._term is term
    office.leaders.watch(term.began + 0.502, late)
    assert office.leaders._term is not term
    assert not office.leaders._cautious_until
    go_on.set()


def test_starving_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """From look to look; nothing of a thread that the system does not know."""
    totals = [0.25, 1.0, 1.0]
    monkeypatch.setattr(starving, "_waited_for_processor", lambda _: totals.pop(0))
    seen = starving.Starving()
    assert [seen.look(1), seen.look(1), seen.look(2)] == [0.25, 0.75, 1.0]
    monkeypatch.undo()
    assert starving._waited_for_processor(threading.get_native_id()) >= 0
    assert seen.look(-1) == 0


def test_a_leader_that_is_starving_makes_nobody_cautious(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the system has not yet counted for how long."""
    monkeypatch.setattr(office.leaders._starving, "starves_now", lambda _: True)
    term, go_on = keep_leader(office)
    office.leaders.watch(term.began + 0.02)
    assert office.leaders._term is term
    office.leaders.watch(term.began + 0.06)
    assert office.leaders._term is not term
    assert not office.leaders._cautious_until
    go_on.set()


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
@pytest.mark.parametrize(("ready", "gets_on"), [(True, False), (True, True), (False, False)])
def test_who_is_ready_and_does_not_get_on_is_starving(
    monkeypatch: pytest.MonkeyPatch, ready: bool, gets_on: bool
) -> None:
    """Not who is at work, as this thread is, and not who sleeps or has ended."""
    seen = starving.Starving()
    own = threading.get_native_id()
    assert not seen.starves_now(own)
    assert not seen.starves_now(-1)
    times = [5, 6 if gets_on else 5]
    monkeypatch.setattr(starving, "_is_ready", lambda _: ready)
    monkeypatch.setattr(starving, "_processor_time", lambda _: times.pop(0))
    assert seen.starves_now(own) == (ready and not gets_on)


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_a_thread_that_sleeps_is_not_starving() -> None:
    """It is ready for no more than a moment of all that time."""
    seen = starving.Starving()
    done = threading.Event()
    thread = threading.Thread(target=done.wait, args=(60 * UNIT,))
    thread.start()
    native = thread.native_id or 0
    assert wait_until(lambda: not starving._is_ready(native))  # it has come to sleep
    seen.look(native)
    began = time.monotonic()
    threading.Event().wait(0.3 * UNIT)
    assert not seen.starves_now(native)
    passed = time.monotonic() - began
    assert seen.look(native) < passed / 2
    done.set()
    thread.join()


def test_caution_grows_while_it_proves_right_and_ends(office: Office) -> None:
    """A tenth of a second, doubled each time, up to a limit; and a tenth again after a pause."""
    leaders = office.leaders
    now = 1000.0
    lengths = []
    for _ in range(6):
        leaders._be_cautious(now)
        lengths.append(leaders._cautious_until - now)
        now = leaders._cautious_until + 0.001
    assert lengths == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 1.6])
    now += 10
    leaders._be_cautious(now)
    assert leaders._cautious_until - now == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("cores", "processes", "threads"), [(1, 1, 1), (2, 1, 2), (2, 2, 1), (3, 2, 1), (4, 2, 2)]
)
def test_handshakes_go_side_by_side_where_there_are_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, threads: int
) -> None:
    """With one core each a handshake is only another step; with two, others go on meanwhile."""
    monkeypatch.setattr(module, "_cores", lambda: cores)
    workers = Workers(4, name="office", daemon=lambda: True)
    office = Office(workers, processes)
    other = threading.Event()

    def handshake() -> None:
        office.leaders.before_handshake()
        other.wait(30 * UNIT if threads == 2 else 0)

    office.bring(handshake, other.set)
    assert wait_until(other.is_set)
    workers.close()
    assert workers.join(60 * UNIT)
    assert len(set(office.threads)) == threads


def test_an_advance_that_fails_does_not_end_leading(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised, the office is left properly, and a new leader takes up the rest."""
    done = threading.Event()
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)

    def fail() -> None:
        raise SystemExit

    office.bring(fail, done.set)
    assert office.resigned.acquire(timeout=30 * UNIT)
    office.leaders.call()
    assert done.wait(30 * UNIT)
    assert wait_until(lambda: bool(reported))  # by its thread, when another may lead already
    assert len(reported) == 1


def test_no_worker_no_leader(office: Office) -> None:
    """Without a worker to be had, calling fails, and there is no leader afterwards."""

    def refuse(_task: Callable[[], None]) -> None:
        raise RuntimeError("no thread to be had")

    leaders = Leaders(refuse, lambda: None, lambda _connection: None, lambda: None)
    with pytest.raises(RuntimeError, match="no thread"):
        leaders.call()
    assert not leaders.present


def test_stepping_aside_while_the_server_closes_is_no_error() -> None:
    """A handler that waits for its peer then is not told of workers that have been dismissed."""
    workers = Workers(2, name="office", daemon=lambda: True)
    office = Office(workers)
    inside, go_on, result = threading.Event(), threading.Event(), []

    def wait_for_peer() -> None:
        inside.set()
        assert go_on.wait(60 * UNIT)
        office.leaders.step_aside()
        office.leaders.watch(math.inf)
        result.append("answered")

    office.bring(wait_for_peer)
    assert inside.wait(30 * UNIT)
    workers.close()
    go_on.set()
    assert workers.join(60 * UNIT)
    assert result == ["answered"]


# With a server -----------------------------------------------------------------------------------


class Slow(TLSRequestHandler):
    """Waits for as many others as there are workers, of ``/together``."""

    together = threading.Barrier(6)

    def do_GET(self) -> None:
        """Answer, after the others have come."""
        if self.path == "/together":
            self.together.wait(60 * UNIT)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


def test_handlers_that_wait_for_each_other_all_run(
    server_context: ssl.SSLContext, any_client: ssl.SSLContext
) -> None:
    """Six handlers that wait for each other run at the same time in six workers, twice."""
    server = RecordingThreading(("127.0.0.1", 0), Slow, ssl_context=server_context, max_workers=6)
    statuses: list[int] = []
    with serving(server):
        for _ in range(2):
            clients = [
                threading.Thread(target=lambda: statuses.append(ask(server, any_client)))
                for _ in range(6)
            ]
            for client in clients:
                client.start()
            for client in clients:
                client.join(60 * UNIT)
    assert statuses == [204] * 12


def ask(server: RecordingThreading, client: ssl.SSLContext) -> int:
    """Return the status of a request that waits for others."""
    connection = http.client.HTTPSConnection(
        "localhost", server.server_port, context=client, timeout=60 * UNIT
    )
    try:
        connection.request("GET", "/together")
        return connection.getresponse().status
    finally:
        connection.close()


def do(wait: Callable[[float], object], seconds: float) -> None:
    """Wait, for the sake of the type."""
    wait(seconds)
