"""Clients that leave in the middle, and what applications make of that."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.aio.conftest import Run, connected
from tests.aio.test_asgi import BODY, START, answer, only_http, quiet
from tests.aio.test_asgi_websocket import _Raw
from tests.aio.test_handlers import Base
from tests.machinery.peers import read_response, read_to_end, request
from tests.support import UNIT, wait_until
from tlshttp import Limits

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
    # Of the two in a group the first may have failed before the second has begun.
    assert len(said) in (len(CASES), len(CASES) + 1)
    assert all(each == ["OSError"] * 4 for each in said)


read = threading.Semaphore(0)

answers = threading.Event()


@only_http
async def _until_it_leaves(scope: Any, receive: Any, send: Any) -> None:
    if scope["method"] == "POST":
        await asyncio.to_thread(answers.wait, 30 * UNIT)
    while (message := await receive())["type"] != "http.disconnect":
        if not message["more_body"]:
            read.release()
    over.release()


class _Cancelled(Base):
    stream_request = True

    async def do_POST(self) -> None:
        await asyncio.to_thread(answers.wait, 30 * UNIT)
        await self.read()
        read.release()
        try:
            await asyncio.Event().wait()
        finally:
            over.release()


@pytest.mark.parametrize("size", [65_535, 65_536, 70_000, 200_000])
@pytest.mark.parametrize("handler", [quiet(_until_it_leaves), _Cancelled], ids=["asgi", "handler"])
def test_who_sends_a_body_that_is_read_late_is_seen_to_leave(
    run: Run, handler: Any, size: int
) -> None:
    """As much has come as is taken in; when that has been read, the peer is watched again."""
    answers.clear()
    with run(handler) as server, connected(server) as sock:
        head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        sock.sendall(head.encode() + bytes(size))
        loop = server._TLSHTTPServer__loop
        assert wait_until(lambda: any(one.stream.buffered >= 65_000 for one in loop.registry))
        answers.set()
        assert read.acquire(timeout=30 * UNIT)
        sock.close()
        assert over.acquire(timeout=30 * UNIT)


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("ahead", [0, 40_000])
@pytest.mark.parametrize("prepare", [lambda sock: None, _reset], ids=["end", "reset"])
def test_who_has_sent_too_far_ahead_is_seen_to_leave(
    run: Run, prepare: Callable[[socket.socket], None], ahead: int
) -> None:
    """No system tells of an end that is behind what it has no room for: so that is thrown away."""
    with run(quiet(_until_it_leaves), Limits(header_timeout=UNIT)) as server:
        with connected(server) as sock:
            sock.sendall(request("/"))
            assert read.acquire(timeout=30 * UNIT)
            sock.sendall(request("/") * ahead)
            prepare(sock)
        assert over.acquire(timeout=30 * UNIT)
        assert wait_until(lambda: not len(server._TLSHTTPServer__loop.registry.by_fd))


@only_http
async def _late(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/first":
        await asyncio.to_thread(answers.wait, 30 * UNIT)
    await answer(send, scope["path"].encode())


def test_who_has_sent_too_far_ahead_for_long_is_answered_once(run: Run) -> None:
    """What is behind that request is thrown away, and the client is told to send it again."""
    answers.clear()
    with run(quiet(_late), Limits(header_timeout=UNIT)) as server, connected(server) as sock:
        sock.sendall(request("/first") + request("/other") * 20_000)
        loop = server._TLSHTTPServer__loop
        assert wait_until(lambda: any(one.stream.bytes_in > 700_000 for one in loop.registry))
        answers.set()
        assert b"\r\nConnection: close\r\n" in (response := read_response(sock))
        assert response.endswith(b"\r\n\r\n/first")
        assert not read_to_end(sock)


def test_who_has_sent_far_ahead_for_a_while_has_all_its_answers(run: Run) -> None:
    """Nothing is thrown away within the time that a request may take to come."""
    answers.clear()
    with run(quiet(_late)) as server, connected(server) as sock:
        sock.sendall(request("/first") + request("/other") * 2_000 + request("/last", close=True))
        loop = server._TLSHTTPServer__loop
        assert wait_until(lambda: any(one.stream.buffered >= 65_000 for one in loop.registry))
        answers.set()
        text = read_to_end(sock)
        assert text.count(b"\r\n\r\n/other") == 2_000
        assert text.endswith(b"\r\n\r\n/last")
