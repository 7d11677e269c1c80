"""What applications and coroutines go on with after their responses, when their server ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.aio.conftest import connected
from tests.aio.test_asgi import answer, quiet
from tests.aio.test_asgi_websocket import opened
from tests.machinery.conftest import Recording
from tests.machinery.peers import read_to_end, request
from tests.support import UNIT, serving
from tlshttp import aio
from tlshttp.aio import _afterwards


class Working:
    """An application that works after its response, in the manner that the path says."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.seen: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.at_work = threading.Semaphore(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for what in ("startup", "shutdown"):
                await receive()
                self.seen.append(what)
                await send({"type": f"lifespan.{what}.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            assert (await receive())["text"] == "work"
            await self.go_on("message")
        else:
            kind = scope["path"][1:]
            if kind == "task":
                self.tasks.append(asyncio.create_task(self.go_on(kind)))
            await answer(send, b"answered", 200, (b"connection", b"close"))
            if kind == "call":
                await self.go_on(kind)
            elif kind == "thread":
                await asyncio.to_thread(lambda: asyncio.run(self.go_on(kind)))

    async def go_on(self, kind: str) -> None:
        """Do the work, and say what has become of it."""
        self.at_work.release()
        try:
            await self.work()
        except asyncio.CancelledError:
            self.seen.append(f"{kind} cancelled")
            raise
        self.seen.append(f"{kind} done")


def ask(server: Any, working: Working, *kinds: str) -> None:
    """Have work begun after responses."""
    for kind in kinds:
        with connected(server) as sock:
            sock.sendall(request(f"/{kind}"))
            assert read_to_end(sock).endswith(b"answered")
        assert working.at_work.acquire(timeout=30 * UNIT)


async def _serve_until(server: Any, meet: Callable[[], None]) -> None:
    """Serve in this loop, until a meeting is over."""
    serving = asyncio.create_task(aio.serve(server, drain_timeout=None))
    try:
        await asyncio.to_thread(meet)
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


@pytest.mark.parametrize("end", ["drain", "shutdown", "cancel"])
def test_a_server_waits_for_what_follows_responses(
    server_class: type[Recording], server_context: ssl.SSLContext, end: str
) -> None:
    """It is done before the application is told of the end, whichever way that comes."""
    is_ending = threading.Event()

    async def work() -> None:
        while not (server.draining or is_ending.is_set()):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # for a server that does not wait

    def meet() -> None:
        ask(server, working, "call", "task", "thread")
        with opened(server, "") as client:
            client.send("work")
            assert working.at_work.acquire(timeout=30 * UNIT)
            if end == "drain":
                server.drain(None)
            elif end == "shutdown":
                server.shutdown()
                is_ending.set()
                server.server_close()

    working = Working(work)
    server = server_class(("127.0.0.1", 0), quiet(working), ssl_context=server_context)
    if end == "cancel":
        asyncio.run(_serve_until(server, meet))
    else:
        with serving(server):
            meet()
    assert working.seen[0] == "startup"
    assert working.seen[-1] == "shutdown"
    assert sorted(working.seen[1:-1]) == ["call done", "message done", "task done", "thread done"]


@pytest.mark.parametrize("drains", [True, False])
def test_what_does_not_end_is_cancelled_by_name(
    server_class: type[Recording],
    server_context: ssl.SSLContext,
    drains: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the application has been told, which may end it in good order."""
    monkeypatch.setattr(_afterwards, "PATIENCE_SECONDS", 0.1)
    working = Working(lambda: asyncio.Event().wait())
    server = server_class(("127.0.0.1", 0), quiet(working), ssl_context=server_context)
    with caplog.at_level(logging.WARNING, "tlshttp.server"), serving(server):
        ask(server, working, "call", "task")
        gc.collect()  # nobody but the server holds what waits
        if drains:
            server.drain(0.1)
    assert working.seen[:2] == ["startup", "shutdown"]
    assert sorted(working.seen[2:]) == ["call cancelled", "task cancelled"]
    (line,) = caplog.messages
    assert line.endswith(": 'GET /call HTTP/1.1', Working.go_on() of 'GET /task HTTP/1.1'")


def test_tasks_alone_do_not_take_all_of_a_drain(
    server_class: type[Recording],
    server_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some are to last as long as the process."""
    monkeypatch.setattr(_afterwards, "PATIENCE_SECONDS", 0.1)
    working = Working(lambda: asyncio.Event().wait())
    server = server_class(("127.0.0.1", 0), quiet(working), ssl_context=server_context)
    with serving(server):
        ask(server, working, "task")
        server.drain(None)
    assert working.seen == ["startup", "shutdown", "task cancelled"]


def test_who_is_waited_for_may_drain_the_server(
    server_class: type[Recording], server_context: ssl.SSLContext
) -> None:
    """In a thread of its own, or on the loop: it does not wait for itself."""

    async def work() -> None:
        server.drain(None)
        await asyncio.to_thread(server.drain, None)

    working = Working(work)
    server = server_class(("127.0.0.1", 0), quiet(working), ssl_context=server_context)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    ask(server, working, "call")
    thread.join(30 * UNIT)
    assert not thread.is_alive()
    server.server_close()
    assert working.seen == ["startup", "call done", "shutdown"]


def test_work_of_a_server_in_the_same_loop_is_its_own(server_context: ssl.SSLContext) -> None:
    """A server waits for what its own coroutines do, not for another's."""
    working = [Working(lambda: asyncio.Event().wait()), Working(lambda: asyncio.sleep(0))]
    one, other = (
        Recording(("127.0.0.1", 0), quiet(each), ssl_context=server_context) for each in working
    )

    async def main() -> None:
        serving = asyncio.create_task(aio.serve(one, drain_timeout=0.1))
        await asyncio.to_thread(ask, one, working[0], "call")
        gc.collect()
        await _serve_until(other, lambda: ask(other, working[1], "call"))
        assert working[0].seen == ["startup"]
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    asyncio.run(main())
    assert working[0].seen == ["startup", "shutdown", "call cancelled"]
    assert working[1].seen == ["startup", "call done", "shutdown"]
