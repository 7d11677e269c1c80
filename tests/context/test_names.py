from __future__ import annotations

import socket
import ssl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import (
    TIMEOUT,
    VERSIONS,
    RecordingServer,
    client_context,
    running,
    shake_hands,
    visit,
)
from tlshttp import certs, context
from tlshttp.context._probe import Offer
from tlshttp.errors import MalformedHandshake, UnrecognizedName

# What a client asks for, and the names of the certificate that it has to see.
CHOICES = [
    ("first.test", "first.test"),
    ("FIRST.test", "first.test"),
    ("alias.test", "first.test"),
    ("second.test", "second.test"),
    ("deep.second.test", "*.second.test"),
    ("exact.second.test", "exact.second.test"),
    ("too.deep.second.test", "first.test"),
    ("bücher.test", "xn--bcher-kva.test"),
    ("xn--bcher-kva.test", "xn--bcher-kva.test"),
    ("unknown.test", "first.test"),
    (None, "first.test"),
]


@pytest.fixture(scope="module")
def certificates(authority: certs.CertificateAuthority) -> list[certs.Certificate]:
    """Return certificates that compete for names; the first is the default."""
    return [
        authority.issue_server("first.test", "alias.test"),
        authority.issue_server("second.test"),
        authority.issue_server("*.second.test"),
        authority.issue_server("exact.second.test"),
        authority.issue_server("bücher.test"),
        authority.issue_server("alias.test"),  # comes too late
    ]


def anyway(authority: certs.CertificateAuthority, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a client that looks at whatever it is shown."""
    client = client_context(authority, version=version)
    client.check_hostname = False
    return client


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("asked", "shown"), CHOICES)
def test_certificate_is_chosen_by_name(
    authority: certs.CertificateAuthority,
    certificates: list[certs.Certificate],
    version: ssl.TLSVersion,
    asked: str | None,
    shown: str,
) -> None:
    """Exact names come before wildcards, earlier certificates before later ones."""
    server_context = context.create_server_context(*certificates)
    pair = shake_hands(server_context, anyway(authority, version), asked)
    names = pair.client.getpeercert()["subjectAltName"]  # type: ignore[index]
    assert names[0] == ("DNS", shown)


@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_name_is_refused_where_told_so(
    authority: certs.CertificateAuthority,
    certificates: list[certs.Certificate],
    version: ssl.TLSVersion,
) -> None:
    """The client gets the alert unrecognized_name; the server one typed event and a count."""
    server_context = context.create_server_context(
        *certificates, unknown_names=context.UnknownNames.REFUSE
    )
    client = anyway(authority, version)
    with running(RecordingServer(server_context)) as server:
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            visit(server, client, "unknown.test")
        error = server.failure()
        assert isinstance(error, UnrecognizedName)
        assert error.server_name == "unknown.test"
        assert server.stats().handshake_failures == {"unrecognized-name": 1}
        assert visit(server, client, "first.test").status == 200
        assert visit(server, client, None).status == 200
        assert server.served == ["/", "/"]


def test_client_picks_among_kinds_of_keys(authority: certs.CertificateAuthority) -> None:
    """Of two certificates for one name, each client gets the one it can use."""
    ecdsa = authority.issue_server("two.test")
    rsa = authority.issue_server("two.test", key_type=certs.KeyType.RSA_2048)
    server_context = context.create_server_context(ecdsa, rsa)
    for algorithm, expected in (("ECDSA", ecdsa), ("RSA", rsa)):
        client = client_context(authority, version=ssl.TLSVersion.TLSv1_2)
        client.set_ciphers(f"ECDHE-{algorithm}-AES128-GCM-SHA256")
        for name in ("two.test", None):
            client.check_hostname = name is not None
            pair = shake_hands(server_context, client, name)
            assert pair.client.getpeercert(True) == expected.leaf.public_bytes(Encoding.DER)


def hello_for(name: bytes) -> bytes:
    """Return a ClientHello for a name that no client would ask for."""
    return Offer(
        version=0x0303, ciphers=[0xC02B], groups=[0x1D], signatures=[0x0403], server_name=name
    ).to_bytes()


@pytest.mark.parametrize("name", [b"a..b", b"\xff\xfe.test", b"x" * 64 + b".test", b"", b"."])
def test_impossible_name_is_an_event_and_no_traceback(
    certificate: certs.Certificate, name: bytes
) -> None:
    """A name that the ssl module could not pass on is refused before it comes there."""
    server_context = context.create_server_context(certificate)
    with running(RecordingServer(server_context)) as server:
        with socket.create_connection(server.server_address, timeout=TIMEOUT) as raw:
            raw.sendall(hello_for(name))
            assert raw.recv(100) == b"\x15\x03\x03\x00\x02\x02\x2f"  # illegal_parameter
        assert isinstance(server.failure(), MalformedHandshake)
        assert server.stats().handshake_failures == {"malformed": 1}
