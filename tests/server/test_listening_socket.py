"""A listening socket that was made elsewhere is served as one that the server has bound."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.conftest import serving
from tests.machinery.handlers import Plain
from tests.machinery.peers import client_context, get
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, context
from tlshttp.errors import ConfigurationError

SERVERS = [TLSHTTPServer, ThreadingTLSHTTPServer]


@pytest.fixture(scope="module")
def ssl_context() -> ssl.SSLContext:
    """Return a server's context."""
    return context.create_server_context(certs.self_signed("localhost"))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a socket that listens with a queue of three."""
    with socket.create_server(("127.0.0.1", 0), backlog=3) as sock:
        yield sock


@pytest.mark.parametrize("server_class", SERVERS)
def test_people_u4_it_is_served_and_closed_with_the_server(
    server_class: Any, ssl_context: ssl.SSLContext, listener: socket.socket
) -> None:
    """Requests that come by the socket are answered; server_close() closes it."""
    address = listener.getsockname()
    server = server_class(None, Plain, ssl_context=ssl_context, listening_socket=listener)
    assert server.socket is listener
    assert server.server_address == address
    assert server.url == f"https://127.0.0.1:{address[1]}"
    with serving(server):
        assert get(address, client_context(), "/here").endswith(b"/here")
    assert listener.fileno() == -1


def test_the_address_gives_the_name(ssl_context: ssl.SSLContext, listener: socket.socket) -> None:
    """A server known by a name says so in its URL, whatever the socket is bound to."""
    with TLSHTTPServer(
        ("www.example.org", 443), Plain, ssl_context=ssl_context, listening_socket=listener
    ) as server:
        assert server.url == f"https://www.example.org:{listener.getsockname()[1]}"


def test_a_socket_that_is_only_bound_is_made_to_listen(ssl_context: ssl.SSLContext) -> None:
    """What somebody has bound without listening is listened on, unless told not to."""
    for activate in (True, False):
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        with TLSHTTPServer(
            None, Plain, activate, ssl_context=ssl_context, listening_socket=sock
        ) as server:
            assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == activate
            assert server.server_port == sock.getsockname()[1]


class Asked(Plain):
    """Tells how many bytes the kernel takes for its client before they may be sent."""

    def do_GET(self) -> None:
        """Answer with their number."""
        option = socket.TCP_NOTSENT_LOWAT
        self._answer(b"%d" % self.connection.getsockopt(socket.IPPROTO_TCP, option))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no such limit")
@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize("is_given", [False, True])
def test_peers_10_the_kernel_does_not_take_megabytes_for_who_reads_nothing(
    server_class: Any, ssl_context: ssl.SSLContext, listener: socket.socket, *, is_given: bool
) -> None:
    """Whoever has made the socket. It is memory that nobody counts, and work done for nothing."""
    options = {"listening_socket": listener} if is_given else {}
    address = None if is_given else ("127.0.0.1", 0)
    server = server_class(address, Asked, ssl_context=ssl_context, **options)
    with serving(server):
        assert get(server.server_address, client_context(), "/").endswith(b"\r\n262144")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no such limit")
@pytest.mark.parametrize("server_class", SERVERS)
def test_nor_where_somebody_else_has_made_it_listen(
    server_class: Any, ssl_context: ssl.SSLContext, listener: socket.socket
) -> None:
    """By a ``server_activate()`` of one's own, or before it was put in place of the server's."""

    class Own(server_class):  # type: ignore[misc]
        def server_activate(self) -> None:
            self.socket.listen(5)

    with serving(Own(("127.0.0.1", 0), Asked, ssl_context=ssl_context)) as server:
        assert get(server.server_address, client_context(), "/").endswith(b"\r\n262144")
    late = server_class(("127.0.0.1", 0), Asked, False, ssl_context=ssl_context)
    late.socket.close()
    late.socket = listener
    with serving(late):
        assert get(listener.getsockname(), client_context(), "/").endswith(b"\r\n262144")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no AF_UNIX on this platform")
def test_the_path_of_a_unix_socket_is_left_alone(
    ssl_context: ssl.SSLContext, tmp_path: Path
) -> None:
    """Whoever has made the file of a socket removes it, not the server."""
    path = tmp_path / "web.sock"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    with serving(TLSHTTPServer(None, Plain, ssl_context=ssl_context, listening_socket=sock)):
        assert get(str(path), client_context()).endswith(b"/")
    assert path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="paths that are no UTF-8 are Linux's")
@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"tee\xe9", "tee%E9"), ("tee\u00e9".encode(), "tee%C3%A9"), (b"a b\xff%", "a%20b%FF%25")],
)
def test_the_url_of_a_path_has_its_bytes(
    ssl_context: ssl.SSLContext, tmp_path: Path, name: bytes, shown: str
) -> None:
    """Also where they are no UTF-8, for a path that was bound elsewhere and for one of our own."""
    folder = os.fsencode(tmp_path)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(folder + b"/" + name)
    with TLSHTTPServer(None, Plain, ssl_context=ssl_context, listening_socket=sock) as server:
        assert server.url.endswith(f"%2F{shown}")
    path = os.fsdecode(folder + b"/" + name)
    Path(path).unlink()

    class OnPath(TLSHTTPServer):
        address_family = socket.AF_UNIX

    with OnPath(path, Plain, ssl_context=ssl_context) as server:
        assert server.url.endswith(f"%2F{shown}")


def test_what_nobody_can_connect_to_is_refused(ssl_context: ssl.SSLContext) -> None:
    """A socket that is closed, unbound, a datagram's or a connection is a ConfigurationError."""
    closed = socket.socket()
    closed.close()
    with (
        socket.socket() as unbound,
        socket.socket(type=socket.SOCK_DGRAM) as datagram,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as connection,
    ):
        for sock, words in (
            (closed, "closed"),
            (unbound, "not bound"),
            (datagram, "no stream"),
            (connection, "Accept=yes"),
        ):
            with pytest.raises(ConfigurationError, match=words):
                TLSHTTPServer(None, Plain, ssl_context=ssl_context, listening_socket=sock)
        with pytest.raises(TypeError, match="must be a socket"):
            TLSHTTPServer(None, Plain, ssl_context=ssl_context, listening_socket=3)  # type: ignore[arg-type]


def test_people_u4_a_socket_put_there_by_hand_has_a_url_at_once(
    ssl_context: ssl.SSLContext, listener: socket.socket
) -> None:
    """The way of old, ``server.socket = ...``, serves and tells its URL before it does."""
    server = TLSHTTPServer(("", 0), Plain, bind_and_activate=False, ssl_context=ssl_context)
    server.socket.close()
    server.socket = listener
    assert server.url == f"https://127.0.0.1:{listener.getsockname()[1]}"
    with serving(server):
        assert get(listener.getsockname(), client_context()).endswith(b"/")


@pytest.mark.parametrize("listens", [False, True])
def test_people_u4_a_socket_that_does_not_listen_is_told_of(
    ssl_context: ssl.SSLContext, caplog: pytest.LogCaptureFixture, listens: bool
) -> None:
    """Who waits for connections that cannot come is told so, and nobody else."""
    server = TLSHTTPServer(
        ("127.0.0.1", 0), Plain, bind_and_activate=False, ssl_context=ssl_context
    )
    if listens:
        server.server_bind()
        server.server_activate()
    with serving(server):
        pass
    assert ("does not listen, so nobody can connect" in caplog.text) != listens
