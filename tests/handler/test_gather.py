"""A large read of a body that comes slowly holds no more than the server may have waiting."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.handler.http_support import connect, read_to_end, serving
from tests.handler.side_by_side import Quiet
from tests.support import UNIT, at_some_pace, wait_until
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp._budget import Budget, NoRoom

SIZE = 300_000
BODY = (bytes(range(256)) * (SIZE // 256 + 1))[:SIZE]


class Whole(Quiet):
    """Reads as much as was announced, or all, in one piece; answers with its digest."""

    read_without_size = False

    def do_POST(self) -> None:
        """Read and answer."""
        size = -1 if self.read_without_size else int(self.headers["Content-Length"])
        digest = hashlib.sha256(self.rfile.read(size)).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(digest)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(digest)


class All(Whole):
    """Reads without saying how much."""

    read_without_size = True


class Streams(Whole):
    """Is called before the body has come, by either server."""

    stream_request = True


class Pieces(Whole):
    """Reads into a buffer that is larger than what is taken at once."""

    def do_POST(self) -> None:
        """Read and answer."""
        digest, buffer = hashlib.sha256(), bytearray(100_000)
        while count := self.rfile.readinto(buffer):
            digest.update(buffer[:count])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(digest.hexdigest().encode())
        self.close_connection = True


LITTLE: dict[str, Any] = {"max_collected_body": 1_000, "max_total_memory": 1}


def head(size: int = SIZE) -> bytes:
    """Return the head of a request with a body."""
    return b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size


def budget_of(server: Any) -> Budget:
    """Return what all connections of a server have together."""
    budget: Budget = vars(server)["_TLSHTTPServer__loop"].budget
    return budget


@contextlib.contextmanager
def half_sent(server: Any, size: int = SIZE, sent: int = SIZE // 2) -> Iterator[ssl.SSLSocket]:
    """Connect, and send a head and a part of the body."""
    with connect(server) as client:
        client.sendall(head(size) + BODY[:sent])
        yield client


@pytest.mark.parametrize("handler", [Whole, All, Streams, Pieces])
def test_what_has_come_is_on_disk_when_memory_is_used_up(handler: Any) -> None:
    """It is put together when all of it is there, and nothing stays."""
    with serving(handler, limits=Limits(**LITTLE)) as server, half_sent(server) as client:
        budget = budget_of(server)
        kept = 60_000 if handler is Pieces else SIZE // 2
        assert wait_until(lambda: kept - 10_000 <= budget.disk <= kept or handler is Pieces)
        client.sendall(BODY[SIZE // 2 :])
        assert hashlib.sha256(BODY).hexdigest().encode() in read_to_end(client)
        assert wait_until(lambda: budget.disk == 0 and budget.memory == 0)


def test_where_there_is_memory_it_is_taken() -> None:
    """Nothing is on disk then."""
    limits = Limits(max_collected_body=1_000)
    with serving(Whole, limits=limits) as server, half_sent(server) as client:
        budget = budget_of(server)
        assert wait_until(lambda: budget.memory >= SIZE // 2 - 10_000)
        assert not budget.disk
        client.sendall(BODY[SIZE // 2 :])
        assert read_to_end(client).endswith(hashlib.sha256(BODY).hexdigest().encode())
        assert wait_until(lambda: budget.memory == 0)


def test_a_handler_that_streams_in_the_server_of_one_thread_does_so_too() -> None:
    """It has a thread of its own there."""
    limits = Limits(**LITTLE)
    with (
        serving(Streams, server_class=TLSHTTPServer, limits=limits) as server,
        half_sent(server) as client,
    ):
        assert wait_until(lambda: budget_of(server).disk > 100_000)
        client.sendall(BODY[SIZE // 2 :])
        assert read_to_end(client).endswith(hashlib.sha256(BODY).hexdigest().encode())


def test_without_room_it_is_refused_in_time() -> None:
    """507 after ``body_timeout``, one event, and the handler's read raises what says so."""
    at_some_pace(_refused_without_room)


def _refused_without_room(unit: float) -> None:
    cuts: list[Any] = []

    class Notes(ThreadingTLSHTTPServer):
        def handle_connection_cut(self, exc: Any, client_address: Any) -> None:
            cuts.append(exc)

    limits = Limits(**LITTLE, max_total_disk=50_000, body_timeout=0.2 * unit)
    with (
        serving(Whole, server_class=Notes, limits=limits) as server,
        connect(server) as client,
    ):
        with contextlib.suppress(ConnectionError):  # the answer does not wait for all of it
            client.sendall(head() + BODY)
        assert read_to_end(client).startswith(b"HTTP/1.1 507 ")
        assert wait_until(lambda: bool(cuts))
        assert [(cut.reason, cut.status) for cut in cuts] == [("refused-request", 507)]
        assert wait_until(lambda: budget_of(server).disk == 0)


def test_who_waits_for_room_goes_on_when_another_has_ended() -> None:
    """The second has its answer as soon as the first gives its room back."""
    limits = Limits(**LITTLE, max_total_disk=SIZE + 50_000, body_timeout=30 * UNIT)
    with serving(Whole, limits=limits) as server, half_sent(server, sent=SIZE - 9) as first:
        assert wait_until(lambda: budget_of(server).disk == SIZE - 9)
        with connect(server) as second:
            second.sendall(head() + BODY[:100_000])  # more than there is room for
            first.sendall(BODY[-9:])
            second.sendall(BODY[100_000:])
            for client in first, second:
                assert read_to_end(client).endswith(hashlib.sha256(BODY).hexdigest().encode())


def test_room_on_disk_is_waited_for() -> None:
    """`Budget.await_disk` returns at once where there is room, and when some is given back."""
    budget = Budget(None, 100)
    assert budget.await_disk(100, 0)
    budget.take_disk(80)
    assert not budget.await_disk(21, 0.01)
    with pytest.raises(NoRoom):
        budget.take_disk(21)
    waits = threading.Thread(target=lambda: found.append(budget.await_disk(21, 30 * UNIT)))
    found: list[bool] = []
    waits.start()
    budget.give_disk(80)
    waits.join()
    assert found == [True]
