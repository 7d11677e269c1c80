"""Who only sends answers pings and a close all the same, and hears of the server's end."""

from __future__ import annotations

import queue
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.handler.side_by_side import serving
from tests.support import UNIT, wait_until
from tests.websocket.support import (
    CLOSE,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Driven,
    Echo,
    Raw,
    frame,
)
from tlshttp import ThreadingTLSHTTPServer, aio, errors, websocket

Raised = queue.SimpleQueue[BaseException]


def _blocking(raised: Raised) -> type:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with websocket.accept(self) as opened:
                try:
                    while not over.wait(0.01 * UNIT):
                        opened.send("tick")
                except errors.WebSocketClosed as closed:
                    raised.put(closed)
                    raise

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    over = threading.Event()
    return Handler


def _driven(raised: Raised) -> type:
    class Handler(Driven):
        def opened(self) -> None:
            threading.Thread(target=self._speak).start()

        def _speak(self) -> None:
            try:
                while not threading.Event().wait(0.01 * UNIT):
                    self.websocket.send("tick")
            except errors.WebSocketClosed as closed:
                raised.put(closed)

        def closed(self, code: int, reason: str) -> None:
            """Take no note."""

    return Handler


def _asgi(raised: Raised) -> type:
    import asyncio

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket", "nothing else is served here"
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "text": "tick"})
                await asyncio.sleep(0.01 * UNIT)
        except OSError as left:
            raised.put(left)
            raise

    class Handler(aio.asgi(application)):  # type: ignore[misc]
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


KINDS = pytest.mark.parametrize(
    "make", [_blocking, _asgi, _driven], ids=["blocking", "asgi", "driven"]
)


def _next_but_text(raw: Raw) -> tuple[int, bytes]:
    while (seen := raw.frame())[0] == TEXT:
        pass
    return seen


@KINDS
def test_pings_are_answered(make: Any) -> None:
    """In order, messages that nobody asks for among them."""
    raised: Raised = queue.SimpleQueue()
    with serving(ThreadingTLSHTTPServer, make(raised)) as served:
        with Raw.of(Echo(served, raised)) as raw:  # type: ignore[arg-type]
            raw.head()
            for number in range(20):
                raw.send(frame(TEXT, b"unasked") * (number % 2) + frame(PING, b"%d" % number))
                assert _next_but_text(raw) == (PONG, b"%d" % number)
        raised.get(timeout=PATIENCE)


@KINDS
@pytest.mark.parametrize("split", [False, True])
def test_a_close_is_answered_and_raised(make: Any, split: bool) -> None:
    """Soon, with its code, with no traceback and no event; the connection ends."""
    raised: Raised = queue.SimpleQueue()
    with serving(ThreadingTLSHTTPServer, make(raised)) as served:
        with Raw.of(Echo(served, raised)) as raw:  # type: ignore[arg-type]
            raw.head()
            assert raw.frame() == (TEXT, b"tick")
            data = frame(CLOSE, b"\x0f\xa0bye")
            for piece in (data[:4], data[4:]) if split else (data,):
                raw.send(piece)
            assert _next_but_text(raw) == (CLOSE, b"\x0f\xa0bye")
            assert raw.sock.recv(1) == b""
            assert isinstance(raised.get(timeout=PATIENCE), OSError)
        assert wait_until(lambda: served.server.stats().active == 0)
    assert served.server.stats().cut == {}
    assert served.tracebacks == 0


@KINDS
def test_the_servers_end_is_said(make: Any) -> None:
    """1001 at once, not when the time of ``drain()`` is over."""
    raised: Raised = queue.SimpleQueue()
    with (
        serving(ThreadingTLSHTTPServer, make(raised)) as served,
        Raw.of(Echo(served, raised)) as raw,  # type: ignore[arg-type]
    ):
        raw.head()
        assert raw.frame() == (TEXT, b"tick")
        drainer = threading.Thread(target=served.server.drain, args=(60,))
        drainer.start()
        assert _next_but_text(raw) == (
            CLOSE,
            b"\x03\xe9" + b"the server ends" * (make is _asgi),
        )
        raw.send(frame(CLOSE, b"\x03\xe9"))
        assert isinstance(raised.get(timeout=PATIENCE), OSError)
        drainer.join(PATIENCE)
        assert not drainer.is_alive()
    assert served.tracebacks == 0


@KINDS
@pytest.mark.parametrize("fault", [frame(3), frame(PING, bytes(126)), b"\x81\x01x"])
def test_a_fault_is_answered_and_raised(make: Any, fault: bytes) -> None:
    """With 1002, and is one event."""
    raised: Raised = queue.SimpleQueue()
    with serving(ThreadingTLSHTTPServer, make(raised)) as served:
        with Raw.of(Echo(served, raised)) as raw:  # type: ignore[arg-type]
            raw.head()
            raw.send(fault)
            assert raw.close_code() == 1002
            assert isinstance(raised.get(timeout=PATIENCE), OSError)
        stats = served.server.stats
        assert wait_until(lambda: stats().cut == {"protocol-violation": 1})
    assert served.tracebacks == 0
