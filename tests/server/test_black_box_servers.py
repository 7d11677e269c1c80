"""Servers as programs have them: wrap lines left over, other bases, names of their own, signals."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import socketserver
import ssl
import threading
import xmlrpc.client
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from xmlrpc.server import SimpleXMLRPCServer

import pytest

from tests.server.conftest import Serve
from tests.server.support import TIMEOUT, Client, Plain, combine, ends, running, start
from tests.support import wait_until
from tlshttp import TLSHTTPServer
from tlshttp.errors import ConfigurationError

# F11: the wrap line left in the script -----------------------------------------------------------


def _made(server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, *hooks: type) -> Any:
    return combine(*hooks, server_class)(("127.0.0.1", 0), Plain, ssl_context=server_context)


@pytest.mark.parametrize("run", ["serve_forever", "handle_request"])
@pytest.mark.parametrize("at_once", [True, False])
def test_handlers_f11_a_wrapped_listening_socket_is_refused(
    run: str,
    at_once: bool,
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
) -> None:
    """The error says which line to remove, before any client is let down.

    handlers F11.
    """
    with _made(server_class, server_context) as server:
        server.socket = server_context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=at_once
        )
        server.timeout = 0.1  # of handle_request(), where it is not refused
        failed: list[Exception] = []

        def serve() -> None:
            try:
                getattr(server, run)()
            except ConfigurationError as error:
                failed.append(error)

        thread = start(serve)
        ended = ends(thread, TIMEOUT / 5)
        server.shutdown() if not ended else None
        thread.join(TIMEOUT)
        assert [("wrap_socket" in str(error)) for error in failed] == [True]


def test_handlers_f11_a_get_request_that_wraps_is_named(
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    client: Client,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It is said at the first connection, whoever is told: the program, the log or the terminal."""

    class Wraps:
        def get_request(self: Any) -> Any:
            accepted, address = self.socket.accept()
            return (
                server_context.wrap_socket(
                    accepted, server_side=True, do_handshake_on_connect=False
                ),
                address,
            )

    server = _made(server_class, server_context, Wraps)
    said: list[str] = []

    def serve() -> None:
        try:
            server.serve_forever()
        except ConfigurationError as error:
            said.append(str(error))

    with server, caplog.at_level(logging.WARNING):
        thread = start(serve)
        with contextlib.suppress(OSError):
            client.get(server)
        server.shutdown() if thread.is_alive() else None
        assert ends(thread)
    everything = " ".join(said) + caplog.text + capfd.readouterr().err
    assert "wrap_socket" in everything


# F15, D11: other bases ---------------------------------------------------------------------------


def _application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.url_scheme"].encode(), b" ", environ["SERVER_NAME"].encode()]


class _QuietWsgi(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail whoever asks for the name of this host."""

    def refuse(*_: object) -> str:
        raise AssertionError("asks a DNS server")

    monkeypatch.setattr(socket, "getfqdn", refuse)


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_handlers_f15_a_wsgi_server_as_base(
    first: str,
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    client: Client,
    no_dns: None,
) -> None:
    """`WSGIServer` is mixed in in either order; applications make https URLs; DNS is not asked.

    handlers F15, clients D11.
    """
    bases = (server_class, WSGIServer) if first == "ours" else (WSGIServer, server_class)
    server = combine(*bases)(("127.0.0.1", 0), _QuietWsgi, ssl_context=server_context)
    server.set_app(_application)
    with running(server):
        answer = client.get(server)
    assert (answer.status, answer.body.split()[0]) == (200, b"https")


def test_handlers_f15_an_xml_rpc_server_as_base(
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
) -> None:
    """`SimpleXMLRPCServer` is mixed in, with its own arguments and its handler."""
    kind = combine(server_class, SimpleXMLRPCServer)
    server = kind(("127.0.0.1", 0), ssl_context=server_context, logRequests=False)
    server.register_function(lambda a, b: a + b, "add")
    url = f"https://localhost:{server.server_address[1]}"
    with running(server), xmlrpc.client.ServerProxy(url, context=client_context) as proxy:
        assert proxy.add(1, 2) == 3


# F16: names that programs use --------------------------------------------------------------------

NAMES = (
    "_log", "_closed", "_stopped", "_front", "_making", "_handler_class", "_composed", "_server",
    "_loop", "_workers", "_thread", "_threads", "_lock", "_sock", "_timeout", "_stats", "_logger",
    "_connections", "_running", "_started", "_shutdown", "_context", "_ssl_context", "_queue",
    "limits", "url", "log", "logger", "config", "queue", "lock", "db", "clients", "app", "running",
    "stopped", "name", "port", "host", "path", "data", "state", "pool", "events", "handlers",
)  # fmt: skip


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("value", [logging.getLogger("mine"), {}, True], ids=["logger", "{}", "1"])
def test_handlers_f16_a_servers_own_attributes_do_not_collide(
    value: object,
    when: str,
    server_class: type[TLSHTTPServer],
    server_context: ssl.SSLContext,
    client: Client,
) -> None:
    """A subclass may call its attributes what it likes, and finds them as it has set them.

    handlers F16.
    """

    class Mine:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if when == "before":
                self.mark()
            super().__init__(*arguments, **options)
            if when == "after":
                self.mark()

        def mark(self) -> None:
            for name in NAMES:
                setattr(self, name, value)

    with running(_made(server_class, server_context, Mine)) as server:
        assert client.get(server, "/a").body == b"/a"
        assert client.ask(server, "POST", "/", body=b"x" * 10_000).body == b"x" * 10_000
        changed = {name for name in NAMES if getattr(server, name) is not value}
    # These are attributes of every server, which its constructor sets.
    assert changed <= ({"limits", "url"} if when == "before" else set())


@pytest.mark.parametrize("where", ["setup", "__init__", "do_GET"])
def test_handlers_f16_a_handlers_own_attributes_do_not_collide(where: str, serve: Serve) -> None:
    """``self.tls = True`` and its like in a handler are the handler's affair."""
    names = ("tls", "limits", "url", "log", "response", "exchange", "stream", "_log", "_closed")

    class Handler(Plain):
        def __init__(self, *arguments: Any) -> None:
            self.mark("__init__")
            super().__init__(*arguments)

        def setup(self) -> None:
            self.mark("setup")
            super().setup()

        def do_GET(self) -> None:
            self.mark("do_GET")
            self.reply(repr([getattr(self, name) for name in names]).encode())

        def mark(self, place: str) -> None:
            if place == where:
                for name in names:
                    setattr(self, name, True)

    server = serve(Handler)
    client = Client(_trusting(server))
    assert client.get(server).body == repr([True] * len(names)).encode()


def _trusting(server: TLSHTTPServer) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# F17: signals ------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no such signals")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with a connection"])
def test_handlers_f17_shutdown_and_close_in_a_signal_handler(
    busy: bool, server_class: type[TLSHTTPServer], server_context: ssl.SSLContext, client: Client
) -> None:
    """``serve_forever()`` returns when a signal on its own thread shuts down and closes.

    handlers F17.
    """
    server = _made(server_class, server_context)
    serving = threading.Event()
    server.service_actions = serving.set

    def end(*_: object) -> None:
        server.shutdown()
        server.server_close()

    main = threading.main_thread().ident
    assert main is not None

    def send() -> None:
        assert serving.wait(TIMEOUT)
        if busy:
            client.get(server)
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, end)
    try:
        sender = start(send)
        server.serve_forever(0.01)
        sender.join(TIMEOUT)
    finally:
        signal.signal(signal.SIGUSR1, before)
        server.server_close()
    assert server.socket.fileno() == -1


# F20: link-local addresses -----------------------------------------------------------------------


def _link_local() -> str:
    """Return a link-local address of this machine with its zone, or nothing."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, *_, flags, name = line.split()
            if digits.startswith("fe80") and not int(flags, 16) & 0x40:  # not tentative
                groups = [digits[at : at + 4] for at in range(0, 32, 4)]
                return f"{':'.join(groups)}%{name}"
    return ""


@pytest.mark.skipif(not _link_local(), reason="this machine has no link-local IPv6 address")
def test_handlers_f20_a_link_local_address_with_its_zone(serve: Serve) -> None:
    """The server binds to it and its URL names the zone (RFC 6874).

    handlers F20.
    """
    server = serve(Plain, address=(_link_local(), 0))
    assert "%25" in server.url
    host, port, flow, scope = server.server_address
    assert scope
    with socket.create_connection((host, port, flow, scope), TIMEOUT):  # type: ignore[arg-type]
        assert wait_until(lambda: server.stats().accepted == 1)


# F24: threading -----------------------------------------------------------------------------------


def test_handlers_f24_the_mix_in_is_a_thread_for_each_connection(serve: Serve) -> None:
    """`ThreadingMixIn` over our servers is `socketserver`'s thread for each connection."""
    threads: set[int] = set()

    class Handler(Plain):
        def do_GET(self) -> None:
            threads.add(threading.get_ident())
            super().do_GET()

    server = serve(Handler, socketserver.ThreadingMixIn)
    client = Client(_trusting(server))
    connection = client.http(server)
    try:
        for _ in range(10):
            connection.request("GET", "/")
            connection.getresponse().read()
    finally:
        connection.close()
    assert len(threads) == 1
