"""RSA keys that may sign by PSS only (RFC 4055, section 1.2), which `cryptography` cannot tell.

It reads them, in certificates and in key files, as RSA keys of the usual kind, and writes them so.
OpenSSL then finds that certificate and key are of different kinds. The certificate keeps its bytes,
though, and the algorithm that stands there with the public key is the one that belongs to the
private key, parameters included.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import PublicKeyAlgorithmOID

from tlshttp.certs import _der

__all__ = ["asks_for_rsa_pss", "is_rsa_pss", "rsa_pss_to_pem"]

_RSASSA_PSS = _der.oid(PublicKeyAlgorithmOID.RSASSA_PSS.dotted_string)


def is_rsa_pss(certificate: x509.Certificate) -> bool:
    """Tell whether the key of a certificate is restricted to PSS."""
    return certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS


def asks_for_rsa_pss(request: x509.CertificateSigningRequest) -> bool:
    """Tell whether the key of a signing request is restricted to PSS."""
    # version, subject, then the key (RFC 2986, section 4.1)
    key = _der.children(_der.read(request.tbs_certrequest_bytes))[2]
    return _der.children(_der.children(key)[0])[0].content == _RSASSA_PSS


def rsa_pss_to_pem(key: PrivateKeyTypes, leaf: x509.Certificate, secret: bytes | None) -> bytes:
    """Serialise the private key of such a certificate as PKCS#8 PEM (RFC 5958, section 2).

    Args:
        key: The private key.
        leaf: Its certificate.
        secret: What to encrypt it with; `None` leaves it open.
    """
    numbers = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    version = _der.encode(_der.INTEGER, b"\0")
    private_key = _der.encode(_der.OCTET_STRING, numbers)
    der = _der.encode(_der.SEQUENCE, version, _key_algorithm(leaf), private_key)
    if secret is None:
        return _der.to_pem(der, "PRIVATE KEY")
    from tlshttp.certs import _pkcs8

    return _der.to_pem(_pkcs8.encrypt(der, secret), "ENCRYPTED PRIVATE KEY")


def _key_algorithm(certificate: x509.Certificate) -> bytes:
    """Return the AlgorithmIdentifier of the public key (RFC 5280, section 4.1), as it stands."""
    parts = _der.children(_der.read(certificate.tbs_certificate_bytes))
    # version (from the second on), serialNumber, signature, issuer, validity, subject, then the key
    position = 5 if parts[0].tag == _der.INTEGER else 6
    return _der.children(parts[position])[0].encoded
