"""What a profile says of itself and of certificates, whatever the engine."""

from __future__ import annotations

from ssl import TLSVersion

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tlshttp.certs import CertificateChain
from tlshttp.certs._inspect import describe
from tlshttp.certs._keys import describe_public_key
from tlshttp.profiles import TLSProfile

__all__ = ["certificate_findings", "profile_findings"]

_ECDSA = {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384", "secp521r1": "ecdsa-p521"}

_KEY_NAMES = {
    "ecdsa-p256": "ECDSA P-256",
    "ecdsa-p384": "ECDSA P-384",
    "ed25519": "Ed25519",
    "rsa": "RSA",
}


def profile_findings(profile: TLSProfile) -> list[str]:
    """Say what of a profile can never be negotiated, by anybody."""
    found = []
    if profile.minimum_version > profile.maximum_version:
        found.append(
            f"profile {profile.name}: minimum_version {profile.minimum_version.name} is above"
            f" maximum_version {profile.maximum_version.name}"
        )
    versions = profile.minimum_version, profile.maximum_version
    if max(versions) >= TLSVersion.TLSv1_3 and not profile.ciphersuites:
        found.append(f"profile {profile.name}: TLS 1.3 needs ciphersuites, and the list is empty")
    if min(versions) < TLSVersion.TLSv1_3 and not profile.ciphers:
        found.append(f"profile {profile.name}: TLS 1.2 needs ciphers, and the list is empty")
    if not profile.groups:
        found.append(f"profile {profile.name}: a key exchange needs groups, and the list is empty")
    return found


def certificate_findings(certificate: CertificateChain, profile: TLSProfile) -> list[str]:
    """Say which rule of the profile a certificate breaks."""
    key = certificate.leaf.public_key()
    kinds = profile.certificate_keys
    found = []
    if kinds and _kind(key) not in kinds:
        wanted = " or ".join(_KEY_NAMES.get(kind, kind) for kind in kinds)
        found.append(
            f"profile {profile.name} wants a certificate with a key of {wanted}, and that of"
            f" {describe(certificate.leaf)} is {describe_public_key(key)}"
        )
    elif kinds and isinstance(key, rsa.RSAPublicKey) and key.key_size < profile.minimum_rsa_bits:
        found.append(
            f"profile {profile.name} wants RSA keys of {profile.minimum_rsa_bits} bits or more,"
            f" and that of {describe(certificate.leaf)} has {key.key_size}"
        )
    return found


def _kind(key: object) -> str | None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _ECDSA.get(key.curve.name)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    return "rsa" if isinstance(key, rsa.RSAPublicKey) else None
