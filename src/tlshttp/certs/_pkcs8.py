"""Encrypted private keys as PKCS#8 (RFC 5958) by PBES2 (RFC 8018), for keys that are DER already.

`cryptography` encrypts only what it has written itself.
"""

from __future__ import annotations

import os

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from tlshttp.certs import _der

__all__ = ["encrypt"]

_ROUNDS = 20_000
"""Ten times what `cryptography` and OpenSSL's command line take by default; 10 ms."""

_SALT_BYTES = 16  # RFC 8018, section 4.1: 8 or more
_KEY_BYTES = 32


def encrypt(der: bytes, password: bytes) -> bytes:
    """Return an EncryptedPrivateKeyInfo: AES-256-CBC, PBKDF2 with HMAC-SHA-256."""
    salt, start = os.urandom(_SALT_BYTES), os.urandom(algorithms.AES256.block_size // 8)
    derived = PBKDF2HMAC(hashes.SHA256(), _KEY_BYTES, salt, _ROUNDS).derive(password)
    padder = padding.PKCS7(algorithms.AES256.block_size).padder()
    encryptor = Cipher(algorithms.AES256(derived), modes.CBC(start)).encryptor()
    encrypted = encryptor.update(padder.update(der) + padder.finalize()) + encryptor.finalize()
    derivation = _algorithm(
        "1.2.840.113549.1.5.12",  # PBKDF2
        _der.encode(
            _der.SEQUENCE,
            _der.encode(_der.OCTET_STRING, salt),
            _der.encode(_der.INTEGER, _ROUNDS.to_bytes(2, "big")),
            _algorithm("1.2.840.113549.2.9", b"\x05\x00"),  # HMAC with SHA-256
        ),
    )
    cipher = _algorithm(
        "2.16.840.1.101.3.4.1.42",  # AES-256-CBC
        _der.encode(_der.OCTET_STRING, start),
    )
    both = _der.encode(_der.SEQUENCE, derivation, cipher)
    return _der.encode(
        _der.SEQUENCE,
        _algorithm("1.2.840.113549.1.5.13", both),  # PBES2
        _der.encode(_der.OCTET_STRING, encrypted),
    )


def _algorithm(dotted: str, parameters: bytes) -> bytes:
    """Return an AlgorithmIdentifier (RFC 5280, section 4.1.1.2)."""
    return _der.encode(_der.SEQUENCE, _der.encode(_der.OID, _der.oid(dotted)), parameters)
