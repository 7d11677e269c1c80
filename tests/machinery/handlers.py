"""Handlers that the tests of the machinery serve with."""

from __future__ import annotations

import os
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

LARGE = 64 << 20
"""Bytes of the response to ``/large``: more than all socket buffers between two processes hold."""


_PIECE_SIZE = 1 << 16


class Plain(BaseHTTPRequestHandler):
    """Answer GET with the path, ``/large`` with very much, and POST with the size of the body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the path, or with very much."""
        if self.path == "/large":
            self._send_large()
        else:
            self._answer(self.path.encode())

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Answer with the size of the body, or without having read it."""
        if self.path == "/unread":
            self._answer(b"not interested")
            return
        size = int(self.headers["Content-Length"])
        self._answer(b"%d" % len(self.rfile.read(size)))

    def log_message(self, *arguments: object) -> None:
        """Say nothing: what the server itself says is what tests look for."""

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_large(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(LARGE))
        self.end_headers()
        for number in range(LARGE // _PIECE_SIZE):  # what is the same each time is kept once
            self.wfile.write(number.to_bytes(8, "big") * (_PIECE_SIZE // 8))


class Streams(Plain):
    """The same, called when the head is there."""

    stream_request = True


class Reads(Plain):
    """Answer POST with all of the body, whatever its framing."""

    def do_POST(self) -> None:
        """Answer with what was sent."""
        self._answer(self.rfile.read())


class Shrinking(Plain):
    """Answer with a file that gets shorter when it has been begun."""

    def do_GET(self) -> None:
        """Send more of a file than is left of it."""
        with tempfile.NamedTemporaryFile() as file, Path(file.name).open("rb") as opened:
            file.truncate(LARGE)
            os.utime(file.name, (1, 1))  # it has not just been written
            self.send_response(200)
            self.send_header("Content-Length", str(LARGE))
            self.end_headers()
            self.connection.sendfile(opened)
            file.truncate(0)


class TakesOver(Plain):
    """Speak another protocol, in which it is the client's turn."""

    def do_GET(self) -> None:
        """Wait for the client."""
        self.send_response(101)
        self.end_headers()
        self.connection.recv(1)


class OneRequest(Plain):
    """The same, as the standard library has it by default: one request on a connection."""

    protocol_version = "HTTP/1.0"


class Classic(Plain):
    """The same, run the classic way, blocking, because ``handle()`` is overridden."""

    def handle(self) -> None:
        """Do what would be done anyway."""
        super().handle()


class Gate(Plain):
    """Answer only when the test says so."""

    entered: ClassVar[threading.Semaphore]
    opened: ClassVar[threading.Event]

    def do_GET(self) -> None:
        """Wait, where the path says so."""
        if self.path == "/wait":
            self.entered.release()
            self.opened.wait(60)
        super().do_GET()


def new_gate() -> type[Gate]:
    """Return a handler class of its own, closed."""
    return type(
        "OwnGate", (Gate,), {"entered": threading.Semaphore(0), "opened": threading.Event()}
    )
