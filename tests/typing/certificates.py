"""Certificates and contexts as users make them, for the type checkers; never run."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_type

from cryptography import x509
from cryptography.x509 import ocsp
from OpenSSL import SSL

from tlshttp import TLSHTTPServer, certs, context, profiles


def certificates_are_made(folder: Path) -> certs.Certificate:
    """Self-signed, by an authority, and written to files."""
    own = certs.self_signed("localhost", "127.0.0.1", key_type=certs.KeyType.ECDSA_P256)
    root = certs.CertificateAuthority.generate("Example root", path_length=1)
    issuing = root.issue_authority("Example servers", lifetime=timedelta(days=365))
    server = issuing.issue_server("www.example.org", also_client=True)
    client = issuing.issue_client("me@example.org", private_key=server.private_key)
    assert_type(server.chain, tuple[x509.Certificate, ...])
    assert_type(client.to_pkcs12("secret", name="me"), bytes)
    assert_type(own.key_to_pem(), bytes)
    issuing.revoke(client, reason=x509.ReasonFlags.key_compromise)
    assert_type(issuing.crl(), x509.CertificateRevocationList)
    assert_type(issuing.ocsp_response(client), ocsp.OCSPResponse)
    signed = issuing.issue_for_request(b"PEM", "www.example.org", purpose=certs.Purpose.SERVER)
    assert_type(signed, certs.CertificateChain)
    root.write(folder / "root.pem", str(folder / "root-key.pem"), password=lambda: b"secret")
    certs.self_signed(b"localhost")  # type: ignore[arg-type]
    return own


def certificates_are_loaded(folder: Path) -> tuple[certs.Certificate, list[x509.Certificate]]:
    """From files, text, PKCS#12, and from a running server."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    pair = certs.load(folder / "cert.pem", folder / "key.pem", tolerate=["expired"], at=tomorrow)
    assert_type(certs.load_pkcs12(folder / "pair.p12", "secret"), certs.Certificate)
    assert_type(certs.load_chain("chain.pem"), certs.CertificateChain)
    assert_type(certs.fetch("localhost", 8443, timeout=1), certs.CertificateChain)
    return pair, certs.load_trust_anchors(folder / "ca.pem")


def certificates_are_judged(chain: certs.CertificateChain, roots: list[x509.Certificate]) -> str:
    """Findings say how bad they are; verifying raises."""
    findings = chain.check(purpose=certs.Purpose.CLIENT)
    assert_type(findings, tuple[certs.Finding, ...])
    chain.verify(roots, "www.example.org")
    assert_type(chain.expires_in, timedelta)
    worst = [each for each in findings if each.severity is certs.Severity.ERROR]
    return ", ".join(f"{each.code}: {each.sentence}" for each in worst)


def trust_is_configured(authority: certs.LocalAuthority) -> str:
    """The developer's own authority, for either library's contexts."""
    authority.configure_trust(ssl.create_default_context())
    authority.configure_trust(SSL.Context(SSL.TLS_METHOD))
    assert_type(authority.store("localhost"), certs.CertificateStore)
    assert_type(certs.local_authority(), certs.LocalAuthority)
    assert_type(certs.find_local_authority(), certs.LocalAuthority | None)
    assert_type(certs.local_authority_folder(), Path)
    return certs.trust_instructions(authority)


def contexts_are_made(
    certificate: certs.Certificate, store: certs.CertificateStore, lists: certs.CRLStore
) -> context.ServerContext:
    """A policy, client certificates, names, tickets: all by name."""
    ssl_context = context.create_server_context(
        certificate,
        store,
        profile=profiles.MODERN,
        client_auth=context.ClientAuth.OPTIONAL,
        client_auth_by_name={"admin.example.org": context.ClientAuth.REQUIRED},
        client_cas=certs.load_trust_anchors("clients.pem"),
        crls=[lists],
        verify_depth=1,
        unknown_names=context.UnknownNames.REFUSE,
        tickets=context.Tickets(number=2, rotation=timedelta(days=1)),
        keylog_file=Path("keys.log"),
    )
    standard: ssl.SSLContext = ssl_context
    standard.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.create_server_context(certificate, profile="modern")  # type: ignore[arg-type]
    context.create_server_context(certificate, client_auth=True)  # type: ignore[arg-type]
    return ssl_context


def servers_are_audited(server: TLSHTTPServer, ssl_context: ssl.SSLContext) -> Sequence[str]:
    """In memory or over the network, against a profile of one's own."""
    profile = profiles.INTERMEDIATE.replace(minimum_rsa_bits=3072)
    assert_type(profile, profiles.TLSProfile)
    reports = [
        context.audit(server, profile=profile),
        context.audit(ssl_context, profile=profiles.INSECURE_OLD),
        context.audit_host("localhost", 8443),
    ]
    assert_type(reports, list[context.Report])
    assert_type(reports[0].deviations, tuple[context.Deviation, ...])
    return [deviation.code for report in reports for deviation in report.deviations]
