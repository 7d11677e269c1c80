"""Connections that end, wherever and however, leave nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.machinery.peers import (
    client_context,
    client_hello,
    connect,
    handshake,
    leave,
    read_response,
    request,
    reset,
)
from tests.machinery.program import ServerProcess, server_process
from tests.support import UNIT, wait_until

pytestmark = pytest.mark.exhaustive

CONTEXT = client_context()
HELLO = client_hello(CONTEXT)
HALF_HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Ha"
HALF_BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\nhalf"
MAX_WORKERS = 8
MEBIBYTE = 1 << 20


def raw(data: bytes, *, wait: bool = False) -> Callable[[Any], Any]:
    """Have a peer send bytes without TLS, and maybe wait for an answer."""

    def begin(address: Any) -> Any:
        sock = connect(address)
        if data:
            sock.sendall(data)
        if wait:
            sock.recv(1)
        return sock

    return begin


def secure(data: bytes, *, respond: bool = False, begin_response: bool = False) -> Any:
    """Have a peer send bytes after the handshake, and maybe read a response or its beginning."""

    def begin(address: Any) -> Any:
        sock = handshake(address, CONTEXT, rcvbuf=4096 if begin_response else None)
        if data:
            sock.sendall(data)
        if respond:
            read_response(sock)
        if begin_response:
            sock.recv(100)
        return sock

    return begin


CHEAP = {
    "silent": raw(b""),
    "partial hello": raw(HELLO[:100]),
    "garbage": raw(b"\0\0\0"),
    "broken hello": raw(HELLO[:60] + b"\xff" * 600),
    "plain": raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "half plain": raw(b"GET / HT"),
    "hello": raw(HELLO),
    "mid-handshake": raw(HELLO, wait=True),
}
DEAR = {
    "handshaken": secure(b""),
    "half head": secure(HALF_HEAD),
    "after response": secure(request(), respond=True),
    "half second head": secure(request() + HALF_HEAD, respond=True),
    "half small body": secure(HALF_BODY % 100),
    "half large body": secure(HALF_BODY % 100_000),
    "mid-response": secure(request("/large"), begin_response=True),
}
"""Phases behind a handshake, which costs time."""

AT_ONCE = 50
EACH_DEAR = 60
EACH_CHEAP = 580
TOTAL = 2 * (EACH_DEAR * len(DEAR) + EACH_CHEAP * len(CHEAP))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server_name", "part"),
    # Without threads there is less that can go wrong.
    [("ThreadingTLSHTTPServer", 1), ("TLSHTTPServer", 5)],
)
def test_ten_thousand_connections_leave_nothing(server_name: str, part: int) -> None:
    """Threads, descriptors and memory are as before, whatever phase the peers left in."""
    options = {"max_workers": MAX_WORKERS} if server_name.startswith("Threading") else {}
    with server_process(server_name, **options) as server:
        come_and_go(server, 2 * AT_ONCE, AT_ONCE + 1)
        memory, blocks, files = server.resident(), server.blocks(), server.files()
        before = server.stats().accepted
        come_and_go(server, EACH_CHEAP // part, EACH_DEAR // part)
        assert server.stats().accepted - before >= TOTAL // part
        grown, more = server.resident() - memory, server.blocks() - blocks
        sys.stdout.write(f"{grown / MEBIBYTE:.2f} MiB and {more} blocks of memory more\n")
        assert server.files() == files
        # The main thread, the loop's, the drainer and who reads the tests' questions. A thread that
        # went on beside handlers at work, when its peer had moved, ends after ten idle seconds.
        assert wait_until(lambda: server.threads() <= MAX_WORKERS + 4, timeout=30 * UNIT)
        # Not a block for ten connections. What OpenSSL takes is seen in the memory only, which is
        # never quite given back, but where one session is some 40 KiB.
        assert more <= 1000
        assert grown <= 16 * MEBIBYTE


def come_and_go(server: ServerProcess, each_cheap: int, each_dear: int) -> None:
    """Make connections of every kind and close them in either way, until the server has none."""
    for kinds, times in (CHEAP, each_cheap), (DEAR, each_dear):
        for begin in kinds.values():
            for end in leave, reset:
                for number in range(times):
                    # A peer may find the connection ended before it has said all.
                    with contextlib.suppress(OSError):
                        end(begin(server.address))
                    if number % AT_ONCE == 0:
                        # What many connections at once need is not what is asked here.
                        assert wait_until(lambda: gone(server))
    assert wait_until(lambda: gone(server), timeout=20 * UNIT)


def gone(server: ServerProcess) -> bool:
    """Return whether the server has let go of every connection."""
    stats = server.stats()
    return stats.active == 0 and not any(stats.parked.values())
