"""Servers of either kind, with coroutines in a loop of their own or in the caller's."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.machinery.conftest import Recording, RecordingThreading
from tests.machinery.peers import client_context, handshake
from tests.support import UNIT, serving
from tlshttp import Limits, aio, certs, context

__all__ = ["Run"]

Run = Callable[..., "contextlib.AbstractContextManager[Any]"]


@pytest.fixture(scope="session")
def certificate() -> certs.Certificate:
    """Return the server's certificate."""
    return certs.self_signed("localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def server_context(certificate: certs.Certificate) -> ssl.SSLContext:
    """Return the context of all servers here."""
    return context.create_server_context(certificate)


@pytest.fixture(params=[Recording, RecordingThreading], ids=["one", "many"])
def server_class(request: pytest.FixtureRequest) -> type[Recording]:
    """Return either of the two servers."""
    chosen: type[Recording] = request.param
    return chosen


@contextlib.contextmanager
def in_callers_loop(server: Recording) -> Iterator[Recording]:
    """Serve by ``await aio.serve(server)`` until that is cancelled."""
    started = threading.Event()
    tasks: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def main() -> None:
        task = asyncio.create_task(aio.serve(server, drain_timeout=30 * UNIT))
        tasks.append((asyncio.get_running_loop(), task))
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="loop")
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop, task = tasks[0]
        with contextlib.suppress(RuntimeError):  # it has come to its end
            loop.call_soon_threadsafe(task.cancel)
        thread.join(30 * UNIT)
        assert not thread.is_alive()


@pytest.fixture(
    params=[
        pytest.param((in_callers_loop, Recording), id="callers-loop-one"),
        pytest.param((serving, RecordingThreading), id="own-loop-many"),
        pytest.param((serving, Recording), id="own-loop-one", marks=pytest.mark.thorough),
        pytest.param(
            (in_callers_loop, RecordingThreading),
            id="callers-loop-many",
            marks=pytest.mark.thorough,
        ),
    ]
)
def run(request: pytest.FixtureRequest, server_context: ssl.SSLContext) -> Run:
    """Return what makes either server and runs it, either way, as long as a block lasts."""
    in_a_loop, server_class = request.param

    def run(handler: Any, limits: Limits | None = None) -> Any:
        server = server_class(
            ("127.0.0.1", 0), handler, ssl_context=server_context, limits=limits or Limits()
        )
        return in_a_loop(server)

    return run


@contextlib.contextmanager
def connected(server: Recording) -> Iterator[ssl.SSLSocket]:
    """Return a connection, closed in the end."""
    with contextlib.closing(handshake(server.server_address, client_context())) as sock:
        yield sock
