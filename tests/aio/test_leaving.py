"""Clients that leave in the middle, and what applications make of that."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.aio.conftest import Run, connected
from tests.aio.test_asgi import BODY, START, only_http, quiet
from tests.aio.test_asgi_websocket import _Raw
from tests.aio.test_handlers import Base
from tests.machinery.peers import request
from tests.support import UNIT

Stream = Callable[[], Awaitable[None]]


class Lost(Exception):
    """What a framework makes of a lost client."""


async def _as_it_is(stream: Stream) -> None:
    await stream()


async def _translated(stream: Stream) -> None:
    try:
        await stream()
    except OSError:
        raise Lost  # noqa: B904 (as Starlette does)


async def _named_as_cause(stream: Stream) -> None:
    try:
        await stream()
    except OSError as error:
        raise RuntimeError("cannot go on") from error


async def _in_groups(stream: Stream) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_translated(stream))
        group.create_task(_as_it_is(stream))


async def _beside_a_mistake(stream: Stream) -> None:
    try:
        await stream()
    except OSError as error:
        raise BaseExceptionGroup("both", [error, Lost()]) from None


async def _mistake_from_it(stream: Stream) -> None:
    try:
        await stream()
    except OSError as error:
        raise ValueError("own") from error


async def _mistake_in_clean_up(stream: Stream) -> None:
    try:
        await stream()
    finally:
        int("none")


async def _failure_in_clean_up(stream: Stream) -> None:
    try:
        await stream()
    finally:
        _put_away()


def _put_away() -> None:
    raise Lost


PASSED_ON = [_as_it_is, _translated, _named_as_cause, _in_groups]
MISTAKES = [_beside_a_mistake, _mistake_from_it, _mistake_in_clean_up, _failure_in_clean_up]
CASES = {each.__name__: each for each in [*PASSED_ON, *MISTAKES]}

said: list[list[str]] = []
"""What came of more attempts to send, each time."""

over = threading.Semaphore(0)


async def _try(attempt: Awaitable[object]) -> str:
    try:
        await attempt
    except Exception as error:  # noqa: BLE001 (the test looks at it)
        return "OSError" if isinstance(error, OSError) else type(error).__name__
    return ""


@only_http
async def _streaming(scope: Any, receive: Any, send: Any) -> None:
    piece = {"type": BODY, "body": bytes(65_536)}

    async def stream() -> None:
        try:
            while True:
                await send(piece | {"more_body": True})
        finally:
            again = [START, piece | {"more_body": True}, {"type": BODY, "more_body": True}, piece]
            said.append([await _try(send(each)) for each in again])

    await send(START)
    try:
        await CASES[scope["path"][1:]](stream)
    finally:
        over.release()


class _Handler(Base):
    cancel_when_left = False

    async def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            await CASES[self.path[1:]](self._stream)
        finally:
            over.release()

    async def _stream(self) -> None:
        try:
            while True:
                await self.write(bytes(65_536))
        finally:
            said.append([await _try(self.write(b"x")) for _ in range(4)])


async def _talking(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "websocket", "nothing else is served here"
    message = {"type": "websocket.send", "bytes": bytes(65_536)}

    async def stream() -> None:
        try:
            while True:
                await send(message)
        finally:
            said.append([await _try(send(message)) for _ in range(4)])

    await receive()
    await send({"type": "websocket.accept"})
    try:
        await CASES[scope["path"][1:]](stream)
    finally:
        over.release()


def _leave_in_the_middle(server: Any, path: str) -> None:
    with connected(server) as sock:
        sock.sendall(request(f"/{path}"))
        assert sock.recv(65_536)


def _leave_a_websocket(server: Any, path: str) -> None:
    with _Raw.opened(server, path):
        pass


@pytest.mark.parametrize(
    ("handler", "leave"),
    [
        pytest.param(quiet(_streaming), _leave_in_the_middle, id="asgi"),
        pytest.param(_Handler, _leave_in_the_middle, id="handler"),
        pytest.param(quiet(_talking), _leave_a_websocket, id="websocket"),
    ],
)
def test_only_a_mistake_beside_a_lost_client_has_a_traceback(
    run: Run, handler: Any, leave: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Wrapped or in a group, that a client has left is none; and it is said each time."""
    said.clear()
    with run(handler) as server:
        for case in CASES:
            leave(server, case)
            assert over.acquire(timeout=30 * UNIT)
    reports = capfd.readouterr().err.split("Exception occurred during processing")[1:]
    found = [case for case in CASES for report in reports if f" in {case}\n" in report]
    assert found == [each.__name__ for each in MISTAKES]
    assert len(reports) == len(MISTAKES)
    assert said == [["OSError"] * 4] * (len(CASES) + 1)
