"""What holds for any bytes whatever."""

from __future__ import annotations

import contextlib
import http.client
import io
import itertools
import logging
import os
import re
import socket
import ssl
import threading
from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.handler.http_support import (
    MemoryEngine,
    Recorder,
    connect,
    converse,
    read_to_end,
    serving,
    statuses,
    streamed,
)
from tests.handler.rows import PROBE, ROWS
from tests.support import UNIT, NoOwner
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp._machinery.stream import Stream
from tlshttp.errors import ConnectionCut, RequestRefused
from tlshttp.handler._head import (
    CHUNKED,
    asks_for_other_version,
    parse_fields,
    parse_head,
    parse_request_line,
    parse_simple_request,
)
from tlshttp.limits import Limits

pytestmark = pytest.mark.thorough

DATE = re.compile(rb"Date: [^\r]*\r\n")

PARTS = [
    b"GET ", b"POST ", b"/", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b":",
    b"Host: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"hello", b"5",
    b"0\r\n\r\n", b"5\r\nhello\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b" ",
    b"\t", b"\0", b"X: y\r\n", b";", b"\xff", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
]  # fmt: skip

soup = st.lists(st.sampled_from(PARTS), max_size=20).map(b"".join)
"""Pieces of requests in any order."""


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a row of the table with a few bytes removed, changed or added."""
    data = bytearray(draw(st.sampled_from([row.data for row in ROWS if len(row.data) < 500])))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        kept = draw(st.integers(0, 3))
        data[place : place + kept] = draw(st.binary(max_size=2) | st.sampled_from(PARTS))
    return bytes(data)


anything = st.binary(max_size=300) | soup | damaged()

SCALE = int(os.environ.get("TLSHTTP_TEST_EXAMPLES", "1"))
"""How many times as many examples are tried."""


def examples(number: int) -> settings:
    """Return settings for so many examples."""
    return settings(deadline=None, max_examples=number * SCALE)


# Parsers -----------------------------------------------------------------------------------------


@examples(150)
@given(anything)
@example(b"X")
@example(b"X: y\r\nZ")
def test_parsers_raise_nothing_but_refusals(data: bytes) -> None:
    """Whatever the bytes are, they are parsed or refused."""
    line = data.decode("latin-1")
    for parse in (parse_request_line, parse_simple_request, asks_for_other_version):
        parse(line)
    for minor_version in (0, 1):
        with contextlib.suppress(RequestRefused):
            fields, _ = parse_fields(data)
            assert len(fields) == data.count(b"\n")
            parse_head(data, minor_version, needs_host=bool(minor_version))


@pytest.mark.parametrize("how", ["read", "readline", "read1", "readinto", "drain"])
def test_reader_raises_nothing_but_cuts(how: str, ready_fd: int) -> None:
    """Whatever a chunked body consists of, it is read, refused or cut off, and ends."""

    @examples(150)
    @given(anything, st.integers(1, 50))
    def check(data: bytes, size: int) -> None:
        pieces = [data[place : place + size] for place in range(0, len(data), size)]
        limits = Limits(max_body_bytes=1000)
        stream = Stream(MemoryEngine(pieces, ready_fd), limits, NoOwner())
        reader = streamed(stream, b"Transfer-Encoding: chunked\r\n", limits=limits).rfile
        read: Any = {
            "read": lambda: reader.read(7),
            "readline": reader.readline,
            "read1": reader.read1,
            "readinto": lambda: reader.readinto(bytearray(7)),
            "drain": lambda: reader.drain() and None,
        }[how]
        with contextlib.suppress(ConnectionCut):
            for _ in range(len(data) + 2):
                if not read():
                    break
            else:
                pytest.fail("a body longer than what was sent")

    check()


# Others' parsers ---------------------------------------------------------------------------------

token = st.text("abcXYZ-_.!019", min_size=1, max_size=8).map(str.encode)
value = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12
).map(lambda text: text.encode("latin-1"))
field = st.tuples(token, st.sampled_from([b":", b": ", b":\t", b": \t "]), value)
framing = st.sampled_from(
    [b"", b"Content-Length: 5\r\n", b"content-LENGTH:\t007 \r\n", b"Transfer-Encoding: Chunked\r\n"]
)


@examples(200)
@given(st.sampled_from([b"GET", b"POST"]), st.lists(field, max_size=5), framing)
def test_heads_are_read_as_h11_and_http_client_read_them(
    method: bytes, lines: list[tuple[bytes, bytes, bytes]], length: bytes
) -> None:
    """What is fit for all of them, all understand alike: names, values and the body's length."""
    section = b"Host: a\r\n" + b"".join(b"".join(line) + b"\r\n" for line in lines) + length
    head = parse_head(section, 1, needs_host=True)

    theirs = http.client.parse_headers(io.BytesIO(section + b"\r\n"))
    assert not theirs.defects
    assert [(name, text.strip(" \t")) for name, text in theirs.items()] == head.fields

    judge = h11.Connection(h11.SERVER)
    judge.receive_data(method + b" / HTTP/1.1\r\n" + section + b"\r\n")
    request: Any = judge.next_event()
    if b"content-LENGTH" not in length:  # h11 writes numbers in its own way
        assert [
            (name.decode("latin-1"), text.decode("latin-1"))
            for name, text in request.headers.raw_items()
        ] == [
            (name, text.lower() if name == "Transfer-Encoding" else text)
            for name, text in head.fields
        ]
    assert head.body_size == {b"C": 5, b"c": 7, b"T": CHUNKED, b"": 0}[length[:1]]


@examples(200)
@given(damaged())
def test_what_h11_accepts_is_not_read_differently(data: bytes) -> None:
    """Where h11 sees a request and its body, a handler sees this request and this body, or none."""
    judge = h11.Connection(h11.SERVER)
    judge.receive_data(data)
    body = b""
    event: Any
    try:
        request: Any = judge.next_event()
        while isinstance(event := judge.next_event(), h11.Data):
            body += bytes(event.data)
    except h11.RemoteProtocolError:
        return
    if not isinstance(event, h11.EndOfMessage):
        return
    near, far = socket.socketpair()
    with near, far:
        far.send(b"x")
        handled = converse(Bodies, [data], near.fileno()).handled
    if handled and hasattr(Bodies, f"do_{request.method.decode()}"):  # else it got its 501
        target = request.target.decode("latin-1")
        target = "/" + target.lstrip("/") if target.startswith("//") else target
        assert handled[0] == f"{request.method.decode()} {target} {body.decode('latin-1')}"


class Bodies(Recorder):
    """Takes note of whole requests only."""

    def answer(self) -> None:
        body = self.rfile.read().decode("latin-1")
        self.server.handled.append(f"{self.command} {self.path} {body}")
        self.send_response(204)
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = answer


# The whole HTTP layer ----------------------------------------------------------------------------


def test_pieces_do_not_matter(ready_fd: int) -> None:
    """However bytes are cut into pieces, the same requests are handled and the same is answered."""

    @examples(300)
    @given(anything, st.lists(st.integers(0, 300), max_size=5))
    def check(data: bytes, places: list[int]) -> None:
        data += PROBE
        whole = converse(Recorder, [data], ready_fd)
        cuts = sorted({0, len(data), *(place for place in places if place < len(data))})
        pieces = [data[a:b] for a, b in itertools.pairwise(cuts)]
        parts = converse(Recorder, pieces, ready_fd)
        if not any("/unread" in request for request in whole.handled):
            assert parts.handled == whole.handled
            assert parts.kept == whole.kept
            assert DATE.sub(b"", parts.sent) == DATE.sub(b"", whole.sent)

    check()


@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
def test_any_bytes_leave_the_server_unharmed(
    server_class: type[TLSHTTPServer],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sent within TLS, they raise nothing, hang nothing, and the next client is served."""
    with serving(Recorder, server_class=server_class) as server:

        @examples(100)
        @given(anything)
        def check(data: bytes) -> None:
            with connect(server) as client:
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    client.sendall(data)
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(client, socket.SHUT_WR)
                read_to_end(client)  # within its time limit

        check()
        with connect(server) as client:
            client.sendall(PROBE)
            assert statuses(read_to_end(client)) == (200,)
        assert len([t for t in threading.enumerate() if t.name.startswith("tlshttp")]) <= 32
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]
    assert "Traceback" not in capfd.readouterr().err


def test_any_bytes_instead_of_tls_leave_the_server_unharmed(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Sent as they are, without any TLS."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    raw = anything | st.binary(max_size=100).map(lambda data: hello + data)
    with serving(Recorder) as server:

        @examples(100)
        @given(raw)
        def check(data: bytes) -> None:
            with socket.create_connection(server.server_address, timeout=30 * UNIT) as client:
                client.sendall(data)
                with contextlib.suppress(ConnectionError):
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65_536):
                        pass

        check()
        with connect(server) as client:
            client.sendall(PROBE)
            assert statuses(read_to_end(client)) == (200,)
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]
    assert "Traceback" not in capfd.readouterr().err
