"""What handlers in use do with responses: echo what was sent, answer first, write files again."""

from __future__ import annotations

import http.client
import io
import os
import shutil
import socketserver
import threading
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.handler.http_support import connect, read_to_end, serving
from tests.handler.side_by_side import OURS, Quiet
from tests.support import UNIT, wait_until
from tlshttp import Limits

pytestmark = pytest.mark.parametrize("server_class", OURS)

EVIL = (
    b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nSet-Cookie: sid=evil\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def ask(server: Any, request: bytes) -> bytes:
    """Return all that comes until the server ends."""
    with connect(server) as client:
        client.sendall(request)
        return read_to_end(client)


def post(body: bytes) -> bytes:
    """Return a request for the last response of its connection."""
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Echo(Quiet):
    """Sends back what it gets, saying how much that is or not."""

    says_length = False

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        if self.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.send_body(body)

    def send_body(self, body: bytes) -> None:
        """Send it."""
        self.wfile.write(body)


class EchoOfLength(Echo):
    says_length = True


class EchoOfOldVersion(Echo):
    protocol_version = "HTTP/1.0"


class EchoInPieces(EchoOfLength):
    def send_body(self, body: bytes) -> None:
        """Send a file's worth at a time, of which the first is just a head."""
        self.wfile.write(body[: len(EVIL)])
        self.wfile.write(body[len(EVIL) :])


class EchoAsFile(EchoOfLength):
    def send_body(self, body: bytes) -> None:
        """Send it as a file is sent."""
        shutil.copyfileobj(io.BytesIO(body), self.wfile, len(EVIL))


class EchoBuffered(EchoOfLength):
    wbufsize = 8192


@pytest.mark.parametrize("more", [b"", b"<script>alert(1)</script>"])
@pytest.mark.parametrize(
    "handler", [Echo, EchoOfLength, EchoOfOldVersion, EchoInPieces, EchoAsFile, EchoBuffered]
)
def test_a_body_that_looks_like_a_head_is_body(
    handler: Any, more: bytes, server_class: Any
) -> None:
    """Whoever has sent it does not choose status, location or cookies."""
    with serving(handler, server_class=server_class) as server:
        answer = ask(server, post(EVIL + more))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    assert b"evil" not in head
    assert EVIL in body
    assert more in body


class Again(Quiet):
    """Changes its mind before anything has been sent."""

    def do_GET(self) -> None:
        """Answer twice."""
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.send_response(404)
        self.send_header("Content-Length", "4")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"gone")


def test_a_head_by_the_methods_still_replaces_the_first(server_class: Any) -> None:
    """As long as that has not been sent."""
    with serving(Again, server_class=server_class) as server:
        answer = ask(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b"\r\n\r\ngone")


# Answering first ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["length 0", "204", "304", "HEAD", "length 0 and close"])
def test_a_response_without_a_body_does_not_wait_for_its_handler(
    kind: str, server_class: Any
) -> None:
    """A webhook is answered before its work begins."""
    answered = threading.Event()

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response({"204": 204, "304": 304}.get(kind, 200))
            if kind.startswith("length 0"):
                self.send_header("Content-Length", "0")
            elif kind == "HEAD":
                self.send_header("Content-Length", "10")
            if kind.endswith("close"):
                self.send_header("Connection", "close")
            self.end_headers()
            assert answered.wait(30 * UNIT)

        do_HEAD = do_GET

    method = "HEAD" if kind == "HEAD" else "GET"
    with serving(Handler, server_class=server_class) as server, connect(server) as client:
        client.sendall(f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 ")
        answered.set()


# A file that is written to while it is sent -------------------------------------------------


SIZE = 6_000_000


def test_a_file_of_each_request_is_sent_as_its_handler_has_made_it(
    server_class: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one writes to it again, under a lock, while the first client is still reading."""
    monkeypatch.setattr("tlshttp.handler._regular_files._SETTLED_SECONDS", 3_600.0)
    lock, path = threading.Lock(), tmp_path / "report"

    class Report(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                path.write_bytes(self.path[1:2].encode() * SIZE)
                with path.open("rb") as file:
                    self.send_response(200)
                    self.send_header("Content-Length", str(SIZE))
                    self.end_headers()
                    self.copyfile(file, self.wfile)

        def log_message(self, *arguments: object) -> None:
            pass

    request = b"GET /%c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with serving(Report, server_class=server_class) as server, connect(server) as slow:
        slow.sendall(request % b"A")
        begun = slow.recv(1)
        assert ask(server, request % b"B").endswith(b"B" * SIZE)
        answer = begun + read_to_end(slow)
    assert answer.endswith(b"\r\n\r\n" + b"A" * SIZE)


def test_an_older_file_that_is_written_to_cuts_the_connection(
    server_class: Any, tmp_path: Path
) -> None:
    """Rather than to send somebody what was written for somebody else."""
    path = tmp_path / "data"
    path.write_bytes(b"A" * SIZE * 4)
    os.utime(path, (1, 1))
    cuts: list[Any] = []
    has_returned = threading.Event()

    class Notes(server_class):  # type: ignore[misc]
        def handle_connection_cut(self, exc: Any, client_address: Any) -> None:
            cuts.append(exc.reason)

    class Files(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            with path.open("rb") as file:
                self.send_response(200)
                self.send_header("Content-Length", str(SIZE * 4))
                self.end_headers()
                self.copyfile(file, self.wfile)
            has_returned.set()

        def log_message(self, *arguments: object) -> None:
            pass

    with serving(Files, server_class=Notes) as server, connect(server) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        begun = slow.recv(1)
        assert has_returned.wait(30 * UNIT)
        path.write_bytes(b"B" * SIZE * 4)
        answer = begun + read_to_end(slow)
        assert wait_until(lambda: bool(cuts))
    assert b"BBB" not in answer
    assert cuts == ["response-aborted"]


# A client that leaves while its response is sent ------------------------------------------------


class Large(Quiet):
    """Answers with more than a socket holds."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "8000000")
        self.end_headers()
        self.wfile.write(b"z" * 8_000_000)


class OwnHandle(Large):
    def handle(self) -> None:
        """Do what would be done anyway."""
        super().handle()


class OwnSetup(Large):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Do what would be done anyway."""
        super().setup()


def made_by_a_function(*arguments: Any) -> Any:
    """Return a handler."""
    return Large(*arguments)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("handler", [Large, OwnHandle, OwnSetup, made_by_a_function])
def test_who_leaves_while_its_response_is_sent_is_let_go(
    handler: Any, mixed: bool, server_class: Any
) -> None:
    """Its connection, its place and its temporary file are given back, and others are served."""
    if mixed:
        server_class = type("Mixed", (socketserver.ThreadingMixIn, server_class), {})
    limits = Limits(max_connections=20, write_timeout=20 * UNIT)
    with serving(handler, server_class=server_class, limits=limits) as server:
        for _ in range(30):
            with connect(server) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                client.recv(100)
        assert wait_until(lambda: not sum(server.stats().parked.values()))
        assert wait_until(lambda: vars(server)["_TLSHTTPServer__loop"].budget.disk == 0)
        answer = ask(server, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer.endswith(b"z" * 1000)


# Reading a body line by line ---------------------------------------------------------------------


def test_a_body_is_read_by_lines_after_the_head_has_been_sent(server_class: Any) -> None:
    """A handler with a ``handle()`` of its own parses heads within the body, as of its parts."""

    class Parts(OwnHandle):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            found = http.client.parse_headers(self.rfile, _class=http.client.HTTPMessage)
            self.wfile.write(f"{found['A']} {found['B']} {self.rfile.readline(65537)!r}".encode())

    with serving(Parts, server_class=server_class) as server:
        answer = ask(server, post(b"A: 1\r\nB: 2\r\n\r\nrest\r\n"))
    assert answer.endswith(b"1 2 b'rest\\r\\n'")
