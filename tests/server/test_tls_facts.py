from __future__ import annotations

import contextlib
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509

from tests.server.conftest import Serve
from tests.server.support import Client, Plain, ask, read_until
from tests.support import wait_until
from tlshttp import TLSHTTPServer, TLSInfo, TLSRequestHandler, certs, context

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Remembers(Plain):
    """A handler that hands its ``self.tls`` to the test."""

    facts: list[TLSInfo]
    tls: TLSInfo

    def do_GET(self) -> None:
        self.facts.append(self.tls)
        super().do_GET()


@pytest.fixture
def handler() -> type[Remembers]:
    """Return a handler with a list of its own."""
    return type("Remembers", (Remembers,), {"facts": []})


def test_version_and_cipher_are_what_the_client_sees(
    serve: Serve, versioned_client: Client, handler: type[Remembers]
) -> None:
    """Both ends tell the same of TLS 1.2 and of TLS 1.3."""
    with versioned_client.connect(serve(handler)) as sock:
        sock.sendall(GET)
        read_until(sock, b"\r\n\r\n/")
        cipher = sock.cipher()
        assert cipher is not None
        (tls,) = handler.facts
        assert (tls.version, tls.cipher) == (sock.version(), cipher[0])
    assert not tls.resumed
    assert tls.peer_certificate is None
    assert tls.peer_chain == ()
    assert tls.peer_names == ()
    assert tls.version in repr(tls)


def test_facts_stay_when_the_connection_is_closed(
    serve: Serve, client: Client, handler: type[Remembers]
) -> None:
    """``self.tls`` is the same for each request of a connection, and outlives it."""
    server = serve(handler)
    with contextlib.closing(client.http(server)) as connection:
        for _ in range(2):
            assert ask(connection, "GET").status == 200
    assert wait_until(lambda: sum(server.stats().parked.values()) == 0)
    first, second = handler.facts
    assert first is second
    assert first.version == "TLSv1.3"


@pytest.mark.parametrize(("name", "seen"), [("localhost", "localhost"), ("127.0.0.1", None)])
def test_server_name_is_what_the_client_asked_for(
    serve: Serve, versioned_client: Client, handler: type[Remembers], name: str, seen: str | None
) -> None:
    """``server_name`` is the SNI; a client that goes to an address sends none."""
    with versioned_client.connect(serve(handler), name=name) as sock:
        sock.sendall(GET)
        read_until(sock, b"\r\n\r\n/")
    assert [tls.server_name for tls in handler.facts] == [seen]


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), ([], None)],
)
def test_alpn_protocol_is_what_was_agreed_on(
    serve: Serve,
    certificate: certs.Certificate,
    handler: type[Remembers],
    offered: list[str],
    agreed: str | None,
) -> None:
    """``alpn_protocol`` is the server's choice among what the client offered."""
    client_context = ssl.create_default_context(cadata=certificate.to_pem().decode())
    if offered:
        client_context.set_alpn_protocols(offered)
    with Client(client_context).connect(serve(handler)) as sock:
        assert sock.selected_alpn_protocol() == agreed
        sock.sendall(GET)
        read_until(sock, b"\r\n\r\n/")
    assert [tls.alpn_protocol for tls in handler.facts] == [agreed]


def test_resumption_is_told_and_counted(
    serve: Serve, versioned_client: Client, handler: type[Remembers]
) -> None:
    """A client that comes back with its session resumes it, with either version of TLS."""
    server = serve(handler)
    session: ssl.SSLSession | None = None
    for _ in range(3):
        with versioned_client.connect(server, session=session) as sock:
            sock.sendall(GET)
            read_until(sock, b"\r\n\r\n/")
            session = sock.session
    assert [tls.resumed for tls in handler.facts] == [False, True, True]
    assert (server.stats().handshakes, server.stats().resumed) == (3, 2)


@pytest.fixture
def client_ca() -> trustme.CA:
    """Return an authority for client certificates."""
    return trustme.CA()


@pytest.fixture
def demanding_context(
    certificate: certs.Certificate,
    client_ca: trustme.CA,
    request: pytest.FixtureRequest,
    engine: str,
) -> ssl.SSLContext:
    """Return a server's context that asks for a client certificate."""
    if engine != "ssl":
        required = request.param is ssl.CERT_REQUIRED
        return context.create_server_context(
            certificate,
            client_auth=context.ClientAuth.REQUIRED if required else context.ClientAuth.OPTIONAL,
            client_cas=[x509.load_pem_x509_certificate(client_ca.cert_pem.bytes())],
        )
    made = context.create_server_context(certificate)
    made.verify_mode = request.param
    client_ca.configure_trust(made)
    return made


@pytest.mark.parametrize("demanding_context", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED], indirect=True)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate_is_told(
    serve: Serve,
    handler: type[Remembers],
    certificate: certs.Certificate,
    client_ca: trustme.CA,
    demanding_context: ssl.SSLContext,
    version: ssl.TLSVersion,
    engine: str,
) -> None:
    """``peer_certificate``, ``peer_chain`` and ``peer_names`` are the verified client's."""
    client_context = ssl.create_default_context(cadata=certificate.to_pem().decode())
    client_context.minimum_version = client_context.maximum_version = version
    own = client_ca.issue_cert("client.example", "192.0.2.1")
    own.configure_cert(client_context)
    with Client(client_context).connect(serve(handler, ssl_context=demanding_context)) as sock:
        sock.sendall(GET)
        read_until(sock, b"\r\n\r\n/")
    (tls,) = handler.facts
    assert set(tls.peer_names) == {"client.example", "192.0.2.1"}
    assert tls.peer_certificate is tls.peer_chain[0]
    # Before Python 3.13 the ssl module tells of the client's own certificate only.
    whole = engine != "ssl" or sys.version_info >= (3, 13)
    assert len(tls.peer_chain) == (2 if whole else 1)


@pytest.mark.parametrize("demanding_context", [ssl.CERT_OPTIONAL], indirect=True)
def test_client_without_a_certificate_has_none(
    serve: Serve,
    versioned_client: Client,
    handler: type[Remembers],
    demanding_context: ssl.SSLContext,
) -> None:
    """Where a certificate is optional, a client without one is served and told apart."""
    with versioned_client.connect(serve(handler, ssl_context=demanding_context)) as sock:
        sock.sendall(GET)
        read_until(sock, b"\r\n\r\n/")
    (tls,) = handler.facts
    assert tls.peer_certificate is None


def test_context_of_the_users_own_is_used_as_it_is(
    serve: Serve, handler: type[Remembers], tmp_path: Path
) -> None:
    """A plain `ssl.SSLContext` with trustme's certificate serves, and is not changed."""
    authority = trustme.CA()
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(own)
    own.maximum_version = ssl.TLSVersion.TLSv1_2
    before = (own.options, own.minimum_version, own.maximum_version, own.get_ciphers())
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    server = serve(handler, ssl_context=own)
    assert server.ssl_context is own
    assert Client(client_context).get(server).status == 200
    assert [tls.version for tls in handler.facts] == ["TLSv1.2"]
    assert (own.options, own.minimum_version, own.maximum_version, own.get_ciphers()) == before


def test_facts_are_there_for_a_handler_in_blocking_mode(serve: Serve, client: Client) -> None:
    """``self.tls`` works in ``handle()``, too."""
    seen: list[Any] = []

    class Classic(TLSRequestHandler):
        def handle(self) -> None:
            seen.append((self.tls.version, self.tls.server_name))

    server: TLSHTTPServer = serve(Classic)
    assert client.exchange(server, GET) == b""
    assert seen == [("TLSv1.3", "localhost")]
