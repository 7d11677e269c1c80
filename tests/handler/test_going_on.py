"""Threads that have waited long for their peers take in what has come one after the other."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from typing import Any

import pytest

from tests.handler.http_support import connect, read_to_end, serving, streamed
from tests.handler.side_by_side import Quiet
from tests.handler.test_in_bulk import BODY, SIZED, Peer
from tests.support import UNIT, NoOwner
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp._machinery import patience, receiving
from tlshttp._machinery.stream import Stream


class Turns(NoOwner):
    """An owner that knows whether somebody has the turn."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def turn(self) -> contextlib.AbstractContextManager[object]:
        """Return what is entered by one at a time."""
        return self.lock


def looks_of(monkeypatch: pytest.MonkeyPatch, seconds: float) -> tuple[list[tuple[str, bool]], Any]:
    """Read a body; return whether the thread had the turn when it did what, and the lock.

    Args:
        monkeypatch: Changes how it waits.
        seconds: What is a long wait.
    """
    peer, owner = Peer(BODY[:30_000], 10_000), Turns()
    peer.stream.owner = owner
    found: list[tuple[str, bool]] = []
    fill = Stream.fill

    def watched(stream: Stream) -> bool:
        found.append(("fill", owner.lock.locked()))
        return fill(stream)

    def wait(*_: object) -> bool:
        found.append(("wait", owner.lock.locked()))
        return peer.send()

    monkeypatch.setattr(Stream, "fill", watched)
    monkeypatch.setattr(patience, "wait_for", wait)
    monkeypatch.setattr(receiving, "_LONG_SECONDS", seconds)
    with peer.pair.near, peer.pair.far:
        rfile = streamed(peer.stream, SIZED).rfile
        assert rfile.read(5_000) + rfile.read(20_000) == BODY[:25_000]
    return found, owner.lock


def test_who_has_waited_long_has_the_turn_until_it_has_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither while it waits for its peer, nor for a first look, nor while its handler goes on."""
    found, lock = looks_of(monkeypatch, 0.0)
    assert found[:3] == [("fill", False), ("wait", False), ("fill", True)]
    assert ("wait", True) not in found
    after_waits = [now for before, now in itertools.pairwise(found) if before[0] == "wait"]
    assert after_waits == [("fill", True)] * len(after_waits)
    assert not lock.locked()


def test_who_is_quick_waits_for_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at once."""
    found, _ = looks_of(monkeypatch, math.inf)
    assert set(found) == {("fill", False), ("wait", False)}


class Reads(Quiet):
    """Answers with the body's size."""

    stream_request = True

    def do_POST(self) -> None:
        """Read and answer."""
        size = len(self.rfile.read())
        self.send_response(200)
        self.send_header("Content-Length", str(len(str(size))))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"%d" % size)


def loop_of(server: Any) -> Any:
    """Return the loop of a server."""
    return vars(server)["_TLSHTTPServer__loop"]


@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
def test_all_threads_of_a_server_have_one_turn(
    monkeypatch: pytest.MonkeyPatch, server_class: type[TLSHTTPServer]
) -> None:
    """And each gives it back, also one whose peer leaves."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    monkeypatch.setattr(receiving, "_LONG_SECONDS", 0.0)
    with serving(Reads, server_class=server_class) as server:
        clients = [connect(server) for _ in range(4)]
        for _ in range(3):
            for client in clients:
                client.sendall(head + b"3\r\nabc\r\n")
            head = b""
        clients.pop().close()
        for client in clients:
            client.sendall(b"0\r\n\r\n")
        for client in clients:
            assert read_to_end(client).endswith(b"\r\n\r\n9")
            client.close()
        turn = loop_of(server).turn_after_wait
    assert turn.acquire(timeout=30 * UNIT)  # no thread has kept it


def test_a_forked_child_waits_for_none_of_its_parents_threads() -> None:
    """What they have, they never give back there."""
    found: list[Any] = []

    class Looks(Quiet):
        def do_GET(self) -> None:
            """Ask as in this process, and as in a child."""
            owner, loop = self.connection.owner, loop_of(self.server)
            found.append(owner.turn() is loop.turn_after_wait)
            loop.pid, pid = 0, loop.pid
            found.append(owner.turn() is loop.turn_after_wait)
            loop.pid = pid
            self.send_response(204)
            self.end_headers()

    with serving(Looks) as server, connect(server) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        read_to_end(client)
    assert found == [True, False]
