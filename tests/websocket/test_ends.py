"""How WebSockets end: by either side, by the server's end, by silence, by a mistake."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Any

import pytest

from tests.support import UNIT, wait_until
from tests.websocket.support import (
    CLOSE,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Blocking,
    Raw,
    Style,
    client,
    frame,
)
from tlshttp import errors, websocket


def test_the_server_closes(style: Style) -> None:
    """With its code and reason, which both sides see."""
    with style.serving() as echo, client(echo) as connection:
        connection.send("close")
        with contextlib.suppress(Exception):
            connection.recv(timeout=PATIENCE)
        assert (connection.close_code, connection.close_reason) == (4000, "as you wish")
        assert echo.end() == (4000, "as you wish")
    assert echo.served.server.stats().cut == {}


def test_a_client_that_does_not_answer_a_close(style: Style) -> None:
    """It is not waited for longer than it may take."""
    with style.serving(close_timeout=0.2 * UNIT) as echo, Raw.of(echo) as raw:
        raw.head()
        raw.send(frame(TEXT, b"close"))
        assert raw.close_code() == 4000
        assert raw.sock.recv(1) == b""
        assert echo.end() == (4000, "as you wish")


def test_a_handler_that_raises(style: Style) -> None:
    """One traceback, 1011, and the end."""
    with style.serving() as echo, client(echo) as connection:
        connection.send("fail")
        with contextlib.suppress(Exception):
            connection.recv(timeout=PATIENCE)
        assert connection.close_code == 1011
        assert echo.end()[0] == 1011
        assert wait_until(lambda: echo.served.tracebacks == 1)


@pytest.mark.parametrize("end", ["drain", "server_close"])
def test_the_servers_end_is_1001(style: Style, end: str) -> None:
    """Every client is told, and the server waits for none of them for long."""
    with style.serving() as echo, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(client(echo)) for _ in range(5)]
        for connection in connections:
            connection.send("hello")
            assert connection.recv(timeout=PATIENCE) == "hello"
        ender = threading.Thread(target=getattr(echo.served.server, end))
        ender.start()
        for connection in connections:
            with contextlib.suppress(Exception):
                connection.recv(timeout=PATIENCE)
            assert connection.close_code == 1001
            assert echo.end()[0] == 1001
        ender.join(PATIENCE)
        assert not ender.is_alive()
    assert echo.served.server.stats().cut == {}


def test_a_drain_that_a_silent_client_does_not_answer(style: Style) -> None:
    """The close timeout bounds it, not the time of ``drain()``."""
    with style.serving(close_timeout=0.2 * UNIT) as echo, Raw.of(echo) as raw:
        raw.head()
        raw.send(frame(TEXT, b"x"))
        raw.frame()
        began = time.monotonic()
        echo.served.server.drain(60)
        assert time.monotonic() - began < 30 * UNIT
        assert raw.close_code() == 1001


def _reset(raw: Raw) -> None:
    raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.sock.close()


def _leave(raw: Raw) -> None:
    raw.sock.unwrap()


@pytest.mark.parametrize("how", [_reset, _leave])
def test_a_client_that_leaves_without_a_close(style: Style, how: object) -> None:
    """It is 1006; a connection that breaks is one event."""
    with style.serving() as echo, Raw.of(echo) as raw:
        raw.head()
        raw.send(frame(TEXT, b"x"))
        raw.frame()
        how(raw)  # type: ignore[operator]
        assert echo.end()[0] == 1006
        if how is _reset:
            assert wait_until(lambda: echo.served.server.stats().cut == {"disconnected": 1})
    assert echo.served.tracebacks == 0


def test_a_silent_client_is_asked_and_kept(style: Style) -> None:
    """As long as it answers."""
    terms: dict[str, Any] = {"ping_interval": 0.3 * UNIT, "ping_timeout": 30 * UNIT}
    with style.serving(**terms) as echo, Raw.of(echo) as raw:
        raw.head()
        for _ in range(3):
            opcode, data = raw.frame()
            assert opcode == PING
            raw.send(frame(PONG, data))
        raw.send(frame(TEXT, b"still here"))
        while (answer := raw.frame())[0] == PING:
            raw.send(frame(PONG, answer[1]))
        assert answer == (TEXT, b"still here")


def test_a_client_that_gives_no_sign_of_life(style: Style) -> None:
    """It is asked once, told 1011, and cut, with an event."""
    terms: dict[str, Any] = {"ping_interval": 0.2 * UNIT, "ping_timeout": 0.3 * UNIT}
    with style.serving(**terms) as echo, Raw.of(echo) as raw:
        raw.head()
        assert raw.frame()[0] == PING
        assert raw.frame()[0] == CLOSE
        assert echo.end()[0] in (1006, 1011)
        assert wait_until(lambda: echo.served.server.stats().cut == {"disconnected": 1})


def test_what_the_server_sends_from_elsewhere() -> None:
    """Several threads send while nobody receives; the order of each is kept, all of it arrives."""
    opened: list[websocket.WebSocket] = []
    ready = threading.Event()

    class Speaks(websocket.WebSocketHandler):
        def opened(self) -> None:
            opened.append(self.websocket)
            ready.set()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    from tests.handler.side_by_side import serving
    from tests.websocket.support import Echo
    from tlshttp import ThreadingTLSHTTPServer

    with serving(ThreadingTLSHTTPServer, Speaks) as served:
        echo = Echo(served, None)  # type: ignore[arg-type]
        with client(echo) as connection:
            assert ready.wait(PATIENCE)

            def send(letter: str) -> None:
                for number in range(200):
                    opened[0].send(f"{letter}{number:05}")

            threads = [threading.Thread(target=send, args=(letter,)) for letter in "abc"]
            for thread in threads:
                thread.start()
            said = [str(connection.recv(timeout=PATIENCE)) for _ in range(600)]
            for thread in threads:
                thread.join()
            for letter in "abc":
                mine = [each for each in said if each.startswith(letter)]
                assert mine == sorted(mine)
                assert len(mine) == 200
            opened[0].ping(b"there?")
            opened[0].close(1000, "done")
            with pytest.raises(errors.WebSocketClosed) as caught:
                opened[0].send("more")
            assert caught.value.code == 1000
            assert isinstance(caught.value, ConnectionError)
            with contextlib.suppress(Exception):
                connection.recv(timeout=PATIENCE)
            assert connection.close_reason == "done"


@pytest.mark.parametrize(("code", "reason"), [(999, ""), (1006, ""), (1000, "x" * 124)])
def test_what_cannot_be_said_to_close(code: int, reason: str) -> None:
    """It is a `ValueError`, and the WebSocket stays open."""
    raised: list[str] = []

    class Handler(websocket.WebSocketHandler):
        def received(self, message: str | bytes) -> None:
            try:
                self.websocket.close(code, reason)
            except ValueError as error:
                raised.append(str(error))
            self.websocket.send(message)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    from tests.handler.side_by_side import serving
    from tests.websocket.support import Echo
    from tlshttp import ThreadingTLSHTTPServer

    with (
        serving(ThreadingTLSHTTPServer, Handler) as served,
        client(Echo(served, None)) as connection,  # type: ignore[arg-type]
    ):
        connection.send("x")
        assert connection.recv(timeout=PATIENCE) == "x"
    assert len(raised) == 1


def test_that_a_client_has_left_is_no_mistake_of_the_handlers(style: Style) -> None:
    """Whoever sends to it meanwhile gets no traceback for that, unless it is another's."""

    class Sends(style.handler):  # type: ignore[name-defined,misc]
        def received(self, message: str | bytes) -> None:
            gone.wait(PATIENCE)
            for _ in range(1000):
                self.websocket.send(bytes(10_000))

        def do_GET(self) -> None:
            if style.handler is not Blocking:
                super().do_GET()
                return
            with websocket.accept(self) as self.websocket:
                self.received(self.websocket.receive())
            self.ends.put((self.websocket.close_code or 0, ""))

    gone = threading.Event()
    sends = Style(style.name, style.server_class, Sends)
    with sends.serving() as echo, Raw.of(echo) as raw:
        raw.head()
        raw.send(frame(TEXT, b"x"))
        _reset(raw)
        gone.set()
        assert echo.end()[0] == 1006
    assert echo.served.tracebacks == 0


def test_receive_has_a_timeout() -> None:
    """`TimeoutError`, and the next message is received all the same."""
    from http.server import BaseHTTPRequestHandler

    from tests.handler.side_by_side import serving
    from tests.websocket.support import Echo
    from tlshttp import ThreadingTLSHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with websocket.accept(self) as opened:
                try:
                    opened.receive(timeout=0.05)
                except TimeoutError:
                    opened.send("nothing")
                opened.send(opened.receive(timeout=PATIENCE))
                try:
                    opened.receive()
                except errors.WebSocketClosed as closed:
                    ends.append(closed.code)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    ends: list[int] = []
    with serving(ThreadingTLSHTTPServer, Handler) as served:
        with client(Echo(served, None)) as connection:  # type: ignore[arg-type]
            assert connection.recv(timeout=PATIENCE) == "nothing"
            connection.send("x")
            assert connection.recv(timeout=PATIENCE) == "x"
        assert wait_until(lambda: ends == [1000])
