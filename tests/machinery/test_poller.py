from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.machinery.conftest import Recording, serving
from tests.machinery.handlers import Plain
from tests.machinery.peers import get, handshake, read_response, request
from tests.support import UNIT
from tlshttp._machinery import dispatcher
from tlshttp._machinery import poller as module
from tlshttp._machinery.poller import READ, WRITE, Poller, SelectorPoller, create_poller, wait_for

POLLERS: list[Callable[[], Poller]] = [SelectorPoller]
if hasattr(module, "EpollPoller"):
    POLLERS.append(module.EpollPoller)


@pytest.fixture(params=POLLERS)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    """Return a poller of every kind this platform has."""
    made: Poller = request.param()
    yield made
    made.close()


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Make two sockets that are connected with each other."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two sockets that are connected with each other."""
    with connected() as both:
        yield both


Pair = tuple[socket.socket, socket.socket]


def test_a_descriptor_is_reported_as_long_as_it_is_ready(poller: Poller, pair: Pair) -> None:
    """A ready connection is reported again and again until it is removed."""
    ours, theirs = pair
    poller.add(ours.fileno(), READ)
    assert poller.wait(0) == []
    theirs.send(b"x")
    assert poller.wait(30 * UNIT) == poller.wait(30 * UNIT) == [ours.fileno()]
    poller.remove(ours.fileno())
    assert poller.wait(0) == []
    poller.add(ours.fileno(), READ)
    assert poller.wait(30 * UNIT) == [ours.fileno()]


def test_what_was_read_is_reported_no_more(poller: Poller, pair: Pair) -> None:
    """A connection need not be added anew to be silent again, and to be reported again."""
    ours, theirs = pair
    poller.add(ours.fileno(), READ)
    for _ in range(2):
        theirs.send(b"x")
        assert poller.wait(30 * UNIT) == [ours.fileno()]
        assert ours.recv(1) == b"x"
        assert poller.wait(0) == []


def test_writing_is_another_event(poller: Poller, pair: Pair) -> None:
    """A connection waits for what it asked for: room to write is not something to read."""
    ours, _ = pair
    poller.add(ours.fileno(), READ)
    assert poller.wait(0) == []
    poller.change(ours.fileno(), WRITE)
    assert poller.wait(30 * UNIT) == [ours.fileno()]
    poller.change(ours.fileno(), READ)
    assert poller.wait(0) == []


def test_removing_what_was_not_added_does_nothing(poller: Poller, pair: Pair) -> None:
    """A connection may be removed twice."""
    ours, theirs = pair
    poller.remove(ours.fileno())
    poller.add(ours.fileno(), READ)
    poller.remove(ours.fileno())
    poller.remove(ours.fileno())
    theirs.send(b"x")
    assert poller.wait(0) == []


def test_the_end_of_the_peer_is_something_to_read(poller: Poller, pair: Pair) -> None:
    """A peer that leaves does not leave the connection waiting."""
    ours, theirs = pair
    poller.add(ours.fileno(), READ)
    theirs.close()
    assert poller.wait(30 * UNIT) == [ours.fileno()]


@pytest.mark.parametrize("act", ["wake", "add"])
def test_another_thread_ends_the_wait(poller: Poller, pair: Pair, act: str) -> None:
    """A thread that wakes, or that adds a ready connection, is heard by one that waits."""
    ours, theirs = pair
    theirs.send(b"x")
    waiting = threading.Event()
    reports: list[int] = []

    def wait() -> None:
        waiting.set()
        while not reports and act == "add":
            reports.extend(poller.wait(60 * UNIT))
        if act == "wake":
            assert poller.wait(60 * UNIT) == []
            reports.append(-1)

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(30 * UNIT)
    if act == "add":
        poller.add(ours.fileno(), READ)
    else:
        poller.wake()
    thread.join(30 * UNIT)
    assert not thread.is_alive()
    assert reports == [ours.fileno() if act == "add" else -1]


@pytest.mark.skipif(not hasattr(module, "EpollPoller"), reason="no epoll on this platform")
def test_a_poller_can_wait_in_another(pair: Pair) -> None:
    """What one poller has to report makes its own descriptor ready in another."""
    outer, inner = module.EpollPoller(), module.EpollPoller()
    assert outer.waits_in_poller
    try:
        outer.add(inner.fileno(), READ)
        inner.add(pair[0].fileno(), READ)
        assert outer.wait(0) == []
        pair[1].send(b"x")
        assert outer.wait(30 * UNIT) == [inner.fileno()]
        assert inner.wait(0) == [pair[0].fileno()]
    finally:
        inner.close()
        outer.close()


def test_who_glances_again_and_again_sees_all(poller: Poller) -> None:
    """However many are ready, and nobody takes anything of them."""
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(connected()) for _ in range(100)]
        for ours, theirs in pairs:
            poller.add(ours.fileno(), READ)
            theirs.send(b"x")
        seen: set[int] = set()
        for _ in range(4):
            seen.update(poller.glance())
        assert seen == {ours.fileno() for ours, _ in pairs}
        for ours, _ in pairs:
            poller.remove(ours.fileno())
    assert poller.glance() == []


def test_many_wakes_are_one(poller: Poller) -> None:
    """However often it is woken, the next wait returns once for all of it, and never blocks."""
    for _ in range(100_000):
        poller.wake()
    for _ in range(100):
        if poller.wait(0) == []:
            break
    assert poller.wait(0) == []


def test_a_closed_connection_is_forgotten(poller: Poller) -> None:
    """A descriptor that is removed, closed and given out again is not confused with the old one."""
    with connected() as (ours, theirs):
        fd = ours.fileno()
        poller.add(fd, READ)
        poller.wait(0)
        theirs.send(b"x")
        poller.remove(fd)
    with connected() as (new, other):
        if new.fileno() != fd:
            pytest.skip("the system gave out another number")
        poller.add(fd, READ)
        assert poller.wait(0) == []
        other.send(b"x")
        assert poller.wait(30 * UNIT) == [fd]


def test_adding_what_is_closed_is_an_error(poller: Poller, pair: Pair) -> None:
    """Neither a closed connection nor a closed poller takes a wish, nor does waking it fail."""
    with pytest.raises(OSError, match=r"closed|negative|-1|Bad file"):
        poller.add(-1, READ)
    poller.add(pair[0].fileno(), READ)
    poller.close()
    with pytest.raises(OSError, match=r"closed|negative|-1|Bad file"):
        poller.change(pair[0].fileno(), READ)
    poller.wake()
    poller.remove(pair[0].fileno())


def test_create_poller_returns_the_best() -> None:
    """On Linux that is epoll."""
    made = create_poller()
    made.close()
    assert type(made) is POLLERS[-1]


def test_wait_for_waits_in_this_thread(pair: Pair) -> None:
    """One descriptor can be waited for without a poller, with a limit."""
    ours, theirs = pair
    assert wait_for(ours.fileno(), WRITE, None)
    assert not wait_for(ours.fileno(), READ, 0.01 * UNIT)
    theirs.send(b"x")
    assert wait_for(ours.fileno(), READ, 5 * UNIT)


def test_a_server_works_with_the_poller_of_other_platforms(
    server_class: type[Recording],
    server_context: ssl.SSLContext,
    any_client: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fresh and kept connections, one after the other and at once, are served with selectors."""
    monkeypatch.setattr(dispatcher, "create_poller", SelectorPoller)
    server = server_class(("127.0.0.1", 0), Plain, ssl_context=server_context)
    with serving(server), handshake(server.server_address, any_client) as kept:
        for number in range(20):
            path = f"/{number}"
            kept.sendall(request(path))
            assert read_response(kept).endswith(path.encode())
            assert get(server.server_address, any_client, path).endswith(path.encode())
    assert not server.events
