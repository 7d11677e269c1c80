"""certificates F31: self-signed certificates of single clients, accepted as they are."""

from __future__ import annotations

import itertools
import logging
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.context.support import (
    VERSIONS,
    RecordingServer,
    client_context,
    running,
    shake_hands,
    visit,
)
from tlshttp import certs, context
from tlshttp.context import ClientAuth
from tlshttp.errors import ClientCertificateError, ConfigurationError

Key = ec.EllipticCurvePrivateKey


def issue(
    name: str,
    key: Key,
    issuer: certs.Certificate | None = None,
    *,
    ca: bool | None = False,
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
    days: tuple[int, int] = (-1, 1),
) -> certs.Certificate:
    """Return a certificate as ``openssl req -x509`` makes it, or one that another has issued."""
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.leaf.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days[0]))
        .not_valid_after(now + timedelta(days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(f"{name}@a.test")]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    signer: Any = key if issuer is None else issuer.private_key
    chain = () if issuer is None else (issuer.leaf, *issuer.chain)
    return certs.Certificate(builder.sign(signer, hashes.SHA256()), chain, key)


def new_key() -> Key:
    """Return a key."""
    return ec.generate_private_key(ec.SECP256R1())


KEY = new_key()
PINNED = {
    "CA:FALSE": issue("alice", KEY),
    "as openssl makes it": issue("alice", KEY, ca=True, purpose=None),
    "without constraints": issue("alice", KEY, ca=None, purpose=None),
}
AUTHORITY = certs.CertificateAuthority.generate("clients")


def below(issuer: certs.Certificate) -> certs.Certificate:
    """Return a client's certificate two below another one."""
    return issue("mallory", new_key(), issue("between", new_key(), issuer, ca=True, purpose=None))


def intruders(pin: certs.Certificate) -> dict[str, certs.Certificate | None]:
    """Return who might be taken for the one that is pinned."""
    return {
        "nobody": None,
        "issued by it": issue("mallory", new_key(), pin),
        "issued by it in its own name": issue("alice", new_key(), pin),
        "two below it": below(pin),
        "the same name": issue("alice", new_key()),
        "the same name and key": issue("alice", KEY),
        "the same name and key, an authority": issue("alice", KEY, ca=True, purpose=None),
        "the key, issued by itself": issue("alice", KEY, pin),
        "of an authority": certs.CertificateAuthority.generate("clients").issue_client("alice"),
        "expired": issue("alice", KEY, days=(-9, -1)),
    }


def pinning(
    certificate: certs.Certificate, *pins: certs.Certificate, **more: Any
) -> context.ServerContext:
    """Return a context that lets in certain clients."""
    named: dict[str, Any] = {"client_auth": ClientAuth.REQUIRED} | more
    return context.create_server_context(
        certificate, client_certificates=[pin.leaf for pin in pins], **named
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", PINNED)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside an authority"])
def test_certificates_f31_exactly_the_one_is_let_in(
    authority: certs.CertificateAuthority, certificate: certs.Certificate,
    version: ssl.TLSVersion, kind: str, beside: bool,
) -> None:  # fmt: skip
    """It is let in, and its session resumed; nobody else is, with a session in hand or without."""
    pin, other = PINNED[kind], issue("bob", new_key())
    more = {"client_cas": [AUTHORITY.certificate.leaf]} if beside else {}
    if beside and kind != "CA:FALSE":
        with pytest.raises(ConfigurationError, match="may issue others"):
            pinning(certificate, pin, other, **more)
        return
    made = pinning(certificate, pin, other, **more)
    for one in (pin, other):
        client = client_context(authority, one, version)
        first = shake_hands(made, client)
        again = shake_hands(made, client, session=first.client.session)
        assert again.server.session_reused
        assert again.server.getpeercert(True) == one.leaf.public_bytes(Encoding.DER)
    if beside:
        shake_hands(made, client_context(authority, AUTHORITY.issue_client("carol"), version))
    for who, intruder in intruders(pin).items():
        client = client_context(authority, intruder, version)
        refused_twice(made, client, who)


def refused_twice(made: context.ServerContext, client: ssl.SSLContext, who: str) -> None:
    """Have a client refused, and then with whatever session it has got meanwhile."""
    session = None
    for _ in range(2):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = made.wrap_bio(to_server, to_client, server_side=True)
        peer = client.wrap_bio(to_client, to_server, server_hostname="localhost", session=session)
        failure: OSError | None = None
        for _ in range(6):
            for end in (peer, server):
                try:
                    end.do_handshake() if end is server else end.read(1)
                except ssl.SSLWantReadError:
                    continue
                except OSError as error:
                    failure = failure or (error if end is server else None)
        assert failure is not None, who
        assert isinstance(failure, ssl.SSLError | ClientCertificateError), who
        session = peer.session


@pytest.mark.parametrize("version", VERSIONS)
def test_certificates_f31_over_the_network(
    authority: certs.CertificateAuthority, certificate: certs.Certificate, version: ssl.TLSVersion
) -> None:
    """The handler sees who it is, and the refused one is an event that says why."""
    pin = PINNED["as openssl makes it"]
    with running(RecordingServer(pinning(certificate, pin))) as server:
        client = client_context(authority, pin, version)
        first = visit(server, client, "localhost")
        assert first.body == b"alice@a.test"
        assert visit(server, client, "localhost", session=first.session).resumed
        with pytest.raises(OSError, match=r".*"):
            visit(
                server, client_context(authority, issue("m", new_key(), pin), version), "localhost"
            )
        error = server.failure()
        assert isinstance(error, ClientCertificateError)
        assert str(error) == "the client's certificate is none of client_certificates"
        assert server.served == ["/", "/"]


def test_certificates_f31_expiry(
    authority: certs.CertificateAuthority, certificate: certs.Certificate,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A pinned certificate counts until it ends; resumption asks again; one line says so."""
    ended, current = issue("alice", KEY, days=(-9, -1)), issue("bob", new_key())
    made = pinning(certificate, ended, current)
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [
        f"client_certificates: 'alice' expired at {ended.leaf.not_valid_after_utc:%Y-%m-%d}"
    ]
    with pytest.raises(ssl.SSLError, match="expired"):
        shake_hands(made, client_context(authority, ended))
    keeper = made._doorkeeper
    with pytest.raises(ClientCertificateError, match="has expired since"):
        keeper.judge("localhost", ended.leaf.public_bytes(Encoding.DER), resumed=True)
    keeper.judge("localhost", current.leaf.public_bytes(Encoding.DER), resumed=True)


def test_certificates_f31_what_cannot_be_pinned_is_named(
    certificate: certs.Certificate, clients: certs.CertificateAuthority
) -> None:
    """All of it at once, and where to give an authority or a client's own certificate instead."""
    with pytest.raises(ConfigurationError) as caught:
        pinning(
            certificate,
            clients.issue_client("carol"),
            certs.self_signed("dave"),
            issue("eve", new_key(), purpose=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE),
            crls=[clients.crl()],
        )
    text = str(caught.value)
    for expected in (
        "'carol' is not self-signed: give its authority as client_cas",
        "'eve' is not for clients: its extendedKeyUsage lacks clientAuth",
        "'dave' is not for clients: its extendedKeyUsage lacks clientAuth",
    ):
        assert expected in text
    with pytest.raises(ConfigurationError, match="asks nobody"):
        pinning(certificate, PINNED["CA:FALSE"], client_auth=ClientAuth.NONE)
    with pytest.raises(ConfigurationError, match="not both"):
        pinning(
            certificate,
            PINNED["CA:FALSE"],
            crls=[clients.crl()],
            client_cas=[clients.certificate.leaf],
        )
    with pytest.raises(ConfigurationError, match="goes to client_certificates"):
        context.create_server_context(
            certificate,
            client_auth=ClientAuth.REQUIRED,
            client_cas=[PINNED["CA:FALSE"].leaf],
        )


@pytest.mark.parametrize("version", VERSIONS)
def test_certificates_f31_by_name(
    authority: certs.CertificateAuthority, version: ssl.TLSVersion
) -> None:
    """Where one name is guarded, what is shown for the others has to be right, too."""
    pin = PINNED["as openssl makes it"]
    made = context.create_server_context(
        authority.issue_server("open.test", "guarded.test"),
        client_auth_by_name={"guarded.test": ClientAuth.REQUIRED},
        client_certificates=[pin.leaf],
    )
    right, wrong, nobody = (
        client_context(authority, one, version)
        for one in (pin, issue("mallory", new_key(), pin), None)
    )
    for client, name in itertools.product((right, wrong, nobody), ("open.test", "guarded.test")):
        if client is right or (client is nobody and name == "open.test"):
            shake_hands(made, client, name)
        else:
            with pytest.raises(ClientCertificateError):
                shake_hands(made, client, name)
