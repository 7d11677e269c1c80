"""Peers 1, 10: what only the handler itself knows, not its class, is respected from the start."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.handler.http_support import Quiet, connect, read_to_end, serving
from tests.support import UNIT
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer, certs, context
from tlshttp.context import ClientAuth
from tlshttp.handler import TLSRequestHandler

SERVERS = [TLSHTTPServer, ThreadingTLSHTTPServer]


class Secret(Quiet):
    """Gives the secret to whoever gets as far as that."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"SECRET")


class InSetup(Secret):
    allowed_hosts: Any = None

    def setup(self) -> None:
        super().setup()
        self.allowed_hosts = ("public.test",)


class InConstructor(Secret):
    def __init__(self, *arguments: Any) -> None:
        self.allowed_hosts = ("public.test",)
        super().__init__(*arguments)


class Modern(InConstructor):
    protocol_version = "HTTP/1.1"


class AsProperty(Secret):
    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        return ("public.test",)


class ByOwnName(InSetup):
    """Parses by `http.server`'s own method."""

    def parse_request(self) -> bool:
        return BaseHTTPRequestHandler.parse_request(self)


class OwnMethod(Secret):
    allowed_hosts = ("public.test",)

    def setup(self) -> None:
        super().setup()
        self.do_FOO = self.do_GET


class OfClass(Secret, TLSRequestHandler):
    allowed_hosts = ("public.test",)


class OneName(Secret):
    def setup(self) -> None:
        super().setup()
        self.refuse_misdirected = True


def made(*arguments: Any) -> OfClass:
    """Make a handler, so that the server does not know of its class."""
    return OfClass(*arguments)


def made_plain(*arguments: Any) -> Secret:
    """Make one that knows nothing of this package."""
    return Secret(*arguments)


HANDLERS: list[tuple[str, Callable[..., Any], str]] = [
    ("setup", InSetup, "GET"),
    ("constructor", InConstructor, "GET"),
    ("constructor, HTTP/1.1", Modern, "GET"),
    ("partial", functools.partial(InConstructor), "GET"),
    ("property", AsProperty, "GET"),
    ("parse_request() by name", ByOwnName, "GET"),
    ("method of the instance", OwnMethod, "FOO"),
    ("function", made, "GET"),
    ("refuse_misdirected", OneName, "GET"),
]


@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize(("handler", "method"), [row[1:] for row in HANDLERS], ids=[
    row[0] for row in HANDLERS
])  # fmt: skip
def test_peers_01_hosts_are_refused_by_what_the_handler_itself_says(
    server_class: type[TLSHTTPServer], handler: Callable[..., Any], method: str
) -> None:
    """The first request of a connection, and the next, whatever says which hosts are allowed."""
    own = "localhost" if handler is OneName else "public.test"
    with serving(handler, server_class=server_class) as server:
        rows = [(["evil.test"], 0), ([own, "evil.test"], 1), ([own, own], 2)]
        for hosts, served in rows:
            requests = [f"{method} / HTTP/1.1\r\nHost: {host}\r\n\r\n" for host in hosts[:-1]]
            last = f"{method} / HTTP/1.1\r\nHost: {hosts[-1]}\r\nConnection: close\r\n\r\n"
            with connect(server) as client:
                client.sendall("".join([*requests, last]).encode())
                answer = read_to_end(client)
            assert answer.count(b"SECRET") == served, answer
            assert answer.count(b"HTTP/1.1 421 ") == len(hosts) - served, answer


@pytest.fixture(scope="module")
def restricted() -> ssl.SSLContext:
    """Make a context with a name that needs a client certificate, and one that does not."""
    clients = certs.CertificateAuthority.generate("clients")
    servers = certs.CertificateAuthority.generate("servers")
    return context.create_server_context(
        servers.issue_server("public.test", "localhost"),
        servers.issue_server("secret.test"),
        client_auth_by_name={"secret.test": ClientAuth.REQUIRED},
        client_cas=[clients.certificate.leaf],
    )


LINES = ["GET / HTTP/1.1", "FOO / HTTP/1.1", "GET /", "GET / ", "GET\t/", "GET  /", "GET\x0b/",
         " GET /", "GET\t/\tHTTP/1.1", "GET\xa0/", "\x1cGET /", "get /", "secret"]  # fmt: skip


class OwnMethodOnly(Secret):
    def setup(self) -> None:
        super().setup()
        self.do_FOO = self.do_GET


@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize("handler", [Secret, OwnMethodOnly, made_plain])
def test_peers_01_no_request_line_gets_past_client_auth_by_name(
    server_class: type[TLSHTTPServer], handler: Callable[..., Any], restricted: ssl.SSLContext
) -> None:
    """Not even one that only `http.server` takes for a request, by a handler from a function."""
    with serving(handler, server_class=server_class, ssl_context=restricted) as server:
        for line in LINES:
            with _connect(server) as client:
                client.sendall(f"{line}\r\nHost: secret.test\r\n\r\n".encode("iso-8859-1"))
                answer = read_to_end(client)
            assert b"SECRET" not in answer, line


def _connect(server: Any) -> ssl.SSLSocket:
    """Connect for the public name, without a client certificate; the server's is not looked at."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    raw = socket.create_connection(server.server_address, timeout=30 * UNIT)
    return client.wrap_socket(raw, server_hostname="public.test")


class OwnUpload(Secret):
    def setup(self) -> None:
        super().setup()
        self.do_PUT = self.upload

    def upload(self) -> None:
        self.rfile.read()
        self.do_GET()


@pytest.mark.parametrize("server_class", SERVERS)
@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_peers_10_slow_body_for_a_method_of_the_instance_delays_nobody(
    server_class: type[TLSHTTPServer], framing: str
) -> None:
    """The class does not tell that there is such a method; the first request may be for it."""
    with serving(OwnUpload, server_class=server_class) as server, connect(server) as slow:
        slow.sendall(f"PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        for _ in range(3):
            with connect(server) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert read_to_end(client).endswith(b"SECRET")
        slow.sendall(b"5\r\nabcde\r\n0\r\n\r\n" if "chunked" in framing else b"abcde")
        assert slow.recv(99).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("server_class", SERVERS)
def test_clients_d5_unknown_method_with_a_body_gets_its_501_at_once(
    server_class: type[TLSHTTPServer],
) -> None:
    """Where no handler has been made yet, too."""
    for handler in (Secret, OwnUpload):
        with serving(handler, server_class=server_class) as server, connect(server) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            assert read_to_end(client).startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize("server_class", SERVERS)
def test_peers_10_body_for_a_method_of_the_instance_is_limited(
    server_class: type[TLSHTTPServer],
) -> None:
    """As for any other method."""
    with (
        serving(OwnUpload, server_class=server_class, limits=Limits(max_body_bytes=4)) as server,
        connect(server) as client,
    ):
        client.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde")
        assert read_to_end(client).startswith(b"HTTP/1.1 413 ")
