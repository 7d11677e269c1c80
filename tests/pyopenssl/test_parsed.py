"""``getpeercert()`` in its parsed form: what the `ssl` module says of the same certificate."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from cryptography import x509

from tests.context.support import client_context
from tests.context.support import shake_hands as shake_hands_of_ssl
from tests.pyopenssl.conftest import Create
from tests.pyopenssl.peer import client_of, shake_hands
from tlshttp import certs, context
from tlshttp.certs import CertificateAuthority


@pytest.mark.parametrize(
    "names", [("alice@example.org",), ("robot.test", "192.0.2.7", "2001:db8::1", "urn:x:y")]
)
def test_it_is_what_ssl_tells(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate, names: Any
) -> None:
    """Subject, issuer, serial number, times, names, and where to ask about it."""
    clients = CertificateAuthority.generate(
        "clients", crl_url="http://crl.test/x.crl", ocsp_url="http://ocsp.test/"
    )
    own = clients.issue_client(*names)
    options: dict[str, Any] = {
        "client_auth": context.ClientAuth.REQUIRED,
        "client_cas": [clients.certificate.leaf],
    }
    with_ssl = context.create_server_context(certificate, **options)
    expected: Any = shake_hands_of_ssl(with_ssl, client_context(authority, own)).server
    client = client_of(authority)
    own.configure(client)
    server = shake_hands(create(certificate, **options), client).server
    assert server.getpeercert() == expected.getpeercert()
    assert server.getpeercert(True) == expected.getpeercert(True)
    assert server.getpeercert()["OCSP"] == ("http://ocsp.test/",)


def test_nobody_has_none(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate
) -> None:
    """Where no certificate was shown, or asked for, there is nothing to parse."""
    clients = CertificateAuthority.generate("clients")
    for options in ({}, {
        "client_auth": context.ClientAuth.OPTIONAL, "client_cas": [clients.certificate.leaf]
    }):  # fmt: skip
        server = shake_hands(create(certificate, **options), client_of(authority)).server
        assert server.getpeercert() is None
        assert server.getpeercert(True) is None


def test_rare_names_have_the_form_of_ssl(tmp_path: Any) -> None:
    """A name of a folder, a registered number, one of another kind, and a leap of a month."""
    from datetime import UTC, datetime

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    from tlshttp.pyopenssl._parsed import parsed

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([
        x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Bücher"),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "a"),
    ])  # fmt: skip
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(0xABC).not_valid_before(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))
        .not_valid_after(datetime(2027, 12, 24, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([
            x509.DirectoryName(name), x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
            x509.DNSName("*.example.test"),
        ]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "cert.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    decode: Any = ssl._ssl._test_decode_cert  # type: ignore[attr-defined]
    assert parsed(made) == decode(str(path))
