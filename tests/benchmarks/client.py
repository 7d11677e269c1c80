"""Our own load: connections that other tools cannot make.

It is plain Python on the load's core, so rates it reaches say little; what it makes the server use
and how long the server takes to answer say what they should.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Final

from tests.benchmarks.apps import BODY
from tests.benchmarks.ground import NotServed

_HOST: Final = "127.0.0.1"
_TIMEOUT_SECONDS: Final = 5.0
_THREADS: Final = 4

_HEAD: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n"
KEEP: Final = _HEAD + b"\r\n"
CLOSE: Final = _HEAD + b"Connection: close\r\n\r\n"


def create_context() -> ssl.SSLContext:
    """Return a context for TLS 1.3 that trusts whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def connect(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> ssl.SSLSocket:
    """Open a connection and shake hands."""
    raw = connect_raw(port)
    try:
        return context.wrap_socket(raw, session=session)
    except BaseException:
        raw.close()
        raise


def connect_raw(port: int) -> socket.socket:
    """Open a connection."""
    return socket.create_connection((_HOST, port), timeout=_TIMEOUT_SECONDS)


def get_once(port: int) -> None:
    """Open a connection, get the thirteen bytes and close it."""
    with connect(port, create_context()) as peer:
        exchange(peer, CLOSE)


def exchange(peer: ssl.SSLSocket, request: bytes) -> None:
    """Send a request for the thirteen bytes and take in the answer.

    Raises:
        NotServed: The answer is another one.
    """
    peer.sendall(request)
    answer = b""
    while not answer.endswith(BODY):
        data = peer.recv(4096)
        if not data:
            break
        answer += data
    if not (answer.startswith(b"HTTP/1.") and b" 200 " in answer[:14] and answer.endswith(BODY)):
        raise NotServed(f"answered {answer[:40]!r}")


# Connect, GET, close ------------------------------------------------------------------------------


def connections_for(port: int, seconds: float, *, resume: bool) -> int:
    """Connect, get and close from a few threads for some time; return how often.

    Raises:
        NotServed: A connection failed, or a session was not resumed that should have been.
    """
    counts: list[int] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            counts.append(_connections_until(port, time.monotonic() + seconds, resume=resume))
        except (NotServed, OSError) as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise NotServed(str(failures[0])) from failures[0]
    return sum(counts)


def _connections_until(port: int, end: float, *, resume: bool) -> int:
    context = create_context()
    session = None
    for count in itertools.count():
        if time.monotonic() >= end:
            return count
        with connect(port, context, session) as peer:
            exchange(peer, CLOSE)
            if session is not None and not peer.session_reused:
                raise NotServed("does not resume sessions")
            while peer.recv(4096):  # the end
                pass
            session = peer.session if resume else None
    raise AssertionError


def latencies(port: int, count: int) -> list[float]:
    """Connect, get and close one after the other; return how long each took, in milliseconds."""
    context = create_context()
    taken = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(count):
            begin = time.perf_counter()
            with connect(port, context) as peer:
                exchange(peer, CLOSE)
            taken.append((time.perf_counter() - begin) * 1000)
    finally:
        gc.enable()
    return taken


# Connections that stay ----------------------------------------------------------------------------


def open_silent(port: int, count: int, stack: contextlib.ExitStack) -> None:
    """Open connections that say nothing."""
    for _ in range(count):
        stack.enter_context(connect_raw(port))


def open_idle(port: int, count: int, stack: contextlib.ExitStack) -> None:
    """Open connections that had one request answered and keep silent since.

    Raises:
        NotServed: The server does not keep them open.
    """
    context = create_context()
    peers = []
    for _ in range(count):
        peers.append(stack.enter_context(connect(port, context)))
        exchange(peers[-1], KEEP)
    if not all(_is_open(peer) for peer in peers):
        raise NotServed("does not keep the connections open")


def _is_open(peer: ssl.SSLSocket) -> bool:
    """Return whether the server has neither closed a connection nor said anything."""
    peer.settimeout(0)
    try:
        peer.recv(1)
    except ssl.SSLWantReadError:
        return True
    return False


def open_stalled(port: int, count: int, stack: contextlib.ExitStack) -> None:
    """Open connections that stop half-way: a quarter each of the four ways there are.

    After the handshake, in the middle of a request head, before the first byte, and in the
    middle of the ClientHello. Those that shake hands come first: where the others block the
    server, they could not.
    """
    context = create_context()
    hello = client_hello(context)
    quarter = count // 4
    for _ in range(quarter):
        stack.enter_context(connect(port, context))
        stack.enter_context(connect(port, context)).sendall(_HEAD[:30])
    for _ in range(quarter):
        stack.enter_context(connect_raw(port)).sendall(hello[:100])
    open_silent(port, count - 3 * quarter, stack)


def client_hello(context: ssl.SSLContext) -> bytes:
    """Return the first flight of a handshake."""
    sent = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    return sent.read()


@contextlib.contextmanager
def held(stack: contextlib.ExitStack) -> Iterator[None]:
    """Turn what sockets raise meanwhile into the server's failure to serve."""
    with stack:
        try:
            yield
        except TimeoutError as error:
            raise NotServed("stops serving") from error
        except OSError as error:
            raise NotServed(f"breaks connections: {error}") from error
