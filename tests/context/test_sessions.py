from __future__ import annotations

import ssl
from datetime import timedelta
from typing import Any

import pytest

from tests.context.support import (
    VERSIONS,
    RecordingServer,
    client_context,
    running,
    shake_hands,
    visit,
)
from tlshttp import certs, context
from tlshttp.context import ClientAuth, Tickets
from tlshttp.errors import ConfigurationError
from tlshttp.profiles import MODERN


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_resumed_and_survive_a_reload(
    authority: certs.CertificateAuthority, version: ssl.TLSVersion
) -> None:
    """Resumption is on by default, and a new certificate does not end it."""
    store = certs.CertificateStore.from_certificate(authority.issue_server("localhost"))
    server_context = context.create_server_context(store)
    client = client_context(authority, version=version)
    first = shake_hands(server_context, client)
    assert not first.server.session_reused
    session = first.client.session
    assert shake_hands(server_context, client, session=session).server.session_reused
    store.replace(authority.issue_server("localhost"))
    server_context.maintain()
    assert shake_hands(server_context, client, session=session).server.session_reused
    fresh = shake_hands(server_context, client).client.getpeercert(True)
    assert fresh == _der(store.current)


@pytest.mark.parametrize("version", VERSIONS)
def test_renewed_tickets_end_sessions_and_no_connection(
    certificate: certs.Certificate, authority: certs.CertificateAuthority, version: ssl.TLSVersion
) -> None:
    """After a rotation an old session is not resumed; what was open goes on."""
    server_context = context.create_server_context(certificate)
    client = client_context(authority, version=version)
    pair = shake_hands(server_context, client)
    server_context.renew_tickets()
    again = shake_hands(server_context, client, session=pair.client.session)
    assert not again.server.session_reused
    pair.client.write(b"still there")
    assert pair.server.read(100) == b"still there"
    last = shake_hands(server_context, client, session=again.client.session)
    assert last.server.session_reused


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("tickets", "age"),
    [
        (Tickets(), timedelta(days=7)),
        (Tickets(rotation=timedelta(hours=1)), timedelta(hours=1)),
        (Tickets(lifetime=timedelta(minutes=5)), timedelta(minutes=5)),
    ],
)
def test_tickets_rotate_at_their_age(
    certificate: certs.Certificate,
    authority: certs.CertificateAuthority,
    version: ssl.TLSVersion,
    tickets: Tickets,
    age: timedelta,
) -> None:
    """A session is resumed until the keys are as old as they may get, and not afterwards."""
    server_context = context.create_server_context(certificate, tickets=tickets)
    client = client_context(authority, version=version)
    began = server_context._next_renewal - tickets.renewal_seconds
    session = shake_hands(server_context, client).client.session
    server_context.maintain(began + age.total_seconds() - 1)
    assert shake_hands(server_context, client, session=session).server.session_reused
    server_context.maintain(began + age.total_seconds() + 1)
    assert not shake_hands(server_context, client, session=session).server.session_reused


@pytest.mark.parametrize("version", VERSIONS)
def test_session_is_refused_by_a_server_with_another_policy(
    certificate: certs.Certificate,
    authority: certs.CertificateAuthority,
    clients: certs.CertificateAuthority,
    version: ssl.TLSVersion,
) -> None:
    """What was begun where nobody is asked opens nothing where a certificate is required."""
    open_context = context.create_server_context(certificate)
    guarded_context = context.create_server_context(
        certificate, client_auth=ClientAuth.REQUIRED, client_cas=[clients.certificate.leaf]
    )
    client = client_context(authority, version=version)
    with (
        running(RecordingServer(open_context)) as first,
        running(RecordingServer(guarded_context)) as second,
    ):
        session = visit(first, client, "localhost").session
        with pytest.raises(OSError, match=r".*"):
            visit(second, client, "localhost", session=session)
        assert second.failure().reason == "client-certificate"
        assert second.stats().resumed == 0
        assert second.served == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("policy", ["another authority", "a list with its certificate"])
def test_session_with_a_certificate_is_refused_where_that_is_not_accepted(
    certificate: certs.Certificate,
    authority: certs.CertificateAuthority,
    version: ssl.TLSVersion,
    policy: str,
) -> None:
    """A session begun with a certificate opens nothing where that certificate would not."""
    clients = certs.CertificateAuthority.generate("clients")
    alice = clients.issue_client("alice@example.org")
    anchors, crls = [clients.certificate.leaf], [clients.crl()]
    clients.revoke(alice)
    policies: dict[str, dict[str, Any]] = {
        "another authority": {
            "client_cas": [certs.CertificateAuthority.generate("others").certificate.leaf]
        },
        "a list with its certificate": {"client_cas": anchors, "crls": [clients.crl()]},
    }
    required = ClientAuth.REQUIRED
    lenient = context.create_server_context(
        certificate, client_auth=required, client_cas=anchors, crls=crls
    )
    strict = context.create_server_context(certificate, client_auth=required, **policies[policy])
    client = client_context(authority, alice, version)
    with (
        running(RecordingServer(lenient)) as first,
        running(RecordingServer(strict)) as second,
    ):
        session = visit(first, client, "localhost").session
        with pytest.raises(OSError, match=r".*"):
            visit(second, client, "localhost", session=session)
        assert second.failure().reason == "client-certificate"
        assert second.stats().resumed == 0
        assert second.served == []
        assert visit(first, client, "localhost", session=session).resumed


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("number", [0, 1, 3])
def test_number_of_tickets(
    certificate: certs.Certificate,
    authority: certs.CertificateAuthority,
    version: ssl.TLSVersion,
    number: int,
    engine: str,
) -> None:
    """With no tickets no session is resumed, with TLS 1.2 neither; with some all are."""
    tickets = Tickets(number=number)
    server_context = context.create_server_context(certificate, tickets=tickets)
    client = client_context(authority, version=version)
    with running(RecordingServer(server_context)) as server:
        first = visit(server, client, "localhost")
        again = visit(server, client, "localhost", session=first.session)
        assert again.resumed == (number > 0)
        assert server.stats().resumed == (number > 0)
        if engine == "ssl" or version is ssl.TLSVersion.TLSv1_2:
            assert first.session.has_ticket == (number > 0)
        assert server.served == ["/", "/"]


def ticket_bytes(server_context: ssl.SSLContext, client: ssl.SSLContext) -> int:
    """Return how much a server sends when a handshake of TLS 1.3 is over: tickets."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = server_context.wrap_bio(to_server, to_client, server_side=True)
    far = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    for side in (far, near):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    far.do_handshake()
    near.do_handshake()
    return to_client.pending


@pytest.mark.only_engine("ssl", reason="pyOpenSSL cannot set the number of tickets")
def test_as_many_tickets_are_sent_as_asked_for(
    certificate: certs.Certificate, authority: certs.CertificateAuthority
) -> None:
    """Each is one more message; one by default."""
    client = client_context(authority)
    default = ticket_bytes(context.create_server_context(certificate), client)
    sizes = [
        ticket_bytes(
            context.create_server_context(certificate, tickets=Tickets(number=number)), client
        )
        for number in range(4)
    ]
    assert sizes == [number * default for number in range(4)]
    assert default > 0


@pytest.mark.only_engine("ssl", reason="pyOpenSSL cannot set the number of tickets")
def test_no_tickets_in_the_newest_version_alone(
    certificate: certs.Certificate, authority: certs.CertificateAuthority
) -> None:
    """TLS 1.3 has no cache to get around, so all connections share a context."""
    server_context = context.create_server_context(
        certificate, profile=MODERN, tickets=Tickets(number=0)
    )
    fronts = {id(server_context._front_of_now()) for _ in range(3)}
    assert len(fronts) == 1
    first = shake_hands(server_context, client_context(authority))
    assert first.client.session is None or not first.client.session.has_ticket
    server_context = context.create_server_context(
        certificate, profile=MODERN, tickets=Tickets(number=0)
    )
    server_context.minimum_version = ssl.TLSVersion.TLSv1_2
    assert server_context._front_of_now() is not server_context._front_of_now()


@pytest.mark.parametrize(
    "tickets",
    [
        Tickets(number=-1),
        Tickets(lifetime=timedelta(hours=3)),
        Tickets(lifetime=timedelta()),
        Tickets(rotation=timedelta()),
    ],
)
def test_impossible_tickets(certificate: certs.Certificate, tickets: Tickets) -> None:
    """What OpenSSL cannot do is said."""
    with pytest.raises(ConfigurationError, match=r"Tickets\."):
        context.create_server_context(certificate, tickets=tickets)


def _der(certificate: certs.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.leaf.public_bytes(Encoding.DER)
