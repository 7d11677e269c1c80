"""Who accepts, and when: the leader, the loop where no worker is free, nobody after the end."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import types
from collections.abc import Iterable
from typing import Any, cast

import pytest

from tests.machinery.conftest import Recording, RecordingThreading, change_limits, serving
from tests.machinery.handlers import Plain, new_gate
from tests.machinery.peers import (
    client_context,
    client_hello,
    closing_all,
    connect,
    handshake,
    read_response,
    request,
)
from tests.support import UNIT, wait_until
from tlshttp import ThreadingTLSHTTPServer, errors
from tlshttp._machinery.listener import Listener
from tlshttp._machinery.registry import Registry


@pytest.fixture
def acceptors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return where the names of the threads that let somebody in are noted down."""
    names: list[str] = []
    admit = Listener._admit

    def noted(self: Listener, sock: Any, address: object) -> None:
        names.append(threading.current_thread().name)
        admit(self, sock, address)

    monkeypatch.setattr(Listener, "_admit", noted)
    return names


def test_the_leader_accepts(server_context: ssl.SSLContext, acceptors: list[str]) -> None:
    """A connection is not handed from thread to thread before it has said anything."""
    server = RecordingThreading(("127.0.0.1", 0), Plain, ssl_context=server_context)
    with serving(server), handshake(server.server_address, client_context()) as sock:
        sock.sendall(request())
        read_response(sock)
    assert [name.startswith("tlshttp-worker") for name in acceptors] == [True]


@pytest.mark.parametrize("kind", [Recording, RecordingThreading])
def test_who_has_said_something_by_then_is_answered_without_another_look(
    kind: Any, server_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first turn of a connection is that in which it is accepted."""
    reported: list[int] = []
    take = Registry.take

    def noted(registry: Registry, fds: Iterable[int]) -> Any:
        reported.extend(fds)
        return take(registry, fds)

    monkeypatch.setattr(Registry, "take", noted)
    server = kind(("127.0.0.1", 0), Plain, ssl_context=server_context)
    with connect(server.server_address) as sock:
        sock.sendall(client_hello(client_context()))
        with serving(server):
            assert sock.recv(1) == b"\x16"  # a handshake record
            assert not reported


@pytest.mark.parametrize("kind", [Recording, RecordingThreading])
def test_who_has_not_is_taken_up_when_it_does(kind: Any, server_context: ssl.SSLContext) -> None:
    """And is there for whoever looks after deadlines, or needs its place, until then."""
    server = kind(("127.0.0.1", 0), Plain, ssl_context=server_context)
    registry = server._TLSHTTPServer__loop.registry
    with serving(server), connect(server.server_address) as sock:
        assert wait_until(lambda: [one.parked for one in registry] == [True])
        sock.sendall(client_hello(client_context()))
        assert sock.recv(1) == b"\x16"


def test_peers_are_accepted_while_every_worker_is_busy(
    server_context: ssl.SSLContext, acceptors: list[str]
) -> None:
    """With all workers in handlers, others are let in and silent ones cut at their deadline."""
    gate = new_gate()
    server = RecordingThreading(("127.0.0.1", 0), gate, ssl_context=server_context, max_workers=2)
    with serving(server), closing_all([]) as socks:
        try:
            for _ in range(2):
                socks.append(handshake(server.server_address, client_context()))
                socks[-1].sendall(request("/wait"))
                assert gate.entered.acquire(timeout=30 * UNIT)
            change_limits(server, handshake_timeout=0.3 * UNIT)
            before = len(acceptors)
            socks.extend(connect(server.server_address) for _ in range(20))
            assert wait_until(lambda: server.stats().accepted == 22)
            assert len(acceptors) == before + 20
            assert wait_until(lambda: len(server.events) == 20)
            assert {type(error) for error, _ in server.events} == {errors.HandshakeTimeout}
        finally:
            gate.opened.set()
        for sock in socks[:2]:
            read_response(sock)


@pytest.mark.parametrize("hook", ["get_request", "verify_request"])
def test_hooks_of_accepting_run_in_the_loops_thread(
    server_context: ssl.SSLContext, acceptors: list[str], hook: str
) -> None:
    """A hook of the user's is called by one thread, the one in ``serve_forever()``."""
    threads: list[str] = []

    def noted(self: Any, *arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return getattr(super(kind, self), hook)(*arguments)

    kind: Any = type("Hooked", (ThreadingTLSHTTPServer,), {hook: noted})
    with serving(kind(("127.0.0.1", 0), Plain, ssl_context=server_context)) as server:
        for _ in range(3):
            with handshake(server.server_address, client_context()) as sock:
                sock.sendall(request())
                read_response(sock)
    assert set(threads) == set(acceptors) == {"loop"}


def test_nobody_is_accepted_after_shutdown(server_context: ssl.SSLContext) -> None:
    """Not even by a leader that is still at work for those who are connected."""
    server: Any = RecordingThreading(("127.0.0.1", 0), Plain, ssl_context=server_context)
    leaders = server._TLSHTTPServer__loop._leaders

    def ask() -> None:
        with (
            contextlib.suppress(EOFError, OSError),  # in the end
            handshake(server.server_address, client_context()) as sock,
        ):
            while True:
                sock.sendall(request())
                read_response(sock)

    loop = threading.Thread(target=server.serve_forever, args=(0.1,))
    asking = threading.Thread(target=ask)
    loop.start()
    asking.start()
    try:
        assert wait_until(lambda: server.stats().requests > 10)
        server.shutdown()
        loop.join()
        with connect(server.server_address):
            assert wait_until(lambda: not leaders.present)  # it has seen that somebody is there
            assert server.stats().accepted == 1
    finally:
        server.server_close()
        asking.join()


def test_peers_15_closing_and_reopening_at_once(server_context: ssl.SSLContext) -> None:
    """Whoever reopens while another accepts, and closes again for want of room, does one of both.

    Before, the socket was watched and taken for closed, and the next to reopen it failed.
    """

    class Poller:
        def __init__(self) -> None:
            self.watched: set[int] = set()

        def add(self, fd: int, _mask: int) -> None:
            if fd in self.watched:
                raise FileExistsError(fd)
            other = threading.Thread(target=listener.accept)
            other.start()
            other.join()
            self.watched.add(fd)

        def remove(self, fd: int) -> None:
            self.watched.discard(fd)

    class FullLoop:
        trusted_proxies = ()

        room = types.SimpleNamespace(has_room=lambda: False)

        woken = 0

        def wake(self) -> None:
            self.woken += 1

    poller, loop = Poller(), FullLoop()
    listener = Listener(cast("Any", loop), cast("Any", poller))
    listener.listen(3)
    assert listener.is_closed is not bool(poller.watched)
    listener.accept()
    for _ in range(3):
        listener.reopen(time.monotonic() + 3600)
        assert listener.is_closed is not bool(poller.watched)
        listener.accept()
        assert (listener.is_closed, poller.watched) == (True, set())
    assert loop.woken == 4, "the loop does not look when to reopen"
