"""A certificate that clients refuse without an OCSP response."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tlshttp import certs

__all__ = ["must_staple"]


def must_staple(authority: certs.CertificateAuthority) -> certs.Certificate:
    """Return a certificate that says of itself that it is stapled."""
    model = authority.issue_server("localhost")
    builder = (
        x509.CertificateBuilder()
        .subject_name(model.leaf.subject)
        .issuer_name(model.leaf.issuer)
        .public_key(model.leaf.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(model.leaf.not_valid_before_utc)
        .not_valid_after(model.leaf.not_valid_after_utc)
    )
    for extension in model.leaf.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    builder = builder.add_extension(
        x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False
    )
    leaf = builder.sign(authority.certificate.private_key, hashes.SHA256())
    return certs.Certificate(leaf, model.chain, model.private_key)
