"""Client certificates that OpenSSL takes and nobody can read: of versions that there are not."""

from __future__ import annotations

import contextlib
import logging
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.context.support import (
    VERSIONS,
    Handler,
    RecordingServer,
    client_context,
    running,
    visit,
)
from tlshttp import TLSInfo, certs, context
from tlshttp.certs import _der
from tlshttp.certs._memory import pem_path
from tlshttp.context import ClientAuth
from tlshttp.errors import ClientCertificateError

_THIRD = bytes.fromhex("a003020102")
"""Version 3 as a certificate has it (RFC 5280, section 4.1.2.1)."""


def of_version(number: int, good: certs.Certificate, issuer: certs.Certificate) -> bytes:
    """Return a certificate in DER, made one of another version and signed again."""
    key = issuer.private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    body = good.leaf.tbs_certificate_bytes
    assert body.count(_THIRD) == 1
    body = body.replace(_THIRD, _THIRD[:-1] + bytes([number - 1]))
    algorithm = _der.children(_der.read(good.leaf.public_bytes(Encoding.DER)))[1].encoded
    signature = _der.encode(_der.BIT_STRING, b"\0", key.sign(body, ec.ECDSA(hashes.SHA256())))
    return _der.encode(_der.SEQUENCE, body, algorithm, signature)


def showing(
    authority: certs.CertificateAuthority, version: ssl.TLSVersion, own: certs.Certificate,
    *chain: bytes,
) -> ssl.SSLContext:  # fmt: skip
    """Return the context of a client that shows this chain."""
    made = client_context(authority, version=version)
    pem = "".join(ssl.DER_cert_to_PEM_cert(der) for der in chain).encode()
    with pem_path(own.key_to_pem() + pem) as path:
        made.load_cert_chain(path)
    return made


@pytest.mark.parametrize("number", [2, 4])
@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_refused(
    version: ssl.TLSVersion,
    number: int,
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    clients: certs.CertificateAuthority,
    alice: certs.Certificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A certificate of no known version ends the handshake, and is no failure of ours."""
    made = context.create_server_context(
        certificate, client_auth=ClientAuth.OPTIONAL, client_cas=[clients.certificate.leaf]
    )
    shown = of_version(number, alice, clients.certificate)
    with running(RecordingServer(made)) as server, caplog.at_level(logging.INFO, "tlshttp"):
        with contextlib.suppress(OSError):
            visit(server, showing(authority, version, alice, shown), "localhost")
        failure = server.failure()
    assert isinstance(failure, ClientCertificateError)
    assert f"of X.509 version {number}" in str(failure)
    assert failure.server_name == "localhost"
    assert not server.served
    assert not [record for record in caplog.records if record.exc_info]


def test_one_above_it_is_refused(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    clients: certs.CertificateAuthority,
    engine: str,
) -> None:
    """So is one in the middle of a chain."""
    made = context.create_server_context(
        certificate, client_auth=ClientAuth.REQUIRED, client_cas=[clients.certificate.leaf]
    )
    below = clients.issue_authority("below")
    own = below.issue_client("bob@example.org")
    chain = (
        own.leaf.public_bytes(Encoding.DER),
        of_version(2, below.certificate, clients.certificate),
    )
    client = showing(authority, ssl.TLSVersion.TLSv1_3, own, *chain)
    with running(RecordingServer(made)) as server:
        with contextlib.suppress(OSError):
            visit(server, client, "localhost")
        assert "of X.509 version 2" in str(server.failure())
    assert not server.served


class _Tells(Handler):
    """Answers with what becomes of asking whose the certificate is."""

    tls: TLSInfo

    def do_GET(self) -> None:
        """Answer 200, or 403 where nobody can tell."""
        try:
            self.send_response(200 if self.tls.peer_chain else 204)
        except ValueError:
            self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_where_nobody_has_refused_it_to_ask_for_it_is_a_value_error(
    authority: certs.CertificateAuthority,
    certificate: certs.Certificate,
    clients: certs.CertificateAuthority,
    alice: certs.Certificate,
    tmp_path: Path,
) -> None:
    """With a context that is not ours, ``peer_chain`` raises what it says that it raises."""
    certificate.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    made.load_verify_locations(cadata=clients.certificate.to_pem().decode())
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT  # on from 3.13 on, and it refuses that itself
    shown = of_version(2, alice, clients.certificate)
    client = showing(authority, ssl.TLSVersion.TLSv1_3, alice, shown)
    with running(RecordingServer(made, _Tells)) as server:
        assert visit(server, client, "localhost").status == 403
