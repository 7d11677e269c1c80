"""Responses that come twice or too late, bodies nobody reads, and errors of the user's own."""

from __future__ import annotations

import logging
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.handler.side_by_side import (
    OURS,
    Ask,
    Peer,
    Quiet,
    Reference,
    answering,
    by_both,
    connect,
    framed_once,
    outcome,
    page,
    read_to_end,
    serving,
)

pytestmark = pytest.mark.parametrize("server_class", OURS)


# F6, F7: a second head ---------------------------------------------------------------------------


def _error_after_head(self: Any) -> None:
    self.send_response(200)
    self.end_headers()
    try:
        raise KeyError
    except KeyError:
        self.send_error(500)


def _error_after_length(self: Any) -> None:
    self.send_response(200)
    self.send_header("Content-Length", "2")
    self.end_headers()
    self.send_error(500)


def _two_heads(self: Any) -> None:
    self.send_response(200)
    self.send_header("Content-Type", "text/html")
    self.end_headers()
    self.send_response(500)
    self.end_headers()
    self.wfile.write(b"second")


def _two_heads_by_name(self: Any) -> None:
    BaseHTTPRequestHandler.send_response(self, 200)
    BaseHTTPRequestHandler.end_headers(self)
    BaseHTTPRequestHandler.send_response(self, 500)
    BaseHTTPRequestHandler.end_headers(self)
    self.wfile.write(b"second")


def _second_with_length(self: Any) -> None:
    self.send_response(200)
    self.end_headers()
    self.send_response(500)
    self.send_header("Content-Length", "6")
    self.end_headers()
    self.wfile.write(b"second")


UNSENT = [
    _error_after_head,
    _error_after_length,
    _two_heads,
    _two_heads_by_name,
    _second_with_length,
]


@pytest.mark.usefixtures("heads_stay")
@pytest.mark.parametrize("do_get", UNSENT)
def test_handlers_f06_a_second_head_replaces_the_first(
    do_get: Any, server_class: type, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing of the first has been sent, the client gets the second, and one line says so.

    handlers F6. (On `http.server` the second head is text in the body.)
    """
    with caplog.at_level(logging.WARNING, logger="tlshttp.handler"):
        ours = outcome(server_class, answering(do_get), [Ask(), Ask()])
    assert [response.status for response in ours.responses] == [500, 500]
    assert all(framed_once(response) for response in ours.responses)
    assert not any(b"HTTP/1." in response.body for response in ours.responses)
    lines = [record for record in caplog.records if record.name == "tlshttp.handler"]
    assert 1 <= len(lines) <= 2
    assert ours.tracebacks == 0


def _error_after_flush(self: Any) -> None:
    self.send_response(200)
    self.end_headers()
    self.wfile.flush()
    self.wfile.write(b"some of it ")
    self.wfile.flush()
    self.send_error(500)


def _head_after_body(self: Any) -> None:
    self.send_response(200)
    self.end_headers()
    self.wfile.write(b"some of it " * 10_000)
    self.send_response(500)
    self.send_header("Content-Length", "6")
    self.end_headers()
    self.wfile.write(b"second")


@pytest.mark.parametrize("do_get", [_error_after_flush, _head_after_body])
def test_handlers_f06_a_second_head_after_the_body_began_is_body(
    do_get: Any, server_class: type
) -> None:
    """What has been sent stays: the second head is text in the body, which ends as it should."""
    reference, ours = by_both(server_class, answering(do_get), Ask())
    (expected,), (got,) = reference.responses, ours.responses
    assert (got.status, expected.status) == (200, 200)
    assert got.body.startswith(b"some of it ")
    assert b"HTTP/1.0 500" in expected.body
    assert b" 500 " in got.body
    assert framed_once(got)


def _error_then_end(self: Any) -> None:
    self.send_error(404)
    self.end_headers()


def _error_then_header(self: Any) -> None:
    self.send_error(404)
    self.send_header("X-Late", "1")
    self.end_headers()


def _page_then_end(self: Any) -> None:
    page(self)
    self.end_headers()


def _error_then_end_by_name(self: Any) -> None:
    BaseHTTPRequestHandler.send_error(self, 404)
    BaseHTTPRequestHandler.end_headers(self)


def _error_then_flush(self: Any) -> None:
    self.send_error(404)
    self.flush_headers()
    self.wfile.flush()


@pytest.mark.parametrize(
    "do_get",
    [
        _error_then_end,
        _error_then_header,
        _page_then_end,
        _error_then_end_by_name,
        _error_then_flush,
    ],
)
def test_handlers_f07_a_head_after_the_response_is_dropped(
    do_get: Any, server_class: type, caplog: pytest.LogCaptureFixture
) -> None:
    """``end_headers()`` after a complete response does nothing, and nothing is reported.

    handlers F7: the last two lines of the picamera handler.
    """
    with caplog.at_level(logging.WARNING):
        reference = outcome(Reference, answering(do_get), [Ask()])
        ours = outcome(server_class, answering(do_get), [Ask(), Ask(), Ask()])
    assert [response.status for response in ours.responses] == [reference.responses[0].status] * 3
    assert reference.responses[0].body.startswith(ours.responses[0].body)
    assert ours.tracebacks == 0
    assert not [record for record in caplog.records if record.name.startswith("tlshttp")]


# F12: bodies that nobody reads -------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 5, 20_000, 100_000, 262_145, 300_000, 2_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_handlers_f12_an_unread_body_costs_no_request(
    size: int, chunked: bool, server_class: type
) -> None:
    """After it the connection is kept, or its end was announced: each request is answered.

    handlers F12.
    """
    body = bytes(size)
    ask = Ask("POST", body=(body[: size // 2], body[size // 2 :]) if chunked else body)
    handler = answering(lambda self: page(self, b""))
    ours = outcome(server_class, handler, [ask] * 12)
    assert [response.status for response in ours.responses] == [200] * 12


@pytest.mark.parametrize("path", ["/", "/error"])
@pytest.mark.parametrize("size", [5, 300_000])
def test_handlers_f12_an_expected_body_costs_no_request(
    size: int, path: str, server_class: type
) -> None:
    """A request that expects 100 and is answered without: either it was sent, or the end is said.

    RFC 9110, section 10.1.1: a client that gets a final status may or may not send its body.
    """

    def do(self: Any) -> None:
        self.send_error(401) if self.path == "/error" else page(self, b"")

    with serving(server_class, answering(do)) as served:
        for _ in range(6):
            with Peer.of(served) as peer:
                peer.sock.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                    f"Content-Length: {size}\r\n\r\n".encode()
                )
                head = peer.sock.recv(65_536)
                if head.startswith(b"HTTP/1.1 100"):
                    peer.sock.sendall(bytes(size) + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    head = peer.sock.recv(65_536)
                else:
                    assert b"\r\nconnection: close" in head.lower()
                assert head[9:12] == (b"401" if path == "/error" else b"200")


# F18: a send_error() of the user's ---------------------------------------------------------------

MALFORMED = b"GET / HTTP/1.1 tralla\r\n\r\n"


def test_handlers_f18_a_mistake_in_send_error_is_seen(server_class: type) -> None:
    """An exception in a user's ``send_error()`` is a traceback, as everywhere.

    handlers F18.
    """

    class Handler(Quiet):
        def send_error(self, code: int, message: Any = None, explain: Any = None) -> None:
            raise ZeroDivisionError("a mistake")

    for kind in (Reference, server_class):
        with serving(kind, Handler) as served, connect(served) as client:
            client.sendall(MALFORMED)
            read_to_end(client)
        assert served.stderr.getvalue().count("ZeroDivisionError: a mistake") == 1


@pytest.mark.parametrize("data", [MALFORMED, b"GET / HTTP/9.0\r\n\r\n", b"NONSENSE\r\n\r\n\r\n"])
def test_handlers_f18_send_error_finds_headers_and_path(data: bytes, server_class: type) -> None:
    """For a request that could not be read they are there, and empty: not those of the one before.

    (On `http.server` they are missing, or those of the request before.)
    """
    seen: list[tuple[Any, list[Any]]] = []

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"
        do_GET = page

        def send_error(self, code: int, message: Any = None, explain: Any = None) -> None:
            seen.append((self.path, self.headers.items()))
            super().send_error(code, message, explain)

    for before in (b"", b"GET /secret HTTP/1.1\r\nHost: localhost\r\nX-Secret: 1\r\n\r\n"):
        with serving(server_class, Handler) as served, connect(served) as client:
            client.sendall(before + data)
            said = read_to_end(client)
        assert b" 400 " in said or b" 505 " in said
        assert served.tracebacks == 0
    assert len(seen) == 2
    assert not any(path == "/secret" or fields for path, fields in seen)
