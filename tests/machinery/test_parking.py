"""Connections are reported while they are parked, and to one thread only."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.support import UNIT
from tlshttp._machinery.parking import Parking
from tlshttp._machinery.poller import READ, WRITE, create_poller
from tlshttp._machinery.registry import Phase, Registry


class Parked:
    """What parking needs of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.fd = sock.fileno()
        self.armed = 0
        self.parked = False
        self.phase = Phase.IDLE
        self.deadline = 0.0
        self.aborted = False
        self.left = False

    def leave_with_server(self) -> None:
        """Be told that the server has closed."""
        self.left = True

    def abort(self) -> None:
        """Be told that there is no hope."""
        self.aborted = True


class Place:
    """Parking with one connection in it, and its peer."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.poller = create_poller()
        self.registry: Any = Registry()
        self.parking: Any = Parking(self.registry, self.poller)
        self.connection = cast(Any, Parked(self.near))
        self.parking.let_in(self.connection)
        self.parking.park(self.connection, READ)

    def take(self) -> list[Any]:
        """Return what is ready, at once."""
        taken: list[Any] = self.parking.take(self.poller.wait(0))
        return taken

    def close(self) -> None:
        """Give all back."""
        self.poller.close()
        self.near.close()
        self.far.close()


@pytest.fixture
def place() -> Iterator[Place]:
    """Return a place with a connection."""
    made = Place()
    yield made
    made.close()


def test_what_is_ready_is_taken_once(place: Place) -> None:
    """A connection is taken when there is something to read, and parked again without a call."""
    assert place.take() == []
    place.far.send(b"x")
    assert place.take() == [place.connection]
    assert not place.connection.parked
    place.near.recv(1)
    place.parking.park(place.connection, READ)
    assert place.connection.armed == READ
    assert place.take() == []
    place.far.send(b"x")
    assert place.take() == [place.connection]


def test_what_is_in_somebodys_hands_is_reported_no_more(place: Place) -> None:
    """What more its peer sends does not make the poller spin, and is not lost either."""
    place.far.send(b"x")
    assert place.take() == [place.connection]
    assert place.take() == []
    assert place.connection.armed == 0
    assert place.poller.wait(0) == []
    place.parking.park(place.connection, READ)
    assert place.take() == [place.connection]


def test_waiting_for_room_is_not_waiting_for_input(place: Place) -> None:
    """The event that is waited for can change, also after it was disarmed."""
    place.parking.park(place.connection, WRITE)
    assert place.take() == [place.connection]
    assert place.take() == []
    place.parking.park(place.connection, READ)
    assert place.take() == []


def test_parked_while_it_is_disarmed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that parks it just when it is taken out, finding it armed, is not forgotten."""
    place.far.send(b"x")
    assert place.take() == [place.connection]
    remove = place.poller.remove

    def remove_late(fd: int) -> None:
        place.connection.parked = True  # what park() does first; it has seen it armed before
        remove(fd)

    monkeypatch.setattr(place.poller, "remove", remove_late)
    assert place.take() == []
    assert place.connection.armed == READ
    assert place.take() == [place.connection]


def test_two_threads_never_take_the_same(place: Place) -> None:
    """Of many that see it ready, one has it."""
    place.far.send(b"x")
    for _ in range(200):
        barrier = threading.Barrier(4)
        taken: list[Any] = []

        def take(barrier: threading.Barrier = barrier, taken: list[Any] = taken) -> None:
            barrier.wait(30 * UNIT)
            taken.extend(place.registry.take([place.connection.fd])[0])

        def spare(barrier: threading.Barrier = barrier, taken: list[Any] = taken) -> None:
            barrier.wait(30 * UNIT)
            if place.registry.take_back(place.connection):
                taken.append(place.connection)

        threads = [threading.Thread(target=target) for target in (take, spare, take, spare)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30 * UNIT)
        assert taken == [place.connection]
        place.parking.park(place.connection, READ)


def test_parking_what_is_closed_gives_up(place: Place) -> None:
    """When the server has been closed meanwhile the connection is, too."""
    place.far.send(b"x")
    assert place.take() == [place.connection]
    assert place.take() == []
    place.poller.close()
    place.parking.park(place.connection, READ)
    assert place.connection.aborted


def test_who_is_forgotten_is_reported_no_more(place: Place) -> None:
    """After that the descriptor may be another's."""
    place.parking.forget(place.connection)
    place.far.send(b"x")
    assert place.poller.wait(0) == []
    assert len(place.registry.by_fd) == 0


def test_who_parks_after_the_end_has_it_ended(place: Place) -> None:
    """A thread that the server did not wait for leaves no connection open: nobody would see it."""
    place.far.send(b"x")
    assert place.take() == [place.connection]
    place.parking.close()
    assert place.registry.take_all() == []
    place.parking.park(place.connection, READ)
    assert place.connection.left
    assert not place.connection.parked


def test_who_was_parked_before_the_end_is_ended_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both see it, the one that parks and the one that closes, one of them has it."""
    place.far.send(b"x")
    assert place.take() == [place.connection]
    taken: list[Any] = []

    def close_meanwhile(_fd: int, _event: int) -> None:
        place.parking.close()
        taken.extend(place.registry.take_all())

    monkeypatch.setattr(place.poller, "change", close_meanwhile)
    place.parking.park(place.connection, WRITE)
    assert taken == [place.connection]
    assert not place.connection.left
