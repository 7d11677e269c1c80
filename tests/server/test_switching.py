"""Many clients while the interpreter's lock changes hands as often as it can."""

from __future__ import annotations

import hashlib
import random
import ssl
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.server.support import Client, running
from tests.support import wait_until
from tlshttp import ThreadingTLSHTTPServer

CLIENTS = 64
REQUESTS = 12
SIZES = (0, 1, 300, 16_384, 70_000)


@pytest.fixture(autouse=True)
def _switching() -> Iterator[None]:
    """Have threads give way every microsecond, of client and server."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Digests(BaseHTTPRequestHandler):
    """Answers with the digest of what it gets, and as many bytes as it is asked for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = expected(body, int(self.path[1:]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_POST

    def log_message(self, *_: object) -> None:
        pass


def expected(body: bytes, size: int) -> bytes:
    """Return what the answer to a body must be."""
    digest = hashlib.sha256(body).digest()
    return digest + digest[:1] * size


def talk(client: Client, server: ThreadingTLSHTTPServer, seed: int, wrong: list[str]) -> None:
    """Send requests of all sizes, on connections that are kept, or new, or resumed."""
    choose = random.Random(seed)
    sock: ssl.SSLSocket | None = None
    session: ssl.SSLSession | None = None
    try:
        for number in range(REQUESTS):
            if sock is None:
                raw = client.dial(server)
                sock = client.context.wrap_socket(raw, server_hostname="localhost", session=session)
            body = choose.randbytes(choose.choice(SIZES))
            size = choose.choice(SIZES)
            last = choose.random() < 0.4 or number == REQUESTS - 1
            head = (
                f"{choose.choice(('POST', 'PUT'))} /{size} HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Length: {len(body)}\r\n{'Connection: close' if last else 'X: y'}\r\n\r\n"
            )
            sock.sendall(head.encode() + body)
            answer = _receive(sock)
            if answer != expected(body, size):
                wrong.append(f"client {seed}, request {number}: {len(answer)} bytes")
            if last:
                session = choose.choice((session, sock.session))
                sock.close()
                sock = None
    except (OSError, EOFError, ValueError) as error:
        wrong.append(f"client {seed}: {error!r}")
    finally:
        if sock is not None:
            sock.close()


def _receive(sock: ssl.SSLSocket) -> bytes:
    """Return the body of a response."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _more(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError(f"another response: {head[:60]!r}")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += _more(sock)
    return body


def _more(sock: ssl.SSLSocket) -> bytes:
    data = sock.recv(65_536)
    if not data:
        raise EOFError("the response ends early")
    return data


@pytest.mark.thorough
def test_every_body_is_right(client: Client, server_context: ssl.SSLContext) -> None:
    """64 clients at once, kept, new and resumed connections, bodies up to five records."""
    server = ThreadingTLSHTTPServer(("127.0.0.1", 0), Digests, ssl_context=server_context)
    wrong: list[str] = []
    with running(server):
        threads = [
            threading.Thread(target=talk, args=(client, server, seed, wrong))
            for seed in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert wait_until(lambda: server.stats().requests == CLIENTS * REQUESTS)
