"""Private keys: which kinds there are, how they are made, and how they are turned into PEM."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from tlshttp.certs._rsa_pss import is_rsa_pss, rsa_pss_to_pem
from tlshttp.errors import CertificateError

PrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | rsa.RSAPrivateKey
)
"""The private keys that a TLS server or client can show a certificate for."""

Password: TypeAlias = str | bytes | bytearray | Callable[[], str | bytes | bytearray]
"""A password, or a function that asks for it; the forms that ``ssl`` takes."""

MINIMUM_RSA_BITS = 2048
"""CA/Browser Forum Baseline Requirements 2.1 (2025), section 6.1.5, and NIST SP 800-57 part 1."""

MINIMUM_CURVE_BITS = 256
"""P-256 is the smallest curve of the same section 6.1.5."""

WEAK_HASHES: tuple[type[hashes.HashAlgorithm], ...] = (hashes.SHA1, hashes.MD5)
"""Refused by every current client in a signature; SHA-1 since 2017."""

_RSA_EXPONENT = 65537
"""The public exponent of FIPS 186-5, appendix A.1.1, that everybody uses."""


class KeyType(enum.Enum):
    """The kind of private key to generate.

    `ECDSA_P256` is the default everywhere: every client accepts it and it is the cheapest in a
    handshake. No browser accepts `ED25519` in a certificate; programs built on OpenSSL do.
    """

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    ED25519 = "ed25519"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"


def generate_key(key_type: KeyType) -> PrivateKey:
    """Generate a private key of the given kind."""
    match key_type:
        case KeyType.ECDSA_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.ECDSA_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyType.RSA_2048:
            return rsa.generate_private_key(_RSA_EXPONENT, 2048)
        case KeyType.RSA_3072:
            return rsa.generate_private_key(_RSA_EXPONENT, 3072)
        case KeyType.RSA_4096:
            return rsa.generate_private_key(_RSA_EXPONENT, 4096)
        case _:
            raise TypeError(f"key_type must be a KeyType, not {key_type!r}")


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """Tell the hash to sign with: as strong as the key, `None` where the algorithm has its own."""
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > MINIMUM_CURVE_BITS:
        return hashes.SHA384()
    return hashes.SHA256()


def describe_public_key(key: object) -> str:
    """Name a public key as people do: ``ECDSA P-256``, ``RSA 2048``, ``Ed25519``."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        usual = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
        return f"ECDSA {usual.get(key.curve.name, key.curve.name)}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def weak_key_finding(key: object) -> str | None:
    """Say what is weak about a public key, or return `None` for a sound one."""
    minimum = MINIMUM_RSA_BITS if isinstance(key, rsa.RSAPublicKey) else MINIMUM_CURVE_BITS
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and key.key_size < minimum:
        return f"{describe_public_key(key)} is too small a key, clients want {minimum} bits or more"
    return None


def password_bytes(password: Password | None) -> bytes | None:
    """Turn a password in any of its forms into bytes; `None` stays `None`."""
    if callable(password):
        password = password()
    if isinstance(password, str):
        return password.encode()
    if isinstance(password, bytearray):
        return bytes(password)
    if password is None or isinstance(password, bytes):
        return password
    raise TypeError(f"password must be str, bytes or a function, not {type(password).__name__}")


def key_to_pem(
    key: PrivateKey, password: Password | None = None, *, leaf: x509.Certificate | None = None
) -> bytes:
    """Serialise a private key as PKCS#8 PEM, encrypted if a password is given.

    Args:
        key: The private key.
        password: What to encrypt it with; `None` leaves it open.
        leaf: The certificate of the key, which tells whether RSA is restricted to PSS.

    Raises:
        CertificateError: The password is empty.
    """
    secret = password_bytes(password)
    if secret == b"":
        raise CertificateError("an empty password encrypts nothing: give one, or None")
    if leaf is not None and is_rsa_pss(leaf):
        return rsa_pss_to_pem(key, leaf, secret)
    encryption = (
        serialization.NoEncryption()
        if secret is None
        else serialization.BestAvailableEncryption(secret)
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
