"""Peers 10: bodies that wait for room on disk wait for each other, not for ever."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest

from tests.handler.http_support import Quiet, connect, serving
from tests.support import wait_until
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer

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
    with serving(Upload, server_class=server_class, limits=limits(body_timeout=1)) as server:

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
        budget = vars(server)["_TLSHTTPServer__front"].budget
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
        front = server._TLSHTTPServer__front
        assert wait_until(lambda: len(front.roomless) == 1)
        began = time.process_time()
        turns = _count_turns(front)
        assert wait_until(lambda: len(turns) >= 3)
        assert time.process_time() - began < 0.3 * sum(turns)
    sender.join()


def _send(client: Any, size: int) -> None:
    with contextlib.suppress(OSError):  # the test is over
        client.sendall(bytes(size))


def _count_turns(front: Any) -> list[float]:
    """Return how long each turn of the loop takes from now on, in seconds."""
    taken: list[float] = []
    turn = front.turn

    def counted(timeout: float) -> None:
        began = time.monotonic()
        turn(timeout)
        taken.append(time.monotonic() - began)

    front.turn = counted
    return taken
