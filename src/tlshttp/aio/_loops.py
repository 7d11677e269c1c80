"""Which asyncio loop coroutines run in: the server's own, in a thread, or the caller's."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from tlshttp.aio._afterwards import Afterwards

if TYPE_CHECKING:
    from tlshttp.aio._answer import Answer

__all__ = ["HandlerLoop", "OwnLoop", "begin_task"]

_Result = TypeVar("_Result")

_STOP_SECONDS = 5.0
"""How long a loop is waited for whose tasks have been cancelled: as the server waits for handlers
(`tlshttp.TLSHTTPServer.block_on_close`)."""


class HandlerLoop:
    """An asyncio loop, as those see it who hand something over to it from another thread.

    Handing over wakes the loop by a system call. So whatever comes while it has not looked yet is
    put into a queue, for one.

    Args:
        loop: The loop.
        thread: The identifier of the thread that runs it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        self.loop = loop
        self._thread = thread
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._is_scheduled = False
        self._context = contextvars.copy_context()
        """Not that of the coroutine which happens to hand something over."""
        self._new: list[Answer] = []
        self.outlasting: set[Answer] = set()
        """Answers whose coroutines go on."""
        self.afterwards = Afterwards(self)
        """What goes on after responses."""

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the loop soon; from any thread."""
        self._calls.append(function)
        if self._is_scheduled:
            return
        self._is_scheduled = True
        if threading.get_ident() == self._thread:
            self.loop.call_soon(self._call_all, context=self._context)
        else:
            # Closed: the server has ended before its last connection, and nobody answers.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._call_all, context=self._context)

    def begin(self, answer: Answer) -> None:
        """Begin an answer, at once if this is the loop's thread."""
        if threading.get_ident() != self._thread:
            self.call(lambda: self.begin(answer))
            return
        answer.start(self.loop)
        if answer.later is None:
            return  # it is over, as most are after their first step
        if not self._new:
            # When all that begin together have taken another step, more are.
            self.loop.call_soon(self._watch_new)
        self._new.append(answer)

    def _watch_new(self) -> None:
        new, self._new = self._new, []
        self.loop.call_soon(_watch, new)

    def _call_all(self) -> None:
        self._is_scheduled = False
        for _ in range(len(self._calls)):
            # By itself: what one raises is reported, and keeps no other from its turn.
            self.loop.call_soon(self._calls.popleft())


def _watch(answers: list[Answer]) -> None:
    for answer in answers:
        answer.look()


if sys.version_info >= (3, 12):

    def begin_task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, _Result]
    ) -> asyncio.Task[_Result]:
        """Have a coroutine take its first step, at once where that can be; called in the loop.

        That spares most coroutines a turn of the loop. Where somebody has said how tasks are made,
        that is how this one is made.
        """
        if loop.get_task_factory() is None:
            return asyncio.Task(coroutine, loop=loop, eager_start=True)
        return loop.create_task(coroutine)

else:

    def begin_task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, _Result]
    ) -> asyncio.Task[_Result]:
        """Have a coroutine take its first step soon: no task can begin at once."""
        return loop.create_task(coroutine)


class OwnLoop(HandlerLoop):
    """A loop in a thread of its own, which begins and ends with a server.

    Raises:
        OSError: The system has no room for a loop.
    """

    def __init__(self) -> None:
        self._stopped = asyncio.Event()
        started: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()

        def run() -> None:
            try:
                with asyncio.Runner() as runner:
                    started.set_result(runner.get_loop())
                    runner.run(self._stopped.wait())
            except Exception as error:
                if started.done():
                    raise
                started.set_exception(error)

        thread = threading.Thread(target=run, name="tlshttp-asyncio", daemon=True)
        thread.start()
        super().__init__(started.result(), thread.ident or 0)
        self._runner = thread

    def run(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine there, and wait for it in this thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def stop(self) -> None:
        """Cancel all tasks, and wait for the end of the thread, if this is another."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._stopped.set)
        if threading.current_thread() is not self._runner:
            self._runner.join(_STOP_SECONDS)
