"""Which thread a method is called in, where the server has one for everything."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.aio.conftest import connected, in_callers_loop
from tests.aio.test_asgi import answer, only_http, quiet
from tests.aio.test_handlers import Base, ask
from tests.machinery.conftest import Recording

Serve = Callable[[Any], None]


@pytest.fixture
def serve(server_context: ssl.SSLContext) -> Serve:
    """Return what has a handler class, in the caller's loop, answer a GET and one like it."""

    def serve(handler: Any) -> None:
        server = Recording(("127.0.0.1", 0), handler, ssl_context=server_context)
        with in_callers_loop(server), connected(server) as sock:
            for _ in range(2):
                assert ask(sock, "/").endswith(b"hello")

    return serve


def test_an_application_needs_no_other_thread(serve: Serve) -> None:
    """It is told of a request where that was received."""
    names: set[str] = set()

    @only_http
    async def application(scope: Any, receive: Any, send: Any) -> None:
        names.add(threading.current_thread().name)
        await answer(send, b"hello")

    class Noted(quiet(application)):  # type: ignore[misc]
        def do_GET(self) -> Any:
            names.add(threading.current_thread().name)
            return super().do_GET()

    serve(Noted)
    assert names == {"loop"}


def test_a_coroutine_that_streams_needs_none_either(serve: Serve) -> None:
    """Nor is the handler made in another."""
    names: set[str] = set()

    class Streaming(Base):
        stream_request = True

        def handle_one_request(self) -> None:
            names.add(threading.current_thread().name)
            super().handle_one_request()

        async def do_GET(self) -> None:
            await self.answer(b"hello")

    serve(Streaming)
    assert names == {"loop"}


def test_a_method_that_may_wait_has_a_thread(serve: Serve) -> None:
    """One that is no coroutine and streams, since others would have to wait for its peer."""
    names: set[str] = set()

    class Streaming(Base):
        stream_request = True

        def do_GET(self) -> None:
            names.add(threading.current_thread().name)
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

    serve(Streaming)
    assert names
    assert "loop" not in names
