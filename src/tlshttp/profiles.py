"""TLS policies as data: Mozilla's guidelines, each row with source, version and date.

The mechanism that applies them is `tlshttp.context`. What the running `ssl` module cannot set,
`tlshttp.context.audit` names.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from ssl import OP_NO_COMPRESSION, OP_NO_RENEGOTIATION, OP_SINGLE_ECDH_USE, Options, TLSVersion
from typing import Any

from tlshttp._several import require_several

__all__ = ["INSECURE_OLD", "INTERMEDIATE", "MODERN", "TLSProfile"]

_SOURCE = "Mozilla Server Side TLS"

_SUITES = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)

_FORWARD_SECRET = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)

_LEGACY = (
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA256",
    "AES256-SHA256",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
)

_SIGNATURES = (
    "ecdsa_secp256r1_sha256",
    "ecdsa_secp384r1_sha384",
    "ed25519",
    "rsa_pss_rsae_sha256",
    "rsa_pss_rsae_sha384",
    "rsa_pss_rsae_sha512",
    "rsa_pss_pss_sha256",
    "rsa_pss_pss_sha384",
    "rsa_pss_pss_sha512",
)
# Mozilla's guideline has no such list: these are what RFC 8446, section 4.2.3, leaves for TLS 1.3,
# without curves that the guideline does not have. TLS 1.2 clients may know no RSA but PKCS #1.
_SIGNATURES_PKCS1 = ("rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512")
_SIGNATURES_SHA1 = ("ecdsa_sha1", "rsa_pkcs1_sha1")

_GROUPS = ("X25519MLKEM768", "X25519", "prime256v1", "secp384r1")

_LISTS = ("ciphersuites", "ciphers", "groups", "signature_algorithms", "certificate_keys")

_TWO_YEARS = 63_072_000  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class TLSProfile:
    """What a server negotiates, in OpenSSL's names."""

    name: str
    """What to call it in reports."""
    source: str
    """Where it comes from."""
    version: str
    """The version of that source."""
    date: str
    """The day of that version, ISO 8601."""
    minimum_version: TLSVersion
    """The oldest protocol version."""
    maximum_version: TLSVersion
    """The newest protocol version."""
    ciphersuites: tuple[str, ...]
    """TLS 1.3 suites, in order of preference."""
    ciphers: tuple[str, ...]
    """Ciphers up to TLS 1.2, in order of preference; empty where there is only TLS 1.3."""
    groups: tuple[str, ...]
    """Key-exchange groups, in order of preference."""
    signature_algorithms: tuple[str, ...]
    """Signatures of server and client, in order of preference (RFC 8446, section 4.2.3)."""
    server_preference: bool
    """Whether the server's order of ciphers counts, rather than the client's."""
    certificate_keys: tuple[str, ...]
    """Kinds of keys the server's certificate may have: ``"ecdsa-p256"``, ``"ecdsa-p384"``,
    ``"ed25519"``, ``"rsa"``; empty: any."""
    minimum_rsa_bits: int = 2048
    """The smallest RSA key, in bits."""
    security_level: int | None = None
    """OpenSSL's ``@SECLEVEL`` that the ciphers need; `None`: the one OpenSSL was built with."""
    options: Options = OP_NO_COMPRESSION | OP_NO_RENEGOTIATION | OP_SINGLE_ECDH_USE
    """What to turn on of OpenSSL's options: no compression (CRIME; RFC 9325, section 3.3), no
    renegotiation (section 3.5), a new key for each key exchange. Early data (0-RTT) is never
    accepted: the `ssl` module cannot."""
    hsts_max_age: int = _TWO_YEARS
    """Seconds for Strict-Transport-Security (RFC 6797, section 6.1.1)."""

    def __post_init__(self) -> None:
        """Refuse one text where there are several.

        Raises:
            TypeError: It names the field.
        """
        for name in _LISTS:
            require_several(name, getattr(self, name))

    def replace(self, **changes: Any) -> TLSProfile:
        """Return a profile that differs in the fields given."""
        return dataclasses.replace(self, **changes)


MODERN = TLSProfile(
    name="modern",
    source=_SOURCE,
    version="6.0",
    date="2026-04-06",
    minimum_version=TLSVersion.TLSv1_3,
    maximum_version=TLSVersion.TLSv1_3,
    ciphersuites=_SUITES,
    ciphers=(),
    groups=_GROUPS,
    signature_algorithms=_SIGNATURES,
    server_preference=False,
    certificate_keys=("ecdsa-p256", "ecdsa-p384"),
    security_level=2,
)
"""For clients that all speak TLS 1.3."""

INTERMEDIATE = TLSProfile(
    name="intermediate",
    source=_SOURCE,
    version="6.0",
    date="2026-04-06",
    minimum_version=TLSVersion.TLSv1_2,
    maximum_version=TLSVersion.TLSv1_3,
    ciphersuites=_SUITES,
    ciphers=_FORWARD_SECRET,
    groups=_GROUPS,
    signature_algorithms=_SIGNATURES + _SIGNATURES_PKCS1,
    server_preference=False,
    certificate_keys=("ecdsa-p256", "ecdsa-p384", "rsa"),
    security_level=2,
)
"""For everybody else; the default."""

INSECURE_OLD = TLSProfile(
    name="old",
    source=_SOURCE,
    version="5.8",
    date="2026-04-06",
    minimum_version=TLSVersion.TLSv1,
    maximum_version=TLSVersion.TLSv1_3,
    ciphersuites=_SUITES,
    ciphers=_FORWARD_SECRET + _LEGACY,
    groups=_GROUPS,
    signature_algorithms=_SIGNATURES + _SIGNATURES_PKCS1 + _SIGNATURES_SHA1,
    server_preference=True,
    certificate_keys=("rsa",),
    security_level=0,
)
"""For clients from before 2014, and nothing else: TLS 1.0 and 1.1, CBC ciphers, and some
without forward secrecy.

.. warning::
    Who can record the traffic may decrypt it later, and who can change it may break it now
    (RFC 8996; RFC 9325, sections 3.1 and 4.1).
"""
