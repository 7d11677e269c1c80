"""What a profile means to the `ssl` module."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tlshttp.certs import Certificate, CertificateChain
from tlshttp.certs._inspect import describe
from tlshttp.certs._keys import describe_public_key
from tlshttp.certs._memory import pem_path
from tlshttp.context._anchors import TrustAnchors
from tlshttp.context._pins import Pins
from tlshttp.errors import ConfigurationError
from tlshttp.profiles import TLSProfile

__all__ = [
    "apply_profile",
    "certificate_findings",
    "enforcement",
    "load_certificate",
    "profile_findings",
    "trust",
]

# Where Python 3.15 and later have methods for a field; before there is none. Of the two for
# signatures the first is about those that the server makes, the second about the client's.
_SETTERS = {
    "ciphersuites": ("set_ciphersuites",),
    "groups": ("set_groups",),
    "signature_algorithms": ("set_server_sigalgs", "set_client_sigalgs"),
}

_ECDSA = {"secp256r1": "ecdsa-p256", "secp384r1": "ecdsa-p384", "secp521r1": "ecdsa-p521"}

_KEY_NAMES = {
    "ecdsa-p256": "ECDSA P-256",
    "ecdsa-p384": "ECDSA P-384",
    "ed25519": "Ed25519",
    "rsa": "RSA",
}


def enforcement(profile: TLSProfile) -> dict[str, bool]:
    """Tell whether the running `ssl` module can set those fields that not every one can."""
    return {
        field: all(hasattr(ssl.SSLContext, name) for name in setters)
        for field, setters in _SETTERS.items()
        if getattr(profile, field)
    }


def profile_findings(profile: TLSProfile) -> list[str]:
    """Say what of a profile can never be negotiated."""
    found = []
    if profile.minimum_version > profile.maximum_version:
        found.append(
            f"profile {profile.name}: minimum_version {profile.minimum_version.name} is above"
            f" maximum_version {profile.maximum_version.name}"
        )
    versions = profile.minimum_version, profile.maximum_version
    if max(versions) >= ssl.TLSVersion.TLSv1_3 and not profile.ciphersuites:
        found.append(f"profile {profile.name}: TLS 1.3 needs ciphersuites, and the list is empty")
    if min(versions) < ssl.TLSVersion.TLSv1_3 and not profile.ciphers:
        found.append(f"profile {profile.name}: TLS 1.2 needs ciphers, and the list is empty")
    elif profile.ciphers and not _is_known(profile.ciphers):
        found.append(f"profile {profile.name}: OpenSSL knows none of its ciphers")
    if not profile.groups:
        found.append(f"profile {profile.name}: a key exchange needs groups, and the list is empty")
    return found + [
        f"profile {profile.name}: OpenSSL knows none of its {field.replace('_', ' ')}"
        for field in _SETTERS
        if getattr(profile, field) and not _set_known(_blank(), profile, field)
    ]


def _blank() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _is_known(ciphers: Sequence[str]) -> bool:
    try:
        _blank().set_ciphers(":".join((*ciphers, "@SECLEVEL=0")))
    except ssl.SSLError:
        return False
    return True


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


def apply_profile(context: ssl.SSLContext, profile: TLSProfile) -> None:
    """Set everything of a profile that the `ssl` module can set."""
    context.minimum_version = _minimum(profile)
    context.maximum_version = profile.maximum_version
    context.options |= profile.options
    if profile.server_preference:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    level = "" if profile.security_level is None else f"@SECLEVEL={profile.security_level}"
    if profile.ciphers or level:
        context.set_ciphers(":".join(filter(None, (*(profile.ciphers or ("DEFAULT",)), level))))
    for field in _SETTERS:
        _set_known(context, profile, field)


def _minimum(profile: TLSProfile) -> ssl.TLSVersion:
    # Python warns of TLS 1.0 by its name; of whoever asks for INSECURE_OLD that is known. OpenSSL's
    # own minimum is the same, since PROTOCOL_TLS_SERVER excludes SSL 3.0.
    if profile.minimum_version == ssl.TLSVersion.TLSv1:
        return ssl.TLSVersion.MINIMUM_SUPPORTED
    return profile.minimum_version


def _set_known(context: ssl.SSLContext, profile: TLSProfile, field: str) -> bool:
    """Set a field where the `ssl` module can, to what OpenSSL knows of it: it may be older.

    Returns:
        Whether OpenSSL knows any of it, or nothing was set.
    """
    for name in _SETTERS[field]:
        setter = getattr(context, name, None)
        if setter is None:
            continue
        known = [value for value in getattr(profile, field) if _takes(setter, value)]
        if not known:
            return False
        setter(":".join(known))
    return True


def _takes(setter: Callable[[str], object], value: str) -> bool:
    try:
        setter(value)
    except ssl.SSLError:
        return False
    return True


def load_certificate(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Have a context show a certificate, besides those with other kinds of keys.

    Raises:
        ConfigurationError: OpenSSL refuses it.
    """
    with pem_path(certificate.key_to_pem() + certificate.to_pem()) as path:
        try:
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"OpenSSL refuses the certificate of {describe(certificate.leaf)}: {error.reason}"
            ) from None


def trust(context: ssl.SSLContext, anchors: TrustAnchors, crls: bytes | None, pins: Pins) -> None:
    """Have a context accept client certificates of authorities, less what is revoked.

    Args:
        context: A context that has not served.
        anchors: The authorities.
        crls: Revocation lists in PEM; `None`: nothing is ever revoked.
        pins: Certificates of single clients.
    """
    if anchors.certificates or pins:
        context.load_verify_locations(cadata=anchors.to_der() + pins.to_der())
    if crls is not None:
        if crls:
            with pem_path(crls) as path:
                context.load_verify_locations(cafile=path)
        # Of every certificate in the chain, whatever the anchors are: see `_stand_in`.
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
