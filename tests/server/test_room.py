"""Peers 10: bodies that wait for room on disk wait for each other, not for ever."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.handler.http_support import Quiet, client_context, connect, serving
from tests.support import UNIT, wait_until
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer, _kept_file
from tlshttp._budget import Budget, NoRoom
from tlshttp._kept_file import KeptFile
from tlshttp._spool import Spool

SERVERS = [TLSHTTPServer, ThreadingTLSHTTPServer]
SIZE = 600_000


class Upload(Quiet):
    """Tells how much has come."""

    def do_POST(self) -> None:
        body = b"%d" % len(self.rfile.read())
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def limits(**more: Any) -> Limits:
    """Return limits with room for one such body, and for not quite two."""
    return Limits(max_total_disk=SIZE + 100_007, max_collected_body=None, **more)


@pytest.mark.parametrize("server_class", SERVERS)
def test_peers_10_of_two_bodies_with_room_for_one_the_other_is_refused(
    server_class: type[TLSHTTPServer],
) -> None:
    """Each holds what the other waits for; one gets 507, and then the other goes on."""
    answers: list[bytes] = []
    barrier = threading.Barrier(3)
    with serving(Upload, server_class=server_class, limits=limits(body_timeout=3 * UNIT)) as server:

        def post() -> None:
            with connect(server) as client:
                client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE)
                client.sendall(bytes(SIZE // 2))
                barrier.wait()
                client.sendall(bytes(SIZE - SIZE // 2))
                answers.append(client.recv(4_096))

        threads = [threading.Thread(target=post) for _ in range(2)]
        for thread in threads:
            thread.start()
        budget = vars(server)["_TLSHTTPServer__loop"].budget
        assert wait_until(lambda: budget.disk + budget.memory > SIZE - 40_000)
        barrier.wait()
        for thread in threads:
            thread.join()
        assert sorted(answer[9:12] for answer in answers) == [b"200", b"507"], answers
        assert wait_until(lambda: sum(server.stats().cut.values()) == 1)


@pytest.mark.parametrize("server_class", SERVERS)
def test_peers_10_a_body_that_waits_for_room_costs_no_time(
    server_class: type[TLSHTTPServer],
) -> None:
    """Not even where less is free than the next piece needs."""
    with (
        serving(Upload, server_class=server_class, limits=limits()) as server,
        connect(server) as client,
    ):
        size = 4 * SIZE
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        sender = threading.Thread(target=_send, args=(client, size))
        sender.start()
        loop = server._TLSHTTPServer__loop
        assert wait_until(lambda: len(loop.roomless) == 1)
        began = time.process_time()
        turns = _count_turns(loop)
        assert wait_until(lambda: len(turns) >= 3)
        assert time.process_time() - began < 0.3 * sum(turns)
    sender.join()


# A share of the disk for each address -------------------------------------------------------------

MUCH = 3_000_000


class _Holder:
    def __init__(self, group: bytes) -> None:
        self.group = group


class Both(Upload):
    """Answers GET with much, which nobody can wait for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(6 * MUCH))
        self.end_headers()
        self.wfile.write(bytes(6 * MUCH))


class Streams(Both):
    """Has its bodies gathered in its own thread."""

    stream_request = True


def from_elsewhere(server: Any) -> ssl.SSLSocket:
    """Connect from another address of this machine."""
    raw = socket.create_connection(
        ("127.0.0.1", server.server_port), 30 * UNIT, source_address=("127.0.0.2", 0)
    )
    return client_context().wrap_socket(raw, server_hostname="localhost")


def ask_for_much(client: ssl.SSLSocket) -> None:
    """Ask, and never read."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


def send_half(client: ssl.SSLSocket) -> None:
    """Send some of a body, and never the rest."""
    client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (2 * MUCH))
    client.sendall(bytes(MUCH))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize(
    ("handler", "attack", "event"),
    [
        (Both, send_half, "refused-request"),
        (Both, ask_for_much, "crowded-out"),
        (Streams, send_half, "crowded-out"),
    ],
    ids=["bodies", "responses", "in-threads"],
)
def test_peers_10_an_address_that_has_all_the_disk_gives_way(
    server_class: type[TLSHTTPServer],
    handler: type[Both],
    attack: Callable[[ssl.SSLSocket], None],
    event: str,
) -> None:
    """Another one is served at once, and no more connections are cut than that takes."""
    # Of a response the kernel takes some megabytes. A body fits in when one of three has gone: the
    # other two have too little then, beside it, to have to give way.
    disk, size = (6 * MUCH, 3 * MUCH) if attack is ask_for_much else (3 * MUCH, MUCH * 5 // 6)
    limits = Limits(max_total_disk=disk, max_total_memory=1, max_collected_body=None)
    with (
        serving(handler, server_class=server_class, limits=limits) as server,
        contextlib.ExitStack() as stack,
    ):
        budget = vars(server)["_TLSHTTPServer__loop"].budget
        for _ in range(1 if attack is ask_for_much else 3):
            attack(stack.enter_context(connect(server)))
        assert wait_until(lambda: budget.disk > disk - size)
        if attack is ask_for_much:  # its handler has returned: else both would share what is left
            assert wait_until(lambda: server.stats().parked["response"] == 1)
        honest = stack.enter_context(from_elsewhere(server))
        began = time.monotonic()
        honest.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        honest.sendall(bytes(size))
        assert honest.recv(4_096).endswith(b"\r\n\r\n%d" % size)
        assert time.monotonic() - began < 15 * UNIT  # a body has 20 s
        cut = server.stats().cut
        assert 1 <= sum(cut.values()) <= 2, cut
        assert any(event in reason for reason in cut), cut


def test_who_needs_room_and_has_as_much_waits() -> None:
    """Two that hold as much do not push each other out; and one alone has all of it."""
    budget = Budget(0, 1_000_000)
    gave: list[Any] = []
    one, same, two = _Holder(b"one"), _Holder(b"one"), _Holder(b"two")
    spools = {id(holder): Spool(budget, 0, holder) for holder in (one, same, two)}

    def give_way(holder: Any) -> bool:
        gave.append(holder)
        spools[id(holder)].clear()
        return True

    budget.give_way = give_way
    spools[id(one)].append(bytes(300_000))
    spools[id(same)].append(bytes(200_000))
    spools[id(two)].append(bytes(400_000))
    with pytest.raises(NoRoom):
        spools[id(two)].append(bytes(200_000))
    with pytest.raises(NoRoom):
        spools[id(one)].append(bytes(200_000))
    assert not gave
    spools[id(two)].clear()
    spools[id(same)].append(bytes(500_000))
    with pytest.raises(NoRoom):
        spools[id(one)].append(bytes(1))
    spools[id(two)].append(bytes(400_000))
    assert gave == [same]
    assert spools[id(one)].size == 300_000
    assert budget.disk == 700_000
    for spool in spools.values():
        spool.clear()


def test_small_holders_do_not_give_way() -> None:
    """Where nobody has an eighth, who comes last waits."""
    budget = Budget(0, 1_000_000)
    budget.give_way = lambda _holder: pytest.fail("nobody has to")
    spools = [Spool(budget, 0, _Holder(b"%d" % number)) for number in range(11)]
    for spool in spools[:10]:
        spool.append(bytes(100_000))
    with pytest.raises(NoRoom):
        spools[10].append(bytes(1))
    for spool in spools:
        spool.clear()


def _send(client: Any, size: int) -> None:
    with contextlib.suppress(OSError):  # the test is over
        client.sendall(bytes(size))


def _count_turns(loop: Any) -> list[float]:
    """Return how long each turn of the loop takes from now on, in seconds."""
    taken: list[float] = []
    turn = loop.turn

    def counted(timeout: float, **options: Any) -> None:
        began = time.monotonic()
        turn(timeout, **options)
        taken.append(time.monotonic() - began)

    loop.turn = counted
    return taken


@pytest.mark.parametrize("server_class", SERVERS)
def test_a_file_that_nobody_needs_is_closed_while_nobody_is_there(
    server_class: type[TLSHTTPServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept for the next upload is given back, although nothing else happens."""
    kept: list[bool] = []
    keep = KeptFile.keep

    def listen(place: KeptFile, file: Any, size: int) -> bool:
        kept.append(keep(place, file, size))
        return kept[-1]

    monkeypatch.setattr(_kept_file, "_SECONDS", 0.01)
    monkeypatch.setattr(KeptFile, "keep", listen)
    size = 3 << 20
    with serving(
        Upload, server_class=server_class, limits=Limits(max_collected_body=None)
    ) as server:
        with connect(server) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            client.sendall(bytes(size))
            assert client.recv(4_096).startswith(b"HTTP/1.1 200 ")
        budget = vars(server)["_TLSHTTPServer__loop"].budget
        assert wait_until(lambda: kept == [True])
        assert wait_until(lambda: not budget.kept.there)
