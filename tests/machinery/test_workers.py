from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support import UNIT, wait_until
from tlshttp._machinery import workers as module
from tlshttp._machinery.workers import Workers


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Return a pool of three threads at most."""
    made = Workers(3, name="pool", daemon=lambda: True)
    yield made
    made.close()
    assert made.join(30 * UNIT)


def do(action: Callable[..., object], *arguments: object) -> None:
    """Call, and return nothing, as tasks do."""
    action(*arguments)


def pool_threads() -> list[threading.Thread]:
    """Return the threads of the pool."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("pool-")]


def test_tasks_run_at_once_up_to_the_maximum(workers: Workers) -> None:
    """Three tasks run side by side; the fourth, when one of them is done."""
    started, release = threading.Semaphore(0), threading.Event()

    def task() -> None:
        started.release()
        release.wait(60 * UNIT)

    for _ in range(4):
        workers.submit(task)
    for _ in range(3):
        assert started.acquire(timeout=30 * UNIT)
    assert not started.acquire(timeout=0.05 * UNIT)
    assert len(pool_threads()) == 3
    release.set()
    assert started.acquire(timeout=30 * UNIT)


def test_one_thread_suffices_for_one_task_after_the_other(workers: Workers) -> None:
    """A free thread is used again before another is started."""
    for _ in range(20):
        done = threading.Event()
        workers.submit(done.set)
        assert done.wait(30 * UNIT)
        assert wait_until(lambda: workers._free == 1)
    assert len(pool_threads()) == 1


def test_idle_threads_end(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads without work end, and new work starts new ones."""
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.02 * UNIT)
    barrier = threading.Barrier(3)
    for _ in range(3):
        workers.submit(lambda: do(barrier.wait, 5 * UNIT))
    assert wait_until(lambda: not pool_threads())
    done = threading.Event()
    workers.submit(done.set)
    assert done.wait(30 * UNIT)


def test_no_task_is_lost_while_threads_come_and_go(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work handed in by several threads at once is done, each task once, although threads end."""
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.0001)
    done: list[int] = []

    def hand_in(start: int) -> None:
        for number in range(start, start + 1000):
            workers.submit(lambda number=number: done.append(number))  # type: ignore[misc]

    clients = [threading.Thread(target=hand_in, args=(start,)) for start in (0, 1000, 2000)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert wait_until(lambda: len(done) == 3000)
    assert sorted(done) == list(range(3000))


def test_closing_lets_the_work_be_finished(workers: Workers) -> None:
    """What was handed in before is done, what comes later is refused, and then all threads end."""
    release, done = threading.Event(), threading.Semaphore(0)

    def task() -> None:
        release.wait(60 * UNIT)
        done.release()

    for _ in range(5):
        workers.submit(task)
    workers.close()
    workers.close()
    with pytest.raises(RuntimeError, match="dismissed"):
        workers.submit(release.set)
    assert not workers.join(0.05 * UNIT)
    release.set()
    assert workers.join(30 * UNIT)
    assert all(done.acquire(timeout=0) for _ in range(5))
    assert not pool_threads()


def test_a_worker_does_not_wait_for_itself(workers: Workers) -> None:
    """A handler that closes its server does not wait for its own thread."""
    joined = []
    finished = threading.Event()

    def close() -> None:
        workers.close()
        joined.append(workers.join(None))
        finished.set()

    workers.submit(close)
    assert finished.wait(30 * UNIT)
    assert joined == [True]


def test_a_pool_never_used_has_nothing_to_end() -> None:
    """Joining a pool without threads returns at once."""
    made = Workers(1, name="pool", daemon=lambda: True)
    made.close()
    assert made.join(0)


class NoThreads:
    """The system's refusal to start a thread, switched on and off."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused = 0
        self._monkeypatch = monkeypatch
        self._start = threading.Thread.start

    def begin(self) -> None:
        """Refuse from now on."""
        self._monkeypatch.setattr(threading.Thread, "start", self._refuse)

    def _refuse(self) -> None:
        self.refused += 1
        raise RuntimeError("can't start new thread")


def test_without_a_new_thread_those_that_are_there_do_the_work(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the system has no thread left, work waits for one of the pool's."""
    refusal, release, done = NoThreads(monkeypatch), threading.Event(), threading.Event()
    workers.submit(lambda: do(release.wait, 10 * UNIT))
    refusal.begin()
    workers.submit(done.set)
    assert refusal.refused == 1
    assert not done.is_set()
    release.set()
    assert done.wait(30 * UNIT)


def test_without_any_thread_work_is_refused(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When there is not one thread, whoever hands in is told, and nothing is done later."""
    refusal, done = NoThreads(monkeypatch), []
    refusal.begin()
    with pytest.raises(RuntimeError, match="thread"):
        workers.submit(lambda: done.append("refused"))
    monkeypatch.undo()
    finished = threading.Event()
    workers.submit(finished.set)
    assert finished.wait(30 * UNIT)
    assert not done


@pytest.mark.parametrize("daemon", [True, False])
def test_threads_are_daemons_as_told(daemon: bool) -> None:
    """Whether the interpreter may exit is asked whenever a thread is started."""
    made, seen = Workers(1, name="pool", daemon=lambda: daemon), []
    made.submit(lambda: seen.append(threading.current_thread().daemon))
    made.close()
    assert made.join(30 * UNIT)
    assert seen == [daemon]


def test_ctrl_c_before_a_thread_has_started_is_no_error_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that was never started is none to wait for; what was submitted is done by others."""
    made = Workers(2, name="pool", daemon=lambda: True)

    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            made.submit(lambda: None)
    done = threading.Event()
    made.submit(done.set)
    assert done.wait(60 * UNIT)
    made.close()
    assert made.join(60 * UNIT)
