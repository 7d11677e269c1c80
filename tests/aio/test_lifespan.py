"""An ASGI application's beginning and end with its server."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
import threading
from typing import Any

import pytest

from tests.aio.conftest import Run, connected
from tests.aio.test_asgi import answer, quiet, tells, told
from tests.machinery.conftest import Recording
from tests.machinery.peers import read_response, read_to_end, request
from tests.support import UNIT, wait_until
from tlshttp import aio
from tlshttp.aio import _lifespan
from tlshttp.errors import ConfigurationError


class Living:
    """An application with a lifespan, which takes note of it."""

    def __init__(self, startup: str = "complete", shutdown: str = "complete") -> None:
        self.startup, self.shutdown = startup, shutdown
        self.seen: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send, f"{scope['state']['number']}".encode())
            scope["state"]["number"] = 0
            return
        scope["state"]["number"] = 7
        for what, how in (("startup", self.startup), ("shutdown", self.shutdown)):
            self.seen.append((await receive())["type"])
            if how == "raise":
                raise LookupError("no database")
            await send({"type": f"lifespan.{what}.{how}", "message": "no database"})


def test_an_application_begins_and_ends_with_its_server(run: Run) -> None:
    """Once each, before the first request and after the last; each request has its own state."""
    living = Living()
    with run(quiet(living)) as server:
        for _ in range(2):
            with connected(server) as sock:
                sock.sendall(request("/"))
                assert read_response(sock).endswith(b"7")
        assert living.seen == ["lifespan.startup"]
    assert living.seen == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize("how", ["failed", "raise"])
def test_one_that_fails_to_begin_keeps_the_server_from_serving(
    server_class: type[Recording], server_context: ssl.SSLContext, how: str
) -> None:
    """With a sentence; in either loop."""
    handler = quiet(Living(startup=how), lifespan=True)
    server = server_class(("127.0.0.1", 0), handler, ssl_context=server_context)
    with server, pytest.raises(ConfigurationError, match=r"has not started: .*no database"):
        server.serve_forever()
    server = server_class(("127.0.0.1", 0), handler, ssl_context=server_context)
    with pytest.raises(ConfigurationError, match=r"has not started: .*no database"):
        asyncio.run(aio.serve(server))


def test_one_that_knows_nothing_of_lifespans_is_served_all_the_same(run: Run) -> None:
    """As the specification has it: it raises, and that means no."""
    with run(quiet(tells)) as server, connected(server) as sock:
        assert told(sock, request("/"))["path"] == "/"


@pytest.mark.parametrize("how", ["failed", "raise"])
def test_one_that_fails_to_end_is_told_of_in_the_log(
    run: Run, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The server ends nevertheless."""
    with run(quiet(Living(shutdown=how))) as server, connected(server) as sock:
        sock.sendall(request("/", close=True))
        assert read_to_end(sock).endswith(b"7")
    assert "has not ended in good order: " in caplog.text
    assert "no database" in caplog.text


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log has of warnings and errors."""
    return [it.getMessage() for it in caplog.records if it.levelno >= logging.WARNING]


class Odd:
    """An application whose lifespan is a function of yours; requests are answered."""

    def __init__(self, live: Any) -> None:
        self._live = live

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send, b"served")
        else:
            await self._live(receive, send)


async def _returns(receive: Any, send: Any) -> None:
    """Say nothing."""


async def _returns_late(receive: Any, send: Any) -> None:
    await receive()


async def _says_odd_things(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.completed"})


async def _raises_late(receive: Any, send: Any) -> None:
    await receive()
    raise LookupError("no database")


async def _raises_at_once(receive: Any, send: Any) -> None:
    raise LookupError("no database")


@pytest.mark.parametrize(
    ("live", "why"),
    [
        (_returns, "returned without lifespan.startup.complete"),
        (_returns_late, "returned without lifespan.startup.complete"),
        (_says_odd_things, "'lifespan.startup.completed' is nothing that a lifespan says"),
        (_raises_late, "no database"),
        (_raises_at_once, "no database"),
    ],
)
def test_one_that_is_to_begin_has_to_say_so(
    server_class: type[Recording], server_context: ssl.SSLContext, live: Any, why: str
) -> None:
    """With ``lifespan=True`` silence is a failure."""
    handler = quiet(Odd(live), lifespan=True)
    server = server_class(("127.0.0.1", 0), handler, ssl_context=server_context)
    with server, pytest.raises(ConfigurationError, match=why):
        server.serve_forever()


@pytest.mark.parametrize(
    ("live", "lines"),
    [
        (_returns, []),
        (_returns_late, []),
        (_raises_at_once, []),
        (_raises_late, ["failed to start, and is served: LookupError('no database')"]),
        (_says_odd_things, ["is nothing that a lifespan says"]),
    ],
)
def test_one_that_need_not_begin_is_served_with_one_warning_at_most(
    run: Run, live: Any, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Who has taken the event knows of lifespans, and has failed."""
    with run(quiet(Odd(live))) as server, connected(server) as sock:
        sock.sendall(request("/"))
        assert read_response(sock).endswith(b"served")
    found = warned(caplog)
    assert len(found) == len(lines), found
    assert all(line in each for line, each in zip(lines, found, strict=True))


@pytest.mark.parametrize("at_once", [True, False])
def test_a_lifespan_that_breaks_while_served_is_reported_once(
    run: Run, at_once: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """When it breaks, and not by asyncio, nor again in the end."""
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def breaks(receive: Any, send: Any) -> None:
        await receive()
        broken = asyncio.Event()
        loops.append((asyncio.get_running_loop(), broken))
        await send({"type": "lifespan.startup.complete"})
        if not at_once:
            await broken.wait()
        raise LookupError("no more database")

    with run(quiet(Odd(breaks))) as server, connected(server) as sock:
        sock.sendall(request("/"))
        assert read_response(sock).endswith(b"served")
        loop, broken = loops[0]
        loop.call_soon_threadsafe(broken.set)
        assert wait_until(lambda: "no more database" in caplog.text)
    found = warned(caplog)
    assert len(found) == 1, found
    assert "has ended before the server's: LookupError('no more database')" in found[0]


@pytest.mark.parametrize("obeys", [True, False])
def test_one_that_does_not_end_is_cancelled(
    run: Run, obeys: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends in bounded time, with one warning."""
    monkeypatch.setattr(_lifespan, "SHUTDOWN_SECONDS", 0.1)
    cancelled = threading.Event()

    async def hangs(receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            if obeys:
                raise
            await asyncio.Event().wait()  # until the loop itself ends

    with run(quiet(Odd(hangs))) as server, connected(server) as sock:
        sock.sendall(request("/", close=True))
        assert read_to_end(sock).endswith(b"served")
    assert cancelled.wait(30 * UNIT)
    assert warned(caplog) == [
        "the ASGI application has not ended within 0.1 seconds, and is cancelled"
    ]


def test_a_closed_server_is_not_served(
    server_class: type[Recording], server_context: ssl.SSLContext
) -> None:
    """Whether it has been served before, or not."""
    server = server_class(("127.0.0.1", 0), quiet(Living()), ssl_context=server_context)
    server.server_close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the server is closed"):
            asyncio.run(aio.serve(server))


def test_without_a_loop_the_server_says_so(
    server_class: type[Recording],
    server_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the system has no descriptors for one, that comes out: nobody waits for it."""

    def fails() -> asyncio.AbstractEventLoop:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(asyncio.events, "new_event_loop", fails)
    server = server_class(("127.0.0.1", 0), quiet(Living()), ssl_context=server_context)
    with server, pytest.raises(OSError, match="too many open files"):
        server.serve_forever()
