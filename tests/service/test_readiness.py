"""A service is ready as long as somebody serves, whoever of it is asked."""

from __future__ import annotations

import signal
import ssl
import sys
from contextlib import ExitStack

import pytest

from tests.machinery.peers import handshake, read_response, read_to_end, request
from tests.service.program import Service, running

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and fork() of Unix"),
    pytest.mark.thorough,
]


def told_while_asked(one: Service, number: int, among: set[int] | None = None) -> tuple[bytes, int]:
    """Send a signal, and return what a process says that drains: whether it is ready; and who.

    It has one connection that is idle, and is closed when it drains, and one on which half of the
    question has come.

    Args:
        one: The service.
        number: The signal.
        among: Who may be asked; `None`: anybody.
    """
    with ExitStack() as sockets:
        idle: dict[int, ssl.SSLSocket] = {}
        while True:
            sock = sockets.enter_context(handshake(one.address, one.client))
            sock.sendall(request())
            pid = int(read_response(sock).rpartition(b"\r\n")[2])
            if pid in idle and (among is None or pid in among):
                break
            idle[pid] = sock
        sock.sendall(b"GET /readyz HTTP/1.1\r\n")
        one.tell(number)
        assert idle[pid].recv(1) == b""
        sock.sendall(b"Host: localhost\r\n\r\n")
        return read_to_end(sock), pid


def test_who_makes_way_is_ready_and_who_ends_is_not() -> None:
    """A worker whose place is taken says 200 while it drains; when all end each says 503."""
    with running(workers=2) as one:
        response, replaced = told_while_asked(one, signal.SIGHUP)
        assert response.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close\r\n" in response
        response, last = told_while_asked(one, signal.SIGTERM, one.workers() - {replaced})
        assert response.startswith(b"HTTP/1.1 503 ")
        assert b"is draining" in response
        assert last != replaced
