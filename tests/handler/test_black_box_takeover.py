"""A connection that a handler takes over, and one whose client is lost."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.handler.side_by_side import (
    OURS,
    PATIENCE,
    Quiet,
    Reference,
    connect,
    receive,
    serving,
)
from tests.support import at_some_pace
from tlshttp import Limits

pytestmark = pytest.mark.parametrize("server_class", OURS)

Run = Callable[[Any], None]

# F4, F9: a connection that is taken over ---------------------------------------------------------


def _upgrade(handler: Any) -> None:
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.end_headers()


def _upgrade_and_flush(handler: Any) -> None:
    _upgrade(handler)
    handler.wfile.flush()


def _upgrade_by_hand(handler: Any) -> None:
    handler.wfile.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    )


def _upgrade_by_name(handler: Any) -> None:
    BaseHTTPRequestHandler.send_response(handler, 101, "Switching Protocols")
    BaseHTTPRequestHandler.send_header(handler, "Upgrade", "websocket")
    BaseHTTPRequestHandler.send_header(handler, "Connection", "Upgrade")
    BaseHTTPRequestHandler.end_headers(handler)


def _read_exactly(handler: Any) -> bytes:
    return bytes(handler.rfile.read(2))


def _read_each(handler: Any) -> bytes:
    return bytes(handler.rfile.read(1) + handler.rfile.read(1))


def _read_line(handler: Any) -> bytes:
    return bytes(handler.rfile.readline(2))


def _read_into(handler: Any) -> bytes:
    buffer = bytearray(2)
    return bytes(buffer[: handler.rfile.readinto(buffer)])


def _receive_two(handler: Any) -> bytes:
    data = handler.connection.recv(2)
    return bytes(data if len(data) == 2 else data + handler.connection.recv(1))


def _request_recv(handler: Any) -> bytes:
    select.select([handler.request], [], [], PATIENCE)
    return bytes(handler.request.recv(2))


UPGRADES = [_upgrade, _upgrade_and_flush, _upgrade_by_hand, _upgrade_by_name]
READS = [_read_exactly, _read_each, _read_line, _read_into, _receive_two, _request_recv]
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def _echoing(upgrade: Run, read: Callable[[Any], bytes], rounds: int = 3) -> Any:
    """Return a handler that takes the connection over and answers each two bytes."""

    class Handler(Quiet):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            upgrade(self)
            self.close_connection = True
            for _ in range(rounds):
                self.wfile.write(b"echo:" + read(self) + b";")

        do_CONNECT = do_GET

    return Handler


def _head_of(client: ssl.SSLSocket) -> bytes:
    """Read up to the empty line, and return what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = receive(client)
        assert piece, f"the connection ended after {data!r}"
        data += piece
    return data.partition(b"\r\n\r\n")[2]


def _read(client: ssl.SSLSocket, size: int, data: bytes = b"") -> bytes:
    while len(data) < size and (piece := receive(client)):
        data += piece
    return data


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_handlers_f04_after_101_the_connection_is_read(
    upgrade: Run, read: Callable[[Any], bytes], server_class: type
) -> None:
    """`rfile` and ``connection`` give what the peer sends after the handler took over.

    handlers F4: WebSocket handlers.
    """
    for kind in (Reference, server_class):
        with serving(kind, _echoing(upgrade, read)) as served, connect(served) as client:
            client.sendall(GET)
            said = _head_of(client)
            for piece in (b"AB", b"CD", b"EF"):
                client.sendall(piece)
                said = _read(client, 8, said)
                assert said == b"echo:" + piece + b";"
                said = b""
            assert receive(client) == b""
        assert served.tracebacks == 0


@pytest.mark.parametrize("method", [b"CONNECT localhost:443", b"GET /"])
def test_handlers_f04_bytes_sent_with_the_request_are_read(
    method: bytes, server_class: type
) -> None:
    """What arrived together with the head is not lost."""
    handler = _echoing(_upgrade if b"GET" in method else _established, _read_exactly)
    for kind in (Reference, server_class):
        with serving(kind, handler) as served, connect(served) as client:
            client.sendall(method + GET[5:] + b"ABCDEF")
            said = _head_of(client)
            assert _read(client, 24, said) == b"echo:AB;echo:CD;echo:EF;"


def _established(handler: Any) -> None:
    handler.send_response(200, "Connection Established")
    handler.end_headers()


def test_people_u5_handlers_f04_a_quiet_connection_is_no_slow_body(server_class: type) -> None:
    """A connection that was taken over may be quiet for longer than a request body may."""

    def attempt(unit: float) -> None:
        short = 0.2 * unit
        limits = Limits(body_timeout=short, header_timeout=short, keep_alive_timeout=short)
        with (
            serving(server_class, _echoing(_upgrade, _receive_two), limits=limits) as served,
            connect(served) as client,
        ):
            client.sendall(GET)
            said = _head_of(client)
            for _ in range(3):
                client.settimeout(1.5 * short)
                with contextlib.suppress(TimeoutError):  # which takes longer than the limits
                    raise AssertionError(client.recv(1))
                client.settimeout(PATIENCE)
                client.sendall(b"AB")
                assert _read(client, 8, said) == b"echo:AB;"
            assert not served.server.stats().cut

    at_some_pace(attempt)


class Tunnel(Quiet):
    """Counts what it is sent, as relays wait for it: by `select`."""

    wanted = 0

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        count = 0
        while select.select([self.connection], [], [], PATIENCE)[0]:
            count += len(self.connection.recv(self.size))
            if count >= self.wanted:
                self.connection.sendall(b"got %d" % count)
                return

    size = 65_535


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("piece", [1, 700, 16_384, 65_536])
@pytest.mark.parametrize("size", [65_535, 16_384])
def test_handlers_f09_select_sees_all_there_is_to_receive(
    size: int, piece: int, version: ssl.TLSVersion, server_class: type
) -> None:
    """A relay that waits with `select` on its connection gets every byte.

    handlers F9: ``do_CONNECT`` of proxy scripts. (One that receives less than a record at once has
    to ask ``pending()``, as with `ssl.SSLSocket`.)
    """
    total = min(piece * 1_000, 3_000_000)
    handler = type("Wanting", (Tunnel,), {"wanted": total, "size": size})
    with serving(server_class, handler) as served, connect(served, version) as client:
        client.sendall(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n")
        _head_of(client)
        for at in range(0, total, piece):
            client.sendall(b"x" * min(piece, total - at))
        assert receive(client) == b"got %d" % total


# F10: a lost client ------------------------------------------------------------------------------


def _reset(client: ssl.SSLSocket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def _leave(client: ssl.SSLSocket) -> None:
    client.close()


@pytest.mark.parametrize("leave", [_reset, _leave])
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("caught", [(BrokenPipeError, ConnectionResetError), ConnectionError])
def test_handlers_f10_a_lost_client_is_caught_as_programs_have_it(
    caught: Any, version: str, leave: Callable[[ssl.SSLSocket], None], server_class: type
) -> None:
    """``except (BrokenPipeError, ConnectionResetError)`` catches it, and what follows is run.

    handlers F10.
    """
    cleaned = threading.Event()

    class Handler(Quiet):
        protocol_version = version

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(100_000):
                    self.wfile.write(b"x" * 5000)
            except caught:
                pass
            cleaned.set()

    with serving(server_class, Handler) as served:
        client = connect(served)
        client.sendall(GET)
        client.recv(10_000)
        leave(client)
        assert cleaned.wait(PATIENCE)
    assert served.tracebacks == 0


def test_handlers_f10_an_event_stream_notices_that_its_client_left(server_class: type) -> None:
    """A handler that writes little now and then gets the exception, too, and soon."""
    ended = threading.Event()
    paused = threading.Event()

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                while not paused.wait(0.01):
                    self.wfile.write(b"data: x\n\n")
                    self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                ended.set()

    with serving(server_class, Handler) as served:
        client = connect(served)
        client.sendall(GET)
        client.recv(1000)
        client.close()
        noticed = ended.wait(PATIENCE)
        paused.set()
    assert noticed


def test_handlers_f23_a_read_that_would_block_is_what_ssl_raises(server_class: type) -> None:
    """``except ssl.SSLWantReadError`` around a non-blocking ``connection.recv()`` catches it.

    handlers F23. ``except BlockingIOError`` does, as before.
    """

    def handler(expected: type[Exception]) -> Any:
        class Handler(Quiet):
            def do_GET(self) -> None:
                _upgrade(self)
                self.connection.setblocking(False)
                try:
                    said = self.connection.recv(10)
                except expected:
                    said = b"caught"
                self.connection.setblocking(True)
                self.connection.sendall(said)

        return Handler

    rows = [(Reference, ssl.SSLWantReadError), (server_class, ssl.SSLWantReadError)]
    for kind, expected in [*rows, (server_class, BlockingIOError)]:
        with serving(kind, handler(expected)) as served, connect(served) as client:
            client.sendall(GET)
            assert _read(client, 6, _head_of(client)) == b"caught"
