"""Whether each certificate may issue the one below it: RFC 5280, section 6.1, without the root."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlshttp.certs._constraints import constraint_findings
from tlshttp.certs._findings import Purpose
from tlshttp.certs._inspect import describe, find_extension, is_authority, is_self_signed
from tlshttp.certs._rules import MAXIMUM_CHAIN_BYTES, Said

_LENGTH_BYTES = 3
"""Of each certificate in the message: RFC 8446, section 4.4.2."""

_WANTED = {
    Purpose.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Purpose.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}


def judge_chain(
    leaf: x509.Certificate, chain: Sequence[x509.Certificate], purpose: Purpose
) -> Said:
    """Find authorities that may not issue what they issued; each has issued the one before it."""
    for certificate, issuer in zip((leaf, *chain), chain, strict=False):
        yield from _judge_identifiers(certificate, issuer)
    for certificate in (leaf, *chain):
        if is_self_signed(certificate):
            yield from _judge_identifiers(certificate, certificate)
    for below, issuer in enumerate(chain):
        yield from _judge_issuer(issuer, _authorities(chain[:below]))
        yield from _judge_issuer_usage(issuer, purpose)
    yield from _judge_constraints(leaf, chain)


def judge_size(leaf: x509.Certificate, chain: Sequence[x509.Certificate]) -> Said:
    """Find chains that are too large, all certificates together, for clients to read."""
    size = sum(len(one.public_bytes(Encoding.DER)) + _LENGTH_BYTES for one in (leaf, *chain))
    if size > MAXIMUM_CHAIN_BYTES:
        yield (
            "too-large",
            (
                f"certificate and chain have {size} bytes: clients built on OpenSSL read"
                f" {MAXIMUM_CHAIN_BYTES}. Spread the names over several certificates"
            ),
        )


def _judge_identifiers(certificate: x509.Certificate, issuer: x509.Certificate) -> Said:
    """Compare what clients go by to find an issuer: RFC 5280, section 4.2.1.1."""
    authority = find_extension(certificate, x509.AuthorityKeyIdentifier)
    own = find_extension(issuer, x509.SubjectKeyIdentifier)
    if authority is None or own is None or authority.value.key_identifier is None:
        return
    if authority.value.key_identifier != own.value.key_identifier:
        yield (
            "other-issuer-key",
            (
                f"the authority key identifier of {describe(certificate)} is not that of"
                f" {describe(issuer)}, so clients look for another issuer"
            ),
        )


def _authorities(certificates: Sequence[x509.Certificate]) -> int:
    """Count for a path length: certificates that were issued under their own name do not count."""
    return sum(certificate.subject != certificate.issuer for certificate in certificates)


def _judge_issuer(issuer: x509.Certificate, authorities_below: int) -> Said:
    name = describe(issuer)
    if not is_authority(issuer):
        yield "issuer-no-authority", f"{name} is in the chain as an issuer, but is no authority"
        return
    usage = find_extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.value.key_cert_sign:
        yield "issuer-may-not-sign", f"the keyUsage of the authority {name} lacks keyCertSign"
    constraints = find_extension(issuer, x509.BasicConstraints)
    limit = constraints.value.path_length if constraints is not None else None
    if limit is not None and authorities_below > limit:
        yield (
            "path-length",
            f"{name} permits {limit} authorities below it, and there are {authorities_below}",
        )


def _judge_issuer_usage(issuer: x509.Certificate, purpose: Purpose) -> Said:
    usage = find_extension(issuer, x509.ExtendedKeyUsage)
    if usage is None or purpose not in _WANTED:
        return
    # As in a leaf, OpenSSL does not take anyExtendedKeyUsage for it.
    if _WANTED[purpose] not in usage.value:
        yield (
            "issuer-usage",
            (
                f"the extended key usage of the authority {describe(issuer)} leaves out"
                f" {purpose.value}s, so what it issues is none for them"
            ),
        )


def _judge_constraints(leaf: x509.Certificate, chain: Sequence[x509.Certificate]) -> Said:
    names = find_extension(leaf, x509.SubjectAlternativeName)
    if names is not None:
        for sentence in constraint_findings(names.value, chain):
            yield "name-constraints", sentence
