"""A bounded pool of threads that grows with the work and shrinks without it."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable

__all__ = ["Workers"]

_IDLE_SECONDS = 10.0


class Workers:
    """Threads that call what they are given, at most `maximum` at once.

    Args:
        maximum: The largest number of threads.
        name: What their names begin with.
        daemon: Tells, whenever one is started, whether the interpreter may exit while it runs.
        exhausted: Called when a task has to wait because there may be no further thread.
    """

    def __init__(
        self,
        maximum: int,
        *,
        name: str,
        daemon: Callable[[], bool],
        exhausted: Callable[[], None] | None = None,
    ) -> None:
        self.maximum = maximum
        self._name = name
        self._daemon = daemon
        self._exhausted = exhausted
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._threads: set[threading.Thread] = set()
        self._free = 0  # threads that wait in the queue, less the tasks put there for them
        self._backlog = 0  # tasks in the queue that no thread is meant for yet
        self._started = 0
        self._closed = False
        self._dismissed: set[threading.Thread] = set()

    def submit(self, task: Callable[[], None]) -> None:
        """Have a thread call `task` as soon as one is free.

        What it raises is reported as what ends a thread is, and ends no thread.

        Raises:
            RuntimeError: The pool is closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the workers of this server have been dismissed")
            self._queue.put(task)
            waits = False
            if self._free:
                self._free -= 1
            elif len(self._threads) >= self.maximum or not self._start():
                self._backlog += 1
                waits = True
        if waits and self._exhausted is not None:
            self._exhausted()

    @property
    def backlog(self) -> int:
        """Tasks that wait for a thread."""
        return self._backlog

    @property
    def has_this_thread(self) -> bool:
        """Whether the calling thread is one of them."""
        return threading.current_thread() in self._threads

    def close(self) -> None:
        """Let every thread end once the work submitted before is done."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._dismissed = set(self._threads)
            for _ in self._threads:
                self._queue.put(None)

    def join(self, timeout: float | None) -> bool:
        """Wait up to `timeout` seconds (`None`: for ever) for all threads to end after `close`.

        Returns:
            Whether they have. Called from a worker, it does not wait for that one.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            threads = self._dismissed - {threading.current_thread()}
        for thread in threads:
            # Ctrl-C, or a signal handler that raises, may have come before one was started.
            with contextlib.suppress(RuntimeError):
                thread.join(None if end is None else max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _start(self) -> bool:
        self._started += 1
        thread = threading.Thread(
            target=self._run, name=f"{self._name}-{self._started}", daemon=self._daemon()
        )
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread left: let those we have do the work
            self._threads.discard(thread)
            if not self._threads:
                self._queue.get_nowait()
                raise
            return False
        return True

    def _run(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except BaseException:  # KeyboardInterrupt, say; SystemExit is ignored, as in any thread
                threading.excepthook(
                    threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
                )
            del task  # a connection is not kept alive by an idle thread
            with self._lock:
                if self._backlog:
                    self._backlog -= 1
                else:
                    self._free += 1

    def _next(self) -> Callable[[], None] | None:
        """Return the next task, or `None` when this thread has to end."""
        while True:
            try:
                task = self._queue.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._free:
                        self._free -= 1
                        self._threads.discard(threading.current_thread())
                        return None
                continue  # a task for this thread has just been put there
            if task is None:
                with self._lock:
                    self._threads.discard(threading.current_thread())
            return task
