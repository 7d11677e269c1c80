"""A coroutine that answers a request, and what it may wait for of its peer.

Rules:

1.  A coroutine that waits for its peer, for more of a body or for room, is woken when anything has
    come or gone, and looks whether that is what it waits for.
2.  It is cancelled when its peer has left while it waits for something else. Where it waits for the
    peer it finds out by itself, by the exception that a handler in a thread would get.
3.  Whatever comes of it, `tlshttp._interfaces.AnswersLater.end` is called once.
4.  A peer that sends or takes as fast as a coroutine goes never has it wait. From time to time it
    lets others have their turn all the same.
5.  A peer that has sent too far ahead is not watched. Once that has been read, it is again. If it
    is no body, but more requests, nobody will read it before the answer is over: after
    ``Limits.header_timeout`` it is thrown away, for the peer's end to be seen behind it, and the
    connection is not kept.
6.  A task that the coroutine has begun may outlive it, and the connection is another request's
    then. Such a task is known by its context (`contextvars`), which it has from the coroutine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tlshttp.aio._current import CURRENT
from tlshttp.aio._loops import begin_task
from tlshttp.errors import PeerDisconnected

if TYPE_CHECKING:
    from tlshttp._interfaces import AnswersLater
    from tlshttp.aio._loops import HandlerLoop

__all__ = ["Answer", "answer_of", "refuse_late"]

_SECONDS_AT_ONCE = 0.001
"""For how long a coroutine reads or writes without having to wait, before others have their turn;
many may do so at once."""

_SECONDS_BETWEEN_LOOKS = 0.25
"""How often is looked whether something has been read of what has come too far ahead."""

_log = logging.getLogger("tlshttp.handler")


def answer_of(handler: Any, what: str) -> Answer:
    """Return the answer that the caller is part of.

    Args:
        handler: Whose connection the caller uses.
        what: How, for the message.

    Raises:
        RuntimeError: That answer is over; or the caller is part of none, and nobody is answered.
    """
    refuse_late(handler, what)
    exchange = handler.request.exchange
    if exchange is None or exchange.handler is None:
        raise _too_late(what)
    answer: Answer = handler._answer
    return answer


def refuse_late(handler: Any, what: str) -> None:
    """Raise `RuntimeError` where the caller is part of an answer by this handler that is over."""
    current = CURRENT.get()
    if current is not None and current[1].later is None and current[0] is handler:
        raise _too_late(what)


def _too_late(what: str) -> RuntimeError:
    return RuntimeError(f"{what} after the end of the response: the connection is another's")


class Answer:
    """One such coroutine.

    Args:
        handler: Whose it is.
        coroutine: What its method has returned.
        handler_loop: Where it runs.
    """

    __slots__ = (
        "_ahead_since", "_coroutine", "_handler", "_is_cancelled", "_looks_again", "_loop",
        "_reading", "_task", "_told", "_turn_ends", "_waiters", "_writing", "handler_loop", "later",
        "line", "watch",
    )  # fmt: skip

    def __init__(
        self, handler: Any, coroutine: Coroutine[Any, Any, object], handler_loop: HandlerLoop
    ) -> None:
        self._handler: Any = handler
        self._ahead_since: float | None = None
        self._coroutine: Coroutine[Any, Any, object] | None = coroutine
        self._is_cancelled = False
        self._looks_again: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._reading: Any = None
        self._task: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._told: AnswersLater | None = None
        self._turn_ends = 0.0
        self._writing: Any = None
        self.handler_loop = handler_loop
        self.line: str = handler.requestline
        """The first line of the request."""
        self.later: AnswersLater | None = None
        """The connection, until the answer is over."""
        self.watch: Callable[[], None] | None = None
        """What looks, besides the coroutine, when anything has come or gone; `None`: nothing."""

    # Called by the connection -----------------------------------------------------------------

    def begin(self, later: AnswersLater) -> None:
        """Go on where the handler has returned."""
        self.later = self._told = later
        self.handler_loop.begin(self)

    def wake(self) -> None:
        """Have the loop look what has come; from any thread."""
        self.handler_loop.call(self.look)

    def drop(self) -> None:
        """Do not begin."""
        coroutine, self._coroutine = self._coroutine, None
        if coroutine is not None:
            coroutine.close()

    # In the loop ------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the coroutine take its first step, now or soon."""
        self._loop = loop
        task = begin_task(loop, self._run())
        if not task.done():
            self._task = task

    def is_run_by(self, task: asyncio.Task[Any]) -> bool:
        """Return whether this is the coroutine's own task, not one that it has begun."""
        return self._task is task

    async def _run(self) -> None:
        coroutine, self._coroutine = self._coroutine, None
        CURRENT.set((self._handler, self))
        try:
            if coroutine is not None:
                await coroutine
        except asyncio.CancelledError as error:
            self._end(error, is_cancelled=True)
        except (KeyboardInterrupt, SystemExit) as error:
            self._end(error)
            if isinstance(error, KeyboardInterrupt):
                raise
            _log.info("a handler ended its coroutine with SystemExit")
        except BaseException as error:  # noqa: BLE001 (the connection reports it)
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None, *, is_cancelled: bool = False) -> None:
        """End the exchange, unless the coroutine has done so."""
        later, handler = self.later, self._handler
        self._handler = self._task = None
        if later is None:
            self.handler_loop.outlasting.discard(self)
            if error is not None and not is_cancelled:  # after a response that was complete
                CURRENT.set(None)
                handler.server.handle_error(handler.request, handler.client_address)
            return
        CURRENT.set(None)  # what is called from here on is the server's
        self._let_go()
        exchange = handler.request.exchange
        if error is None and later.cut is None and exchange.is_unanswered():
            exchange.say_unanswered()
        handler.answered()
        if is_cancelled and later.has_left:
            later.give_up()
        else:
            later.end(error)
        if later.is_over:
            self._told = None  # else both were left to the garbage collector

    def finish(self) -> None:
        """End the exchange before the coroutine does: its response is complete."""
        later, handler = self.later, self._handler
        if later is not None:
            self._let_go()
            self.handler_loop.outlasting.add(self)  # asyncio itself holds no task
            token = CURRENT.set(None)  # the next request may begin in here
            try:
                handler.answered()
                later.end(None)
                if later.is_over:
                    self._told = None
            finally:
                CURRENT.reset(token)

    def _let_go(self) -> None:
        """Forget the connection, which is going to be somebody else's."""
        self.later = None
        if self._looks_again is not None:
            self._looks_again.cancel()
            self._looks_again = None
        if self._waiters:
            self._wake_waiters()

    def look(self) -> None:
        """See what has come or gone."""
        told = self._told
        if told is not None:
            told.look()  # where the answer is over, too: it may have to be told of that
            if told.is_over:
                self._told = None
        later = self.later
        if later is None:
            return
        if later.is_unwatched and self._looks_again is None:
            self._looks_again = self._loop.call_later(_SECONDS_BETWEEN_LOOKS, self._look_again)
        if self.watch is not None:
            self.watch()
        if self._waiters:
            self._wake_waiters()
        elif later.has_left and not self._is_cancelled and self._task is not None:
            self._is_cancelled = True
            is_gone = later.cut is None or isinstance(later.cut, PeerDisconnected)
            if self._handler.cancel_when_left or not is_gone:
                self._task.cancel()

    def _look_again(self) -> None:
        """See what has become of what had come too far ahead."""
        self._looks_again = None
        self.look()
        later = self.later
        if later is None or not self._is_ahead_with_requests(later):
            self._ahead_since = None
            return
        now, timeout = time.monotonic(), later.header_timeout
        if self._ahead_since is None:
            self._ahead_since = now
        if timeout is not None and now - self._ahead_since >= timeout:
            self._handler.close_connection = True  # of what comes next, the beginning is missing
            later.drop_what_comes()
            self.look()

    def _is_ahead_with_requests(self, later: AnswersLater) -> bool:
        """Return whether what has come too far ahead is behind the whole of this request."""
        if not later.is_unwatched or later.is_tunnel:
            return False
        at_end: bool = self._handler.request.exchange.rfile.is_at_end()
        return at_end

    def _wake_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # Waiting for others -----------------------------------------------------------------------

    def has_had_its_turn(self) -> bool:
        """Return whether the coroutine has gone on for so long that others come first."""
        now = time.monotonic()
        if not self._turn_ends:
            self._turn_ends = now + _SECONDS_AT_ONCE
        return now > self._turn_ends

    async def let_others(self) -> None:
        """Let others have their turn."""
        await asyncio.sleep(0)
        self._turn_ends = time.monotonic() + _SECONDS_AT_ONCE

    # Waiting for the peer ---------------------------------------------------------------------

    async def wait_for_input(self, most: float = math.inf, *, or_server_ends: bool = False) -> None:
        """Wait until more has come, or the peer's end, or `most` seconds are over.

        Args:
            most: Seconds.
            or_server_ends: Whether to return where the server comes to its end, too.

        Raises:
            ConnectionCut: The peer was too slow, or is gone.
        """
        later = self._connection()
        before = later.moved_in
        if self._reading is None or later.is_tunnel:
            self._reading = later.reading_rate()
        await self._wait(
            lambda: (
                later.moved_in != before or later.has_left or (or_server_ends and later.server_ends)
            ),
            self._reading,
            lambda: later.moved_in,
            most,
        )

    async def wait_for_room(self) -> None:
        """Wait until the peer has taken all that was sent.

        Raises:
            ConnectionCut: The peer was too slow, or is gone.
        """
        later = self._connection()
        if self._writing is None or later.is_tunnel:
            self._writing = later.writing_rate()
        await self._wait(lambda: not later.backlog, self._writing, lambda: later.taken)

    async def wait_for_end(self) -> None:
        """Wait until the peer has left, or the exchange is over."""
        while (later := self.later) is not None and not later.has_left:
            await self._sleep()

    def _connection(self) -> AnswersLater:
        if self.later is None:
            raise _too_late("waiting for the peer")
        return self.later

    async def _wait(
        self,
        is_done: Callable[[], bool],
        rate: Any,
        moved: Callable[[], int],
        most: float = math.inf,
    ) -> None:
        """Wait for the peer, as long as its rate allows, or for `most` seconds."""
        later = self._connection()
        later.look()
        while not is_done() and later.cut is None and most > 0:
            began = time.monotonic()
            later.waits_for_peer = True
            try:
                await self._sleep(min(rate.left, most))
            finally:
                later.waits_for_peer = False
            self._connection()  # it may have come to its end meanwhile
            now = time.monotonic()
            most -= now - began
            rate.spend_between(began, now)
            rate.earn(moved())
            if not rate.left and not is_done():
                later.fail(rate.used_up())
        if later.cut is not None and not is_done():
            raise later.cut

    async def _sleep(self, timeout: float = math.inf) -> None:
        """Sleep until something has come or gone, `timeout` seconds at most."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        timer = None
        if timeout != math.inf:
            timer = self._loop.call_later(timeout, _end_waiting, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)


def _end_waiting(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
