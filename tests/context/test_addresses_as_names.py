"""certificates F30: clients that connect to an IP address, and those that say so in their hello."""

from __future__ import annotations

import itertools
import socket
import ssl

import pytest
from cryptography import x509

from tests.context.support import RecordingServer, client_context, running, shake_hands
from tests.machinery.peers import client_hello, connect
from tests.machinery.test_client_hello import content_of, in_records
from tests.support import UNIT
from tlshttp import certs, context
from tlshttp._engines.directory import parse_address
from tlshttp.context import UnknownNames
from tlshttp.errors import UnrecognizedName

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def asks_for(literal: str) -> bytes:
    """Return a hello whose server name is any text, which the `ssl` module would not send."""
    name = "a" * len(literal)
    hello = client_hello(client_context(certs.self_signed("a")), name)
    content = content_of(hello).replace(name.encode(), literal.encode())
    return in_records(hello[:5] + content, 1 << 14)


@pytest.fixture(scope="module")
def several(authority: certs.CertificateAuthority) -> list[certs.Certificate]:
    """Return certificates: the default has a name only, others have addresses."""
    return [
        authority.issue_server("www.test"),
        authority.issue_server("one.test", "127.0.0.1", "::1"),
        authority.issue_server("127.0.0.2"),
        authority.issue_server("127.0.0.1", "three.test"),
    ]


def shown(server: RecordingServer, host: str, client: ssl.SSLContext) -> tuple[str, ...]:
    """Return the names of the certificate that is shown to who connects to an address."""
    address = host, server.server_port
    with (
        socket.create_connection(address, timeout=5 * UNIT) as raw,
        client.wrap_socket(raw, server_hostname=host) as tls,
    ):
        der = tls.getpeercert(True)
        assert der is not None
        return certs.CertificateChain(x509.load_der_x509_certificate(der), ()).names


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("unknown", UnknownNames)
def test_certificates_f30_certificate_of_the_address_is_chosen(
    authority: certs.CertificateAuthority, several: list[certs.Certificate],
    version: ssl.TLSVersion, unknown: UnknownNames,
) -> None:  # fmt: skip
    """The first that has it; where none has, the first of all, as ever. Clients verify it."""
    made = context.create_server_context(*several, unknown_names=unknown)
    client = client_context(authority, version=version)
    with running(RecordingServer(made, listen="0.0.0.0")) as server:
        assert shown(server, "127.0.0.1", client) == ("one.test", "127.0.0.1", "::1")
        assert shown(server, "127.0.0.2", client) == ("127.0.0.2",)
        client.check_hostname = False
        assert shown(server, "127.0.0.3", client) == ("www.test",)


@pytest.mark.only_engine(
    "ssl", reason="pyOpenSSL works in memory, and has no sockets like those of ssl"
)
def test_certificates_f30_with_wrap_socket(
    authority: certs.CertificateAuthority, several: list[certs.Certificate]
) -> None:
    """Another server, which wraps its sockets itself, shows the same."""
    made = context.create_server_context(*several)
    ours, theirs = socket.socketpair()
    with (
        socket.create_server(("127.0.0.2", 0)) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        ours_tcp, _ = listener.accept()
        with made.wrap_socket(ours_tcp, server_side=True, do_handshake_on_connect=False) as tls:
            assert tls.local_address() == "127.0.0.2"  # type: ignore[attr-defined]
    with theirs, made.wrap_socket(ours, True, do_handshake_on_connect=False) as local:
        assert local.local_address() is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("literal", ["127.0.0.1", "127.0.0.9", "::1", "[::1]", "::ffff:1.2.3.4"])
@pytest.mark.parametrize("unknown", UnknownNames)
def test_certificates_f30_an_address_in_the_hello_is_ignored(
    several: list[certs.Certificate], literal: str, unknown: UnknownNames
) -> None:
    """It is no name that could be unknown (RFC 6066, section 3), whichever it is."""
    made = context.create_server_context(*several, unknown_names=unknown)
    with running(RecordingServer(made)) as server, connect(server.server_address) as sock:
        sock.sendall(asks_for(literal))
        assert sock.recv(1) == b"\x16"
        assert server.failures == []


@pytest.mark.parametrize(
    "name", ["unknown.test", "1.2.3.4.test", "127.0.0.1.", "127.1", "1.2.3.256"]
)
def test_certificates_f30_names_are_still_refused(
    several: list[certs.Certificate], authority: certs.CertificateAuthority, name: str
) -> None:
    """What only looks like an address is a name, and unknown."""
    made = context.create_server_context(*several, unknown_names=UnknownNames.REFUSE)
    with running(RecordingServer(made)) as server, connect(server.server_address) as sock:
        sock.sendall(asks_for(name))
        assert sock.recv(99)[:1] == b"\x15"
        assert isinstance(server.failure(), UnrecognizedName)


def test_certificates_f30_one_form_of_an_address() -> None:
    """However a socket writes it."""
    same = ["127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "[::ffff:127.0.0.1]"]
    assert {parse_address(text) for text in same} == {"127.0.0.1"}
    assert parse_address("fe80::1%eth0") == parse_address("FE80:0::1") == "fe80::1"
    for text in (None, "", "localhost", "127.0.0.1.", "1.2.3", "127.1", "@x"):
        assert parse_address(text) is None


def test_certificates_f30_in_memory(
    authority: certs.CertificateAuthority, several: list[certs.Certificate]
) -> None:
    """Where there is no address, who asks for no name gets the first certificate."""
    client = client_context(authority)
    client.check_hostname = False
    for made, name in itertools.product([context.create_server_context(*several)], [None, ""]):
        der = shake_hands(made, client, name or None).client.getpeercert(True)
        assert der is not None
        assert x509.load_der_x509_certificate(der) == several[0].leaf


def test_an_address_is_asked_for_only_where_it_matters(several: list[certs.Certificate]) -> None:
    """It costs a system call for each client without a name."""
    for alone in several[:2]:
        assert not context.create_server_context(alone).tells_addresses_apart
    assert context.create_server_context(*several[:2]).tells_addresses_apart
