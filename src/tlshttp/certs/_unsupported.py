"""What is sound, but of a kind that `cryptography` does not read, is called by its name here."""

from __future__ import annotations

import re
from types import MappingProxyType

from cryptography.exceptions import UnsupportedAlgorithm

from tlshttp.certs import _der

__all__ = ["is_unsupported", "unsupported_key", "unsupported_sentence"]

_NAMES = MappingProxyType(
    {
        "1.3.132.0.1": "curve sect163k1",
        "1.3.132.0.2": "curve sect163r1",
        "1.3.132.0.3": "curve sect239k1",
        "1.3.132.0.8": "curve secp160r1",
        "1.3.132.0.9": "curve secp160k1",
        "1.3.132.0.15": "curve sect163r2",
        "1.3.132.0.16": "curve sect283k1",
        "1.3.132.0.17": "curve sect283r1",
        "1.3.132.0.26": "curve sect233k1",
        "1.3.132.0.27": "curve sect233r1",
        "1.3.132.0.31": "curve secp192k1",
        "1.3.132.0.32": "curve secp224k1",
        "1.3.132.0.33": "curve secp224r1",
        "1.3.132.0.36": "curve sect409k1",
        "1.3.132.0.37": "curve sect409r1",
        "1.3.132.0.38": "curve sect571k1",
        "1.3.132.0.39": "curve sect571r1",
        "1.2.840.10045.3.1.1": "curve prime192v1",
        "1.3.36.3.3.2.8.1.1.1": "curve brainpoolP160r1",
        "1.3.36.3.3.2.8.1.1.3": "curve brainpoolP192r1",
        "1.3.36.3.3.2.8.1.1.5": "curve brainpoolP224r1",
        "1.3.36.3.3.2.8.1.1.9": "curve brainpoolP320r1",
        "1.2.156.10197.1.301": "curve SM2",
        "1.2.643.2.2.19": "algorithm GOST R 34.10-2001",
        "1.2.643.7.1.1.1.1": "algorithm GOST R 34.10-2012",
        "1.2.643.7.1.1.1.2": "algorithm GOST R 34.10-2012",
        "2.16.840.1.101.3.4.3.17": "algorithm ML-DSA-44",
        "2.16.840.1.101.3.4.3.18": "algorithm ML-DSA-65",
        "2.16.840.1.101.3.4.3.19": "algorithm ML-DSA-87",
    }
)
"""Object identifiers: SEC 2 appendix A, RFC 5639, RFC 4491, RFC 9881, GB/T 32918."""

_OID = re.compile(r"\d+(?:\.\d+){3,}")

_EXPLICIT = "ECDSA keys with explicit parameters"

_WHAT_WORKS = "use ECDSA with P-256 or P-384, or RSA with 2048 bits or more"


def is_unsupported(error: BaseException) -> bool:
    """Tell whether `cryptography` says that it does not support something, or that it is broken."""
    # 45 says so of curves that are written out (RFC 3279, section 2.3.5); 50 reads them.
    return isinstance(error, UnsupportedAlgorithm) or _EXPLICIT in str(error)


def unsupported_sentence(what: str, error: BaseException) -> str:
    """Say of what kind something is that `cryptography` does not support."""
    # Of the error's text only the identifier: the rest may quote what was parsed.
    if _EXPLICIT in str(error):
        return (
            f"{what} has the parameters of its curve written out, which this version of"
            f" cryptography does not read: {_WHAT_WORKS}, with the name of the curve"
        )
    found = _OID.search(str(error))
    kind = "kind of key or encryption"
    if found is not None:
        kind = _NAMES.get(found[0], f"kind ({found[0]})")
    return f"{what} is of a kind that is not supported, {kind}: {_WHAT_WORKS}"


def unsupported_key(what: str, encoded: bytes) -> str:
    """Say what is wrong with an open key that cannot be read."""
    try:
        der = _der.from_pem(encoded) if b"-----" in encoded else encoded
        primes = _has_more_primes(der)
    except (ValueError, IndexError):
        primes = False
    if primes:
        return f"{what} is RSA of more than two primes, which is not supported: {_WHAT_WORKS}"
    return f"{what} is damaged"


def _has_more_primes(der: bytes) -> bool:
    """Tell whether this is RSA with version 1, "multi" (RFC 8017, appendix A.1.2)."""
    parts = _der.children(_der.read(der))
    if parts[1].tag == _der.SEQUENCE:  # PKCS#8, which has the RSA key in an OCTET STRING
        parts = _der.children(_der.read(_der.octets(parts[2])))
    # EC keys have version 1, too, and then an OCTET STRING.
    return parts[0].content == b"\x01" and parts[1].tag == _der.INTEGER
