"""Who has issued a certificate, as OpenSSL compares names: however they are written."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, rsa

__all__ = ["ComparableName", "are_one_name", "comparable_name", "is_below", "was_signed_by"]

ComparableName: TypeAlias = tuple[Hashable, ...]


def comparable_name(name: x509.Name) -> ComparableName:
    """Return a name as OpenSSL compares it: whatever its ASCII letters' case, spaces and types.

    Who judges clients or revocation lists compares like this, since OpenSSL does. What a server is
    to show is compared as it is written: some clients do the same.
    """
    return tuple(
        frozenset((one.oid, _comparable_value(one.value)) for one in part) for part in name.rdns
    )


def _comparable_value(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else b" ".join(value.encode().lower().split())


def are_one_name(one: x509.Name, other: x509.Name) -> bool:
    """Tell whether two names are one to OpenSSL, however they are written."""
    return one == other or comparable_name(one) == comparable_name(other)


def is_below(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether the issuer's key signed the certificate in its name, however that is written."""
    return are_one_name(certificate.issuer, issuer.subject) and was_signed_by(certificate, issuer)


def was_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether the issuer's key signed the certificate, in whatever name."""
    try:
        key: Any = issuer.public_key()
        # How the kinds of keys that need to be told are told it; the others have one way only.
        parameters: list[object] = [certificate.signature_algorithm_parameters]
        if isinstance(key, (rsa.RSAPublicKey, dsa.DSAPublicKey)):
            parameters.append(certificate.signature_hash_algorithm)
        key.verify(
            certificate.signature,
            certificate.tbs_certificate_bytes,
            *(one for one in parameters if one is not None),
        )
    except Exception:  # noqa: BLE001
        # InvalidSignature, UnsupportedAlgorithm, or AttributeError and TypeError where key and
        # signature are of two kinds: whichever it is, this key has not signed it.
        return False
    return True
