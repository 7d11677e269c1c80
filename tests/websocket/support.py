"""Echoes in every style, and clients: an honest one, and one that sends what it is told."""

from __future__ import annotations

import base64
import contextlib
import os
import queue
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Self

import websockets.sync.client

from tests.handler.side_by_side import Served, client_context, serving
from tests.support import UNIT
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, websocket

__all__ = ["PATIENCE", "STYLES", "Driven", "Raw", "Style", "client", "frame"]

PATIENCE: Final = 30 * UNIT
"""Seconds a client waits for anything."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

FIELDS = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}


class Driven(websocket.WebSocketHandler):
    """An echo that the loop drives, and that keeps what happened."""

    ends: queue.SimpleQueue[tuple[int, str]]

    def received(self, message: str | bytes) -> None:
        """Echo, or do what the message says."""
        if message == "fail":
            raise KeyError("mine")
        if message == "close":
            self.websocket.close(4000, "as you wish")
        else:
            self.websocket.send(message)

    def closed(self, code: int, reason: str) -> None:
        """Keep it."""
        self.ends.put((code, reason))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Blocking(BaseHTTPRequestHandler):
    """The same in a thread of its own."""

    ends: queue.SimpleQueue[tuple[int, str]]
    terms: dict[str, Any] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        """Echo."""
        opened = websocket.accept(self, **self.terms)
        try:
            with opened:
                for message in opened:
                    if message == "fail":
                        raise KeyError("mine")
                    if message == "close":
                        opened.close(4000, "as you wish")
                    else:
                        opened.send(message)
        finally:
            self.ends.put((opened.close_code or 0, opened.close_reason))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Style:
    """A way of serving WebSockets."""

    name: str
    server_class: type
    handler: type

    @contextlib.contextmanager
    def serving(self, options: dict[str, Any] | None = None, **terms: Any) -> Iterator[Echo]:
        """Serve, with such terms."""
        ends: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        names: dict[str, Any] = {"ends": ends, **terms}
        if self.handler is Blocking:
            names = {"ends": ends, "terms": terms}
        handler = type("Handler", (self.handler,), names)
        with serving(self.server_class, handler, **(options or {})) as served:
            yield Echo(served, ends)


@dataclass
class Echo:
    """A server that echoes."""

    served: Served
    ends: queue.SimpleQueue[tuple[int, str]]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"wss://localhost:{self.served.server.server_port}/"

    def end(self) -> tuple[int, str]:
        """Return how the next one ended, as the server sees it."""
        return self.ends.get(timeout=PATIENCE)


STYLES = [
    Style("driven", ThreadingTLSHTTPServer, Driven),
    Style("driven, one thread", TLSHTTPServer, Driven),
    Style("blocking", ThreadingTLSHTTPServer, Blocking),
]


@contextlib.contextmanager
def client(echo: Echo, **options: Any) -> Iterator[websockets.sync.client.ClientConnection]:
    """Connect as honest clients do.

    In TLS 1.2, since this client reads and writes in two threads: with TLS 1.3 it may read session
    tickets while it writes its request, and `ssl` before Python 3.13 loses one in a hundred so.
    """
    options = {"open_timeout": PATIENCE, "close_timeout": PATIENCE, "max_size": None, **options}
    options["ping_interval"] = None  # it would not wait for a busy machine
    with websockets.sync.client.connect(
        echo.url, ssl=client_context(ssl.TLSVersion.TLSv1_2), proxy=None, **options
    ) as connection:
        yield connection


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """Return a client's frame."""
    head = bytes([(fin << 7) | (rsv << 4) | opcode])
    if len(data) < 126:
        head += bytes([0x80 | len(data)])
    elif len(data) < 1 << 16:
        head += struct.pack("!BH", 0x80 | 126, len(data))
    else:
        head += struct.pack("!BQ", 0x80 | 127, len(data))
    return head + bytes(4) + data  # a mask of zeros changes nothing


@dataclass
class Raw:
    """A client that sends what it is told, and reads frame by frame."""

    sock: ssl.SSLSocket
    buffer: bytearray = field(default_factory=bytearray)

    @classmethod
    def of(cls, echo: Echo, *, rcvbuf: int | None = None, **fields: str | None) -> Self:
        """Connect and send a request, some of its fields changed or (`None`) left out."""
        raw = socket.socket()
        raw.settimeout(PATIENCE)
        if rcvbuf is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.connect(("127.0.0.1", echo.served.server.server_port))
        self = cls(client_context().wrap_socket(raw, server_hostname="localhost"))
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        method = named.pop("method", "GET")
        version = named.pop("version", "HTTP/1.1")
        lines = [
            f"{name}: {value}" for name, value in {**FIELDS, **named}.items() if value is not None
        ]
        self.send("\r\n".join([f"{method} / {version}", *lines, "", ""]).encode())
        return self

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def head(self) -> bytes:
        """Read up to the empty line."""
        while b"\r\n\r\n" not in self.buffer:
            assert self._more(), bytes(self.buffer)
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        return head

    def _more(self) -> bool:
        piece = self.sock.recv(65_536)
        self.buffer += piece
        return bool(piece)

    def take(self, size: int) -> bytes:
        """Read so many bytes."""
        while len(self.buffer) < size:
            if not self._more():
                raise EOFError
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def frame(self) -> tuple[int, bytes]:
        """Read a frame: its opcode, its data."""
        first, size = self.take(2)
        assert first & 0x70 == 0
        if size == 126:
            (size,) = struct.unpack("!H", self.take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.take(8))
        return first & 15, self.take(size)

    def close_code(self) -> int:
        """Read up to the frame that closes; 0 where there is none in it, or the end comes first."""
        while True:
            try:
                opcode, data = self.frame()
            except (EOFError, OSError):
                return 0
            if opcode == CLOSE:
                return int.from_bytes(data[:2], "big")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def random_bytes(size: int) -> bytes:
    """Return what cannot be compressed."""
    return os.urandom(size)


Do = Callable[[Raw], None]
