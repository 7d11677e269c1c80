"""The table of raw requests: each whole, split everywhere, dripped, over TLS and in memory."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import pytest

from tests.handler.http_support import (
    Outcome,
    Recorder,
    connect,
    converse,
    read_to_end,
    serving,
    statuses,
)
from tests.handler.rows import PROBE, ROWS, Fate, Row
from tests.support import wait_until
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, TLSRequestHandler
from tlshttp.errors import ConnectionCut

pytestmark = pytest.mark.thorough


class Swallower(Recorder):
    """Also has a path where it bears whatever reading a body raises, as some handlers do."""

    def do_POST(self) -> None:
        if self.path != "/swallow":
            self.answer()
            return
        self.server.handled.append("POST /swallow")
        for _ in range(3):
            with contextlib.suppress(Exception):
                self.rfile.read()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Picky(Recorder, TLSRequestHandler):
    """Answers for some hosts only."""

    allowed_hosts = ("a", ".own.example")


class Reluctant(Recorder):
    """Meets no expectations."""

    def handle_expect_100(self) -> bool:
        self.send_error(HTTPStatus.EXPECTATION_FAILED)
        return False


class Streaming(Swallower):
    """Reads bodies as they come."""

    stream_request = True


class Blocking(Swallower):
    """Runs in blocking mode, because it has a ``handle()`` of its own."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        super().handle()


class Looping(Swallower):
    """Has the loop of the standard library for its own."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        self.close_connection = True
        self.handle_one_request()
        while not self.close_connection:
            self.handle_one_request()


class ByHand(Swallower):
    """Has the standard library's way to handle a request for its own, of Python 3.11 to 3.15."""

    def handle_one_request(self) -> None:
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if len(self.raw_requestline) > 65536:
                self.requestline = ""
                self.request_version = ""
                self.command = ""
                self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
                return
            if not self.raw_requestline:
                self.close_connection = True
                return
            if not self.parse_request():
                return
            name = "do_" + self.command
            if not hasattr(self, name):
                message = f"Unsupported method ({self.command!r})"
                self.send_error(HTTPStatus.NOT_IMPLEMENTED, message)
                return
            getattr(self, name)()
            self.wfile.flush()
        except TimeoutError as error:
            self.log_error("Request timed out: %r", error)
            self.close_connection = True


HANDLERS = {"Recorder": Swallower, "Picky": Picky, "Reluctant": Reluctant}

table = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def expected(row: Row, *, whole: bool, streamed: bool) -> list[tuple[tuple[int, ...], list[str]]]:
    """Return which responses and requests there may be, the probe's included."""
    fate: Fate = (row.streamed or row) if streamed else row
    statuses, seen = fate.statuses, list(fate.handled)
    if fate.open and not row.waits:
        statuses, seen = (*statuses, 200), [*seen, "GET /probe."]
    if statuses[:1] != (100,):
        return [(statuses, seen)]
    # Who has sent all of a body is not told to go on (RFC 9110, section 10.1.1).
    unasked = (statuses[1:], seen)
    return [unasked] if whole and not streamed else [(statuses, seen), unasked]


def check(
    row: Row, sent: bytes, handled: list[str], *, whole: bool = False, streamed: bool = False
) -> None:
    """Check all that came of sending a row and the probe."""
    found = statuses(sent, [request.partition(" ")[0] for request in handled])
    assert (found, handled) in expected(row, whole=whole, streamed=streamed)


def play(
    row: Row, segments: list[bytes], fd: int, handler: Any = None, *, probe: bytes = PROBE
) -> Outcome:
    """Send a row in memory, and then the probe."""
    if not row.waits:
        segments = [*segments, probe]
    return converse(handler or HANDLERS[row.handler], segments, fd, limits=row.limits)


def test_table_is_large_enough() -> None:
    """There are as many rows as were asked for, each with its own name."""
    assert len(ROWS) >= 120
    assert len({row.name for row in ROWS}) == len(ROWS)


@table
def test_row_in_memory(row: Row, ready_fd: int) -> None:
    """However a request is cut into pieces, the table tells what comes of it."""
    outcome = play(row, [row.data], ready_fd)
    check(row, outcome.sent, outcome.handled, whole=True)
    assert outcome.kept == row.waits
    if not row.waits:
        outcome = play(row, [row.data + PROBE], ready_fd, probe=b"")
        check(row, outcome.sent, outcome.handled, whole=True)
    for segments in (*in_two(row.data), dripped(row.data, 2000)):
        outcome = play(row, segments, ready_fd)
        check(row, outcome.sent, outcome.handled)


@table
def test_row_read_as_it_comes(row: Row, ready_fd: int) -> None:
    """For a handler that reads bodies as they come it is the same, but that it sees more heads."""
    if row.handler != "Recorder" or b"\r\n\r\n" not in row.data:
        pytest.skip("nothing to be seen here")
    outcome = play(row, [row.data], ready_fd, Streaming)
    check(row, outcome.sent, outcome.handled, whole=True, streamed=True)
    for segments in (*in_two(row.data), dripped(row.data, 2000)):
        outcome = play(row, segments, ready_fd, Streaming)
        check(row, outcome.sent, outcome.handled, streamed=True)


def in_two(data: bytes) -> Iterator[list[bytes]]:
    """Cut data in two: everywhere, or if it is long, near its ends and here and there."""
    size = len(data)
    places = {*range(1, 50), *range(size - 30, size), *range(50, size, size // 8 or 1)}
    if size > 10_000:
        places = set(range(1, size, size // 20))
    for place in range(1, size) if size <= 400 else sorted(places):
        yield [data[:place], data[place:]]


def dripped(data: bytes, most: int) -> list[bytes]:
    """Cut data into single bytes, or if there would be more than `most`, into small pieces."""
    step = 1 + len(data) // most
    return [data[place : place + step] for place in range(0, len(data), step)]


@table
def test_row_for_handlers_that_override_the_loop(row: Row, ready_fd: int) -> None:
    """Handlers with a loop of their own, and those in blocking mode, see the same requests."""
    if row.handler != "Recorder" or row.waits:
        pytest.skip("nothing to be seen here")
    for handler in (Blocking, Looping, ByHand):
        if row.name in ("method-without-host", "te-of-unknown-method"):
            continue  # which methods it has is its own affair, so all else is judged before
        outcome = play(row, [row.data], ready_fd, handler)
        check(row, outcome.sent, outcome.handled, whole=True)
        if b" /unread" not in row.data:  # of that, only what has arrived is thrown away
            outcome = play(row, dripped(row.data, 500), ready_fd, handler)
            check(row, outcome.sent, outcome.handled)


@pytest.mark.parametrize(
    ("server_class", "thirds"), [(TLSHTTPServer, 0), (ThreadingTLSHTTPServer, 2)]
)
def test_rows_over_tls(
    server_class: type[TLSHTTPServer], thirds: int, subtests: pytest.Subtests
) -> None:
    """Real servers, with real TLS, do the same: one with each row whole, one with it cut in two."""
    with ExitStack() as stack:
        servers = {
            (name, limits): stack.enter_context(
                serving(HANDLERS[name], server_class=server_class, limits=limits)
            )
            for name, limits in {(row.handler, row.limits) for row in ROWS}
        }
        for row in ROWS:
            server = servers[row.handler, row.limits]
            server.handled.clear()
            received = talk(server, row, len(row.data) * thirds // 3)
            with subtests.test(msg=row.name):
                check(row, received, server.handled)


def talk(server: Any, row: Row, place: int) -> bytes:
    """Send a row, cut in two, and then the probe; return all that comes back."""
    with connect(server) as client:
        # A server that has refused a request may be gone before all of it is sent.
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for piece in (row.data[:place], row.data[place:], b"" if row.waits else PROBE):
                if piece:
                    client.sendall(piece)
        if row.waits:
            socket.socket.shutdown(client, socket.SHUT_WR)
        return read_to_end(client)


@pytest.mark.parametrize("handler", [Swallower, Blocking, Looping, ByHand])
@pytest.mark.parametrize(
    "data",
    [
        b"GET  / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"POST /swallow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    ],
    ids=["head", "body", "swallowed"],
)
def test_refusal_is_one_event(
    handler: type[Recorder], data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is reported once, without a traceback, whoever runs the handler's loop."""
    events = []

    class Server(ThreadingTLSHTTPServer):
        def handle_connection_cut(self, exc: ConnectionCut, client_address: object) -> None:
            events.append(exc.reason)

    with serving(handler, server_class=Server) as server:
        with connect(server) as client:
            client.sendall(data)
            read_to_end(client)
        assert wait_until(lambda: server.stats().cut == {"refused-request": 1})
    assert events == ["refused-request"]
    assert "Traceback" not in capfd.readouterr().err
