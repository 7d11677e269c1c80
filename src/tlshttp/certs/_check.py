"""What today's clients refuse about a certificate.

Each rule is one function that yields findings; `check_chain` asks them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlshttp.certs._chain import check_each, check_order
from tlshttp.certs._findings import Finding, Purpose, Severity
from tlshttp.certs._inspect import (
    common_name,
    describe,
    find_extension,
    is_authority,
    is_self_signed,
    names_of,
)
from tlshttp.certs._keys import weak_key_finding

PUBLIC_LIMITS = (
    (datetime(2029, 3, 15, tzinfo=UTC), timedelta(days=47)),
    (datetime(2027, 3, 15, tzinfo=UTC), timedelta(days=100)),
    (datetime(2026, 3, 15, tzinfo=UTC), timedelta(days=200)),
    (datetime(2020, 9, 1, tzinfo=UTC), timedelta(days=398)),
)
"""Longest lifetime of a public certificate by its first day (CA/Browser Forum ballot SC-081v3)."""

APPLE_LIMIT = timedelta(days=825)
"""Longest lifetime that Apple's systems accept under any root (support.apple.com/103769)."""

WEAK_HASHES: tuple[type[hashes.HashAlgorithm], ...] = (hashes.SHA1, hashes.MD5)
"""Refused by every current client; SHA-1 since 2017."""

_ONE_SECOND = timedelta(seconds=1)


def check_chain(
    leaf: x509.Certificate,
    chain: Sequence[x509.Certificate],
    purpose: Purpose,
    at: datetime,
) -> tuple[Finding, ...]:
    """Ask every rule about a leaf and its intermediates."""
    findings = [
        *_check_names(leaf, purpose),
        *_check_lifetime(leaf, purpose),
        *_check_usage(leaf, purpose),
        *check_order(leaf, chain),
    ]
    findings += check_each(leaf, chain, at, period=check_period, others=_check_each)
    return tuple(findings)


def _check_each(certificate: x509.Certificate) -> Iterator[Finding]:
    yield from check_strength(certificate)
    yield from _check_strict(certificate)


def check_period(certificate: x509.Certificate, at: datetime) -> Iterator[Finding]:
    """Find certificates that are not valid at the given moment."""
    name = describe(certificate)
    if at > certificate.not_valid_after_utc:
        yield _error(
            "expired", f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        )
    if at < certificate.not_valid_before_utc:
        yield _error(
            "not-yet-valid",
            f"{name} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
        )


def check_strength(certificate: x509.Certificate) -> Iterator[Finding]:
    """Find keys and signatures that are too weak."""
    weak_key = weak_key_finding(certificate.public_key())
    if weak_key is not None:
        yield _error("weak-key", f"{describe(certificate)}: {weak_key}")
    algorithm = certificate.signature_hash_algorithm
    # The signature of a root protects nothing: clients trust it for being in their store.
    if isinstance(algorithm, WEAK_HASHES) and certificate.subject != certificate.issuer:
        yield _error(
            "weak-signature", f"{describe(certificate)} is signed with {algorithm.name.upper()}"
        )


def _check_names(leaf: x509.Certificate, purpose: Purpose) -> Iterator[Finding]:
    if purpose is not Purpose.SERVER:
        return
    names = names_of(leaf)
    if not names and common_name(leaf):
        yield _error(
            "common-name-only",
            f"the name {common_name(leaf)!r} stands in the common name only, where no client looks:"
            " it belongs into the subject alternative name",
        )
    elif not names:
        yield _error(
            "no-names", "the certificate has no subject alternative name, so it fits no host"
        )
    for name in names:
        if name == "*":
            yield _error("bare-wildcard", "the name '*' matches no host in any client")
        elif name.startswith("*.") and name.count(".") == 1:
            yield Finding(
                "wide-wildcard",
                Severity.WARNING,
                f"the name {name!r} matches no host in clients built on OpenSSL",
            )


def _check_lifetime(leaf: x509.Certificate, purpose: Purpose) -> Iterator[Finding]:
    if purpose is not Purpose.SERVER:
        return
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc + _ONE_SECOND
    if lifetime > APPLE_LIMIT:
        yield _error(
            "lifetime-apple",
            f"the certificate lives {lifetime.days} days: Apple's systems refuse more than"
            f" {APPLE_LIMIT.days}",
        )
    limit = next((days for day, days in PUBLIC_LIMITS if leaf.not_valid_before_utc >= day), None)
    if limit is not None and lifetime > limit and not is_self_signed(leaf):
        yield Finding(
            "lifetime-public",
            Severity.WARNING,
            f"the certificate lives {lifetime.days} days: under a public authority"
            f" clients refuse more than {limit.days}",
        )


def _check_usage(leaf: x509.Certificate, purpose: Purpose) -> Iterator[Finding]:
    wanted, code, word = (
        (ExtendedKeyUsageOID.SERVER_AUTH, "no-server-auth", "serverAuth")
        if purpose is Purpose.SERVER
        else (ExtendedKeyUsageOID.CLIENT_AUTH, "no-client-auth", "clientAuth")
    )
    usage = find_extension(leaf, x509.ExtendedKeyUsage)
    if usage is None:
        yield Finding(code, Severity.WARNING, f"the certificate does not say that it is for {word}")
    elif (
        wanted not in usage.value and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usage.value
    ):
        yield _error(code, f"the extended key usage of the certificate lacks {word}")


def _check_strict(certificate: x509.Certificate) -> Iterator[Finding]:
    """Find what VERIFY_X509_STRICT refuses, the default of Python clients since 3.13."""
    name = describe(certificate)
    if (
        find_extension(certificate, x509.AuthorityKeyIdentifier) is None
        and certificate.subject != certificate.issuer
    ):
        yield _error("no-authority-key-identifier", f"{name} has no authority key identifier")
    if not is_authority(certificate):
        return
    constraints = find_extension(certificate, x509.BasicConstraints)
    if constraints is not None and not constraints.critical:
        yield _error(
            "basic-constraints-not-critical", f"the basicConstraints of {name} are not critical"
        )
    if find_extension(certificate, x509.KeyUsage) is None:
        yield _error("no-key-usage", f"the authority {name} has no keyUsage")
    if find_extension(certificate, x509.SubjectKeyIdentifier) is None:
        yield _error("no-subject-key-identifier", f"{name} has no subject key identifier")


def _error(code: str, sentence: str) -> Finding:
    return Finding(code, Severity.ERROR, sentence)
