"""Random conversations, pipelined and split anyhow: h11 reads every response, each for its request.

Bodies that are expected, refused, half read or not read; answers that come early, twice, in chunks,
or too short. What is proved: nobody waits for ever, no response is another request's, nothing is
read out of a body, and nothing comes after the end.
"""

from __future__ import annotations

import contextlib
import random
import select
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import h11
import pytest

from tests.handler.http_support import Quiet, connect, serving
from tests.support import UNIT
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer

pytestmark = pytest.mark.thorough

CONVERSATIONS = 25
READS = ["all", "all", "some", "none", "line", "late"]
KINDS = [
    *["length"] * 6,
    "chunks",
    "pieces",
    "close",
    "short",
    "long",
    "raise",
    "raise-late",
    "error",
]
UNSOUND = ("short", "long", "raise-late")
"""After these the connection ends, and its client has not been told before."""
REFUSED = [b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 5, 6\r\n",
           b"Bad Header: x\r\n", b"Host: b\r\n", b"Content-Length: 99999999\r\n"]  # fmt: skip
BODIES = [
    b"",
    b"hello",
    b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" * 3,
    b"y" * 3_000,
    b"z" * 200_000,
]


class Obeys(Quiet):
    """Does what the query says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = dict(parse_qsl(self.path.partition("?")[2]))
        kind, size = query["kind"], int(query["size"])
        self.receive(query["read"])
        if kind == "raise":
            raise LookupError
        self.send_response(int(query["status"]))
        self.send_header("X-Id", query["id"])
        lengths = {"length": size, "short": size + 5, "long": max(0, size - 2)}
        if kind in lengths:
            self.send_header("Content-Length", str(lengths[kind]))
        elif kind == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        if "pause" in query:
            time.sleep(0.012)  # longer than a head is held back
        if kind == "error":
            self.send_error(500)
            return
        for at in range(0, size, 1_000 if kind == "pieces" else max(1, size)):
            self.wfile.write(bytes(min(1_000, size - at) if kind == "pieces" else size))
        if kind == "raise-late":
            raise LookupError
        self.receive("all" if query["read"] == "late" else "none")

    def receive(self, how: str) -> None:
        if how in ("all", "some"):
            self.rfile.read(-1 if how == "all" else 3)
        elif how == "line":
            self.rfile.readline()

    do_POST = do_PUT = do_HEAD = do_GET


class Streaming(Obeys):
    stream_request = True


class Blocking(Obeys):
    def handle(self) -> None:
        super().handle()


class Buffered(Obeys):
    wbufsize = 100


@dataclass
class Request:
    """A request, and what it asks for."""

    number: int
    method: str
    kind: str
    size: int
    head: bytes
    body: bytes
    is_refused: bool
    expects: bool


def _request(chance: random.Random, number: int, *, is_last: bool) -> Request:
    method = chance.choice(["GET", "GET", "HEAD", "POST", "POST", "POST", "PUT", "BREW"])
    kind, size = chance.choice(KINDS), chance.choice([0, 1, 5, 100, 5_000, 70_000])
    status, read = chance.choice([*[200] * 8, 204, 304, 404]), chance.choice(READS)
    pause = "&pause=1" if chance.random() < 0.15 else ""
    path = f"/?id={number}&kind={kind}&read={read}&size={size}&status={status}{pause}"
    version = chance.choice("1111110")
    head = f"{method} {path} HTTP/1.{version}\r\nHost: a\r\n".encode()
    if chance.random() < 0.1:
        head = chance.choice([b"\r\n", b"\n", b"\r\n\r\n"]) + head
    body, expects, is_refused = b"", False, chance.random() < 0.08
    if is_refused:
        head, body = head + chance.choice(REFUSED), b"hello"
    elif method not in ("GET", "HEAD") or chance.random() < 0.1:
        body = chance.choice(BODIES)
        expects = chance.random() < 0.4
        if chance.random() < 0.5:
            head += b"Content-Length: %d\r\n" % len(body)
        else:
            head += b"Transfer-Encoding: chunked\r\n"
            step = chance.choice([7, 1_000, 70_000]) if len(body) < 5_000 else 50_000
            pieces = [body[at : at + step] for at in range(0, len(body), step)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
            body += b"0\r\n\r\n"
        head += b"Expect: 100-continue\r\n" * expects
    head += b"Connection: close\r\n" * is_last
    return Request(number, method, kind, size, head + b"\r\n", body, is_refused, expects)


def _pieces(chance: random.Random, requests: list[Request]) -> list[bytes]:
    """Return what is sent, call by call."""
    way = chance.choice(["whole", "heads", "split"])
    if way == "whole":
        return [b"".join(request.head + request.body for request in requests)]
    if way == "heads":
        return [piece for request in requests for piece in (request.head, request.body) if piece]
    data = b"".join(request.head + request.body for request in requests)
    step = chance.choice([7, 50, 3_000]) if len(data) < 20_000 else 3_000
    return [data[at : at + step] for at in range(0, len(data), step)]


def _converse(server: Any, pieces: list[bytes]) -> bytes:
    """Send and receive at once, in one thread, up to the server's end."""
    received, end = bytearray(), time.monotonic() + 30 * UNIT
    with connect(server) as client:
        client.setblocking(False)
        while time.monotonic() < end:
            with contextlib.suppress(ssl.SSLWantReadError):
                data = client.recv(65_536)
                received += data
                if not data:
                    return bytes(received)
                continue
            is_full = False
            if pieces:
                try:
                    pieces[0] = pieces[0][client.send(pieces[0]) :]
                    pieces[:] = pieces if pieces[0] else pieces[1:]
                except ssl.SSLWantWriteError:
                    is_full = True
                except OSError:  # the server has ended
                    pieces.clear()
            select.select([client], [client] if is_full else [], [], 0.001 if pieces else 0.5)
    raise AssertionError("the connection has not ended")


def _check(requests: list[Request], data: bytes) -> None:
    """Check that the responses are those of these requests, in order."""
    may_end = is_over = False
    for request in requests:
        if is_over or (may_end and not data):
            break
        assert data, f"no response to {request}"
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=request.method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(data)
        ends, events = False, []
        while not isinstance(event := _next(client, request), h11.EndOfMessage):
            if event is None:  # cut in the middle, as the handler has it
                return
            if event is h11.NEED_DATA:
                ends = True
                client.receive_data(b"")
            else:
                events.append(event)
        is_over = _check_response(request, events) or ends
        data = client.trailing_data[0]
        may_end = request.kind in UNSOUND
    assert not data


def _check_response(request: Request, events: list[Any]) -> bool:
    """Check one response; tell if it says that it is the last."""
    assert sum(type(event) is h11.InformationalResponse for event in events) <= request.expects
    [response] = [event for event in events if type(event) is h11.Response]
    headers = dict(response.headers)
    if response.status_code < 400:
        assert not request.is_refused
        assert headers[b"x-id"] == b"%d" % request.number
    if response.status_code == 200 and request.kind == "length" and request.method != "HEAD":
        size = sum(len(event.data) for event in events if type(event) is h11.Data)
        assert size == request.size
    return headers.get(b"connection") == b"close"


def _next(client: h11.Connection, request: Request) -> Any:
    try:
        return client.next_event()
    except h11.RemoteProtocolError:
        if request.kind not in UNSOUND:
            raise
        return None


@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
@pytest.mark.parametrize("handler", [Obeys, Streaming, Blocking, Buffered])
def test_every_response_is_its_requests(
    server_class: type[TLSHTTPServer], handler: type[Obeys]
) -> None:
    """Whatever came before it on the connection."""
    limits = Limits(max_body_bytes=1_000_000)
    with serving(handler, server_class=server_class, limits=limits) as server:
        server.handle_error = lambda *_arguments: None
        for seed in range(CONVERSATIONS):
            chance = random.Random(seed)
            count = chance.randint(1, 6)
            requests = [_request(chance, at, is_last=at == count - 1) for at in range(count)]
            _check(requests, _converse(server, _pieces(chance, requests)))
