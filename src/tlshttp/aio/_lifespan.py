"""An ASGI application's beginning and end (the lifespan protocol, version 2.0)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from tlshttp.aio._http import Message
from tlshttp.aio._scope import ASGI

__all__ = ["Lifespan"]

SHUTDOWN_SECONDS = 5.0
"""How long an application has to end, before it is cancelled: as long as the server waits for
handlers (`tlshttp.TLSHTTPServer.block_on_close`)."""

_LAST_SECONDS = 0.1
"""How long an application may take to return after its last word, before it is cancelled."""

_SAYINGS = frozenset(
    f"lifespan.{what}.{how}" for what in ("startup", "shutdown") for how in ("complete", "failed")
)

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
        self._has_started = self._is_understood = self._is_ending = False
        self.state: dict[str, Any] = {}
        """What the application has put there for its requests."""

    @property
    def is_there(self) -> bool:
        """Whether the application has started, and is to be told of the end."""
        return self._has_started

    async def start(self) -> str | None:
        """Have the application start; return why it has not, `None` if it has, or need not."""
        self._task = asyncio.ensure_future(self._run())
        try:
            said = await self._tell("lifespan.startup")
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if said is not None:
            if said["type"] != "lifespan.startup.complete":
                self._is_ending = True
                await self._cancel()
                return str(said.get("message") or "it does not say why")
            self._has_started = True
            self._task.add_done_callback(self._ended)
            return None
        return self._judge_silence(self._task)

    def _judge_silence(self, task: asyncio.Task[None]) -> str | None:
        """Return why an application has failed that has ended without a word; `None`: it has not.

        The specification has it that who raises knows nothing of lifespans. One that has taken the
        first event knows of them, though, and so is worth a warning.
        """
        error = None if task.cancelled() else task.exception()
        if self._is_required:
            silent = "it has returned without lifespan.startup.complete"
            return silent if error is None else repr(error)
        if error is not None and self._is_understood:
            _log.warning("the ASGI application has failed to start, and is served: %r", error)
        elif error is not None:
            _log.info("the ASGI application has no lifespan: %r", error)
        return None

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Report an application whose lifespan ends by an exception while the server serves."""
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._is_ending:
            _log.error(
                "the ASGI application's lifespan has ended before the server's: %r", error,
                exc_info=error,
            )  # fmt: skip

    async def stop(self) -> str | None:
        """Have the application end; return what went wrong, `None` if nothing did."""
        task = self._task
        if task is None or task.done():  # which has been reported
            return None
        self._is_ending = True
        try:
            said = await asyncio.wait_for(self._tell("lifespan.shutdown"), SHUTDOWN_SECONDS)
        except TimeoutError:
            _log.warning(
                "the ASGI application has not ended within %g seconds, and is cancelled",
                SHUTDOWN_SECONDS,
            )
            await self._cancel()
            return None
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
        try:
            await asyncio.wait({task, answer}, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": ASGI["version"], "spec_version": "2.0"},
            "state": self.state,
        }
        await self._application(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        message = await self._to_come.get()
        self._is_understood = True
        return message

    async def _send(self, message: Message) -> None:
        if message["type"] not in _SAYINGS:
            raise RuntimeError(f"{message['type']!r} is nothing that a lifespan says")
        self._said.put_nowait(message)

    async def _cancel(self) -> None:
        """End the call where it goes on after its last word."""
        task = self._task
        if task is not None:
            await asyncio.wait({task}, timeout=_LAST_SECONDS)
            task.cancel()
            await asyncio.wait({task}, timeout=_LAST_SECONDS)
