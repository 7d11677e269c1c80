"""clients D11, handlers F15: other servers of the standard library as second base."""

from __future__ import annotations

import http.client
import http.server
import socket
import socketserver
import ssl
import xmlrpc.client
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

import pytest

from tests.server.support import Client, Plain, running
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer

ANYWHERE = ("127.0.0.1", 0)
SERVERS = [TLSHTTPServer, ThreadingTLSHTTPServer]


@pytest.fixture(autouse=True)
def no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where anybody asks for the machine's name."""

    def getfqdn(*_: object) -> str:
        raise AssertionError("socket.getfqdn() was called")

    monkeypatch.setattr(socket, "getfqdn", getfqdn)


class QuietWSGI(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


class QuietXMLRPC(SimpleXMLRPCRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with what tells where the application is."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = ("wsgi.url_scheme", "SERVER_NAME", "SERVER_PORT", "HTTP_HOST", "PATH_INFO")
    return [" ".join(environ[name] for name in names).encode()]


def get(server: Any, client: Client, path: str) -> bytes:
    """Fetch a path."""
    with client.connect(server) as sock:
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        response = http.client.HTTPResponse(sock)
        response.begin()
        with response:
            return response.read()


@pytest.mark.parametrize("ours", SERVERS)
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("binds_itself", [False, True])
def test_clients_d11_handlers_f15_wsgi_server(
    ours: Any, is_first: bool, binds_itself: bool, client: Client, server_context: ssl.SSLContext
) -> None:
    """Handlers F15: an application is served, and told that it is by https; no DNS is asked."""
    bases = (ours, WSGIServer) if is_first else (WSGIServer, ours)
    kind: Any = type("S", bases, {})
    server = kind(ANYWHERE, QuietWSGI, not binds_itself, ssl_context=server_context)
    if binds_itself:
        server.server_bind()
        server.server_activate()
    server.set_app(application)
    with running(server):
        for _ in range(2):
            told = get(server, client, "/x").decode()
            assert told == f"https 127.0.0.1 {server.server_port} localhost /x"


def test_a_subclass_sets_up_its_own_environment(
    client: Client, server_context: ssl.SSLContext
) -> None:
    """Clients D11: what it says of the scheme stays, as behind a proxy that says otherwise."""

    class S(WSGIServer, TLSHTTPServer):
        def setup_environ(self) -> None:
            super().setup_environ()
            self.base_environ["HTTPS"] = "off"

    server: Any = S(ANYWHERE, QuietWSGI, ssl_context=server_context)
    server.set_app(application)
    with running(server):
        assert get(server, client, "/").startswith(b"http ")


@pytest.mark.parametrize("ours", SERVERS)
@pytest.mark.parametrize("handler", [(), (QuietXMLRPC,)])
def test_clients_d11_handlers_f15_xml_rpc_server(
    ours: Any, handler: tuple[Any, ...], client: Client, server_context: ssl.SSLContext
) -> None:
    """Handlers F15: it takes the arguments of both, and the handler class of the other."""
    kind: Any = type("S", (ours, SimpleXMLRPCServer), {})
    server = kind(
        ANYWHERE, *handler, ssl_context=server_context, allow_none=True, logRequests=False
    )
    server.register_function(lambda: None, "nothing")
    server.register_function(pow)
    with running(server):
        url = f"https://localhost:{server.server_port}/RPC2"
        with xmlrpc.client.ServerProxy(url, allow_none=True, context=client.context) as proxy:
            assert proxy.pow(2, 10) == 1024
            assert proxy.nothing() is None


def test_bases_in_an_order_without_tls_are_refused() -> None:
    """Handlers F15: SimpleXMLRPCServer's constructor would make a server that knows no TLS."""
    with pytest.raises(TypeError, match="before SimpleXMLRPCServer"):
        type("S", (SimpleXMLRPCServer, TLSHTTPServer), {})


@pytest.mark.parametrize("ours", SERVERS)
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("other", [socketserver.ThreadingMixIn, http.server.ThreadingHTTPServer])
def test_clients_d11_handlers_f15_threading_bases(
    ours: Any, other: Any, is_first: bool, client: Client, server_context: ssl.SSLContext
) -> None:
    """Clients D11: in either order requests are served, and no DNS is asked."""
    kind: Any = type("S", (ours, other) if is_first else (other, ours), {})
    server = kind(ANYWHERE, Plain, ssl_context=server_context)
    with running(server):
        assert get(server, client, "/")


@pytest.mark.parametrize("ours", SERVERS)
def test_a_handler_class_is_needed_still(ours: Any, server_context: ssl.SSLContext) -> None:
    """Handlers F15: where no other base has one, leaving it out is a mistake, and so is a typo."""
    with pytest.raises(TypeError, match="RequestHandlerClass"):
        ours(ANYWHERE, ssl_context=server_context)
    with pytest.raises(TypeError, match="max_worker"):
        ours(ANYWHERE, Plain, ssl_context=server_context, max_worker=1)
