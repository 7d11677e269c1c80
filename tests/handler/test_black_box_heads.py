"""Heads: what reaches `wfile` decides how a response is framed, whoever wrote it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.handler.side_by_side import (
    OURS,
    Ask,
    Quiet,
    answering,
    by_both,
    framed_once,
    outcome,
    page,
)

pytestmark = pytest.mark.parametrize("server_class", OURS)

REQUESTS = 60
"""On one connection: a server that closes silently loses some of so many."""


# F1: the head of a part is body ------------------------------------------------------------------


def _stream(handler: Any, write_part: Callable[[Any, bytes], None]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=F")
    handler.end_headers()
    for number in range(3):
        write_part(handler, b"JPEG%d" % number)


def _part_by_send_header(handler: Any, frame: bytes) -> None:
    handler.wfile.write(b"--F\r\n")
    handler.send_header("Content-Type", "image/jpeg")
    handler.send_header("Content-Length", str(len(frame)))
    handler.end_headers()
    handler.wfile.write(frame)
    handler.wfile.write(b"\r\n")


def _part_without_length(handler: Any, frame: bytes) -> None:
    handler.wfile.write(b"--F\r\n")
    handler.send_header("Content-Type", "image/jpeg")
    handler.end_headers()
    handler.wfile.write(frame + b"\r\n")


def _part_flushed_by_hand(handler: Any, frame: bytes) -> None:
    handler.wfile.write(b"--F\r\n")
    handler.send_header("X-Frame", "1")
    handler.flush_headers()
    handler.wfile.write(b"\r\n" + frame + b"\r\n")


def _part_named_by_its_class(handler: Any, frame: bytes) -> None:
    handler.wfile.write(b"--F\r\n")
    BaseHTTPRequestHandler.send_header(handler, "Content-Length", str(len(frame)))
    BaseHTTPRequestHandler.end_headers(handler)
    handler.wfile.write(frame + b"\r\n")


def _part_whole(handler: Any, frame: bytes) -> None:
    handler.wfile.write(b"--F\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(frame), frame))


def _part_with_connection_close(handler: Any, frame: bytes) -> None:
    handler.wfile.write(b"--F\r\n")
    handler.send_header("Connection", "close")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(frame + b"\r\n")


PARTS = [
    _part_by_send_header,
    _part_without_length,
    _part_flushed_by_hand,
    _part_named_by_its_class,
    _part_whole,
    _part_with_connection_close,
]


@pytest.mark.parametrize("buffered", [0, -1], ids=["direct", "buffered"])
@pytest.mark.parametrize("part", PARTS)
def test_handlers_f01_the_head_of_a_part_is_body(
    part: Callable[[Any, bytes], None], buffered: int, server_class: type
) -> None:
    """What a handler writes by ``send_header()`` after its head is part of the body, byte for byte.

    handlers F1: multipart streams of cameras.
    """
    handler = answering(lambda self: _stream(self, part), wbufsize=buffered)
    reference, ours = by_both(server_class, handler, Ask(), Ask())
    assert ours.meaning == reference.meaning
    assert ours.responses[0].body.count(b"JPEG") == 3
    assert ours.tracebacks == 0


# F2, F14: methods of the base called by its name --------------------------------------------------


class EndHeaders(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        SimpleHTTPRequestHandler.end_headers(self)


class EndHeadersOfTheBase(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        BaseHTTPRequestHandler.end_headers(self)


class NoCache(SimpleHTTPRequestHandler):
    def send_my_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache, no-store, must-revalidate")

    def end_headers(self) -> None:
        self.send_my_headers()
        SimpleHTTPRequestHandler.end_headers(self)

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self.end_headers()


class SendHead(SimpleHTTPRequestHandler):
    """As RangeHTTPServer does."""

    def send_head(self) -> Any:
        if "Range" not in self.headers:
            return SimpleHTTPRequestHandler.send_head(self)
        self.send_response(206)
        self.send_header("Content-Range", "bytes 0-3/1300")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"Hell")
        return None

    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        return SimpleHTTPRequestHandler.end_headers(self)


class ParseRequest(SimpleHTTPRequestHandler):
    def parse_request(self) -> bool:
        return SimpleHTTPRequestHandler.parse_request(self)


class SendHeader(SimpleHTTPRequestHandler):
    """Leaves a field out."""

    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Server":
            BaseHTTPRequestHandler.send_header(self, keyword, value)


class SendResponse(SimpleHTTPRequestHandler):
    def send_response(self, code: int, message: str | None = None) -> None:
        SimpleHTTPRequestHandler.send_response(self, code, message)
        self.send_header("X-Status", str(int(code)))


BY_NAME = [
    EndHeaders,
    EndHeadersOfTheBase,
    NoCache,
    SendHead,
    ParseRequest,
    SendHeader,
    SendResponse,
]
FILES = (
    Ask(target="/file.txt"),
    Ask("HEAD", "/file.txt"),
    Ask(target="/missing"),
    Ask(target="/folder"),
    Ask(target="/folder/"),
    Ask(target="/file.txt", fields=(("Range", "bytes=0-3"),)),
    Ask("OPTIONS", "/file.txt"),
    Ask(target="/file.txt", fields=(("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder to serve."""
    made = tmp_path_factory.mktemp("site")
    (made / "folder").mkdir()
    (made / "file.txt").write_text("Hello, world\n" * 100)
    return made


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("handler", BY_NAME)
def test_handlers_f02_methods_called_by_the_name_of_their_class(
    handler: Any, version: str, folder: Path, server_class: type
) -> None:
    """They do what ``super()`` does, and a connection's end is announced.

    handlers F2 and F14: the CORS, no-cache and COOP servers, RangeHTTPServer.
    """
    silent = type("Silent", (handler,), {"log_message": Quiet.log_message})
    made = type("Versioned", (silent,), {"protocol_version": version})
    reference, ours = by_both(server_class, functools.partial(made, directory=str(folder)), *FILES)
    assert ours.meaning == reference.meaning
    assert all(framed_once(response) for response in ours.responses)


@pytest.mark.parametrize("handler", BY_NAME)
def test_handlers_f02_no_request_is_lost_on_a_kept_connection(
    handler: Any, folder: Path, server_class: type
) -> None:
    """Each request of a session is answered, and the connection serves more than one."""
    silent = type("Silent", (handler,), {"log_message": Quiet.log_message})
    made = functools.partial(silent, directory=str(folder))
    ours = outcome(server_class, made, [Ask(target="/file.txt")] * REQUESTS)
    assert [response.status for response in ours.responses] == [200] * REQUESTS
    assert sum(response.kept for response in ours.responses) > REQUESTS // 2


@pytest.mark.parametrize("path", ["/", "/error", "/nolength", "/empty", "/close"])
def test_handlers_f14_a_response_has_one_framing(path: str, server_class: type) -> None:
    """With ``BaseHTTPRequestHandler.send_header(self, ...)`` there is no field twice.

    handlers F14.
    """

    class Handler(Quiet):
        def send_header(self, keyword: str, value: str) -> None:
            self.count = getattr(self, "count", 0) + 1
            BaseHTTPRequestHandler.send_header(self, keyword, value)

        def do_GET(self) -> None:
            if self.path == "/error":
                self.send_error(404)
            elif self.path == "/nolength":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")
            elif self.path == "/close":
                page(self, b"ok", ("Connection", "close"))
            else:
                page(self, b"ok" if self.path == "/" else b"")

    reference, ours = by_both(server_class, Handler, Ask(target=path))
    assert ours.meaning == reference.meaning
    assert framed_once(ours.responses[0])


# Heads written by hand ---------------------------------------------------------------------------

BY_HAND = {
    "one write": [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Mine: 1\r\n\r\nhello"],
    "head, body": [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello"],
    "line by line": [b"HTTP/1.1 200 OK\r\n", b"Content-Length: 5\r\n", b"\r\n", b"hel", b"lo"],
    "split": [b"HTTP/1.", b"1 200 OK\r\nContent-Le", b"ngth: 5\r", b"\n\r", b"\nhello"],
    "no length": [b"HTTP/1.1 200 OK\r\nX-Mine: 1\r\n\r\n", b"hello"],
    "version 1.0": [b"HTTP/1.0 200 OK\r\n\r\nhello"],
    "close": [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"],
    "chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
    "bare newlines": [b"HTTP/1.0 200 OK\nX-Mine: 1\n\nhello"],
    "204": [b"HTTP/1.1 204 No Content\r\n\r\n"],
}


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("name", BY_HAND)
def test_handlers_heads_written_by_hand_are_heads(
    name: str, version: str, server_class: type
) -> None:
    """A head that a handler writes to `wfile` by itself is framed like any other.

    handlers, design remark 1.
    """

    def do_get(self: Any) -> None:
        self.close_connection = True
        for piece in BY_HAND[name]:
            self.wfile.write(piece)

    handler = answering(do_get, protocol_version=version)
    reference, ours = by_both(server_class, handler, *[Ask()] * 3)
    assert ours.meaning == reference.meaning
    assert all(framed_once(response) for response in ours.responses)
