"""What the servers serve: a handler, a WSGI and an ASGI application that do the same.

``GET /`` has a body of thirteen bytes, any other GET the file of that name in the folder that
``BENCH_FOLDER`` names, and a POST is read to its end and answered with the thirteen bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final
from wsgiref.util import FileWrapper

BODY: Final = b"Hello, world!"
BLOCK: Final = 65_536


def file_for(path: str) -> Path:
    """Return the file that a path of a URL names."""
    return Path(os.environ["BENCH_FOLDER"], path.lstrip("/"))


class Handler(BaseHTTPRequestHandler):
    """The handler of the standard library's servers and of ours."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the thirteen bytes or with a file."""
        if self.path == "/":
            self._begin(len(BODY))
            self.wfile.write(BODY)
            return
        with file_for(self.path).open("rb") as file:
            self._begin(os.fstat(file.fileno()).st_size)
            shutil.copyfileobj(file, self.wfile)

    def do_POST(self) -> None:
        """Read the body."""
        left = int(self.headers["Content-Length"])
        while left and (data := self.rfile.read(min(BLOCK, left))):
            left -= len(data)
        self._begin(len(BODY))
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent, as every server here does."""

    def _begin(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(length))
        self.end_headers()


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve as a WSGI application (PEP 3333)."""
    if environ["REQUEST_METHOD"] == "POST":
        left = int(environ["CONTENT_LENGTH"])
        while left and (data := environ["wsgi.input"].read(min(BLOCK, left))):
            left -= len(data)
    elif environ["PATH_INFO"] != "/":
        file = file_for(environ["PATH_INFO"])
        start_response("200 OK", _wsgi_head(file.stat().st_size))
        wrap: Callable[..., Iterable[bytes]] = environ.get("wsgi.file_wrapper", FileWrapper)
        return wrap(file.open("rb"), BLOCK)
    start_response("200 OK", _wsgi_head(len(BODY)))
    return [BODY]


def _wsgi_head(length: int) -> list[tuple[str, str]]:
    return [("Content-Type", "text/plain"), ("Content-Length", str(length))]


Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def asgi(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve as an ASGI application, lifespan included (ASGI 3.0)."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    elif scope["path"] != "/":
        await _send_file(file_for(scope["path"]), send)
        return
    await _send_head(len(BODY), send)
    await send({"type": "http.response.body", "body": BODY})


async def _lifespan(receive: Receive, send: Send) -> None:
    for what in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{what}.complete"})


async def _send_head(length: int, send: Send) -> None:
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})


async def _send_file(path: Path, send: Send) -> None:
    """Read the file where we are: it is in memory, and a thread for each block costs more."""
    with path.open("rb") as file:
        await _send_head(os.fstat(file.fileno()).st_size, send)
        while block := file.read(BLOCK):
            await send({"type": "http.response.body", "body": block, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
