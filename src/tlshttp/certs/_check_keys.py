"""Kinds of keys and signatures, told by the rows of `tlshttp.certs._rules`."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import PublicKeyAlgorithmOID

from tlshttp.certs._inspect import describe
from tlshttp.certs._keys import WEAK_HASHES, describe_public_key, weak_key_finding
from tlshttp.certs._rules import (
    EVERYBODY,
    KEY_KINDS,
    RSA_PSS,
    USUAL_HASHES,
    KeyKind,
    Said,
)

_ADVICE = "use ECDSA P-256 or RSA 2048"


def judge_key(leaf: x509.Certificate) -> Said:
    """Find a key that clients do not take from a server."""
    kind = kind_of_key(leaf)
    refused_by = EVERYBODY if kind is None else kind.refused_by
    if refused_by and not _is_small(leaf):  # which is another finding
        clients = ", ".join(client.value for client in refused_by)
        yield (
            "key-kind",
            (
                f"the key of {describe(leaf)} is {_describe_key(leaf)}, refused by {clients}:"
                f" {_ADVICE}"
            ),
        )


def judge_signature(certificate: x509.Certificate) -> Said:
    """Find a signature with an algorithm that few clients know."""
    if certificate.subject == certificate.issuer:
        return  # nobody verifies it: clients trust a root for being in their store
    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        yield "signature-kind", f"{describe(certificate)} is signed with an unknown algorithm"
        return
    if used is None:
        yield (
            "signature-kind",
            (
                f"{describe(certificate)} is signed with an Ed25519 or Ed448 key, which no browser"
                f" verifies: {_ADVICE} for the authority"
            ),
        )
    elif not isinstance(used, (*USUAL_HASHES, *WEAK_HASHES)):
        yield (
            "signature-kind",
            f"{describe(certificate)} is signed with {used.name.upper()}: use SHA256",
        )


def kind_of_key(certificate: x509.Certificate) -> KeyKind | None:
    """Return the row that a certificate's key falls under, or `None` for a kind without any."""
    if certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:
        return RSA_PSS
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    for row in KEY_KINDS:
        if isinstance(key, row.kind) and (
            not row.curves
            or (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in row.curves)
        ):
            return row
    return None


def _is_small(certificate: x509.Certificate) -> bool:
    try:
        return weak_key_finding(certificate.public_key()) is not None
    except (ValueError, UnsupportedAlgorithm):
        return False


def _describe_key(certificate: x509.Certificate) -> str:
    if kind_of_key(certificate) is RSA_PSS:
        return RSA_PSS.name
    try:
        return describe_public_key(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return "of an unknown kind"
