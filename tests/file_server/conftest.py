"""The file server within this process, and folders for it."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from tests.support import UNIT
from tlshttp import Limits, ThreadingTLSHTTPServer, certs, context
from tlshttp._file_server.gate import Gate
from tlshttp._file_server.guesses import Guesses
from tlshttp._file_server.handlers import make_handler
from tlshttp._file_server.options import Options
from tlshttp._file_server.parser import make_parser
from tlshttp._file_server.uploads import UploadFolder


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
    client: ssl.SSLContext

    def connect(self) -> http.client.HTTPSConnection:
        """Return a connection that is opened with the first request."""
        return http.client.HTTPSConnection(
            "localhost", self.server.server_port, timeout=50 * UNIT, context=self.client
        )

    def ask(self, path: str, method: str = "GET", body: Any = None, **fields: str) -> Reply:
        """Send a request with fields named as ``If_None_Match=...``; return the response."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                return Reply(response.status, response.headers, response.read())


Serve = Callable[..., Site]


def options(*words: str, **environment: str) -> Options:
    """Return what a command line and an environment mean."""
    return Options.read(make_parser().parse_args(words), environment)


@pytest.fixture(scope="session")
def certificate() -> certs.Certificate:
    """Make a certificate for ``localhost``."""
    return certs.self_signed("localhost", "127.0.0.1")


@pytest.fixture
def serve(certificate: certs.Certificate, public: Path) -> Iterator[Serve]:
    """Run servers for command lines, and end them."""
    running: list[tuple[ThreadingTLSHTTPServer, threading.Thread]] = []

    def start(*words: str, password: bytes = b"", quiet: bool = True) -> Site:
        wanted = options("--directory", str(public), *words, *(["--quiet"] if quiet else []))
        # No guess is forgotten while a test runs, however long that takes.
        guesses = Guesses(lambda: 0.0)
        gate = None if wanted.auth is None else Gate(wanted.auth, lambda: password, guesses)
        uploads = None
        if wanted.upload is not None:
            uploads = UploadFolder(wanted.upload, wanted.upload_limit)
        server = ThreadingTLSHTTPServer(
            ("127.0.0.1", 0),
            make_handler(wanted, gate, uploads),
            ssl_context=context.create_server_context(certificate),
            limits=Limits(max_body_bytes=None, linger_timeout=50 * UNIT),
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        running.append((server, thread))
        return Site(server, ssl.create_default_context(cadata=certificate.to_pem().decode()))

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """Make a folder to serve."""
    public = tmp_path / "public"
    (public / "sub").mkdir(parents=True)
    (public / "hello.txt").write_text("Hello, world!\n")
    (public / "sub" / "page.html").write_text("<p>page</p>")
    (public / ".env").write_text("SECRET")
    return public
