"""Responses that are larger than what the kernel takes: in files only where the peer is slow."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import time
from typing import Any, ClassVar

import pytest

from tests.handler.http_support import Quiet, connect, serving
from tests.support import UNIT, wait_until
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp._machinery import patience, sending
from tlshttp._machinery.lingering import Lingering
from tlshttp._spool import Budget

SINGLE = pytest.param(
    TLSHTTPServer,
    marks=pytest.mark.skipif(
        sys.platform != "linux", reason="only Linux tells the loop's thread what comes meanwhile"
    ),
)

PIECE = bytes(range(256)) * 1_024  # 256 KiB
PIECES = 120  # 30 MiB: more than any socket's buffers


class Large(Quiet):
    """Sends much, in pieces or at once, and tells how long that took."""

    took: ClassVar[list[float]] = []

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PIECE) * PIECES))
        self.end_headers()
        began = time.monotonic()
        if self.path == "/pieces":
            for _ in range(PIECES):
                self.wfile.write(PIECE)
        else:
            self.wfile.write(PIECE * PIECES)
        self.took.append(time.monotonic() - began)


@pytest.fixture
def most_on_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return what is taken of the disk, in bytes, each time."""
    taken: list[int] = []
    take_disk = Budget.take_disk

    def counted(budget: Budget, size: int, *arguments: Any) -> None:
        take_disk(budget, size, *arguments)
        taken.append(size)

    monkeypatch.setattr(Budget, "take_disk", counted)
    Large.took.clear()
    return taken


def ask(server: TLSHTTPServer, path: str) -> Any:
    """Ask on a new connection, which is returned, and read nothing."""
    client = connect(server)
    client.sendall(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
    return client


def read_all(client: Any) -> int:
    """Read the whole response; return how long its body is."""
    head, _, data = client.recv(65_536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    size = len(data)
    while size < len(PIECE) * PIECES:
        received = client.recv(262_144)
        assert received, size
        expected = bytes(itertools.islice(itertools.cycle(range(256)), size % 256, size % 256 + 64))
        assert received[:64] == expected[: len(received)]
        size += len(received)
    return size


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Have handlers wait for ever; return a list of whom each wait was for."""
    waits: list[object] = []
    wait = Lingering.wait

    def counted(lingering: Lingering, connection: Any, seconds: float) -> bool:
        waits.append(connection)
        return wait(lingering, connection, seconds)

    monkeypatch.setattr(Lingering, "wait", counted)
    for module in (patience, sending):
        monkeypatch.setattr(module, "LINGER_SECONDS", 1e6)
    Large.took.clear()
    return waits


@pytest.mark.parametrize("path", ["pieces", "at-once"])
@pytest.mark.parametrize("server_class", [SINGLE, ThreadingTLSHTTPServer])
def test_who_keeps_up_needs_no_file(
    most_on_disk: list[int], patient: list[object], server_class: type[TLSHTTPServer], path: str
) -> None:
    """What is read as fast as it is written passes through memory."""
    with serving(Large, server_class=server_class) as server, ask(server, path) as client:
        assert read_all(client) == len(PIECE) * PIECES
    assert patient
    assert not most_on_disk


@pytest.mark.parametrize("server_class", [SINGLE])
def test_nobody_else_waits_for_that(
    patient: list[object], server_class: type[TLSHTTPServer]
) -> None:
    """On the loop's thread a handler waits until somebody else comes, however patient it is."""
    with serving(Large, server_class=server_class) as server, ask(server, "pieces") as client:
        assert wait_until(lambda: bool(patient))
        assert not Large.took
        with connect(server):
            assert Large.took
        assert read_all(client) == len(PIECE) * PIECES


def test_only_a_few_wait_for_long(most_on_disk: list[int], patient: list[object]) -> None:
    """Of handlers with threads of their own, four: the others go on after a moment."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(Large, server_class=ThreadingTLSHTTPServer))
        for _ in range(6):
            stack.enter_context(ask(server, "pieces"))
        assert wait_until(lambda: len(Large.took) == 2)
        assert len(set(patient)) == 6
        assert len(most_on_disk) > 2


@pytest.mark.parametrize("path", ["pieces", "at-once"])
@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
def test_who_does_not_read_keeps_no_handler(
    most_on_disk: list[int], server_class: type[TLSHTTPServer], path: str
) -> None:
    """Its response waits in a file, and is whole when it is read at last."""
    with serving(Large, server_class=server_class) as server, ask(server, path) as client:
        assert wait_until(lambda: bool(Large.took))
        assert Large.took[0] < 2 * UNIT
        assert sum(most_on_disk) > 10_000_000
        assert read_all(client) == len(PIECE) * PIECES


def test_who_reads_a_little_now_and_then_keeps_no_handler(most_on_disk: list[int]) -> None:
    """A few kilobytes each time are no keeping up."""
    over = threading.Event()
    with (
        serving(Large, server_class=ThreadingTLSHTTPServer) as server,
        ask(server, "pieces") as client,
    ):

        def drip() -> None:
            while not over.wait(0.01):
                client.recv(4_096)

        reader = threading.Thread(target=drip)
        reader.start()
        try:
            assert wait_until(lambda: bool(Large.took))
        finally:
            over.set()
            reader.join()
        assert Large.took[0] < 3 * UNIT
        assert sum(most_on_disk) > 10_000_000
