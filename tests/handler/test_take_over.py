"""`take_over()`: a connection in a handler's own hands, and one that the loop drives."""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.handler.side_by_side import OURS, PATIENCE, Quiet, Served, connect, receive, serving
from tests.support import UNIT, wait_until
from tlshttp import ConnectionDriver, DrivenConnection, Limits, ThreadingTLSHTTPServer
from tlshttp.errors import PeerDisconnected, ResponseBacklog, TunnelTimeout, WriteTimeout

both = pytest.mark.parametrize("server_class", OURS)

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n"


def upgrade(handler: Any) -> None:
    """Say that another protocol follows."""
    handler.send_response(101)
    handler.send_header("Upgrade", "bytes")
    handler.send_header("Connection", "Upgrade")
    handler.end_headers()


@contextlib.contextmanager
def taken_over(served: Served, data: bytes = b"") -> Iterator[ssl.SSLSocket]:
    """Connect, ask, and read the head of the answer."""
    with connect(served) as client:
        client.sendall(GET + data)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = client.recv(1)
            assert piece, head
            head += piece
        assert b"101" in head
        yield client


def read(client: ssl.SSLSocket, size: int) -> bytes:
    """Read so many bytes, fewer at the end."""
    data = bytearray()
    while len(data) < size and (piece := receive(client)):
        data += piece
    return bytes(data)


# In the handler's own hands ----------------------------------------------------------------------


def _recv(connection: Any, size: int) -> bytes:
    return bytes(connection.recv(size))


def _recv_into(connection: Any, size: int) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: connection.recv_into(buffer)])


def _makefile(connection: Any, size: int) -> bytes:
    return bytes(connection.makefile("rb").read1(size))


def _select(connection: Any, size: int) -> bytes:
    while not connection.pending() and not select.select([connection], [], [], PATIENCE)[0]:
        raise TimeoutError
    return bytes(connection.recv(size))


def _timeout(connection: Any, size: int) -> bytes:
    connection.settimeout(0.01)
    while True:
        with contextlib.suppress(TimeoutError):
            return bytes(connection.recv(size))


def _never_waits(connection: Any, size: int) -> bytes:
    connection.settimeout(0)
    while True:
        with contextlib.suppress(BlockingIOError):
            return bytes(connection.recv(size))
        select.select([connection], [], [], PATIENCE)


READS = [_recv, _recv_into, _makefile, _select, _timeout, _never_waits]


@both
@pytest.mark.parametrize("way", READS)
def test_a_connection_that_was_taken_over_is_a_socket(
    server_class: type, way: Callable[[Any, int], bytes]
) -> None:
    """It gives and takes bytes in every way a socket does, those sent with the request included."""

    class Echo(Quiet):
        def do_GET(self) -> None:
            upgrade(self)
            connection = self.take_over()  # type: ignore[attr-defined]
            assert connection.tls.version
            while data := way(connection, 100):
                connection.sendall(data)

    with serving(server_class, Echo) as served, taken_over(served, b"early") as client:
        assert read(client, 5) == b"early"
        for piece in (b"one", b"two", b"three" * 20):
            client.sendall(piece)
            assert read(client, len(piece)) == piece
        client.unwrap()
    assert served.tracebacks == 0


def test_taken_over_connections_are_no_workers_at_work() -> None:
    """With one worker several wait in their own ways, and others are served."""
    taken, ended = threading.Semaphore(0), threading.Event()

    class Waits(Quiet):
        def do_GET(self) -> None:
            if self.path == "/":
                upgrade(self)
                self.take_over()  # type: ignore[attr-defined]
                taken.release()
                ended.wait(PATIENCE)
            else:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

    with serving(ThreadingTLSHTTPServer, Waits, max_workers=1) as served:
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(taken_over(served))
            for _ in range(4):
                assert taken.acquire(timeout=PATIENCE)
            with connect(served) as client:
                client.sendall(b"GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert receive(client).startswith(b"HTTP/1.1 200")
            assert served.server.stats().waiting == 0
            ended.set()
        with connect(served) as client:  # and the place is there again
            client.sendall(b"GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert receive(client).startswith(b"HTTP/1.1 200")


class Farewell(Quiet):
    """Echoes, and says goodbye."""

    options: dict[str, Any] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        upgrade(self)
        connection = self.take_over(**self.options)  # type: ignore[attr-defined]
        while data := connection.recv(100):
            connection.sendall(data)
        connection.sendall(b"bye" if connection.ending else b"the peer has left")


@pytest.mark.parametrize("end", ["drain", "server_close"])
def test_who_has_taken_over_is_told_of_the_servers_end(end: str) -> None:
    """What is received ends, what is sent arrives, and the server need not wait."""
    with serving(ThreadingTLSHTTPServer, Farewell) as served, taken_over(served) as client:
        client.sendall(b"x")
        assert read(client, 1) == b"x"
        ender = threading.Thread(target=getattr(served.server, end))
        ender.start()
        assert read(client, 100) == b"bye"
        ender.join(PATIENCE)
        assert not ender.is_alive()
    assert served.server.stats().cut == {}


def test_who_does_not_want_to_be_told_is_broken_in_the_end() -> None:
    """As a relay: it goes on until the time of ``drain()`` is over."""
    handler = type("Relay", (Farewell,), {"options": {"ends_with_server": False}})
    with serving(ThreadingTLSHTTPServer, handler) as served, taken_over(served) as client:
        drain = threading.Thread(target=served.server.drain, args=(3_600,))
        drain.start()
        assert wait_until(lambda: served.server.draining)
        client.sendall(b"x")
        assert read(client, 1) == b"x"
        served.server.drain(0.1)
        with contextlib.suppress(OSError):
            assert read(client, 1) == b""
        drain.join(PATIENCE)


@both
def test_only_after_a_head_that_says_so(server_class: type) -> None:
    """Otherwise it is a mistake of the handler's, and said so."""
    raised: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Wrong(Quiet):
        def do_GET(self) -> None:
            try:
                self.take_over()  # type: ignore[attr-defined]
            except RuntimeError as error:
                raised.put(str(error))
            self.send_error(500)

    with serving(server_class, Wrong) as served, connect(served) as client:
        client.sendall(GET)
        assert b"500" in receive(client)
    assert "after 101" in raised.get(timeout=PATIENCE)


def test_a_handler_with_a_thread_of_its_own_cannot_leave_its_connection() -> None:
    """There is nobody to drive it."""
    raised: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Own(Quiet):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            super().handle()

        def do_GET(self) -> None:
            upgrade(self)
            try:
                self.take_over(ConnectionDriver())  # type: ignore[attr-defined]
            except RuntimeError as error:
                raised.put(str(error))

    with serving(ThreadingTLSHTTPServer, Own) as served, taken_over(served):
        assert "thread of its own" in raised.get(timeout=PATIENCE)


# Driven by the loop ------------------------------------------------------------------------------


class Driver(ConnectionDriver):
    """Echoes, and keeps what happened."""

    def __init__(self) -> None:
        self.said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.began_to = threading.Event()
        self.taken = bytearray()
        self.at_once = 0

    def next(self) -> Any:
        """Return what happened next."""
        return self.said.get(timeout=PATIENCE)

    def next_but_room(self) -> Any:
        """Return what happened next, but for room: how much the kernel takes is its own affair."""
        while (said := self.next()) == "writable":
            pass
        return said

    def began(self, connection: DrivenConnection) -> None:
        super().began(connection)
        self.began_to.set()

    def received(self, data: bytes) -> None:
        self.at_once += 1
        assert self.at_once == 1
        self.taken += data
        self.connection.write(data)
        self.at_once -= 1

    def writable(self) -> None:
        self.said.put("writable")

    def due(self) -> None:
        self.said.put("due")

    def peer_ended(self) -> None:
        self.said.put("peer ended")
        super().peer_ended()

    def leave(self) -> None:
        self.said.put("leave")
        self.connection.write(b"bye")
        super().leave()

    def ended(self, error: Exception | None) -> None:
        self.said.put(error)


@contextlib.contextmanager
def driving(
    server_class: type, *, kind: type[Driver] = Driver, max_backlog: int = 1 << 20, **options: Any
) -> Iterator[tuple[Served, Callable[[], Driver]]]:
    """Serve with such a driver for each connection; yield what returns the next one."""
    drivers: queue.SimpleQueue[Driver] = queue.SimpleQueue()

    class Handler(Quiet):
        def do_GET(self) -> None:
            upgrade(self)
            driver = kind()
            self.take_over(driver, max_backlog=max_backlog)  # type: ignore[attr-defined]
            drivers.put(driver)

    with serving(server_class, Handler, **options) as served:
        yield served, lambda: drivers.get(timeout=PATIENCE)


@both
def test_a_driven_connection_echoes_in_order(server_class: type) -> None:
    """What is sent comes back, what came with the request first; then both ends leave."""
    with driving(server_class) as (served, driver), taken_over(served, b"early") as client:
        assert read(client, 5) == b"early"
        data = b"".join(b"%d\n" % number for number in range(20_000))
        # By turns: Python's sockets bear no two threads at once (before 3.13).
        for start in range(0, len(data), 50_000):
            piece = data[start : start + 50_000]
            client.sendall(piece)
            assert read(client, len(piece)) == piece
        client.unwrap()
        said = driver()
        assert said.next() == "peer ended"
        assert said.next() is None
    assert served.tracebacks == 0
    assert served.server.stats().cut == {}


@both
def test_idle_connections_cost_no_thread(server_class: type) -> None:
    """Fifty of them are parked, and each still answers."""
    with driving(server_class) as (served, _), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(taken_over(served)) for _ in range(50)]
        assert wait_until(lambda: served.server.stats().parked["taken-over"] == 50)
        busy = [one.name for one in threading.enumerate() if one.name.startswith("tlshttp")]
        assert len(busy) < len(clients) // 2
        for client in clients:
            client.sendall(b"hello")
            assert read(client, 5) == b"hello"


class Eightfold(Driver):
    """Answers with more than it gets."""

    def received(self, data: bytes) -> None:
        self.connection.write(data * 8)


@both
@pytest.mark.parametrize("kind", [Driver, Eightfold])
def test_a_peer_that_does_not_read_is_not_read_from(server_class: type, kind: type[Driver]) -> None:
    """What waits for it stays bounded, others are served, and in the end it gets everything."""
    with driving(server_class, kind=kind) as (served, driver), taken_over(served) as client:
        one, sent, is_stuck = driver(), 0, False
        client.settimeout(0.3 * UNIT)
        while not is_stuck:  # longer than this, and for the sake of what waits for it
            try:
                client.sendall(b"x" * 16_384)
                sent += 16_384
            except TimeoutError:
                is_stuck = one.connection.backlog > 0
        assert one.connection.backlog < 300_000
        before = time.process_time()
        with taken_over(served) as other:
            other.sendall(b"hello")
            assert read(other, 5)[:5] == b"hello"
        assert time.process_time() - before < UNIT  # nobody is busy with it
        client.settimeout(PATIENCE)
        sent *= 8 if kind is Eightfold else 1
        assert read(client, sent)[:sent] == b"x" * sent
        if kind is Eightfold:
            assert one.next() == "writable"
            assert not one.connection.is_full


@both
def test_a_peer_with_too_much_waiting_is_cut(server_class: type) -> None:
    """Whoever writes is told at once, the driver in the end, and there is one event."""
    with driving(server_class, max_backlog=200_000) as (served, driver), taken_over(served):
        one = driver()
        assert one.began_to.wait(PATIENCE)

        def write() -> None:
            for _ in range(1000):
                one.connection.write(bytes(100_000))

        with pytest.raises(ResponseBacklog):
            write()
        assert isinstance(one.next_but_room(), ResponseBacklog)
        assert wait_until(lambda: served.server.stats().cut == {"response-backlog": 1})


@both
def test_a_peer_that_takes_nothing_is_cut_in_time(server_class: type) -> None:
    """By ``Limits.write_timeout``, as one that does not take a response."""
    limits = Limits(write_timeout=0.3 * UNIT, write_min_rate=None)
    with (
        driving(server_class, max_backlog=100 << 20, limits=limits) as (served, driver),
        taken_over(served),
    ):
        one = driver()
        assert one.began_to.wait(PATIENCE)
        one.connection.write(bytes(30 << 20))
        assert isinstance(one.next_but_room(), WriteTimeout)


@both
def test_a_quiet_connection_is_cut_by_its_own_limit(server_class: type) -> None:
    """By ``Limits.tunnel_timeout``."""
    limits = Limits(tunnel_timeout=0.3 * UNIT)
    with driving(server_class, limits=limits) as (served, driver), taken_over(served):
        assert isinstance(driver().next(), TunnelTimeout)


@both
def test_other_threads_write_and_close(server_class: type) -> None:
    """All that was written arrives, in the order of each thread, and then the end."""
    with driving(server_class) as (served, driver), taken_over(served) as client:
        one = driver()
        assert one.began_to.wait(PATIENCE)

        def write(letter: bytes) -> None:
            for number in range(500):
                one.connection.write(letter + b"%05d" % number)

        writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        one.connection.write(b"end" * 100_000)
        one.connection.close()
        data = read(client, 1 << 30)  # to the end, which is close_notify
        assert one.next_but_room() is None
        assert len(data) == 2 * 500 * 6 + 300_000
        words = [data[at : at + 6] for at in range(0, 6_000, 6)]
        for letter in (b"a", b"b"):
            mine = [word for word in words if word.startswith(letter)]
            assert mine == sorted(mine)
            assert len(mine) == 500
        with pytest.raises(BrokenPipeError):
            one.connection.write(b"more")


@both
def test_a_driver_is_woken_when_it_wants(server_class: type) -> None:
    """Once, from whatever thread it asked; not when it has changed its mind."""

    class Undecided(Driver):
        def received(self, data: bytes) -> None:
            self.connection.wake_after(0.1 * UNIT)
            self.connection.wake_after(None)
            super().received(data)

    with driving(server_class, kind=Undecided) as (served, driver), taken_over(served) as client:
        one = driver()
        assert one.began_to.wait(PATIENCE)
        one.connection.wake_after(3600)
        one.connection.wake_after(0.1 * UNIT)
        assert one.next() == "due"
        client.sendall(b"x")
        assert read(client, 1) == b"x"
        client.settimeout(0.2 * UNIT)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE)
        client.unwrap()
        assert one.next() == "peer ended"


@both
def test_a_driver_that_pauses_receives_nothing(server_class: type) -> None:
    """Until it resumes; and the end of a peer that is reset meanwhile is seen."""
    with driving(server_class) as (served, driver), taken_over(served) as client:
        one = driver()
        assert one.began_to.wait(PATIENCE)
        one.connection.pause()
        client.sendall(b"waits")
        client.settimeout(0.2 * UNIT)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert not one.taken
        client.settimeout(PATIENCE)
        one.connection.resume()
        assert read(client, 5) == b"waits"
        one.connection.pause()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        one.connection.resume()
        assert isinstance(one.next(), PeerDisconnected)


@both
def test_a_driver_that_raises_is_reported_once(server_class: type) -> None:
    """A traceback, the end, and no more calls."""

    class Fails(Driver):
        def received(self, data: bytes) -> None:
            raise KeyError("mine")

    with (
        driving(server_class, kind=Fails) as (served, driver),
        taken_over(served) as client,
    ):
        client.sendall(b"x")
        assert isinstance(driver().next(), KeyError)
        assert receive(client) == b""
    assert served.tracebacks == 1


@both
@pytest.mark.parametrize("end", ["drain", "server_close"])
def test_drivers_are_told_of_the_servers_end(server_class: type, end: str) -> None:
    """They say goodbye, and the server need not wait."""
    with driving(server_class) as (served, driver), taken_over(served) as client:
        one = driver()
        assert one.began_to.wait(PATIENCE)
        ender = threading.Thread(target=getattr(served.server, end))
        ender.start()
        assert read(client, 100) == b"bye"
        client.close()
        ender.join(PATIENCE)
        assert not ender.is_alive()
        assert one.next() == "leave"
        assert one.next() is None


@both
def test_a_driven_connection_gives_its_place_way(server_class: type) -> None:
    """Where the server is full, an idle one is told and closed for one more client."""
    limits = Limits(max_connections=1)
    with (
        driving(server_class, limits=limits) as (served, driver),
        taken_over(served) as client,
    ):
        one = driver()
        assert one.began_to.wait(PATIENCE)
        with taken_over(served) as other:
            other.sendall(b"x")
            assert read(other, 1) == b"x"
        assert read(client, 100) == b"bye"
        assert one.next() == "leave"
