"""Coroutines whose peer is as fast as they are: others have their turn all the same."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any

import pytest

from tests.aio.conftest import Run, connected
from tests.aio.test_asgi import quiet
from tests.aio.test_asgi_websocket import Sockets, _Raw, opened
from tests.aio.test_handlers import Base
from tests.machinery.peers import read_response, read_to_end, request
from tests.support import UNIT
from tlshttp.aio import _websocket
from tlshttp.aio._answer import Answer
from tlshttp.websocket._terms import Terms

MOST = 20_000
"""Bytes: more than anybody writes or reads within a turn, one by one."""

MESSAGES = 3_000
"""Fewer than those that wait while nobody receives them."""


class Others:
    """Another task, and whether it has had its turn."""

    def __init__(self) -> None:
        self.had_their_turn = False
        self.task = asyncio.create_task(self.run())

    async def run(self) -> None:
        self.had_their_turn = True


def test_who_takes_all_that_is_written_keeps_nobody(run: Run) -> None:
    """Each byte has left when it has been written."""

    class Writes(Base):
        async def do_GET(self) -> None:
            others = Others()
            self.send_response(200)
            self.end_headers()
            for _ in range(MOST):
                await self.write(b"x")
                if others.had_their_turn:
                    break
            await self.write(b"after others" if others.had_their_turn else b"alone")

    with run(Writes) as server, connected(server) as sock:
        sock.sendall(request("/", close=True))
        assert read_to_end(sock).endswith(b"after others\r\n0\r\n\r\n")


def test_who_has_sent_all_that_is_read_keeps_nobody(run: Run) -> None:
    """The whole body has come before any of it is read."""

    class Reads(Base):
        async def do_POST(self) -> None:
            others = Others()
            while await self.read1(3) and not others.had_their_turn:
                pass
            await self.answer(b"after others" if others.had_their_turn else b"alone")

    with run(Reads) as server, connected(server) as sock:
        size = 3 * MOST
        sock.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
        )
        assert read_response(sock).endswith(b"after others")


def test_who_has_sent_all_messages_keeps_nobody(run: Run) -> None:
    """They wait already when the first is received."""
    sent = threading.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.to_thread(sent.wait, 30 * UNIT)
        others = Others()
        for _ in range(MESSAGES):
            await receive()
            if others.had_their_turn:
                break
        said = "after others" if others.had_their_turn else "alone"
        await send({"type": "websocket.send", "text": said})

    with run(quiet(application, lifespan=False)) as server, opened(server, "/") as client:
        for _ in range(MESSAGES):
            client.send("x")
        sent.set()
        assert client.recv(timeout=30 * UNIT) == "after others"


def test_nothing_follows_a_close_that_comes_in_others_turn(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6455, section 5.5.1: a message that is being sent has left before others go on."""

    async def let_others(_: Answer) -> None:
        await asyncio.sleep(0.02)

    monkeypatch.setattr(Answer, "has_had_its_turn", lambda _: True)  # with each that is sent
    monkeypatch.setattr(Answer, "let_others", let_others)

    terms = functools.partial(Terms, ping_interval=0.2 * UNIT, ping_timeout=0.3 * UNIT)
    monkeypatch.setattr(_websocket, "Terms", terms)
    with run(quiet(Sockets())) as server, _Raw.opened(server, "two_tasks") as raw:
        assert raw.close_code() == 1011  # no sign of life
        assert not raw.buffer
        assert raw.sock.recv(1) == b""
