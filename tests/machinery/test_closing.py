"""Every connection ends as TLS and TCP want it: close_notify, no reset, and no waiting."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from tests.machinery.conftest import Recording, Serve
from tests.machinery.handlers import Classic, Gate, OneRequest, Plain, Streams
from tests.machinery.peers import (
    client_context,
    client_hello,
    connect,
    handshake,
    read_response,
    read_to_end,
    request,
)
from tests.support import UNIT, serving, wait_until
from tlshttp import Limits, errors
from tlshttp._machinery.tls_channel import TLSChannel
from tlshttp.errors import RequestRefused

LONG = 60 * UNIT
SHORT = 0.3 * UNIT
GRACE = 20.0 * UNIT
"""A slow machine may be that late; what is waited for would take longer still by itself."""


class Faulty(Plain):
    """Fail in every request."""

    def do_GET(self) -> None:
        """Fail."""
        raise LookupError("a mistake")


class Buffered(Plain):
    """Send a response through a buffer that is flushed at the end."""

    wbufsize = 1 << 16


def no_connections(server: Recording) -> bool:
    """Return whether every connection has ended."""
    stats = server.stats()
    return stats.active == 0 and not any(stats.parked.values())


@pytest.mark.parametrize(
    ("handler", "data", "status"),
    [
        (OneRequest, request(), 200),
        (OneRequest, request(version="1.0"), 200),
        (Plain, request(close=True), 200),
        (Plain, request(version="1.0"), 200),
        (Classic, request(close=True), 200),
        (Buffered, request(close=True), 200),
        (Plain, b"BREW / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 501),
        (Plain, b"GET / HTTP/9.9\r\n\r\n", 505),
        (Plain, b"nonsense\r\n\r\n", 400),
        (Plain, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (Plain, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (Plain, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n", 413),
        (Faulty, request(), 500),
    ],
)
def test_every_response_ends_cleanly(
    serve: Serve,
    tls_version: ssl.TLSVersion,
    handler: Any,
    data: bytes,
    status: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A client that insists on close_notify gets it after the last response, whatever it says."""
    with (
        serve(handler) as server,
        handshake(server.server_address, client_context(tls_version)) as sock,
    ):
        sock.sendall(data)
        assert b"%d" % status in read_to_end(sock)
    assert ("LookupError" in capfd.readouterr().err) == (handler is Faulty)


def test_who_stops_sending_between_two_requests_without_a_goodbye_is_told_none(
    serve: Serve, tls_version: ssl.TLSVersion
) -> None:
    """It would take an alert for a failure. To leave so is no event."""
    with serve(Plain) as server:
        with handshake(server.server_address, client_context(tls_version)) as sock:
            for number in range(2):
                sock.sendall(request(f"/{number}"))
                assert read_response(sock)
            with socket.socket(fileno=os.dup(sock.fileno())) as plain:
                plain.settimeout(15 * UNIT)
                plain.shutdown(socket.SHUT_WR)
                assert plain.recv(1) == b""
            assert wait_until(lambda: no_connections(server))
        assert not server.events


def test_half_a_request_with_the_end_behind_it_is_not_between_two(
    gate: type[Gate], server_context: ssl.SSLContext, tls_version: ssl.TLSVersion
) -> None:
    """Whoever cut it, the event says so, be it there at once or one after the other."""
    client, server = (
        client_context(tls_version),
        Recording(("127.0.0.1", 0), gate, ssl_context=server_context),
    )
    with serving(server), handshake(server.server_address, client) as sock:
        sock.sendall(request("/"))
        assert read_response(sock)
        with handshake(server.server_address, client) as busy:
            busy.sendall(request("/wait"))
            assert gate.entered.acquire(timeout=30 * UNIT)
            sock.sendall(b"GET / HT")
            socket.socket.shutdown(sock, socket.SHUT_WR)
            gate.opened.set()
            assert read_response(busy)
        assert wait_until(lambda: no_connections(server))
    assert ["close_notify" in str(error) for error, _ in server.events] == [True]


def test_server_close_ends_cleanly(serve: Serve, tls_version: ssl.TLSVersion) -> None:
    """Idle clients, and those that have not asked yet, see the end when the server closes."""
    context = client_context(tls_version)
    with contextlib.ExitStack() as stack:
        with serve(Plain) as server:
            idle, fresh = (
                stack.enter_context(handshake(server.server_address, context)) for _ in range(2)
            )
            idle.sendall(request())
            read_response(idle)
        assert idle.recv(1) == fresh.recv(1) == b""


def test_a_silent_peer_is_not_waited_for(serve: Serve, tls_version: ssl.TLSVersion) -> None:
    """A client that does not answer close_notify neither delays others nor keeps its place."""
    limits = Limits(linger_timeout=LONG)
    context = client_context(tls_version)
    with (
        serve(Plain, limits) as server,
        handshake(server.server_address, context) as silent,
    ):
        silent.sendall(request(close=True))
        assert read_to_end(silent).endswith(b"\r\n\r\n/")
        assert wait_until(lambda: no_connections(server), timeout=GRACE)


EARLY = {
    413: b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n",
    200: b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n",
    414: b"GET /",
    431: b"GET / HTTP/1.1\r\nX: ",
}


@pytest.mark.parametrize("handler", [Streams, Classic])
@pytest.mark.parametrize("status", EARLY)
def test_an_early_response_reaches_a_client_that_is_still_sending(
    serve: Serve, tls_version: ssl.TLSVersion, status: int, handler: Any
) -> None:
    """A client that first sends all of its 4 MB can then read what was answered after the head."""
    limits = Limits(max_body_bytes=1000 if status == 413 else None, linger_timeout=LONG)
    with (
        serve(handler, limits) as server,
        handshake(server.server_address, client_context(tls_version)) as sock,
    ):
        sock.sendall(EARLY[status])
        for _ in range(40):
            sock.sendall(b"x" * 100_000)
        assert read_to_end(sock).startswith(b"HTTP/1.1 %d " % status)
        assert wait_until(lambda: server.stats().parked["closing"] == 1)
        sock.unwrap().close()
        assert wait_until(lambda: no_connections(server), timeout=GRACE)
    refused = [] if status == 200 else [RequestRefused]
    assert [type(error) for error, _ in server.events] == refused


def test_lingering_ends(serve: Serve) -> None:
    """A client that neither reads nor closes after an early response is let go in time."""
    limits = Limits(linger_timeout=SHORT)
    with (
        serve(Streams, limits) as server,
        handshake(server.server_address, client_context()) as sock,
    ):
        began = time.monotonic()
        sock.sendall(EARLY[200])
        read_response(sock)
        assert wait_until(lambda: no_connections(server), timeout=SHORT + GRACE)
        assert time.monotonic() - began > SHORT - 0.01 * UNIT
    assert not server.events


def after_response(address: Any) -> Any:
    """Return a connection that lingers behind an early response."""
    sock = handshake(address, client_context())
    sock.sendall(EARLY[200])
    read_response(sock)
    return sock


def after_failed_handshake(address: Any) -> Any:
    """Return a connection that lingers behind a broken handshake."""
    sock = connect(address)
    sock.sendall(client_hello(client_context())[:60] + b"\xff" * 2000)
    sock.recv(1)
    return sock


@pytest.mark.parametrize("start", [after_response, after_failed_handshake])
def test_lingering_ends_for_a_peer_that_does_not_stop_sending(
    serve: Serve, start: Callable[[Any], Any]
) -> None:
    """Bytes without end do not keep a connection beyond its time."""
    limits = Limits(linger_timeout=SHORT)
    with serve(Streams, limits) as server, start(server.server_address) as sock:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 2 * GRACE:
                sock.sendall(bytes(10_000))
        assert time.monotonic() - began < SHORT + GRACE


def test_a_slow_reader_gets_the_end_as_well(serve: Serve, tls_version: ssl.TLSVersion) -> None:
    """close_notify is not lost when the response has filled all buffers on the way."""

    class Sized(OneRequest):
        def do_GET(self) -> None:
            """Send as many bytes as the path tells."""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bytes(int(self.path[1:])))

    context = client_context(tls_version)
    with serve(Sized) as server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
        for size in range(80_000, 90_000, 500):
            with handshake(server.server_address, context, rcvbuf=4096) as sock:
                sock.sendall(request(f"/{size}", version="1.0"))
                # Until then the buffers fill up, and the server may have sent all.
                wait_until(lambda: server.stats().active == 0, timeout=0.03 * UNIT)
                assert len(read_to_end(sock)) > size


def test_the_goodbye_leaves_with_the_response(
    serve: Serve, tls_version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that asked for one response has it and its end in one piece."""
    pushed: list[bool] = []
    push = TLSChannel._push

    def counted(self: TLSChannel) -> bool:
        pushed.append(self._outgoing.pending > 0)
        return push(self)

    with serve(OneRequest) as server, handshake(server.server_address, client_context()) as sock:
        assert wait_until(lambda: server.stats().handshakes == 1)
        monkeypatch.setattr(TLSChannel, "_push", counted)
        sock.sendall(request(close=True))
        assert read_to_end(sock).startswith(b"HTTP/1.0 200 OK")
        assert wait_until(lambda: no_connections(server))
    assert pushed.count(True) == 1


class Closes(Plain):
    """Close the connection in the middle of a request, in the way that the path names."""

    finished: ClassVar[threading.Semaphore]

    def do_GET(self) -> None:
        """Close."""
        match self.path:
            case "/close":
                self.connection.close()
            case "/shutdown":
                self.connection.shutdown(socket.SHUT_RDWR)
            case hook:
                getattr(self.server, hook[1:])(self.request)

    def finish(self) -> None:
        """Take note."""
        self.finished.release()
        super().finish()


@pytest.mark.parametrize("way", ["/close", "/shutdown", "/shutdown_request", "/close_request"])
def test_a_handler_that_closes_is_finished_all_the_same(
    serve: Serve, capfd: pytest.CaptureFixture[str], way: str
) -> None:
    """Whatever it has to give back in ``finish()`` is given back, once, and nothing fails."""
    handler: Any = type("OwnCloses", (Closes,), {"finished": threading.Semaphore(0)})
    with serve(handler) as server:
        with handshake(server.server_address, client_context()) as sock:
            sock.sendall(request(way))
            with contextlib.suppress(OSError):
                assert sock.recv(1) == b""
        assert handler.finished.acquire(timeout=30 * UNIT)
        assert wait_until(lambda: no_connections(server))
        assert not handler.finished.acquire(blocking=False)
    assert "Traceback" not in capfd.readouterr().err
    assert not server.events


@pytest.mark.parametrize("close", [True, False], ids=["closed", "kept"])
def test_nothing_is_left_for_the_garbage_collector(serve: Serve, close: bool) -> None:
    """A handler goes with its connection, at once; with it goes all that it has, TLS included."""
    seen: list[weakref.ref[Any]] = []

    class Seen(Plain):
        def setup(self) -> None:
            super().setup()
            request = self.request
            seen.extend(map(weakref.ref, (self, self.rfile, self.wfile, request)))
            seen.append(weakref.ref(request._channel.tls))

    gc.collect()
    gc.disable()
    try:
        with serve(Seen) as server:
            for _ in range(3):
                with handshake(server.server_address, client_context()) as sock:
                    sock.sendall(request(close=close))
                    read_response(sock)
            assert wait_until(lambda: len(seen) == 15 and no_connections(server))
            assert wait_until(lambda: not any(made() for made in seen))
    finally:
        gc.enable()


def test_what_a_server_that_closes_cannot_send_is_an_event(
    server_class: type[Recording],
    server_context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever has taken a part of a response when its time is over is cut, and told so."""
    monkeypatch.setattr("tlshttp._machinery.closing._PATIENCE_SECONDS", 0.1 * UNIT)
    server = server_class(("127.0.0.1", 0), Plain, ssl_context=server_context)
    with serving(server), handshake(server.server_address, client_context()) as sock:
        sock.sendall(request("/large"))
        assert wait_until(lambda: server.stats().parked["response"] == 1)
        server.shutdown()
        server.server_close()
        assert [type(event) for event, _ in server.events] == [errors.ResponseAborted]
        with pytest.raises(OSError, match=r"EOF|reset"):
            read_to_end(sock)
