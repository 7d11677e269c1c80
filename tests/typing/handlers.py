"""Handlers as users write them, for the type checkers; never run."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, assert_type

from cryptography import x509

from tlshttp import (
    AccessLogMixIn,
    AccessRecord,
    ConnectionDriver,
    DrivenConnection,
    FollowSymlinks,
    StrictTransportSecurityMixIn,
    TakenOverConnection,
    TLSFileRequestHandler,
    TLSInfo,
    TLSRequestHandler,
    authorize,
    errors,
    websocket,
    wsgi,
)


class Facts(TLSRequestHandler):
    """What the handshake agreed on is typed, and so are the streams."""

    allowed_hosts = ("localhost", ".example.org")
    refuse_misdirected = True

    def do_GET(self) -> None:
        """Answer with what is known of the connection."""
        tls = self.tls
        assert_type(tls, TLSInfo)
        assert_type(tls.server_name, str | None)
        assert_type(tls.peer_certificate, x509.Certificate | None)
        assert_type(tls.peer_names, tuple[str, ...])
        body = json.dumps({"version": tls.version, "cipher": tls.cipher}).encode()
        self.send_response(200 if tls.may_serve(self.headers["Host"]) else 421)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Read the body to its end."""
        assert_type(self.rfile.read(), bytes)


class Plain(BaseHTTPRequestHandler):
    """A handler of the standard library, which knows nothing of tlshttp."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_error(404)


class Logged(AccessLogMixIn, Plain):
    """An access log for any handler, with a choice of what is logged."""

    access_log_format = "json"
    access_log_query = True

    def log_access(self, record: AccessRecord) -> None:
        """Log what took long."""
        assert_type(record.status, int)
        assert_type(record.client_name, str | None)
        when = datetime.fromtimestamp(record.time, UTC)
        if record.duration > 1 and when.year > 2000:
            super().log_access(record)

    def as_text(self, record: AccessRecord) -> str:
        """Use both formats."""
        return record.json() if record.status >= 400 else record.combined()


class Wrong(AccessLogMixIn, Plain):
    """A format that there is not."""

    access_log_format = "xml"  # type: ignore[assignment]


class Site(StrictTransportSecurityMixIn, AccessLogMixIn, TLSFileRequestHandler):
    """Files, with everything that a class attribute decides."""

    hsts_max_age = 3600
    hsts_include_subdomains = True
    follow_symlinks = FollowSymlinks.NEVER
    serve_dotfiles = True
    serve_precompressed = False
    extensions_map = {".md": "text/markdown"}

    def root_for(self, path: str) -> str:
        """Serve a second folder."""
        return "/srv/downloads" if path.startswith("/srv/downloads/") else super().root_for(path)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@authorize(names=["alice@example.org"], fingerprints=["ab" * 32])
class Admin(TLSRequestHandler):
    """A decorated class keeps its type."""

    def who(self) -> tuple[str, ...]:
        """Return the client's names."""
        return self.tls.peer_names


def a_decorated_class_is_itself(handler: Admin, issuers: list[x509.Certificate]) -> None:
    """`authorize` returns the class it was given, of whatever kind that is."""
    assert_type(handler.who(), tuple[str, ...])
    assert_type(authorize(issuers=issuers)(Plain), type[Plain])
    authorize(["alice@example.org"])  # type: ignore[call-arg]


def handlers_of_folders(folder: Path) -> list[object]:
    """Both file handlers take ``directory``, as the standard library's does."""
    return [
        functools.partial(Site, directory=folder),
        functools.partial(SimpleHTTPRequestHandler, directory=str(folder)),
    ]


class Chat(websocket.WebSocketHandler):
    """A WebSocket that is driven: messages are text or bytes, and what is sent may be either."""

    subprotocols = ["chat"]
    origins = ["https://example.org"]
    max_size = 1000

    def opened(self) -> None:
        """Greet."""
        assert_type(self.websocket, websocket.WebSocket)
        assert_type(self.websocket.subprotocol, str | None)
        self.websocket.send("hello")

    def received(self, message: str | bytes) -> None:
        """Echo."""
        self.websocket.send(message)
        self.websocket.send(bytearray(3))
        self.websocket.send(3)  # type: ignore[arg-type]

    def closed(self, code: int, reason: str) -> None:
        """Take note."""
        assert_type(self.websocket.close_code, int | None)


class Anybody(websocket.WebSocketHandler):
    """What weakens has a name."""

    origins = websocket.ANY_ORIGIN


def what_origins_are_beside_lists() -> list[websocket.Origins]:
    """They have a type of their own."""
    return [websocket.SAME_HOST, websocket.ANY_ORIGIN]


class Conversation(BaseHTTPRequestHandler):
    """A WebSocket in a thread."""

    def do_GET(self) -> None:
        """Wait for messages."""
        with websocket.accept(self, ["chat"], websocket.SAME_HOST, ping_interval=None) as opened:
            assert_type(opened, websocket.BlockingWebSocket)
            try:
                assert_type(opened.receive(timeout=1.5), str | bytes)
            except errors.WebSocketClosed as closed:
                assert_type(closed.code, int)
            for message in opened:
                assert_type(message, str | bytes)
            opened.close(1000, "done")


class Relay(ConnectionDriver):
    """Another protocol, driven."""

    def received(self, data: bytes) -> None:
        """Take bytes."""
        assert_type(self.connection, DrivenConnection)
        assert_type(self.connection.backlog, int)
        self.connection.write(data)
        self.connection.wake_after(2.5)

    def ended(self, error: Exception | None) -> None:
        """Take note."""


class Upgrading(TLSRequestHandler):
    """Another protocol, either way."""

    def do_GET(self) -> None:
        """Leave it to a driver, or keep it."""
        if self.path == "/driven":
            self.take_over(Relay(), max_backlog=1 << 20)
            return
        connection = self.take_over(ends_with_server=False)
        assert_type(connection, TakenOverConnection)
        assert_type(connection.recv(100), bytes)
        connection.settimeout(None)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


def what_answers_for_an_application_is_a_handler_class() -> type[TLSRequestHandler]:
    """With attributes of its own, and mix-ins before it."""
    made = wsgi.handler(application, script_name="/shop")
    assert_type(made, type[TLSRequestHandler])
    made.allowed_hosts = ["localhost"]
    return type("Logged", (AccessLogMixIn, made), {})
