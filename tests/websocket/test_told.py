"""Handlers that are told of the end, whatever has brought it about."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import pytest

from tests.handler.side_by_side import Served
from tests.support import wait_until
from tests.websocket.support import STYLES, TEXT, Driven, Raw, Style, frame
from tlshttp import TLSHTTPServer

DRIVEN = [style for style in STYLES if style.handler is Driven]


class Own(BaseException):
    """What a program may have of its own."""


class Ending(Driven):
    """Ends in the way that a message names, or as soon as it is opened."""

    at_once = ""

    def opened(self) -> None:
        if self.at_once:
            self._end(self.at_once)

    def received(self, message: str | bytes) -> None:
        self._end(str(message))

    def _end(self, way: str) -> None:
        if way == "close":
            self.connection.close()
        elif way == "shutdown":
            self.connection.shutdown(socket.SHUT_RDWR)
        elif way == "thread":
            thread = threading.Thread(target=self.connection.close)
            thread.start()
            thread.join()
        elif way == "later":  # when this has returned, or a little before
            threading.Thread(target=self.connection.close).start()
        else:
            raise {"cancel": asyncio.CancelledError, "own": Own, "exit": SystemExit}[way]


CODES = {
    "close": 1006, "shutdown": 1006, "thread": 1006, "later": 1006, "cancel": 1011, "own": 1011,
}  # fmt: skip


def _end(style: Style, way: str, *, at_once: bool) -> tuple[tuple[int, str], Served]:
    """Have a WebSocket ended; return how the handler was told, and the server."""
    style = Style(style.name, style.server_class, Ending)
    with style.serving(at_once=way if at_once else "") as echo, Raw.of(echo) as raw:
        raw.head()
        if not at_once:
            raw.send(frame(TEXT, way.encode()))
        end = echo.end()
        if end[0] == 1011:
            assert raw.close_code() == 1011
        assert raw.sock.recv(1) == b""
        assert wait_until(lambda: not sum(echo.served.server.stats().parked.values()))
        assert echo.ends.empty()
    return end, echo.served


@pytest.mark.parametrize("style", DRIVEN, ids=lambda style: style.name)
@pytest.mark.parametrize("at_once", [True, False], ids=["opened", "received"])
def test_an_end_by_the_handler_itself(style: Style, at_once: bool) -> None:
    """Once, with 1006 where it has closed the connection, and 1011 where it has failed."""
    for way, code in CODES.items():
        end, served = _end(style, way, at_once=at_once)
        assert end == (code, ""), way
        assert served.tracebacks == (code == 1011), way


def test_an_exit_in_a_worker() -> None:
    """It ends the worker's task, and the client is told."""
    for at_once in (True, False):
        end, served = _end(DRIVEN[0], "exit", at_once=at_once)
        assert end == (1011, "")
        assert not served.tracebacks


class _Exits(TLSHTTPServer):
    def serve_forever(self, poll_interval: float = 0.5) -> None:
        with contextlib.suppress(SystemExit):
            super().serve_forever(poll_interval)


@pytest.mark.parametrize("at_once", [True, False], ids=["opened", "received"])
def test_an_exit_in_the_only_thread(at_once: bool) -> None:
    """It ends ``serve_forever()``, as in any handler, who is told before."""
    style = Style("exits", _Exits, Ending)
    with style.serving(at_once="exit" if at_once else "") as echo, Raw.of(echo) as raw:
        raw.head()
        if not at_once:
            raw.send(frame(TEXT, b"exit"))
        assert raw.close_code() == 1011
        assert echo.end() == (1011, "")
