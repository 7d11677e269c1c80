"""What is hard to keep as it is with `http.server`, and the one thing that is not kept."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import SimpleHTTPRequestHandler
from typing import Any

import pytest

from tests.server.conftest import Serve
from tests.server.support import (
    Balance,
    Client,
    OneRequest,
    Plain,
    ServerBase,
    ask,
)
from tests.support import UNIT, wait_until
from tlshttp import TLSRequestHandler

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def gap(reason: str) -> pytest.MarkDecorator:
    """Expect a test to fail, for a reason."""
    return pytest.mark.xfail(strict=True, reason=reason)


def test_idle_connection_of_a_blocking_handler_does_not_delay_server_close(
    serve: Serve, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is at work between two requests, in whichever mode a handler runs."""

    class Makes(ServerBase):
        def finish_request(self, request: Any, client_address: Any) -> None:
            handler: Any = self.RequestHandlerClass
            handler(request, client_address, self)

    monkeypatch.setattr("tlshttp._machinery.closing._PATIENCE_SECONDS", 60 * UNIT)
    server = serve(Plain, Makes)
    with contextlib.closing(client.http(server)) as connection:
        assert ask(connection, "GET").status == 200
        server.shutdown()
        began = time.monotonic()
        server.server_close()
        assert time.monotonic() - began < 20 * UNIT


def test_unread_body_is_no_request_under_a_finish_request_of_the_users_own(
    serve: Serve, client: Client
) -> None:
    """The recipe of ``python -m http.server`` is as safe from smuggling as any other server."""
    paths: list[str] = []

    class Makes(ServerBase):
        def finish_request(self, request: Any, client_address: Any) -> None:
            handler: Any = self.RequestHandlerClass
            handler(request, client_address, self)

    class Lazy(Plain):
        def do_GET(self) -> None:
            paths.append(self.path)
            super().do_GET()

        def do_POST(self) -> None:
            self.reply(b"not read")

    body = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    head = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    client.exchange(serve(Lazy, Makes), head.encode() + body)
    assert paths == []


def test_code_after_the_constructor_runs_after_the_requests(serve: Serve, client: Client) -> None:
    """What a class does after ``super().__init__()``, such as closing a database, comes last."""
    done = threading.Event()

    class Cleans(OneRequest):
        def __init__(self, *arguments: Any) -> None:
            self.open = True
            super().__init__(*arguments)
            self.open = False
            done.set()

        def do_GET(self) -> None:
            self.reply(str(self.open).encode())

    assert client.get(serve(Cleans)).body == b"True"
    assert done.wait(30 * UNIT)


def test_class_may_derive_from_ours_first(serve: Serve, client: Client) -> None:
    """``class Files(TLSRequestHandler, SimpleHTTPRequestHandler)`` serves files, too."""

    class Files(TLSRequestHandler, SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    assert client.get(serve(Files)).status == 200


def test_class_whose_subclasses_need_arguments_is_served(serve: Serve, client: Client) -> None:
    """A user's ``__init_subclass__()`` does not get to see our composition."""

    class Routed(OneRequest):
        def __init_subclass__(cls, *, route: str) -> None:
            cls.path = route

    assert client.get(serve(Routed)).status == 200


def test_rfile_can_be_peeked_at(serve: Serve, client: Client) -> None:
    """``rfile.peek()`` shows what comes next, as of the `io.BufferedReader` handlers know."""

    class Peeks(OneRequest):
        def do_POST(self) -> None:
            rfile: Any = self.rfile
            self.reply(rfile.peek(1)[:4] + rfile.read(4))

    assert client.ask(serve(Peeks), "POST", body=b"body").body == b"bodybody"


def test_mistake_in_dealing_with_a_lost_peer_is_reported(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A handler's own bug has a traceback, also in its ``except`` block."""
    begun = threading.Event()

    class Stumbles(Plain):
        def do_GET(self) -> None:
            try:
                while True:
                    self.wfile.write(b"x" * 100_000)
                    begun.set()
            except OSError:
                raise LookupError("a mistake of mine") from None

    server: Any = serve(Stumbles, Balance)
    with client.connect(server) as sock:
        sock.sendall(GET)
        assert begun.wait(30 * UNIT)
    assert wait_until(lambda: len(server.closed) == 1)
    assert "LookupError: a mistake of mine" in capsys.readouterr().err
