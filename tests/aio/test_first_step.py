"""A coroutine's first step, which from Python 3.12 on is taken at once: it is a task's like any."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Any

from tests.aio.conftest import Run, connected, in_callers_loop
from tests.aio.test_asgi import answer, only_http, quiet
from tests.aio.test_handlers import Base, ask
from tests.machinery.conftest import Recording
from tests.machinery.peers import request
from tests.support import UNIT, wait_until


@only_http
async def first_and_second(scope: Any, receive: Any, send: Any) -> None:
    """Answer with whether both steps are of one task, in which everything works."""
    first = asyncio.current_task()
    found = []
    async with asyncio.timeout(60 * UNIT), asyncio.TaskGroup() as group:
        child = group.create_task(asyncio.sleep(0, "child"))
    found.append(await child == "child")
    try:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    except TimeoutError:
        found.append(True)
    found.append(first is not None and asyncio.current_task() is first)
    found.append(first in asyncio.all_tasks())
    await answer(send, repr(found).encode())


def test_a_first_step_is_a_task_s(run: Run) -> None:
    """Time limits, groups and `asyncio.current_task` work in it, and after it."""
    with run(quiet(first_and_second)) as server, connected(server) as sock:
        for _ in range(2):
            assert ask(sock, "/").endswith(b"[True, True, True, True]")


def test_one_that_is_over_after_its_first_step_leaves_nothing(run: Run) -> None:
    """Nor is it in the way of the next, which waits, and is cancelled when its peer leaves."""
    begun, cancelled = threading.Event(), threading.Event()

    class Handler(Base):
        async def do_GET(self) -> None:
            if self.path == "/wait":
                try:
                    begun.set()
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()
            await self.answer(b"hello")

    with run(Handler) as server, connected(server) as sock:
        for _ in range(3):
            assert ask(sock, "/").endswith(b"hello")
        sock.sendall(request("/wait"))
        assert begun.wait(30 * UNIT)
        sock.close()
        assert cancelled.wait(30 * UNIT)
        assert wait_until(lambda: server.stats().active == 0)


def test_who_says_how_tasks_are_made_is_asked(server_context: ssl.SSLContext) -> None:
    """A task factory of the caller's loop makes those of handlers, too."""
    made: list[str] = []

    @only_http
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"hello")

    def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
        made.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **options)

    class Chosen(quiet(application, lifespan=False)):  # type: ignore[misc]
        @classmethod
        async def _open(cls, server: Any) -> None:
            asyncio.get_running_loop().set_task_factory(factory)

    server = Recording(("127.0.0.1", 0), Chosen, ssl_context=server_context)
    with in_callers_loop(server), connected(server) as sock:
        assert ask(sock, "/").endswith(b"hello")
    assert "Answer._run" in made
