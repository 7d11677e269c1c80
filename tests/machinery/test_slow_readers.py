"""Who reads slowly, but not too slowly, gets the whole response, however much the kernel takes."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.conftest import Serve
from tests.machinery.handlers import Plain
from tests.machinery.peers import client_context, read_to_end, request
from tests.support import UNIT, at_some_pace, wait_until
from tlshttp import Limits, ThreadingTLSHTTPServer
from tlshttp._machinery import send_queue
from tlshttp._machinery.send_queue import size_of_send_queue
from tlshttp.aio import AsyncTLSRequestHandler
from tlshttp.errors import ResponseAborted, WriteTimeout

PIECE = bytes(200_000)
PIECES = 10
SIZE = PIECES * len(PIECE)

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody can tell")
files = pytest.mark.skipif(not hasattr(os, "pread"), reason="here files are read by their handlers")


class Sends(Plain):
    """Answers with a response whose length is known, or not."""

    def do_GET(self) -> None:
        """Send two megabytes."""
        self.send_response(200)
        if self.path == "/known":
            self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        for _ in range(PIECES):
            self.wfile.write(PIECE)


class Coroutine(AsyncTLSRequestHandler):
    """Does the same."""

    async def do_GET(self) -> None:
        """Send two megabytes."""
        self.send_response(200)
        if self.path == "/known":
            self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        for _ in range(PIECES):
            await self.write(PIECE)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def far_away(address: tuple[str, int]) -> ssl.SSLSocket:
    """Return a TLS connection with a small buffer and packets as Ethernet has them."""
    with socket.socket() as sock:
        sock.settimeout(30 * UNIT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)
        sock.connect(address)
        return client_context().wrap_socket(
            sock, server_hostname="localhost", suppress_ragged_eofs=False
        )


@linux
@pytest.mark.parametrize("handler", [Sends, Coroutine])
@pytest.mark.parametrize("path", ["/known", "/unknown"])
def test_who_reads_above_the_minimum_rate_is_not_cut(
    serve: Serve, handler: type[Any], path: str
) -> None:
    """A poller tells of room in the kernel when half of it is free; nobody is cut for that.

    Whoever waits for the peer: the loop, a coroutine or, where the length is unknown, a thread of
    the threading server. The client's packets are those of a network: on the loopback interface
    they are so large that a small buffer has to be empty before the next one is sent.
    """

    def attempt(pace: float) -> None:
        timeout = 0.4 * pace
        with serve(handler, Limits(write_timeout=timeout, write_min_rate=1)) as server:
            with far_away(server.server_address) as sock:
                sock.sendall(request(path, close=True))
                for _ in range(10):  # less than half of what the kernel takes
                    sock.recv(16_384)
                    time.sleep(0.2 * timeout)
                assert len(read_to_end(sock)) > SIZE - 10 * 16_384
            assert not server.events

    at_some_pace(attempt)


@pytest.mark.parametrize("rest", [b"", b"the rest"])
def test_what_is_encrypted_of_a_file_counts_as_little_as_the_file(
    serve: Serve, tmp_path: Path, rest: bytes
) -> None:
    """With ``Limits.max_response_backlog`` below 64 KiB `TLSHTTPServer` cut downloads."""
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    os.utime(path, (1, 1))  # it has not just been written

    class SendsFile(Plain):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(SIZE + len(rest)))
            self.end_headers()
            with path.open("rb") as file:
                self.connection.sendfile(file)
            self.wfile.write(rest)

    with serve(SendsFile, Limits(max_response_backlog=10)) as server:
        with far_away(server.server_address) as sock:
            sock.sendall(request(close=True))
            assert wait_until(lambda: bool(server.stats().parked["response"] or server.events))
            assert read_to_end(sock).endswith(bytes(SIZE) + rest)
        assert not server.events


class Copies(Plain):
    """Copies a file into the response."""

    file: Path
    returned: threading.Event

    def do_GET(self) -> None:
        """Send two megabytes, and say when that is done."""
        self.protocol_version = "HTTP/1.1" if self.path == "/known" else "HTTP/1.0"
        self.send_response(200)
        if self.path == "/known":
            self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        with self.file.open("rb") as source:
            shutil.copyfileobj(source, self.wfile)
        self.returned.set()


@pytest.fixture
def copies(tmp_path: Path) -> type[Copies]:
    """Return such a handler with a file of its own."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    os.utime(path, (1, 1))  # it has not just been written
    return type("Handler", (Copies,), {"file": path, "returned": threading.Event()})


@files
@pytest.mark.parametrize("path", ["/known", "/unknown"])
def test_a_file_that_is_copied_is_not_kept(serve: Serve, copies: type[Copies], path: str) -> None:
    """As a file it does not count for ``Limits.max_response_backlog``, and no handler waits for it.

    Unless its length is unknown and the handler can wait: such a response is not far ahead of its
    peer, whatever it is.
    """
    with serve(copies, Limits(max_response_backlog=100_000)) as server:
        with far_away(server.server_address) as sock:
            sock.sendall(request(path, close=True))
            if path == "/known" or not isinstance(server, ThreadingTLSHTTPServer):
                assert copies.returned.wait(30 * UNIT)
            head, _, body = read_to_end(sock).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.")
        assert body == copies.file.read_bytes()
        assert not server.events


@files
@pytest.mark.parametrize("size", [0, SIZE, SIZE + 1])
def test_a_file_that_changes_after_it_has_been_copied_is_cut(
    serve: Serve, copies: type[Copies], size: int
) -> None:
    """Its client must not take the response for a whole one."""
    with serve(copies) as server:
        with far_away(server.server_address) as sock:
            sock.sendall(request("/known", close=True))
            assert copies.returned.wait(30 * UNIT)
            os.truncate(copies.file, size)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                read_to_end(sock)
        assert wait_until(lambda: bool(server.events))
        assert [type(error) for error, _ in server.events] == [ResponseAborted]


class ByAndBy(Coroutine):
    """Sends smaller pieces."""

    async def do_GET(self) -> None:
        """Have more to wait for than the connection takes, each time."""
        self.send_response(200)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        for _ in range(SIZE // 80_000):
            await self.write(bytes(80_000))


def test_a_coroutine_has_one_allowance_for_all_that_it_writes(serve: Serve) -> None:
    """It waits for its peer after each piece, which had as long as the whole response."""
    with serve(ByAndBy, Limits(write_timeout=UNIT, write_min_rate=None)) as server:
        with far_away(server.server_address) as sock, contextlib.suppress(OSError):
            sock.sendall(request(close=True))
            while sock.recv(16_384):  # one in a quarter of a unit, all in six
                time.sleep(0.05 * UNIT)
        assert wait_until(lambda: bool(server.events))
        assert [type(error) for error, _ in server.events] == [WriteTimeout]


@linux
def test_the_system_tells_what_a_peer_has_not_taken() -> None:
    """Nothing before anything is sent, and when the peer has it; and nothing of a closed socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near = listener.accept()[0]
    with far, near:
        assert size_of_send_queue(near.fileno()) == 0
        near.setblocking(False)
        sent = 0
        try:
            while True:
                sent += near.send(PIECE)
        except BlockingIOError:
            assert 0 < size_of_send_queue(near.fileno()) <= sent
        while sent:
            sent -= len(far.recv(1_000_000))
        assert wait_until(lambda: size_of_send_queue(near.fileno()) == 0)
    assert size_of_send_queue(-1) == 0


def test_without_such_a_system_it_tells_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.setattr(send_queue, "_tells", False)
    near, far = socket.socketpair()
    with near, far:
        near.send(b"something")
        assert size_of_send_queue(near.fileno()) == 0
