"""Request bodies: what handlers that undo framing themselves find, and when a head is judged."""

from __future__ import annotations

import email
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.handler.side_by_side import (
    OURS,
    Ask,
    Peer,
    Quiet,
    Response,
    answering,
    by_both,
    connect,
    outcome,
    page,
    read_to_end,
    serving,
)
from tests.support import at_some_pace
from tlshttp import Limits

pytestmark = pytest.mark.parametrize("server_class", OURS)

KIB = 1024

# F5: the head as a message -----------------------------------------------------------------------

FORM = (
    b'--B\r\nContent-Disposition: form-data; name="k"\r\n\r\nv\r\n'
    b'--B\r\nContent-Disposition: form-data; name="f"; filename="n.txt"\r\n\r\nhello world\r\n'
    b"--B--\r\n"
)
TYPES = (
    "multipart/form-data; boundary=B",
    'multipart/form-data; boundary="B"',
    "multipart/mixed; boundary=B",
    "text/plain; charset=utf-8",
    "application/x-www-form-urlencoded",
    "message/rfc822",
    "multipart/form-data",
    "",
)


def _of_bytes(self: Any, body: bytes) -> Any:
    return email.message_from_bytes(bytes(self.headers) + body)


def _of_as_bytes(self: Any, body: bytes) -> Any:
    return email.message_from_bytes(self.headers.as_bytes() + body)


def _of_text(self: Any, body: bytes) -> Any:
    return email.message_from_string(str(self.headers) + body.decode())


def _of_as_string(self: Any, body: bytes) -> Any:
    return email.message_from_string(self.headers.as_string() + body.decode())


@pytest.mark.parametrize("parse", [_of_bytes, _of_as_bytes, _of_text, _of_as_string])
@pytest.mark.parametrize("kind", TYPES)
def test_handlers_f05_headers_and_body_are_a_message(
    kind: str, parse: Callable[[Any, bytes], Any], server_class: type
) -> None:
    """``bytes(self.headers) + body`` has the parts of the upload: the usual replacement of `cgi`.

    handlers F5.
    """

    def do(self: Any) -> None:
        message = parse(self, self.rfile.read(int(self.headers["Content-Length"])))
        parts = [
            (part.get_param("name", header="Content-Disposition"), part.get_payload())
            for part in (message.walk() if message.is_multipart() else [message])
            if not part.is_multipart()
        ]
        page(self, repr((parts, self.headers.is_multipart())).encode())

    fields = (("Content-Type", kind),) if kind else ()
    reference, ours = by_both(
        server_class, answering(do), Ask("POST", fields=fields, body=FORM), Ask("POST", body=b"")
    )
    assert ours.meaning == reference.meaning


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_handlers_f05_headers_print_as_they_were_sent(
    kind: str, method: str, server_class: type
) -> None:
    """A logger that prints ``str(self.headers)`` or ``bytes()`` of it sees no line of ours."""

    def do(self: Any) -> None:
        page(self, bytes(self.headers) + str(self.headers).encode() + self.headers.as_bytes())

    fields = (("Content-Type", kind), ("X-Mine", "1")) if kind else (("X-Mine", "1"),)
    body = b"body" if method == "POST" else None
    reference, ours = by_both(server_class, answering(do), Ask(method, fields=fields, body=body))
    assert ours.meaning == reference.meaning


# F8, D2: who undoes the chunks --------------------------------------------------------------------


def _size_line(line: bytes) -> int:
    return int(line.split(b";")[0], 16)


class Dechunks(Quiet):
    """As handlers do that take chunked uploads on `http.server`."""

    def do_PUT(self) -> None:
        body = b""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while True:
                size = _size_line(self.rfile.readline())
                if size:
                    body += self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    break
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        page(self, body)

    do_POST = do_PUT


class DechunksByCompare(Quiet):
    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := _size_line(self.rfile.readline()):
                pieces.append(self.rfile.read(size + 2)[:-2])
            self.rfile.readline()
            page(self, b"".join(pieces))
        else:
            page(self, self.rfile.read(int(self.headers["Content-Length"])))

    do_PUT = do_POST


class ByLength(Quiet):
    """Does not know of chunks: on `http.server` it sees an empty body."""

    def do_POST(self) -> None:
        page(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

    do_PUT = do_POST


CHUNKS: dict[str, tuple[bytes, ...]] = {
    "empty": (),
    "one": (b"hello",),
    "two": (b"hello, ", b"world"),
    "like chunks": (b"5\r\nADMIN\r\n0\r\n\r\n",),
    "like the end": (b"0\r\n\r\n",),
    "like a request": (b"GET /admin HTTP/1.1\r\n", b"Host: a\r\n\r\n"),
    "16 KiB": (bytes(16 * KIB),),
    "16 KiB and one": (bytes(16 * KIB), b"x"),
    "bytes": tuple(bytes([number]) for number in range(256)),
    "300 kB": (b"a" * 100_000, b"b" * 100_000, b"c" * 100_000),
    "1 MiB": tuple(bytes([65 + number]) * 64 * KIB for number in range(16)),
}


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("handler", [Dechunks, DechunksByCompare])
@pytest.mark.parametrize("name", CHUNKS)
def test_clients_d2_chunks_are_undone_once(
    name: str, handler: Any, version: str, server_class: type
) -> None:
    """A handler that undoes chunks itself gets the body that was sent, whatever it looks like.

    clients D2, handlers F8.
    """
    made = type("Versioned", (handler,), {"protocol_version": version})
    ask = Ask("PUT", body=CHUNKS[name])
    reference, ours = by_both(server_class, made, ask, ask, Ask("PUT", body=b"plain"))
    assert ours.meaning == reference.meaning
    assert ours.responses[0].body == b"".join(CHUNKS[name])
    assert ours.tracebacks == 0


@pytest.mark.parametrize("name", CHUNKS)
def test_handlers_f08_a_chunked_body_has_a_length(name: str, server_class: type) -> None:
    """A handler that reads as many bytes as ``Content-Length`` says gets all of a chunked body.

    handlers F8: as behind nginx or waitress.
    """
    ask = Ask("POST", body=CHUNKS[name])
    ours = outcome(server_class, ByLength, [ask, ask])
    assert [response.body for response in ours.responses] == [b"".join(CHUNKS[name])] * 2


@pytest.mark.parametrize(
    "data",
    [
        b"5;name=value\r\nhello\r\n0\r\n\r\n",
        b"0005\r\nhello\r\n000\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
        b"2\r\nhe\r\n3;x\r\nllo\r\n0;y=z\r\n\r\n",
    ],
)
def test_handlers_f08_headers_say_what_the_body_is(data: bytes, server_class: type) -> None:
    """``Transfer-Encoding`` is gone, one ``Content-Length`` is right, trailers are no headers."""

    def do(self: Any) -> None:
        names = [name.lower() for name in self.headers]
        length = self.headers.get_all("Content-Length")
        page(self, repr((names, length, self.rfile.read(5), self.rfile.read())).encode())

    with serving(server_class, answering(do)) as served, Peer.of(served) as peer:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n"
        peer.sock.sendall(head + data + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        said = read_to_end(peer.sock)
    assert b"'transfer-encoding'" not in said
    assert b"x-trailer" not in said
    assert b"'x-a'" in said
    assert b"['5'], b'hello', b'')" in said
    assert said.count(b"HTTP/1.1 200 ") == 2


# D5: the head is judged when it is there ---------------------------------------------------------

JUDGED = {
    "413 of one too many": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
    "413": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n", 413),
    "413 of many": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n", 413),
    "413 expected": (
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999\r\n\r\n", 413,
    ),
    "no Host": (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 400),
    "no Host, chunked": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "two Hosts": (b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 5\r\n\r\n", 400),
    "malformed field": (b"POST / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\nContent-Length: 5\r\n\r\n", 400),
    "length and coding": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "two lengths": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400,
    ),
    "unknown method": (b"BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 501),
    "unknown method, large": (b"BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n", 501),
    "unknown method, chunked": (
        b"BREW / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 501,
    ),
    "version": (b"POST / HTTP/2.0\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 505),
}  # fmt: skip


@pytest.mark.parametrize("name", JUDGED)
def test_clients_d5_a_head_is_judged_before_its_body(name: str, server_class: type) -> None:
    """What must be refused is refused at once, for a client that waits before it sends the body.

    clients D5.
    """
    data, status = JUDGED[name]
    limits = Limits(max_body_bytes=1000, body_timeout=None)
    handler = answering(page)
    with serving(server_class, handler, limits=limits) as served, connect(served) as client:
        client.sendall(data)
        said = client.recv(65_536)
    assert said[9:12] == b"%d" % status
    assert b"\r\nconnection: close\r\n" in said.lower()


class Early(Quiet):
    """Answers 401 by its head alone, as handlers with passwords do."""

    protocol_version = "HTTP/1.1"
    stream_request = True

    def do_POST(self) -> None:
        page(self, b"no password")


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_clients_d5_a_streaming_handler_answers_by_the_head(
    framing: str, expect: str, server_class: type
) -> None:
    """With ``stream_request = True`` a handler is called before any of the body is there."""
    with serving(server_class, Early) as served, connect(served) as client:
        client.sendall(f"POST / HTTP/1.1\r\nHost: a\r\n{expect}{framing}\r\n\r\n".encode())
        said = client.recv(65_536)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b" 100 " not in said


@pytest.mark.parametrize("size", [16_000, 17_000])
def test_clients_d5_the_minimum_rate_holds_for_small_bodies(size: int, server_class: type) -> None:
    """A body of any size may take as long as its rate allows: longer than ``body_timeout`` alone.

    clients D5: 16 000 bytes at 600 bytes a second were cut, 17 000 were served. Here all is some
    thirty times as fast.
    """

    def do(self: Any) -> None:
        page(self, b"%d" % len(self.rfile.read(int(self.headers["Content-Length"]))))

    def attempt(unit: float) -> None:
        limits = Limits(body_timeout=0.4 * unit, body_min_rate=5_000 / unit)
        response = _dripped(server_class, answering(do), limits, size, 20_000 / unit)
        assert response.body == b"%d" % size

    at_some_pace(attempt)


def _dripped(server_class: type, handler: Any, limits: Limits, size: int, rate: float) -> Response:
    """Send a body at a rate (bytes a second), and return the response."""
    piece = 200
    with serving(server_class, handler, limits=limits) as served, Peer.of(served) as peer:
        peer.begin(Ask("POST", fields=(("Content-Length", str(size)),)))
        began = time.monotonic()
        for sent in range(0, size, piece):
            due = began + sent / rate
            time.sleep(max(0.0, due - time.monotonic()))  # the rate is what is tested
            peer.data(bytes(min(piece, size - sent)))
        return peer.response()
