"""PKCS#12 (RFC 7292), the one file in which Windows, macOS, Java and browsers take a key."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tlshttp.certs._keys import Password, PrivateKey, password_bytes
from tlshttp.certs._rsa_pss import is_rsa_pss
from tlshttp.errors import CertificateError


def to_pkcs12(
    private_key: PrivateKey,
    leaf: x509.Certificate,
    chain: Sequence[x509.Certificate],
    name: str,
    password: Password,
) -> bytes:
    """Put a key, its certificate and the chain into one encrypted file.

    Raises:
        CertificateError: The password is empty, the key signs by RSA-PSS only, or the name has
            letters that are none.
    """
    if is_rsa_pss(leaf):
        # cryptography would write it as any RSA key, which does not belong to the certificate.
        raise CertificateError(
            "a key that signs by RSA-PSS only cannot be put into PKCS#12 here: let"
            " 'openssl pkcs12 -export -inkey KEYFILE -in CERTFILE -out FILE' do it"
        )
    secret = password_bytes(password)
    if not secret:
        raise CertificateError("a PKCS#12 file needs a password: an empty one protects nothing")
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise CertificateError(f"{name!a} cannot be a name: it is not UTF-8") from None
    return pkcs12.serialize_key_and_certificates(
        encoded, private_key, leaf, list(chain), serialization.BestAvailableEncryption(secret)
    )
