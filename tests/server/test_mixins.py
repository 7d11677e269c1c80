from __future__ import annotations

import contextlib
import http.client
import os
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.server.support import (
    Client,
    OneRequest,
    Plain,
    ask,
    combine,
    ends,
    read_all,
    running,
    start,
)
from tests.support import UNIT, wait_until
from tlshttp import Limits, TLSHTTPServer, certs

LARGE = 5_000_000

MIXINS = [
    socketserver.ThreadingMixIn,
    pytest.param(
        getattr(socketserver, "ForkingMixIn", None),
        marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork()"),
    ),
]

pytestmark = [
    # Python 3.12 warns of fork() while there are threads: those of the tests, not of the server.
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


class Tells(Plain):
    """A handler that tells where it runs, and does this and that."""

    def do_GET(self) -> None:
        match self.path:
            case "/where":
                self.reply(f"{os.getpid()} {threading.get_ident()}".encode())
            case "/large":
                self.reply(b"x" * LARGE)
            case "/raise":
                raise LookupError("as asked")
            case _:
                super().do_GET()


@pytest.fixture(params=MIXINS, ids=["threading", "forking"])
def mixed(
    request: pytest.FixtureRequest,
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
) -> Iterator[Callable[..., TLSHTTPServer]]:
    """Return what runs a server of either class under one of `socketserver`'s mix-ins."""
    with contextlib.ExitStack() as stack:

        def mixed(handler: Any = Tells, *hooks: type, linger_timeout: float = 0.1) -> TLSHTTPServer:
            server: TLSHTTPServer = combine(*hooks, request.param, server_class)(
                ("127.0.0.1", 0), handler, ssl_context=server_context,
                limits=Limits(linger_timeout=linger_timeout),
            )  # fmt: skip
            return stack.enter_context(running(server))

        yield mixed


Mixed = Callable[..., TLSHTTPServer]

# A forked process has a copy of the client's socket, too, when the client is in this process: then
# nobody sees it closed. So clients here say goodbye, or are programs of their own, and a server
# does not wait for a client's end longer than this.
LIMITS = Limits(linger_timeout=0.1)

LEAVES = """
import socket, ssl, sys
context = ssl.create_default_context(cadata=sys.stdin.read())
raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
with context.wrap_socket(raw, server_hostname="localhost") as sock:
    sock.sendall(b"GET /large HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    sock.recv(1)
"""


POSTS = """
import http.client, ssl, sys
context = ssl.create_default_context(cadata=sys.stdin.read())
connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=context)
connection.request("POST", "/", body=b"x" * 1_000_000)
print(connection.getresponse().status)
"""


def visit(program: str, server: TLSHTTPServer, certificate: certs.Certificate) -> str:
    """Have a program of its own visit the server; return what it says."""
    command = [sys.executable, "-c", program, str(server.server_port)]
    pem = certificate.to_pem().decode()
    return subprocess.run(
        command, input=pem, stdout=subprocess.PIPE, text=True, check=True, timeout=50 * UNIT
    ).stdout


@contextlib.contextmanager
def kept_alive(client: Client, server: TLSHTTPServer) -> Iterator[http.client.HTTPSConnection]:
    """Open a connection for several requests; say goodbye in the end."""
    with contextlib.closing(client.http(server)) as connection:
        yield connection
        if connection.sock is not None:  # the server has not closed first
            connection.sock.unwrap()


def test_each_connection_has_its_own_thread_or_process(mixed: Mixed, client: Client) -> None:
    """Two connections at once are served apart; the requests of each, in one place."""
    server = mixed()
    with (
        kept_alive(client, server) as one,
        kept_alive(client, server) as other,
    ):
        places = [[ask(each, "GET", "/where").body for each in (one, other)] for _ in range(3)]
    assert places[0] == places[1] == places[2]
    here = f"{os.getpid()} {threading.get_ident()}".encode()
    assert len({*places[0], here}) == 3


def test_large_response_arrives_whole(mixed: Mixed, versioned_client: Client) -> None:
    """Five million bytes and an orderly end come through."""
    answer = versioned_client.exchange(mixed(), b"GET /large HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n" + b"x" * LARGE)


def test_large_request_arrives_whole(mixed: Mixed, client: Client) -> None:
    """A body that is read by the handler, and not by the loop, comes through."""
    body = os.urandom(1_000_000)
    with kept_alive(client, mixed()) as connection:
        assert ask(connection, "POST", body=body).body == body


def test_early_end_with_an_unread_body_reaches_the_client(
    mixed: Mixed, certificate: certs.Certificate
) -> None:
    """A response to a request whose body was not read is not destroyed by a reset."""

    class Refuses(Plain):
        def do_POST(self) -> None:
            self.send_error(403)

    assert visit(POSTS, mixed(Refuses, linger_timeout=60 * UNIT), certificate) == "403\n"


def test_exception_is_a_500_with_a_traceback(
    mixed: Mixed, client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """An exception in the thread or process is reported there, and others are served."""
    server = mixed()
    answer = client.exchange(server, b"GET /raise HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    with kept_alive(client, server) as connection:
        assert ask(connection, "GET", "/served").body == b"/served"
    seen: list[str] = []

    def printed() -> bool:
        seen.append(capfd.readouterr().err)
        return "LookupError: as asked" in "".join(seen)

    assert wait_until(printed)


def test_client_that_leaves_is_no_traceback(
    mixed: Mixed,
    client: Client,
    certificate: certs.Certificate,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A client that does not take its response leaves the server as it was."""
    server = mixed()
    for _ in range(3):
        visit(LEAVES, server, certificate)
    with kept_alive(client, server) as connection:
        assert ask(connection, "GET", "/served").body == b"/served"
    server.shutdown()
    server.server_close()
    assert "Traceback" not in capfd.readouterr().err


def test_silent_peers_take_no_thread_and_no_process(mixed: Mixed, client: Client) -> None:
    """Threads and processes are made for requests, not for connections."""
    server = mixed()
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(client.dial(server))
            stack.enter_context(client.connect(server)).sendall(b"GET / HT")
        assert wait_until(lambda: server.stats().parked["request"] == 10)
        threads = [t for t in threading.enumerate() if "process_request" in t.name]
        assert threads == []
        assert not getattr(server, "active_children", None)
        with kept_alive(client, server) as connection:
            assert ask(connection, "GET", "/served").body == b"/served"


def test_server_close_waits_for_threads_and_processes(mixed: Mixed, client: Client) -> None:
    """With ``block_on_close``, as by default, nobody is running when ``server_close()`` returns."""
    server = mixed()
    with client.connect(server) as sock:
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = sock.recv(1)
        server.shutdown()
        closing = start(server.server_close)
        received += read_all(sock)
        assert ends(closing)
    assert received.endswith(b"x" * 1000)
    assert len(received) > LARGE
    assert [t for t in threading.enumerate() if "process_request" in t.name] == []


def test_a_thread_or_process_of_http_1_0_serves_one_request(mixed: Mixed, client: Client) -> None:
    """A class that says nothing of HTTP/1.1 has its clients go, as on `http.server`.

    Otherwise forty idle clients are as many children as `ForkingMixIn` has.
    """

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *arguments: object) -> None:
            pass

    server = mixed(Silent)
    with client.connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = read_all(sock)
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nok")


def test_a_handler_that_outlives_its_server_sends_by_itself(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, client: Client
) -> None:
    """Where ``server_close()`` does not wait, a response that is begun afterwards arrives whole."""
    entered, closed = threading.Event(), threading.Event()

    class Late(Tells):
        def do_GET(self) -> None:
            entered.set()
            closed.wait(60 * UNIT)
            super().do_GET()

    server = combine(socketserver.ThreadingMixIn, server_class)(
        ("127.0.0.1", 0), Late, ssl_context=server_context, limits=LIMITS
    )
    server.block_on_close = False
    with running(server), client.connect(server) as sock:
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert entered.wait(60 * UNIT)
        server.shutdown()
        server.server_close()
        closed.set()
        assert len(read_all(sock)) > LARGE
        threads = [t for t in threading.enumerate() if "process_request" in t.name]
    for thread in threads:
        thread.join()


def test_mixin_reports_a_slow_or_lost_peer_as_an_event(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, client: Client
) -> None:
    """Under `socketserver.ThreadingMixIn` a cut connection is counted as everywhere else."""
    server = combine(socketserver.ThreadingMixIn, server_class)(
        ("127.0.0.1", 0), Tells, ssl_context=server_context
    )
    with running(server):
        with client.connect(server) as sock:
            sock.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.recv(1)
        assert wait_until(lambda: server.stats().cut == {"disconnected": 1})


def test_children_are_collected(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, client: Client
) -> None:
    """`socketserver.ForkingMixIn` collects its children while the server runs."""
    if not hasattr(os, "fork"):
        pytest.skip("this platform has no fork()")
    server = combine(socketserver.ForkingMixIn, server_class)(
        ("127.0.0.1", 0), OneRequest, ssl_context=server_context
    )
    with running(server):
        for _ in range(3):
            assert client.get(server).status == 200
        assert wait_until(lambda: not server.active_children, timeout=30 * UNIT)


def test_thread_that_outlives_the_server_leaves_no_socket(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, client: Client
) -> None:
    """Whoever ends a connection after the server has closed closes it, though its peer is there."""
    in_handler, server_is_closed, done = (threading.Event() for _ in range(3))

    class Late(Plain):
        def do_POST(self) -> None:
            in_handler.set()
            assert server_is_closed.wait(60 * UNIT)
            self.send_error(403)

    class Server(socketserver.ThreadingMixIn, server_class):  # type: ignore[valid-type,misc]
        block_on_close = False

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            super().process_request_thread(request, client_address)
            done.set()

    limits = Limits(linger_timeout=UNIT)  # the peer, which sends no more, does not close first
    server = Server(("127.0.0.1", 0), Late, ssl_context=server_context, limits=limits)
    with running(server), client.connect(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n")
        assert in_handler.wait(30 * UNIT)
        server.shutdown()
        server.server_close()
        server_is_closed.set()
        assert done.wait(60 * UNIT)
        assert read_all(sock).startswith(b"HTTP/1.1 403 ")
