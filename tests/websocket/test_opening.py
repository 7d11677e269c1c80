"""Who may open a WebSocket, and what the others are told."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.handler.side_by_side import serving
from tests.support import wait_until
from tests.websocket.support import (
    CLOSE,
    PATIENCE,
    TEXT,
    Blocking,
    Echo,
    Raw,
    Style,
    client,
    frame,
)
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, websocket

REFUSED: dict[str, tuple[dict[str, Any], bytes, bytes]] = {
    "POST": ({"method": "POST"}, b"501", b""),
    "HTTP/1.0": ({"version": "HTTP/1.0"}, b"400", b""),
    "no Upgrade": ({"Upgrade": None}, b"426", b"upgrade: websocket"),
    "another Upgrade": ({"Upgrade": "h2c"}, b"426", b"upgrade: websocket"),
    "no Connection": ({"Connection": None}, b"426", b"upgrade: websocket"),
    "Connection without it": ({"Connection": "keep-alive"}, b"426", b"upgrade: websocket"),
    "no version": ({"Sec_WebSocket_Version": None}, b"426", b"sec-websocket-version: 13"),
    "version 8": ({"Sec_WebSocket_Version": "8"}, b"426", b"sec-websocket-version: 13"),
    "two versions": ({"Sec_WebSocket_Version": "8, 13"}, b"426", b"sec-websocket-version: 13"),
    "no key": ({"Sec_WebSocket_Key": None}, b"400", b""),
    "a short key": ({"Sec_WebSocket_Key": "AAAA"}, b"400", b""),
    "a key that is none": ({"Sec_WebSocket_Key": "?" * 24}, b"400", b""),
    "a key without padding": ({"Sec_WebSocket_Key": "A" * 22}, b"400", b""),
    "extensions that are none": ({"Sec_WebSocket_Extensions": "=;,"}, b"400", b""),
    "a body": ({"Content_Length": "3"}, b"400", b""),
    "a foreign page": ({"Origin": "https://evil.example"}, b"403", b""),
    "a page of another port": ({"Origin": "https://localhost:1"}, b"403", b""),
    "a page without TLS": ({"Origin": "http://localhost"}, b"403", b""),
    "a page of nobody": ({"Origin": "null"}, b"403", b""),
    "a page of a name that begins so": ({"Origin": "https://localhost.evil"}, b"403", b""),
    "a name before the host": ({"Origin": "https://me@localhost"}, b"403", b""),
    "a name and a password": ({"Origin": "https://me:pass@localhost:443"}, b"403", b""),
    "nothing before the host": ({"Origin": "https://@localhost"}, b"403", b""),
    "an origin that is none": ({"Origin": "https://[::1"}, b"403", b""),
}
"""What is changed in a good request, and the status and a field of the answer."""


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_request_for_a_websocket_is_refused(style: Style, kind: str) -> None:
    """With a status that says why, one event, no traceback, and the end of the connection."""
    changed, status, field = REFUSED[kind]
    with style.serving() as echo, Raw.of(echo, **changed) as raw:
        if kind == "a body":
            raw.send(b"xyz")
        head = raw.head()
        assert head.startswith(b"HTTP/1.1 " + status)
        assert field in head.lower()
        stats = echo.served.server.stats
        if kind != "POST":  # for which there is no method
            assert b"connection: close" in head.lower()
            assert wait_until(lambda: stats().cut == {"refused-request": 1})
    assert echo.served.tracebacks == 0


ORIGINS: list[tuple[Any, str | None, bool]] = [
    (websocket.SAME_HOST, "https://localhost", True),
    (websocket.SAME_HOST, "https://LOCALHOST:443", True),
    (websocket.SAME_HOST, None, True),
    (["https://good.example"], "https://good.example", True),
    (["https://good.example/"], "https://GOOD.example", True),
    (["https://good.example"], "https://localhost", False),
    (["https://good.example"], "https://good.example.evil", False),
    ([], "https://localhost", False),
    ([], None, True),
    (websocket.ANY_ORIGIN, "https://evil.example", True),
    (websocket.ANY_ORIGIN, "null", True),
]


@pytest.mark.parametrize(("origins", "origin", "granted"), ORIGINS)
def test_pages_that_may(style: Style, origins: Any, origin: str | None, granted: bool) -> None:
    """Of the same host, of a list, or all; what is no page says no origin."""
    with style.serving(origins=origins) as echo, Raw.of(echo, Origin=origin) as raw:
        assert raw.head().startswith(b"HTTP/1.1 101" if granted else b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "wrong", [{"origins": "https://one.example"}, {"subprotocols": "chat"}, {"max_size": 0}]
)
def test_a_mistake_of_the_servers_is_said(style: Style, wrong: dict[str, Any]) -> None:
    """One text for several, no size: a traceback and 500, never an open door."""
    with style.serving(**wrong) as echo, Raw.of(echo) as raw:
        assert raw.head().startswith(b"HTTP/1.1 500")
        assert wait_until(lambda: echo.served.tracebacks == 1)


def test_the_answer_says_upgrade_and_nothing_else_of_the_connection(style: Style) -> None:
    """A close beside it, and strict clients see no upgrade."""
    with style.serving() as echo, Raw.of(echo) as raw:
        fields = [line.lower() for line in raw.head().split(b"\r\n")]
        assert [each for each in fields if each.startswith(b"connection:")] == [
            b"connection: upgrade"
        ]
        assert not [each for each in fields if each.startswith((b"content-", b"transfer-"))]


def test_fields_of_the_answer() -> None:
    """Cookies, for instance."""

    class Handler(Blocking):
        terms = {"headers": [("Set-Cookie", "a=b")]}  # noqa: RUF012

        def do_GET(self) -> None:
            with websocket.accept(self, **self.terms):
                pass

    with serving(ThreadingTLSHTTPServer, Handler) as served, Raw.of(Echo(served, None)) as raw:  # type: ignore[arg-type]
        assert b"Set-Cookie: a=b" in raw.head()
        assert raw.frame() == (CLOSE, b"\x03\xe8")


@pytest.mark.parametrize("server_class", [ThreadingTLSHTTPServer, TLSHTTPServer])
def test_handlers_with_threads_of_their_own(server_class: type) -> None:
    """A `WebSocketHandler` with its own ``handle()`` has its thread, and works as others do."""
    from tests.websocket.support import Driven

    class Own(Driven):
        def handle(self) -> None:
            super().handle()

    with Style("own", server_class, Own).serving() as echo, client(echo) as connection:
        connection.send("hello")
        assert connection.recv(timeout=PATIENCE) == "hello"
        connection.close()
        assert echo.end() == (1000, "")


def test_a_handler_that_waits_beside_a_single_thread() -> None:
    """In `TLSHTTPServer` it says so by ``stream_request``, and others are served meanwhile."""

    class Waits(Blocking):
        stream_request = True

    style = Style("waits", TLSHTTPServer, Waits)
    with style.serving() as echo, client(echo) as one, client(echo) as other:
        for connection in (one, other, one):
            connection.send("hello")
            assert connection.recv(timeout=PATIENCE) == "hello"


def test_other_paths_beside(style: Style) -> None:
    """A class may have its own ``do_GET()``, and the connection before is plain HTTP."""
    if style.handler is Blocking:
        pytest.skip("it has its own do_GET() anyway")

    class Mixed(style.handler):  # type: ignore[name-defined,misc]
        def do_GET(self) -> None:
            if "Upgrade" in self.headers:
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    mixed = Style(style.name, style.server_class, Mixed)
    with mixed.serving() as echo, Raw.of(echo, Upgrade=None) as raw:
        assert raw.head().startswith(b"HTTP/1.1 200")
        assert raw.take(2) == b"ok"
        from tests.websocket.support import FIELDS

        lines = [f"{name}: {value}" for name, value in FIELDS.items()]
        raw.send("\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode())
        assert raw.head().startswith(b"HTTP/1.1 101")
        raw.send(frame(TEXT, b"hello"))
        assert raw.frame() == (TEXT, b"hello")


def test_without_the_extra_the_error_says_what_to_install() -> None:
    """Everything else of the package is there."""
    program = (
        "import sys; sys.modules['websockets'] = None\n"
        "import tlshttp; tlshttp.websocket.SAME_HOST\n"
        "try: tlshttp.websocket.accept\n"
        "except tlshttp.errors.ConfigurationError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert b"pip install 'tlshttp-server[websocket]'" in said.stdout
