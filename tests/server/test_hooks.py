from __future__ import annotations

import os
import socket
import ssl
import threading
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Serve
from tests.server.support import (
    Balance,
    Client,
    OneRequest,
    Plain,
    ServerBase,
    ask,
    combine,
    ends,
    read_all,
    read_until,
    start,
)
from tests.support import UNIT, wait_until
from tlshttp import Limits, TLSHTTPServer, TLSRequestHandler


class Journal(ServerBase):
    """Notes down every call of `socketserver`'s hooks."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.calls: list[str] = []
        super().__init__(*arguments, **options)

    def get_request(self) -> tuple[Any, Any]:
        accepted = super().get_request()
        self.calls.append("get_request")
        return accepted

    def verify_request(self, request: Any, client_address: Any) -> bool:
        self.calls.append("verify_request")
        return super().verify_request(request, client_address)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.calls.append("process_request")
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.calls.append("finish_request")
        super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.calls.append("shutdown_request")
        super().shutdown_request(request)

    def close_request(self, request: Any) -> None:
        self.calls.append("close_request")
        super().close_request(request)


# The order of things ------------------------------------------------------------------------------


def test_every_hook_is_called_once_for_a_connection_in_socketservers_order(
    serve: Serve, versioned_client: Client
) -> None:
    """Three requests on one connection make one call of each hook, as in `socketserver`."""
    server: Any = serve(Plain, Journal)
    connection = versioned_client.http(server)
    for number in range(3):
        assert ask(connection, "GET", f"/{number}").body == f"/{number}".encode()
    connection.close()
    assert wait_until(lambda: "close_request" in server.calls)
    assert server.calls == [
        "get_request",
        "verify_request",
        "process_request",
        "finish_request",
        "shutdown_request",
        "close_request",
    ]


def test_get_request_may_say_who_the_peer_is(serve: Serve, client: Client) -> None:
    """The address that an overridden ``get_request()`` returns is the handler's."""

    class Renamed(ServerBase):
        def get_request(self) -> tuple[Any, Any]:
            request, _ = super().get_request()
            return request, ("198.51.100.7", 7)

    class Asks(Plain):
        def do_GET(self) -> None:
            self.reply(repr(self.client_address).encode())

    assert client.get(serve(Asks, Renamed)).body == b"('198.51.100.7', 7)"


def test_get_request_that_fails_once_loses_nobody(serve: Serve, client: Client) -> None:
    """An `OSError` out of ``get_request()`` is passed over, as in `socketserver`."""

    class Stumbling(ServerBase):
        stumbled = False

        def get_request(self) -> tuple[Any, Any]:
            if not self.stumbled:
                self.stumbled = True
                raise ConnectionAbortedError
            return super().get_request()

    server: Any = serve(Plain, Stumbling)
    assert client.get(server, "/served").body == b"/served"
    assert server.stumbled


def test_socket_of_get_request_may_have_a_timeout(serve: Serve, client: Client) -> None:
    """A timeout that ``get_request()`` sets, as guards against silent peers do, harms nothing."""

    class Guarded(ServerBase):
        def get_request(self) -> tuple[Any, Any]:
            request, address = super().get_request()
            request.settimeout(10)
            return request, address

    server = serve(Plain, Guarded)
    with client.dial(server):  # says nothing
        assert client.get(server, "/served").body == b"/served"


# verify_request -----------------------------------------------------------------------------------


def test_refused_connection_is_closed_before_any_tls_and_counted(
    serve: Serve, client: Client
) -> None:
    """A peer that ``verify_request()`` refuses gets not a byte; the next one is served."""

    class Choosy(Journal):
        welcome = False

        def verify_request(self, request: Any, client_address: Any) -> bool:
            assert isinstance(request, socket.socket)
            assert not isinstance(request, ssl.SSLSocket)
            return self.welcome

    server: Any = serve(Plain, Choosy)
    with client.dial(server) as refused:
        assert read_all(refused) == b""
    assert wait_until(lambda: len(server.calls) == 3)
    assert server.calls == ["get_request", "shutdown_request", "close_request"]
    assert wait_until(lambda: server.stats().refused == 1)
    stats = server.stats()
    assert (stats.accepted, stats.refused, stats.handshakes) == (1, 1, 0)
    assert stats.handshake_failures == {}
    server.welcome = True
    assert client.get(server).status == 200
    assert server.stats().refused == 1


def test_verify_request_that_raises_refuses_and_is_reported(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception in ``verify_request()`` goes to ``handle_error()`` and ends nothing else."""

    class Broken(ServerBase):
        broken = True

        def verify_request(self, request: Any, client_address: Any) -> bool:
            if self.broken:
                raise LookupError("no list of friends")
            return True

    server: Any = serve(Plain, Broken)
    with client.dial(server) as refused:
        assert read_all(refused) == b""
    assert "LookupError: no list of friends" in capsys.readouterr().err
    server.broken = False
    assert client.get(server).status == 200


# process_request and finish_request ---------------------------------------------------------------


def test_process_request_sees_a_connection_whose_request_is_ready(
    serve: Serve, client: Client
) -> None:
    """``process_request()`` gets the TLS connection, when there is a request and not before."""
    seen: list[str] = []

    class Looks(ServerBase):
        def process_request(self, request: Any, client_address: Any) -> None:
            seen.append(request.version())
            super().process_request(request, client_address)

    server = serve(Plain, Looks)
    with client.connect(server) as sock:
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: localhost\r\n")
        assert wait_until(lambda: server.stats().parked["request"] == 1)
        assert seen == []
        sock.sendall(b"\r\n")
        assert read_until(sock, b"/a").startswith(b"HTTP/1.1 200")
    assert seen == ["TLSv1.3"]


def test_process_request_may_be_written_as_in_socketserver(serve: Serve, client: Client) -> None:
    """A ``process_request()`` of finish and shutdown alone serves the whole connection."""

    class Literal(ServerBase):
        def process_request(self, request: Any, client_address: Any) -> None:
            self.finish_request(request, client_address)
            self.shutdown_request(request)

    server = serve(Plain, Literal, Journal)
    connection = client.http(server)
    assert [ask(connection, "GET", path).body for path in ("/a", "/b")] == [b"/a", b"/b"]
    connection.close()


def test_process_request_may_hand_on_to_a_thread_of_the_users_own(
    serve: Serve, client: Client
) -> None:
    """A connection may be served by whatever thread ``process_request()`` gives it to."""
    threads: list[threading.Thread] = []

    class HandsOn(ServerBase):
        def process_request(self, request: Any, client_address: Any) -> None:
            threads.append(start(self.work, request, client_address))

        def work(self, request: Any, client_address: Any) -> None:
            self.finish_request(request, client_address)
            self.shutdown_request(request)

    class Asks(Plain):
        def do_GET(self) -> None:
            self.reply(threading.current_thread().name.encode())

    server = serve(Asks, HandsOn)
    connection = client.http(server)
    assert [ask(connection, "GET").body for _ in range(2)] == [b"work", b"work"]
    connection.close()
    assert wait_until(lambda: len(threads) == 1)  # it may be served before it is noted down
    assert ends(threads[0])


def test_process_request_that_raises_is_reported_and_closes(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exception in ``process_request()`` goes to ``handle_error()``; the peer gets a 500."""

    class Broken(Balance):
        def process_request(self, request: Any, client_address: Any) -> None:
            raise LookupError("no place")

    server: Any = serve(Plain, Broken)
    answer = client.exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert wait_until(lambda: len(server.closed) == 1)
    assert capsys.readouterr().err.count("LookupError: no place") == 1


class OwnFiles(SimpleHTTPRequestHandler, TLSRequestHandler):
    """Files, by a class that derives from ours."""


@pytest.mark.parametrize("handler", [SimpleHTTPRequestHandler, OwnFiles])
def test_finish_request_may_pass_more_arguments_as_http_server_does(
    serve: Serve, client: Client, tmp_path: Path, handler: Any
) -> None:
    """``finish_request()`` may call the class with ``directory=``, as ``python -m http.server``."""
    (tmp_path / "file.txt").write_bytes(b"in the folder")

    class Directory(ServerBase):
        def finish_request(self, request: Any, client_address: Any) -> None:
            handler: Any = self.RequestHandlerClass
            handler(request, client_address, self, directory=str(tmp_path))

    server = serve(handler, Directory)
    assert client.get(server, "/file.txt").body == b"in the folder"
    assert client.get(server, "/none").status == 404


def test_finish_request_may_call_super(serve: Serve, client: Client) -> None:
    """Around ``super().finish_request()`` there is room for work of one's own."""
    calls: list[str] = []

    class Around(ServerBase):
        def finish_request(self, request: Any, client_address: Any) -> None:
            calls.append("before")
            super().finish_request(request, client_address)
            calls.append("after")

    class HasTLS(OneRequest):
        tls: Any

        def do_GET(self) -> None:
            calls.append(self.tls.version)
            self.reply(b"")

    server = serve(HasTLS, Around)
    assert client.get(server).status == 200
    assert wait_until(lambda: len(calls) == 3)
    assert sorted(calls) == ["TLSv1.3", "after", "before"]


def test_finish_request_may_refuse_to_make_a_handler(serve: Serve, client: Client) -> None:
    """A ``finish_request()`` that answers by itself gets the connection as a socket."""

    class Brief(Balance):
        def finish_request(self, request: Any, client_address: Any) -> None:
            request.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")

    server: Any = serve(Plain, Brief)
    assert client.exchange(server, b"GET / HTTP/1.0\r\n\r\n") == b"HTTP/1.0 204 No Content\r\n\r\n"
    assert wait_until(lambda: len(server.closed) == 1)


# The loop -----------------------------------------------------------------------------------------


def test_service_actions_are_called_between_turns(
    serve: Serve, server_class: type[TLSHTTPServer], server_context: ssl.SSLContext
) -> None:
    """``service_actions()`` is called in the loop's thread, at least every ``poll_interval``."""
    threads: list[threading.Thread] = []
    enough = threading.Event()

    class Acts(ServerBase):
        def service_actions(self) -> None:
            threads.append(threading.current_thread())
            if len(threads) == 5:
                enough.set()

    server = combine(Acts, server_class)(("127.0.0.1", 0), Plain, ssl_context=server_context)
    loop = start(server.serve_forever, 0.001)
    assert enough.wait(30 * UNIT)
    server.shutdown()
    assert ends(loop)
    server.server_close()
    assert set(threads) == {loop}


def test_poll_interval_is_kept(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext
) -> None:
    """An idle server with a long ``poll_interval`` calls ``service_actions()`` seldom."""
    calls: list[None] = []
    first = threading.Event()

    class Acts(ServerBase):
        def service_actions(self) -> None:
            calls.append(None)
            first.set()

    server = combine(Acts, server_class)(("127.0.0.1", 0), Plain, ssl_context=server_context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 60})
    thread.start()
    assert not first.wait(0.5 * UNIT)
    server.shutdown()
    assert ends(thread), "shutdown() had to wait for poll_interval"
    server.server_close()
    assert len(calls) <= 1


def test_exception_in_service_actions_leaves_serve_forever(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext
) -> None:
    """An exception in ``service_actions()`` ends ``serve_forever()``, as in `socketserver`."""

    class Enough(ServerBase):
        def service_actions(self) -> None:
            raise StopIteration("enough")

    with combine(Enough, server_class)(
        ("127.0.0.1", 0), Plain, ssl_context=server_context
    ) as server:
        with pytest.raises(StopIteration, match="enough"):
            server.serve_forever(0.001)
        server.shutdown()  # does not wait for a loop that is over


# Attributes ---------------------------------------------------------------------------------------


def test_fileno_is_the_listening_sockets(serve: Serve) -> None:
    """``fileno()`` is the descriptor of the listening socket, so a server can be selected."""
    server = serve(Plain)
    assert server.fileno() == server.socket.fileno()


def test_request_queue_size_is_what_the_socket_listens_with(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext
) -> None:
    """The default is 128 or more, and a subclass may set another."""
    assert server_class.request_queue_size >= 128

    class Short(ServerBase):
        request_queue_size = 2

    with combine(Short, server_class)(
        ("127.0.0.1", 0), Plain, ssl_context=server_context
    ) as server:
        assert backlog(server.server_address[1]) == 2


def backlog(port: int) -> int:
    """Return the length of the accept queue of a listening port."""
    import re
    import subprocess

    if os.name != "posix" or not Path("/usr/bin/ss").exists():
        pytest.skip("only ss (iproute2) tells the backlog of a socket")
    command = ["ss", "-Hltn", f"sport = :{port}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.split(r"\s+", text.strip())[2])


@pytest.mark.parametrize("allowed", [True, False])
def test_allow_reuse_address_sets_the_socket_option(
    server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, allowed: bool
) -> None:
    """``allow_reuse_address`` of a subclass decides on SO_REUSEADDR."""
    chosen = type("Chosen", (), {"allow_reuse_address": allowed})
    with combine(chosen, server_class)(
        ("127.0.0.1", 0), Plain, ssl_context=server_context
    ) as server:
        reuse = server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert bool(reuse) is allowed


@pytest.mark.skipif(os.name == "nt", reason="there the port is bound exclusively instead")
def test_address_is_reused_by_default_as_in_http_server(server_class: type[TLSHTTPServer]) -> None:
    """A port can be bound again at once after a restart, and is never shared between two."""
    assert server_class.allow_reuse_address
    assert not server_class.allow_reuse_port


def test_limits_are_an_attribute(serve: Serve) -> None:
    """``server.limits`` is what was passed."""
    limits = Limits(handshake_timeout=1)
    assert serve(TLSRequestHandler, limits=limits).limits is limits
