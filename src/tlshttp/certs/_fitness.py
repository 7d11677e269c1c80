"""What a certificate and its key must be to issue others."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from tlshttp.certs._certificate import Certificate
from tlshttp.certs._inspect import describe, find_extension, is_authority
from tlshttp.certs._names import is_url
from tlshttp.certs._rsa_pss import is_rsa_pss


def unfit_findings(certificate: Certificate) -> Iterator[str]:
    """Say why a certificate is not fit to issue others."""
    name = describe(certificate.leaf)
    usage = find_extension(certificate.leaf, x509.KeyUsage)
    if not is_authority(certificate.leaf):
        yield f"{name} is not the certificate of an authority (basicConstraints)"
    elif usage is not None and not usage.value.key_cert_sign:
        yield f"{name} may not sign certificates (keyUsage)"
    if is_rsa_pss(certificate.leaf):
        yield f"{name} has a key that signs by RSA-PSS only, and no authority here can: use another"
    if not certificate.leaf.subject.rdns:
        yield "an authority needs a subject (RFC 5280, section 4.1.2.6)"


def url_findings(*urls: str | None) -> Iterator[str]:
    for url in urls:
        if url is not None and not is_url(url):
            yield f"{url!r} is not a URL such as 'http://ca.example.org/crl'"


def key_identifier(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Name the authority's key as its certificate does."""
    own = find_extension(certificate, x509.SubjectKeyIdentifier)
    if own is not None:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(
        certificate.public_key()  # type: ignore[arg-type]
    )
