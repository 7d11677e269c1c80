"""Who reads much at once is not woken for little, and never waits for more than will come."""

from __future__ import annotations

import contextlib
import math
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.handler.http_support import (
    client_context,
    connect,
    read_to_end,
    server_context,
    serving,
    streamed,
)
from tests.handler.side_by_side import Quiet
from tests.machinery.test_tls_channel import Pair
from tests.support import UNIT, NoOwner, wait_until
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp._machinery import in_bulk, patience
from tlshttp._machinery.in_bulk import MANY, is_worthwhile, wait_for_many
from tlshttp._machinery.poller import READ, wait_for
from tlshttp._machinery.stream import Stream

LONG = 30 * UNIT
BODY = bytes(range(256)) * 400

# The wait itself ---------------------------------------------------------------------------------

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="others wait for each piece")


@pytest.fixture
def tcp() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two sockets that are connected by TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return what the system's waits come to: whether they end because something is there."""
    found: list[bool] = []

    def wait(fd: int, event: int, timeout: float | None) -> bool:
        found.append(wait_for(fd, event, timeout))
        return found[-1]

    monkeypatch.setattr(in_bulk, "wait_for", wait)
    return found


Both = tuple[socket.socket, socket.socket]


def wait_of(sock: socket.socket, timeout: float) -> bool:
    """Wait for much, having waited for ever."""
    return wait_for_many(sock, MANY, math.inf, sock.fileno(), READ, timeout)


@only_linux
def test_little_is_told_when_time_is_up(tcp: Both, waits: list[bool]) -> None:
    """It ends no wait for many, but the next one, which is for any."""
    ours, theirs = tcp
    theirs.send(b"x" * 100)
    assert wait_for(ours.fileno(), READ, LONG)
    assert wait_of(ours, 0.0)
    assert waits == [False, True]


@only_linux
@pytest.mark.parametrize(
    "act",
    [
        lambda ours, theirs: theirs.sendall(bytes(MANY)),
        lambda ours, theirs: theirs.close(),
        lambda ours, theirs: ours.shutdown(socket.SHUT_RD),
        lambda ours, theirs: ours.shutdown(socket.SHUT_RDWR),
    ],
    ids=["many", "the peer ends", "the server ends", "the server hangs up"],
)
def test_many_are_told_and_an_end(tcp: Both, waits: list[bool], act: Callable[..., None]) -> None:
    """At once, also where little has come before."""
    ours, theirs = tcp
    theirs.send(b"x")
    assert wait_for(ours.fileno(), READ, LONG)
    act(ours, theirs)
    assert wait_of(ours, LONG)
    assert waits == [True]


@only_linux
def test_afterwards_everything_is_told_again(tcp: Both) -> None:
    """The option is set back."""
    ours, _ = tcp
    assert not wait_of(ours, 0.0)
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


def test_a_socket_that_has_not_got_the_option_is_waited_for(waits: list[bool]) -> None:
    """So it is with one that another thread has just closed."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")

        class Without:
            def setsockopt(self, *_: int) -> None:
                raise OSError("not supported")

        sock: Any = Without()
        assert wait_for_many(sock, MANY, math.inf, ours.fileno(), READ, LONG)
    assert waits == [True]


@only_linux
def test_who_is_quick_is_not_waited_for_like_this() -> None:
    """Nor is who sends little."""
    assert is_worthwhile(MANY, 1.0)
    assert not is_worthwhile(MANY - 1, 1.0)
    assert not is_worthwhile(MANY, 0.01)


# What is waited for ------------------------------------------------------------------------------


class Peer:
    """A client that sends a piece of what it has encrypted whenever the server waits.

    Args:
        body: What it sends.
        step: Bytes of a piece.
    """

    def __init__(self, body: bytes, step: int) -> None:
        self.pair = Pair(server_context(), client_context())
        self.pair.shake_hands()
        self.stream = Stream(self.pair.channel, Limits(), NoOwner())
        self.pair.client.write(body)
        data = self.pair.far_bytes()
        self.pieces = [data[at : at + step] for at in range(0, len(data), step)]
        self.many = self.few = 0

    def send(self) -> bool:
        """Send the next piece."""
        self.pair.far.sendall(self.pieces.pop(0))
        return wait_for(self.pair.near.fileno(), READ, LONG)

    def wait_for_many(self, _sock: Any, wanted: int, *_: object) -> bool:
        """Be waited for."""
        self.many += 1
        assert 0 < in_bulk.waited_for(wanted) <= sum(map(len, self.pieces))
        return self.send()

    def wait_for(self, *_: object) -> bool:
        """Be waited for, be it for a byte."""
        self.few += 1
        return self.send()


@contextlib.contextmanager
def awaited(monkeypatch: pytest.MonkeyPatch, body: bytes, step: int) -> Iterator[Peer]:
    """Have a stream wait for such a peer."""
    peer = Peer(body, step)
    with monkeypatch.context() as patch, peer.pair.near, peer.pair.far:
        patch.setattr(patience, "is_worthwhile", lambda wanted, _: wanted >= MANY)
        patch.setattr(patience, "wait_for_many", peer.wait_for_many)
        patch.setattr(patience, "wait_for", peer.wait_for)
        yield peer


SIZED = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n3\r\nend\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("step", [333, 5_001, 16_406, 30_000])
@pytest.mark.parametrize(
    ("head", "wire", "size"),
    [(SIZED, BODY, -1), (SIZED, BODY, len(BODY)), (SIZED, BODY, 50_000), (CHUNKED, CHUNKS, -1)],
    ids=["all", "the size", "pieces", "chunks"],
)
def test_never_more_is_waited_for_than_comes(
    monkeypatch: pytest.MonkeyPatch, head: bytes, wire: bytes, size: int, step: int
) -> None:
    """However the records are torn, a part of one that is here already is no more to come."""
    with awaited(monkeypatch, wire, step) as peer:
        rfile = streamed(peer.stream, head).rfile
        received = b"".join(iter(lambda: rfile.read(size), b""))
    assert received in (BODY, BODY + b"end")
    assert not peer.pieces
    assert peer.many
    assert peer.few


def test_who_reads_what_is_there_waits_for_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """``read1()`` returns each piece, and ``readline()`` looks at it; a small ``read()``, too."""
    with awaited(monkeypatch, BODY, 10_000) as peer:
        rfile = streamed(peer.stream, SIZED).rfile
        received = rfile.read1(65_536)
        received += rfile.readline(60_000) + rfile.read(MANY - 1)
    assert BODY.startswith(received)
    assert not peer.many
    assert peer.few > 2


# In a server -------------------------------------------------------------------------------------


class Uploads(Quiet):
    """Reads all, and answers with how much that was."""

    stream_request = True

    def do_POST(self) -> None:
        """Read and answer."""
        size = len(self.rfile.read(len(BODY)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"%d" % size)
        self.close_connection = True


@only_linux
@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
def test_a_thread_wakes_seldom_for_a_body_in_small_pieces(
    monkeypatch: pytest.MonkeyPatch, server_class: type[TLSHTTPServer]
) -> None:
    """About once for a record; up to the last ones, which may be here in part."""
    began: list[int] = []

    def wait(sock: socket.socket, wanted: int, _: float, *rest: Any) -> bool:
        began.append(wanted)
        return wait_for_many(sock, wanted, math.inf, *rest)

    monkeypatch.setattr(in_bulk, "_LONGEST_SECONDS", 3600.0)
    monkeypatch.setattr(patience, "is_worthwhile", lambda wanted, _: wanted >= MANY)
    monkeypatch.setattr(patience, "wait_for_many", wait)
    limits = Limits(body_timeout=None)
    with (
        serving(Uploads, server_class=server_class, limits=limits) as server,
        connect(server) as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + SIZED + b"\r\n")
        assert wait_until(lambda: began == [len(BODY)])
        for at in range(0, len(BODY), 256):
            client.sendall(BODY[at : at + 256])
        assert b"\r\n%d\r\n" % len(BODY) in read_to_end(client)
    # Each wait but the last ends when so many are there; a record of 256 bytes has 22 more.
    assert len(began) <= len(BODY) / (in_bulk.waited_for(MANY) / 1.1) + 1
