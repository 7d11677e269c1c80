"""Tasks that outlive the coroutine which has begun them: the connection is another request's."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.aio.conftest import Run, connected
from tests.aio.test_asgi import BODY, START, only_http, quiet
from tests.aio.test_handlers import Base
from tests.machinery.peers import read_response, read_to_end, request
from tests.support import UNIT

Use = Callable[[Any], Awaitable[object]]


async def _sends_a_head(handler: Any) -> None:
    handler.send_response(404)


async def _sends_a_field(handler: Any) -> None:
    handler.send_header("Set-Cookie", "late=1")


async def _ends_a_head(handler: Any) -> None:
    handler.end_headers()


async def _sends_an_error(handler: Any) -> None:
    handler.send_error(404)


async def _writes_by_the_file(handler: Any) -> None:
    handler.wfile.write(b"LATE")


async def _reads_by_the_file(handler: Any) -> bytes:
    data: bytes = handler.rfile.read1(100)
    return data


async def _writes_in_a_thread(handler: Any) -> None:
    await asyncio.to_thread(_write_by_the_file, handler)


def _write_by_the_file(handler: Any) -> None:
    handler.wfile.write(b"LATE")


USES: list[Use] = [
    lambda handler: handler.write(b"LATE"),
    lambda handler: handler.flush(),
    lambda handler: handler.read(),
    lambda handler: handler.read(3),
    lambda handler: handler.read1(),
    _sends_a_head,
    _sends_a_field,
    _ends_a_head,
    _sends_an_error,
    _writes_by_the_file,
    _reads_by_the_file,
    _writes_in_a_thread,
]
NAMES = [
    "write", "flush", "read", "read-sized", "read1", "send_response", "send_header", "end_headers",
    "send_error", "wfile", "rfile", "thread",
]  # fmt: skip


class Leaving(Base):
    """Leaves a task behind, and tells of what became of it."""

    use: Use
    begun: threading.Event
    over: threading.Event
    go: asyncio.Event
    said: list[BaseException | object]
    task: asyncio.Task[None]

    async def do_GET(self) -> None:
        if self.path == "/late":
            type(self).go = asyncio.Event()
            type(self).task = asyncio.create_task(self.late())
            await self.answer(b"first")
        elif self.path == "/go":  # of another connection: the first one is idle
            self.go.set()
            await self.answer(b"gone")
        else:
            self.send_response(200)
            self.end_headers()
            await self.write(b"next")
            self.go.set()
            await asyncio.to_thread(self.over.wait, 30 * UNIT)
            await self.write(b" and last")

    async def do_POST(self) -> None:
        self.go.set()
        await asyncio.to_thread(self.over.wait, 30 * UNIT)
        await self.answer(await self.read())

    async def late(self) -> None:
        await self.go.wait()
        try:
            self.said.append(await type(self).use(self))
        except BaseException as error:  # noqa: BLE001 (the test looks at it)
            self.said.append(error)
        self.over.set()


def leaving(use: Use) -> type[Leaving]:
    """Return a handler class whose tasks do that."""
    members = {"use": staticmethod(use), "over": threading.Event(), "said": []}
    return type("LeavingOne", (Leaving,), members)


@pytest.mark.parametrize("use", USES, ids=NAMES)
def test_a_late_task_has_no_part_in_the_next_exchange(run: Run, use: Use) -> None:
    """It writes nothing into the next response, and reads nothing of the next request."""
    post = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 6\r\n\r\n"
    for ask, expected in (
        (request("/next", close=True), b"4\r\nnext\r\n9\r\n and last\r\n0\r\n\r\n"),
        (post + b"secret", b"secret"),
    ):
        handler = leaving(use)
        with run(handler) as server, connected(server) as sock:
            sock.sendall(request("/late") + ask)
            _, first, answered = read_to_end(sock).partition(b"\r\n\r\nfirst")
        assert first
        assert answered.startswith(b"HTTP/1.1 200 ")
        assert b"late" not in answered.lower()
        assert answered.partition(b"\r\n\r\n")[2] == expected
        assert len(handler.said) == 1
        assert isinstance(handler.said[0], RuntimeError)
        assert "after the end of the response" in str(handler.said[0])


@pytest.mark.parametrize("use", USES, ids=NAMES)
def test_nor_in_a_connection_that_is_idle(run: Run, use: Use) -> None:
    """Nobody would see what it writes, so it is told."""
    handler = leaving(use)
    with run(handler) as server, connected(server) as sock, connected(server) as other:
        sock.sendall(request("/late"))
        assert read_response(sock).endswith(b"first")
        other.sendall(request("/go"))
        assert read_response(other).endswith(b"gone")
        assert handler.over.wait(30 * UNIT)
        handler.over.clear()
        sock.sendall(request("/go"))
        assert read_response(sock).endswith(b"gone")
    assert "after the end of the response" in str(handler.said[0])


def test_a_stranger_cannot_write_to_an_idle_connection(run: Run) -> None:
    """A task that no request has begun has nothing to write to where nobody is answered."""
    kept: list[Any] = []
    said: list[BaseException] = []

    class Kept(Base):
        async def do_GET(self) -> None:
            if self.path == "/keep":
                kept.append(self)
            else:
                try:
                    await kept[0].write(b"LATE")
                except RuntimeError as error:
                    said.append(error)
            await self.answer(b"answered")

    with run(Kept) as server, connected(server) as sock, connected(server) as other:
        sock.sendall(request("/keep"))
        assert read_response(sock).endswith(b"answered")
        other.sendall(request("/use"))
        assert read_response(other).endswith(b"answered")
    assert "after the end of the response" in str(said[0])


def test_tasks_of_a_response_may_share_in_it_and_in_anothers(run: Run) -> None:
    """A chat writes to all who listen; tasks of one request write in turn."""
    listening: list[Any] = []

    class Chat(Base):
        done: asyncio.Event

        async def do_GET(self) -> None:
            if self.path == "/listen":
                self.send_response(200)
                self.end_headers()
                await self.write(b"listening ")
                type(self).done = asyncio.Event()
                listening.append(self)
                await self.done.wait()
                return
            await asyncio.gather(*(other.write(b"hello") for other in listening))
            await asyncio.create_task(self.answer(b"said"))
            self.done.set()

    with run(Chat) as server, connected(server) as sock, connected(server) as other:
        sock.sendall(request("/listen"))
        while b"listening" not in sock.recv(65_536):
            pass
        other.sendall(request("/say"))
        assert read_response(other).endswith(b"said")
        said = b""
        while b"\r\n0\r\n" not in said:
            said += sock.recv(65_536)
        assert b"hello" in said


@pytest.mark.parametrize("begun", [False, True])
def test_a_late_send_of_an_application_is_refused(run: Run, begun: bool) -> None:
    """Also where the application has returned without an answer, or without its end."""
    said: list[object] = []
    over = threading.Event()

    async def late(receive: Any, send: Any, task: asyncio.Task[Any]) -> None:
        await asyncio.wait({task})
        said.append(await receive())
        for message in (START, {"type": BODY, "body": b"LATE"}):
            try:
                said.append(await send(message))
            except RuntimeError as error:
                said.append(str(error))
        over.set()

    tasks = []

    @only_http
    async def application(scope: Any, receive: Any, send: Any) -> None:
        current: Any = asyncio.current_task()
        tasks.append(asyncio.create_task(late(receive, send, current)))
        if begun:
            await send(START)

    with run(quiet(application)) as server, connected(server) as sock:
        sock.sendall(request("/"))
        with contextlib.suppress(ssl.SSLError):  # without an end it is cut, with its head or before
            sock.recv(65_536)
        assert over.wait(30 * UNIT)
    assert said[0] == {"type": "http.disconnect"}
    assert all("after the end of the response" in str(each) for each in said[1:])
    assert len(said) == 3


def test_reading_that_waits_ends_with_the_response(run: Run) -> None:
    """It does not go on with the next request's body."""
    said: list[BaseException] = []
    over = threading.Event()

    class Reading(Base):
        async def do_POST(self) -> None:
            if self.path == "/next":
                await self.answer(await self.read())
                return
            self.task = asyncio.create_task(self.reads())
            await asyncio.sleep(0)  # until that waits
            await self.answer(b"first")

        async def reads(self) -> None:
            try:
                await self.read()
            except BaseException as error:  # noqa: BLE001 (the test looks at it)
                said.append(error)
            over.set()

    Reading.stream_request = True
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\n"
    with run(Reading) as server, connected(server) as sock:
        sock.sendall(head % b"/")
        assert read_response(sock).endswith(b"first")
        assert over.wait(30 * UNIT)
    assert "after the end of the response" in str(said[0])
