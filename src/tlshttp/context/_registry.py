"""Numbers on the wire, by OpenSSL's names (IANA's registry "TLS Parameters")."""

from __future__ import annotations

import functools
import ssl
from types import MappingProxyType

from tlshttp.context._groups import GROUPS

__all__ = ["GROUPS", "SIGNATURES", "VERSIONS", "cipher_name", "known_ciphers", "openssl_ciphers"]

VERSIONS = MappingProxyType(
    {
        0x0300: "SSLv3",
        0x0301: "TLSv1",
        0x0302: "TLSv1.1",
        0x0303: "TLSv1.2",
        0x0304: "TLSv1.3",
    }
)

SIGNATURES = MappingProxyType(
    {
        0x0403: "ecdsa_secp256r1_sha256",
        0x0503: "ecdsa_secp384r1_sha384",
        0x0603: "ecdsa_secp521r1_sha512",
        0x0807: "ed25519",
        0x0808: "ed448",
        0x0804: "rsa_pss_rsae_sha256",
        0x0805: "rsa_pss_rsae_sha384",
        0x0806: "rsa_pss_rsae_sha512",
        0x0809: "rsa_pss_pss_sha256",
        0x080A: "rsa_pss_pss_sha384",
        0x080B: "rsa_pss_pss_sha512",
        0x0401: "rsa_pkcs1_sha256",
        0x0501: "rsa_pkcs1_sha384",
        0x0601: "rsa_pkcs1_sha512",
        0x0303: "ecdsa_sha224",
        0x0301: "rsa_pkcs1_sha224",
        0x0203: "ecdsa_sha1",
        0x0201: "rsa_pkcs1_sha1",
        0x0101: "rsa_pkcs1_md5",
    }
)

# What today's OpenSSL does not know any more, but a server may: RC4, DES, 3DES, export and NULL.
_ANTIQUE = MappingProxyType(
    {
        0x0001: "NULL-MD5",
        0x0003: "EXP-RC4-MD5",
        0x0004: "RC4-MD5",
        0x0005: "RC4-SHA",
        0x0006: "EXP-RC2-CBC-MD5",
        0x0008: "EXP-DES-CBC-SHA",
        0x0009: "DES-CBC-SHA",
        0x000A: "DES-CBC3-SHA",
        0x0014: "EXP-EDH-RSA-DES-CBC-SHA",
        0x0015: "EDH-RSA-DES-CBC-SHA",
        0x0016: "EDH-RSA-DES-CBC3-SHA",
        0x0018: "ADH-RC4-MD5",
        0x001B: "ADH-DES-CBC3-SHA",
        0x0096: "SEED-SHA",
        0xC007: "ECDHE-ECDSA-RC4-SHA",
        0xC008: "ECDHE-ECDSA-DES-CBC3-SHA",
        0xC011: "ECDHE-RSA-RC4-SHA",
        0xC012: "ECDHE-RSA-DES-CBC3-SHA",
    }
)

_CIPHERSUITES = MappingProxyType(
    {
        0x1301: "TLS_AES_128_GCM_SHA256",
        0x1302: "TLS_AES_256_GCM_SHA384",
        0x1303: "TLS_CHACHA20_POLY1305_SHA256",
        0x1304: "TLS_AES_128_CCM_SHA256",
        0x1305: "TLS_AES_128_CCM_8_SHA256",
        0xC0B4: "TLS_SHA256_SHA256",
        0xC0B5: "TLS_SHA384_SHA384",
    }
)


@functools.cache
def known_ciphers(version: int) -> dict[int, str]:
    """Return every cipher that there is to ask for in a version, by number."""
    if version == 0x0304:
        return dict(_CIPHERSUITES)
    found = openssl_ciphers()
    return {
        **_ANTIQUE,
        **{number: name for number, name in found.items() if number not in _CIPHERSUITES},
    }


@functools.cache
def openssl_ciphers() -> dict[int, str]:
    """Return every cipher of any version that this OpenSSL has, by number."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return {int(one["id"]) & 0xFFFF: str(one["name"]) for one in context.get_ciphers()}


def cipher_name(number: int) -> str:
    """Return what to call a cipher."""
    names = {**_CIPHERSUITES, **known_ciphers(0x0303)}
    return names.get(number, f"0x{number:04X}")
