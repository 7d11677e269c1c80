"""A folder to serve, a server that serves it in this process, and clients."""

from __future__ import annotations

import functools
import http.client
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.engines import engine
from tests.handler.http_support import ready_fd
from tests.support import UNIT
from tlshttp import ThreadingTLSHTTPServer, TLSFileRequestHandler, certs, context

__all__ = ["engine", "ready_fd"]

LONG_AGO = 1_600_000_000
"""When the files were last changed: 2020-09-13 12:26:40 UTC."""

SECRET = b"SECRET-FROM-OUTSIDE"
"""What stands in every file that must not be served."""


@dataclass(frozen=True)
class Reply:
    """A complete response."""

    status: int
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Site:
    """A server that runs, and how to ask it."""

    server: ThreadingTLSHTTPServer
    certfile: Path

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"https://localhost:{self.server.server_port}"

    @property
    def client_context(self) -> ssl.SSLContext:
        """Make a context that trusts the server."""
        return ssl.create_default_context(cafile=str(self.certfile))

    def connect(self) -> ssl.SSLSocket:
        """Open a TLS connection."""
        raw = socket.create_connection(("127.0.0.1", self.server.server_port), timeout=30 * UNIT)
        return self.client_context.wrap_socket(raw, server_hostname="localhost")

    def get(self, path: str, /, method: str = "GET", **fields: str) -> Reply:
        """Send a request, its fields named as ``If_None_Match=...``."""
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        return self.raw(f"{method} {path} HTTP/1.1", *lines)

    def raw(self, *lines: str) -> Reply:
        """Send exactly these lines, ``Host`` and ``Connection`` besides; read the response."""
        head = "\r\n".join((*lines, "Host: localhost", "Connection: close", "", ""))
        with self.connect() as connection:
            connection.sendall(head.encode("latin-1"))
            response = http.client.HTTPResponse(connection, method=lines[0].split(" ")[0])
            response.begin()
            with response:
                return Reply(response.status, response.headers, response.read())


Serve = Callable[..., Site]


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory, engine: str) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate: as a file for clients, as a context for servers."""
    certificate = certs.self_signed("localhost", "127.0.0.1")
    folder = tmp_path_factory.mktemp("pair")
    certificate.write(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context.create_server_context(certificate)


@pytest.fixture
def serve(pair: tuple[Path, ssl.SSLContext]) -> Iterator[Serve]:
    """Run servers for a handler class, and end them."""
    running: list[tuple[ThreadingTLSHTTPServer, threading.Thread]] = []

    def start(
        handler: Callable[..., BaseHTTPRequestHandler],
        ssl_context: ssl.SSLContext = pair[1],
        **arguments: str,
    ) -> Site:
        server = ThreadingTLSHTTPServer(
            ("127.0.0.1", 0), functools.partial(handler, **arguments), ssl_context=ssl_context
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        running.append((server, thread))
        return Site(server, pair[0])

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """Make a folder to serve, and secrets around it."""
    folder = tmp_path / "public"
    folder.mkdir()
    write(tmp_path / "secret.txt", SECRET)
    write(tmp_path / "public-other" / "secret.txt", SECRET)
    write(folder / "hello.txt", b"Hello, world!\n")
    write(folder / "digits.txt", b"0123456789" * 100)
    write(folder / "empty.txt", b"")
    write(folder / "sub" / "page.html", b"<p>page</p>")
    write(folder / "indexed" / "index.html", b"<p>index</p>")
    write(folder / ".env", SECRET)
    write(folder / ".git" / "config", SECRET)
    write(folder / "sub" / ".hidden", SECRET)
    write(folder / ".well-known" / "security.txt", b"Contact: us")
    return folder


@pytest.fixture
def site(serve: Serve, public: Path) -> Site:
    """Serve that folder."""
    return serve(quiet(TLSFileRequestHandler), directory=str(public))


@pytest.fixture
def heads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no head leave before its body, however long the machine keeps its handler."""
    monkeypatch.setattr("tlshttp._machinery.heads._HELD_SECONDS", 1e6)


def quiet(handler: type[TLSFileRequestHandler], **names: object) -> type[TLSFileRequestHandler]:
    """Return a subclass with some attributes, and without lines on standard error."""
    return type("Handler", (handler,), {"log_message": lambda *_: None, **names})


def write(file: Path, content: bytes, changed: float = LONG_AGO) -> Path:
    """Write a file that was last changed at a given time, in a folder that is made for it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (changed, changed))
    return file
