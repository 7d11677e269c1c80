"""What loading asks of a certificate: that it is valid now, and its key and signature are strong.

It is little, so that a server which finds nothing wrong need not import the rest of the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from tlshttp.certs._findings import Finding
from tlshttp.certs._inspect import describe
from tlshttp.certs._keys import WEAK_HASHES, weak_key_finding

__all__ = ["check_period", "check_strength", "find"]


def check_period(certificate: x509.Certificate, at: datetime) -> Iterator[Finding]:
    """Find certificates that are not valid at the given moment."""
    name = describe(certificate)
    if at > certificate.not_valid_after_utc:
        yield find(
            "expired", f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )
    if at < certificate.not_valid_before_utc:
        yield find(
            "not-yet-valid",
            f"{name} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
        )


def check_strength(certificate: x509.Certificate) -> Iterator[Finding]:
    """Find keys and signatures that are too weak."""
    weak_key = weak_key_finding(certificate.public_key())
    if weak_key is not None:
        yield find("weak-key", f"{describe(certificate)}: {weak_key}")
    algorithm = certificate.signature_hash_algorithm
    # The signature of a root protects nothing: clients trust it for being in their store.
    if isinstance(algorithm, WEAK_HASHES) and certificate.subject != certificate.issuer:
        yield find(
            "weak-signature", f"{describe(certificate)} is signed with {algorithm.name.upper()}"
        )


def find(code: str, sentence: str) -> Finding:
    """Return a finding, as severe as its rule."""
    from tlshttp.certs._rules import RULES

    return Finding(code, RULES[code].severity, sentence)
