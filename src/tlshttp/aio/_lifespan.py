"""An ASGI application's beginning and end (the lifespan protocol, version 2.0)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from tlshttp.aio._http import Message
from tlshttp.aio._scope import ASGI

__all__ = ["Lifespan"]

_LAST_SECONDS = 0.1
"""How long an application may take to return after its last word, before it is cancelled."""

_log = logging.getLogger("tlshttp.handler")


class Lifespan:
    """The call of an application that lasts as long as the server serves.

    Args:
        application: The application.
        is_required: Whether one that knows nothing of this protocol, and so fails when it is called
            for it, has failed to start.
    """

    def __init__(
        self, application: Callable[..., Coroutine[Any, Any, None]], *, is_required: bool
    ) -> None:
        self._application = application
        self._is_required = is_required
        self._to_come: asyncio.Queue[Message] = asyncio.Queue()
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}
        """What the application has put there for its requests."""

    @property
    def is_there(self) -> bool:
        """Whether the application has started, and is to be told of the end."""
        return self._task is not None and not self._task.done()

    async def start(self) -> str | None:
        """Have the application start; return why it has not, `None` if it has, or need not."""
        self._task = asyncio.ensure_future(self._run())
        try:
            said = await self._tell("lifespan.startup")
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if said is not None:
            if said["type"] == "lifespan.startup.failed":
                await self._cancel()
                return str(said.get("message") or "it does not say why")
            return None
        error = None if self._task.cancelled() else self._task.exception()
        if error is not None and self._is_required:
            return repr(error)
        if error is not None:
            _log.info("the ASGI application has no lifespan: %r", error)
        return None

    async def stop(self) -> str | None:
        """Have the application end; return what went wrong, `None` if nothing did."""
        task = self._task
        if task is None:
            return None
        said = await self._tell("lifespan.shutdown")
        await self._cancel()
        if said is None:
            return None if task.cancelled() or task.exception() is None else repr(task.exception())
        if said["type"] == "lifespan.shutdown.failed":
            return str(said.get("message") or "it does not say why")
        return None

    async def _tell(self, what: str) -> Message | None:
        """Tell the application something; return what it says, `None` if it ends without a word."""
        task = self._task
        if task is None or task.done():
            return None
        self._to_come.put_nowait({"type": what})
        answer = asyncio.ensure_future(self._said.get())
        await asyncio.wait({task, answer}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": ASGI["version"], "spec_version": "2.0"},
            "state": self.state,
        }
        await self._application(scope, self._to_come.get, self._send)

    async def _send(self, message: Message) -> None:
        self._said.put_nowait(message)

    async def _cancel(self) -> None:
        """End the call where it goes on after its last word."""
        task = self._task
        if task is not None:
            await asyncio.wait({task}, timeout=_LAST_SECONDS)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
