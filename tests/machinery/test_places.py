"""Places for handlers: nobody takes more than a share of them while others wait."""

from __future__ import annotations

import functools
import random
import socket
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from tests.machinery.conftest import serving
from tests.machinery.handlers import Gate, new_gate
from tests.machinery.peers import client_context, handshake, read_response, request
from tests.support import UNIT, wait_until
from tlshttp import ThreadingTLSHTTPServer
from tlshttp._machinery.places import Hold, Places
from tlshttp._machinery.waiting import Waiting

LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 as loopback addresses"
)


@dataclass(eq=False)
class Client:
    """A connection, as far as places know it."""

    group: bytes
    name: str = ""


class Office:
    """Places, and who has one."""

    def __init__(self, maximum: int) -> None:
        self.places = Places(maximum, self._resume)
        self.at_work: list[tuple[Any, Hold]] = []
        self.resumed: list[Any] = []

    def _resume(self, client: Any) -> None:
        self.resumed.append(client)
        self.come(client)

    def come(self, client: Any) -> bool:
        """Begin, or wait; tell which."""
        if self.places.queue_up(client):
            return False
        hold = Hold(client)
        self.places.take(hold)
        self.at_work.append((client, hold))
        return True

    def go(self, group: bytes) -> None:
        """Have somebody of an address end."""
        at = next(at for at, (client, _) in enumerate(self.at_work) if client.group == group)
        self.places.give_back(self.at_work.pop(at)[1])

    def held(self) -> Counter[bytes]:
        """Return how many each address has."""
        return Counter(client.group for client, _ in self.at_work)


def test_one_address_alone_has_all_places_and_no_more() -> None:
    """As behind a proxy; who waits goes on in the order of coming."""
    office = Office(16)
    clients = [Client(b"proxy", str(number)) for number in range(40)]
    assert [office.come(client) for client in clients] == [True] * 16 + [False] * 24
    for number in range(24):
        office.go(b"proxy")
        assert office.resumed[-1] is clients[16 + number]
        assert office.places.taken == 16
    assert not office.places.waiting


def test_others_find_a_place_where_one_address_has_them_all() -> None:
    """Each a few, and all of them together no more than a quarter of what there is."""
    office = Office(200)
    for _ in range(300):
        office.come(Client(b"greedy"))
    assert office.held() == {b"greedy": 200}
    assert [office.come(Client(b"other")) for _ in range(20)] == [True] * 13 + [False] * 7
    for number in range(60):
        office.come(Client(b"%d" % number))
    assert office.places.taken == 250


def test_who_holds_least_is_next() -> None:
    """However many of another address have waited for longer."""
    office = Office(16)
    for _ in range(100):
        office.come(Client(b"greedy"))
    for _ in range(3):
        office.come(Client(b"one"))
        office.come(Client(b"two"))
    assert office.held() == {b"greedy": 16, b"one": 1, b"two": 1}
    for _ in range(8):
        office.go(b"greedy")
    assert office.held()[b"one"] == office.held()[b"two"] == 3
    assert office.places.taken == 16


def test_who_holds_more_gives_way_on_coming_back() -> None:
    """A free place is for who waits and holds less, not for who asks first."""
    office = Office(8)
    for _ in range(8):
        office.come(Client(b"greedy"))
    for number in range(2):
        office.come(Client(b"%d" % number))
    waits = Client(b"2")
    assert not office.come(waits)
    places = office.places
    resume, places._resume = places._resume, lambda _client: None  # it is slow to come
    for _ in range(3):
        office.go(b"greedy")
    places._resume = resume
    assert office.come(Client(b"greedy"))  # nobody waits any more
    assert not places.waiting


def test_many_addresses_have_no_more_places_than_there_are() -> None:
    """The quarter besides is not for a crowd of which nobody has more than a share."""
    office = Office(16)
    begun = [office.come(Client(b"%d" % number)) for number in range(40)]
    assert begun == [True] * 16 + [False] * 24


@pytest.mark.parametrize("maximum", [1, 2, 7])
def test_few_places_stay_few(maximum: int) -> None:
    """Who asks for one handler at a time gets that, whoever comes."""
    office = Office(maximum)
    begun = [office.come(Client(b"greedy")) for _ in range(maximum)]
    assert begun == [True] * maximum
    assert not office.come(Client(b"other"))
    office.go(b"greedy")
    assert office.held()[b"other"] == 1


@pytest.mark.parametrize("maximum", [1, 8, 30])
def test_whatever_comes_and_goes_nobody_waits_for_nothing(maximum: int) -> None:
    """Nobody is lost, nobody waits while a place is free, and all is empty in the end."""
    chance = random.Random(maximum)
    office = Office(maximum)
    come = gone = 0
    for _ in range(4_000):
        if chance.random() < 0.52:
            come += 1
            office.come(Client(chance.choice([b"a"] * 6 + [b"b"] * 2 + [b"c", b"d", b"e"])))
        elif office.at_work:
            gone += 1
            office.go(chance.choice(office.at_work)[0].group)
        assert office.places.taken == len(office.at_work) <= maximum + maximum // 4
        assert not (office.places.waiting and office.places.taken < maximum)
    gone += len(office.at_work) + len(office.places.waiting)
    assert gone == come
    while office.at_work:
        office.go(office.at_work[0][0].group)
    assert not office.places.waiting
    assert office.places.taken == 0
    assert office.places.full_for(1e9) == 0


def test_a_wait_gives_back_a_place_of_the_same_address() -> None:
    """And takes it again for that."""
    places = Places(8, lambda _client: None)
    hold = Hold(Client(b"one"))  # type: ignore[arg-type]
    places.take(hold)
    places.begin(hold)
    for _ in range(3):
        assert places.pause()
        assert places.taken == 0
        places.go_on()
        assert places._held == {b"one": 1}
    places.give_back(hold)
    assert not places._held


def test_of_those_that_wait_for_peers_the_address_with_most_is_cut() -> None:
    """Not who has waited longest, unless nobody has more than a share."""
    waiting = Waiting(Places(8, lambda _client: None))
    cut: list[Any] = []

    def add(group: bytes) -> Any:
        made: Any = Client(group)
        made.is_idle = False
        made.cut_waiting = lambda _error: cut.append(made)
        waiting.begin(made)
        return made

    honest = add(b"honest")
    greedy = [add(b"greedy") for _ in range(5)]
    workers: Any = SimpleNamespace(maximum=6)
    for expected in greedy:
        waiting.cut_longest(workers)
        assert cut[-1] is expected
        if expected is greedy[3]:
            break
    waiting.cut_longest(workers)
    assert cut[-1] is honest  # as many as the other, and longer


# On real servers ----------------------------------------------------------------------------------


def from_elsewhere(address: tuple[str, int]) -> socket.socket:
    """Connect from another address of this machine."""
    return socket.create_connection(address, 5 * UNIT, source_address=("127.0.0.2", 0))


@LINUX
@pytest.mark.parametrize("kind", [Gate, "blocking"])
def test_peers_10_sleeping_handlers_of_one_address_leave_places_to_another(
    kind: Any, server_context: Any
) -> None:
    """All places are taken by one address, more of it wait, and another is served at once."""
    gate = new_gate()
    handler: Any = gate
    if kind == "blocking":
        handler = type("Blocking", (gate,), {"handle": lambda self: super(gate, self).handle()})
    server = ThreadingTLSHTTPServer(
        ("0.0.0.0", 0), handler, ssl_context=server_context, max_workers=16
    )
    context = client_context()
    wrap = functools.partial(context.wrap_socket, server_hostname="localhost")
    address = ("127.0.0.1", server.server_port)
    socks = []
    with serving(server):
        try:
            for _ in range(20):
                socks.append(handshake(address, context))
                socks[-1].sendall(request("/wait"))
            for _ in range(16):
                assert gate.entered.acquire(timeout=30 * UNIT)
            assert wait_until(lambda: server.stats().waiting == 4)
            for number in range(20):
                with from_elsewhere(address) as raw, wrap(raw) as sock:
                    sock.sendall(request(f"/{number}"))
                    assert read_response(sock).endswith(b"/%d" % number)
            assert server.stats().waiting == 4
        finally:
            gate.opened.set()
            for sock in socks:
                sock.close()


def test_threads_that_come_and_go_lose_no_place() -> None:
    """From many threads at once, the count comes out even."""
    done = threading.Semaphore(0)
    places: Places

    def work(client: Any) -> None:
        hold = Hold(client)
        places.take(hold)
        places.begin(hold)
        places.pause()
        places.go_on()
        places.give_back(hold)
        done.release()

    def start(client: Any) -> None:
        if not places.queue_up(client):
            threading.Thread(target=work, args=(client,)).start()

    places = Places(8, start)
    for number in range(400):
        start(Client(b"%d" % (number % 3)))
    for _ in range(400):
        assert done.acquire(timeout=30 * UNIT)
    assert wait_until(lambda: places.taken == 0 and not places._held)
    assert not places.waiting
