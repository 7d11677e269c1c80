"""Certificates: make, load, inspect, write.

>>> from tlshttp import certs
>>> certificate = certs.self_signed("localhost", "127.0.0.1")
>>> certificate.names
('localhost', '127.0.0.1')
>>> certs.load(certificate.key_to_pem() + certificate.to_pem()) == certificate
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp.certs._authority import CertificateAuthority
    from tlshttp.certs._certificate import Certificate, CertificateChain
    from tlshttp.certs._crls import CRLStore
    from tlshttp.certs._fetch import fetch
    from tlshttp.certs._findings import Finding, Purpose, Severity
    from tlshttp.certs._issue import self_signed
    from tlshttp.certs._keys import KeyType
    from tlshttp.certs._load import load, load_chain, load_pkcs12, load_trust_anchors
    from tlshttp.certs._local import (
        LocalAuthority,
        find_local_authority,
        local_authority,
        local_authority_folder,
    )
    from tlshttp.certs._store import CertificateStore
    from tlshttp.certs._trust import trust_instructions

__all__ = [
    "CRLStore",
    "Certificate",
    "CertificateAuthority",
    "CertificateChain",
    "CertificateStore",
    "Finding",
    "KeyType",
    "LocalAuthority",
    "Purpose",
    "Severity",
    "fetch",
    "find_local_authority",
    "load",
    "load_chain",
    "load_pkcs12",
    "load_trust_anchors",
    "local_authority",
    "local_authority_folder",
    "self_signed",
    "trust_instructions",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "CRLStore": "tlshttp.certs._crls",
            "Certificate": "tlshttp.certs._certificate",
            "CertificateAuthority": "tlshttp.certs._authority",
            "CertificateChain": "tlshttp.certs._certificate",
            "CertificateStore": "tlshttp.certs._store",
            "Finding": "tlshttp.certs._findings",
            "KeyType": "tlshttp.certs._keys",
            "LocalAuthority": "tlshttp.certs._local",
            "Purpose": "tlshttp.certs._findings",
            "Severity": "tlshttp.certs._findings",
            "fetch": "tlshttp.certs._fetch",
            "find_local_authority": "tlshttp.certs._local",
            "load": "tlshttp.certs._load",
            "load_chain": "tlshttp.certs._load",
            "load_pkcs12": "tlshttp.certs._load",
            "load_trust_anchors": "tlshttp.certs._load",
            "local_authority": "tlshttp.certs._local",
            "local_authority_folder": "tlshttp.certs._local",
            "self_signed": "tlshttp.certs._issue",
            "trust_instructions": "tlshttp.certs._trust",
        },
    )
