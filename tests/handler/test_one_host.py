"""Peers 1: whatever names the host, rules and handlers see one and the same."""

from __future__ import annotations

import functools
import socket
import ssl
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

import pytest

from tests.context.support import client_context, running
from tests.handler.http_support import Quiet
from tests.support import UNIT
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, context
from tlshttp.context import ClientAuth
from tlshttp.handler import StrictTransportSecurityMixIn
from tlshttp.handler._hosts import without_port

TIMEOUT = 30 * UNIT


class Teller(StrictTransportSecurityMixIn, Quiet):
    """Tells the host as a handler and as a WSGI application see it."""

    server: Any

    def do_GET(self) -> None:
        self.server.base_environ = {}
        environ = WSGIRequestHandler.get_environ(self)  # type: ignore[arg-type]
        field = self.headers.get_all("Host", [])
        body = repr((field, environ.get("HTTP_HOST"))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_OPTIONS = do_CONNECT = do_GET


class Allowed(Teller):
    allowed_hosts = ("public.test",)


class OneNameEach(Teller):
    refuse_misdirected = True


ROWS = [
    # target, Host (None: no such field), the one host (None: 400; "": none is named)
    ("/", "public.test", "public.test"),
    ("/", "PUBLIC.test.:443", "public.test"),
    ("/", "secret.test", "secret.test"),
    ("/", "Secret.Test.:8443", "secret.test"),
    ("/", "secret.test..", "secret.test."),
    ("/", "secret%2etest", "secret%2etest"),
    ("/", "public.test,secret.test", "public.test,secret.test"),
    ("/", "other.test", "other.test"),
    ("/", "[::1]", "::1"),
    ("/", "", ""),
    ("/", None, ""),
    ("*", "secret.test", "secret.test"),
    ("*", "public.test", "public.test"),
    ("https://public.test/", "public.test", "public.test"),
    ("https://PUBLIC.test.:443/", "public.test", "public.test"),
    ("https://public.test/", "secret.test", None),
    ("http://public.test/", "secret.test", None),
    ("https://public.test", "secret.test", None),
    ("https://public.test?@secret.test", "secret.test", None),
    ("https://public.test/", "", None),
    ("https://public.test/", "public.test:8443", None),
    ("https://public.test/", "secret%2etest", None),
    ("https://secret.test/", "public.test", None),
    ("https://secret.test/", "secret.test", "secret.test"),
    ("https://secret.test/", None, "secret.test"),
    ("http://SECRET.test./", None, "secret.test"),
    ("https://public.test/", None, "public.test"),
    ("https://u@public.test/", "public.test", None),
    ("https://public.test@secret.test/", "secret.test", None),
    ("https://public.test,secret.test/", None, "public.test,secret.test"),
    ("https://[::1]/", "[::1]", "::1"),
    ("https://[::1]/", "public.test", None),
    ("CONNECT public.test:443", "public.test", "public.test"),
    ("CONNECT public.test:443", "secret.test", None),
    ("CONNECT secret.test:443", "public.test", None),
    ("CONNECT secret.test:443", None, "secret.test"),
]


@functools.cache
def authority(name: str) -> certs.CertificateAuthority:
    """Return an authority, always the same by that name."""
    return certs.CertificateAuthority.generate(name)


@functools.cache
def server_context(*, restricted: bool) -> ssl.SSLContext:
    """Return a context for both names, of which one may need a client certificate."""
    issue = authority("servers").issue_server
    options: dict[str, Any] = {}
    if restricted:
        options = {
            "client_auth_by_name": {"secret.test": ClientAuth.REQUIRED},
            "client_cas": [authority("clients").certificate.leaf],
        }
    return context.create_server_context(issue("public.test"), issue("secret.test"), **options)


def ask(server: Any, client: ssl.SSLContext, target: str, field: str | None, minor: int) -> bytes:
    """Send one request with the SNI public.test; return all that comes back."""
    method = "OPTIONS" if target == "*" else "GET"
    line = f"{target} HTTP/1.{minor}" if " " in target else f"{method} {target} HTTP/1.{minor}"
    host = "" if field is None else f"Host: {field}\r\n"
    with (
        socket.create_connection(server.server_address, timeout=TIMEOUT) as raw,
        client.wrap_socket(raw, server_hostname="public.test") as tls,
    ):
        tls.sendall(f"{line}\r\n{host}Connection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: tls.recv(65_536), b""))


def expected(rule: str, host: str | None) -> int:
    """Return the status by the rule's own definition."""
    if host is None:
        return 400
    if rule in ("allowed", "one-name"):
        return 200 if host == "public.test" else 421
    if rule == "client-auth":
        # What is neither name nor address is nobody's, where hosts are told apart.
        return 421 if host == "secret.test" or host.endswith(".") or set(host) & set("%,") else 200
    return 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
@pytest.mark.parametrize(
    ("rule", "handler"),
    [("none", Teller), ("client-auth", Teller), ("allowed", Allowed), ("one-name", OneNameEach)],
)
def test_rules_and_handlers_see_one_host(
    rule: str, handler: Any, server_class: Any, version: ssl.TLSVersion
) -> None:
    """Peers 1: no pair of target and Host lets in what the rule keeps out, or shows two hosts."""
    ssl_context = server_context(restricted=rule == "client-auth")
    server: Any = server_class(("127.0.0.1", 0), handler, ssl_context=ssl_context)
    client = client_context(authority("servers"), version=version)
    with running(server):
        for target, field, host in ROWS:
            for minor in (0, 1):
                answer = ask(server, client, target, field, minor)
                status = int(answer.split()[1])
                wanted = 400 if field is None and minor else expected(rule, host)
                assert status == wanted, (target, field, minor, answer)
                if status == 200:
                    _check_host(answer, host)


def _check_host(answer: bytes, host: str | None) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    fields, environ = eval(body.decode())
    if fields:
        assert len(fields) == 1
        assert fields[0] == environ
        assert without_port(fields[0]) == host
    else:
        assert host == ""
        assert environ is None
    names_host = bool(host) and ":" not in str(host)
    assert (b"Strict-Transport-Security" in head) == names_host


def test_a_message_class_of_ones_own_has_the_host_of_the_target() -> None:
    """Peers 1: the field is there whatever class the handler wants its headers in."""
    from http.client import HTTPMessage

    class Own(HTTPMessage):
        pass

    class Mine(Teller):
        MessageClass = Own

    ssl_context = server_context(restricted=False)
    server: Any = TLSHTTPServer(("127.0.0.1", 0), Mine, ssl_context=ssl_context)
    client = client_context(authority("servers"))
    with running(server):
        answer = ask(server, client, "https://secret.test:444/", None, 0)
    assert answer.endswith(b"(['secret.test:444'], 'secret.test:444')")
