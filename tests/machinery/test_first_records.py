"""clients D6, D7, D8: hellos as OpenSSL takes them, and its alerts for what is none."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.machinery.conftest import Serve
from tests.machinery.peers import client_context, client_hello, connect
from tests.machinery.test_client_hello import HALF, content_of, in_records
from tests.support import UNIT, wait_until
from tlshttp import Limits
from tlshttp.errors import HandshakeDisconnected, MalformedHandshake, NotTLSError, PeerRejected


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def get(address: Any, client: ssl.SSLContext, size: int) -> tuple[bytes, int]:
    """Make a request, with a hello in records of a size; return the answer and the hello's size."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with connect(address) as sock:
        hello_size = 0
        for step in (tls.do_handshake, lambda: tls.write(b"GET / HTTP/1.0\r\n\r\n")):
            while True:
                try:
                    step()
                    break
                except ssl.SSLWantReadError:
                    data = outgoing.read()
                    if not hello_size:
                        hello_size = len(data)
                        data = in_records(data[:5] + content_of(data), size)
                    sock.sendall(data)
                    incoming.write(sock.recv(65_536))
        sock.sendall(outgoing.read())
        while True:
            try:
                return tls.read(99), hello_size
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65_536))


@pytest.mark.parametrize("size", [1, 3, 40, 1000, 1 << 14])
def test_clients_d06_small_hello_in_any_records(
    serve: Serve, tls_version: ssl.TLSVersion, size: int
) -> None:
    """However many records a hello is in, its client is served."""
    with serve(Handler) as server:
        answer, _ = get(server.server_address, client_context(tls_version), size)
        assert b" 200 " in answer
        assert server.events == []


@pytest.mark.parametrize("size", [200, 1 << 14])
def test_clients_d06_large_hello(serve: Serve, tls_version: ssl.TLSVersion, size: int) -> None:
    """A hello of more than a record, here by its list of protocols, is judged and served."""
    client = client_context(tls_version)
    client.set_alpn_protocols(
        [*(f"{number:05}".ljust(250, "x") for number in range(250)), "http/1.1"]
    )
    with serve(Handler) as server:
        answer, hello_size = get(server.server_address, client, size)
        assert b"200" in answer
        assert hello_size > 60_000
        strict = client_context(tls_version)
        strict.set_alpn_protocols(["y" * 250] * 250)
        with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
            get(server.server_address, strict, size)


ENDS = [
    ("application data", b"\x17\3\3\0\5hello", 10, MalformedHandshake),
    ("empty application data", b"\x17\3\3\0\0", 10, MalformedHandshake),
    ("change cipher spec", b"\x14\3\3\0\1\1", 10, MalformedHandshake),
    ("fatal alert", b"\x15\3\3\0\2\2\x50", 10, PeerRejected),
    ("close_notify", b"\x15\3\3\0\2\1\0", 10, HandshakeDisconnected),
    ("user_canceled", b"\x15\3\3\0\2\1\x5a", 10, HandshakeDisconnected),
    ("warning", b"\x15\3\3\0\2\1\x64", 10, MalformedHandshake),
    ("too long a record", b"\x16\3\1\x48\x01", 22, MalformedHandshake),
]
NO_DEADLINE = Limits(handshake_timeout=None)
"""What is answered then is not answered at a deadline."""

BEGINS = [
    ("ServerHello", b"\x16\3\1\0\x30\2" + bytes(47), 10, NotTLSError),
    ("Finished", b"\x16\3\3\0\x10\x14\0\0\x0c" + bytes(12), 10, NotTLSError),
    ("SSLv2 hello", b"\x80\x2e\1\3\3\0\x15\0\0\0\x10" + bytes(37), 70, NotTLSError),
]


@contextmanager
def told(address: Any) -> Iterator[tuple[socket.socket, list[bytes]]]:
    """Connect; at the end of the block, note what came back until the server had ended."""
    came: list[bytes] = []
    with connect(address) as sock:
        yield sock, came
        came.append(b"".join(iter(lambda: sock.recv(999), b"")))


@pytest.mark.parametrize(("what", "record", "alert", "error"), ENDS, ids=[one[0] for one in ENDS])
@pytest.mark.parametrize("half", [b"", HALF, "most"], ids=["at once", "after half", "after most"])
def test_clients_d08_another_record_is_answered_at_once(
    serve: Serve, what: str, record: bytes, alert: int, error: type[Exception], half: bytes | str
) -> None:
    """At the beginning, and where half a hello has been waited for, with its length known."""
    if half == "most":
        content = client_hello(client_context())[5:]
        half = in_records(b"\x16\3\1\0\0" + content[:-1], 100)
    assert isinstance(half, bytes)
    with serve(Handler, NO_DEADLINE) as server:
        with told(server.server_address) as (sock, came):
            sock.sendall(half)
            if half:  # such that the server waits for more
                loop: Any = vars(server)["_TLSHTTPServer__loop"]
                assert wait_until(lambda: any(one._first_bytes._has_begun for one in loop.registry))
            sock.sendall(record)
        assert came == [b"\x15\3\3\0\2\2" + bytes((alert,))], what
        assert wait_until(lambda: bool(server.events))
        assert type(server.events[0][0]) is (error if half else NotTLSError)


@pytest.mark.parametrize(
    ("what", "record", "alert", "error"), BEGINS, ids=[one[0] for one in BEGINS]
)
def test_clients_d07_what_is_no_hello_gets_an_alert(
    serve: Serve, what: str, record: bytes, alert: int, error: type[Exception]
) -> None:
    """Another handshake message than a ClientHello, and a hello of SSL 2.0."""
    with serve(Handler, NO_DEADLINE) as server:
        with told(server.server_address) as (sock, came):
            sock.sendall(record)
        assert came == [b"\x15\3\3\0\2\2" + bytes((alert,))], what
        assert wait_until(lambda: bool(server.events))
        assert type(server.events[0][0]) is error


def test_clients_d06_dripped_hello_costs_the_others_nothing(serve: Serve) -> None:
    """While a hello of 60 kB comes in records of one byte, another client is served as ever."""
    client = client_context()
    client.set_alpn_protocols([f"{number:05}".ljust(250, "x") for number in range(230)])
    hello = client_hello(client)
    cut = in_records(hello[:5] + content_of(hello), 1)
    with serve(Handler) as server, connect(server.server_address) as slow:
        slow.sendall(cut[:-1])
        began = time.monotonic()
        assert b"200" in get(server.server_address, client_context(), 1 << 14)[0]
        assert time.monotonic() - began < 20 * UNIT
