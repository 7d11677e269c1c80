"""What goes on when responses are over, and whether a server that comes to its end waits for it.

An ASGI application may have something to do after its response, and every coroutine may begin tasks
that outlive it. Such work is under way like a request: the server waits for it, and has it
cancelled, by name, if it does not end. It is known by its context (`contextvars`), so nothing is
counted as long as the server serves.

Tasks are waited for only so long when the calls that have begun them are over: libraries begin some
that are to last as long as the process, and each drain would take all of its time.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from tlshttp.aio._current import CURRENT

if TYPE_CHECKING:
    from tlshttp.aio._answer import Answer
    from tlshttp.aio._loops import HandlerLoop

__all__ = ["Afterwards"]

PATIENCE_SECONDS = 5.0
"""How long a server that is closed without a drain waits, and every server for tasks whose calls
are over: as long as for handlers (`tlshttp.TLSHTTPServer.block_on_close`)."""

_LOOK_SECONDS = 0.05
"""How often new tasks are looked for, as by a drain for idle connections."""

_LAST_SECONDS = 0.1
"""How long what has been cancelled may take to end."""

_NAMED = 20
"""How many the line in the log names."""

_log = logging.getLogger("tlshttp.server")


class Afterwards:
    """What goes on in a loop for coroutines.

    Args:
        handler_loop: Of which server.
    """

    def __init__(self, handler_loop: HandlerLoop) -> None:
        self._handler_loop = handler_loop
        self._alone_since: float | None = None

    def has_caller(self) -> bool:
        """Return whether the caller is part of it, and so must not wait for it."""
        current = CURRENT.get()
        return current is not None and current[1].handler_loop is self._handler_loop

    def is_over(self) -> bool:
        """Return whether nothing is left to wait for; from any thread.

        It is asked again and again, and takes note of when the last call ended.
        """
        left = self._left()
        if not left or any(answer.is_run_by(task) for task, answer in left.items()):
            self._alone_since = None
            return not left
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
        return now - self._alone_since >= PATIENCE_SECONDS

    async def wait(self) -> None:
        """Wait for it in the loop, up to five seconds."""
        CURRENT.set(None)  # whoever closes the server may be part of one
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.is_over() and (left := end - time.monotonic()) > 0:
            await asyncio.wait(set(self._left()), timeout=min(left, _LOOK_SECONDS))

    async def cancel(self) -> None:
        """Cancel what is left, and name it in the log."""
        CURRENT.set(None)
        left = self._left()
        if not left:
            return
        names = sorted(_name(task, answer) for task, answer in left.items())
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        _log.warning(
            "the server ends, and cancels what was still at work after its response: %s%s",
            ", ".join(names[:_NAMED]), more,
        )  # fmt: skip
        for task in left:
            task.cancel()
        await asyncio.wait(set(left), timeout=_LAST_SECONDS)

    def _left(self) -> dict[asyncio.Task[Any], Answer]:
        """Return the tasks that go on, and the answers that they are part of."""
        left = {}
        for task in asyncio.all_tasks(self._handler_loop.loop):
            context = _context_of(task)
            current = None if context is None else context.get(CURRENT)
            if current is not None and current[1].handler_loop is self._handler_loop:
                left[task] = current[1]
        return left


def _name(task: asyncio.Task[Any], answer: Answer) -> str:
    """Return how the log calls a task: by its request, and its function unless it is the call."""
    if answer.is_run_by(task):
        return repr(answer.line)
    function = getattr(task.get_coro(), "__qualname__", task.get_name())
    return f"{function}() of {answer.line!r}"


def _context_of(task: asyncio.Task[Any]) -> contextvars.Context | None:
    """Return the context that a task runs in; `None` where nobody knows it."""
    if sys.version_info >= (3, 12):
        return task.get_context()
    found = (one for one in gc.get_referents(task) if isinstance(one, contextvars.Context))
    return next(found, None)  # the first one; another is that of who waits for it
