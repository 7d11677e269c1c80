"""A certificate as JSON, for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tlshttp import certs
from tlshttp.certs._inspect import find_extension, is_authority, names_of
from tlshttp.certs._keys import describe_public_key


def describe_as_json(certificate: certs.CertificateChain) -> dict[str, Any]:
    """Return what is in a leaf, and in ``chain`` the same for each intermediate.

    Times are in UTC, as RFC 3339 has them; serial number and fingerprint are hexadecimal.
    """
    chain = [_describe(intermediate) for intermediate in certificate.chain]
    return {**_describe(certificate.leaf), "chain": chain}


def _describe(certificate: x509.Certificate) -> dict[str, Any]:
    usage = find_extension(certificate, x509.ExtendedKeyUsage)
    return {
        "subject": certificate.subject.rfc4514_string(),
        "names": list(names_of(certificate)),
        "issuer": certificate.issuer.rfc4514_string(),
        "not_valid_before": _render(certificate.not_valid_before_utc),
        "not_valid_after": _render(certificate.not_valid_after_utc),
        "key": describe_public_key(certificate.public_key()),
        "serial_number": f"{certificate.serial_number:x}",
        "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        "authority": is_authority(certificate),
        "extended_key_usage": [oid.dotted_string for oid in usage.value] if usage else [],
    }


def _render(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
