"""Revocation lists as they may come, by what they say of their key and of what they are for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tlshttp import certs

CRL = x509.CertificateRevocationList
Authority = certs.CertificateAuthority
NOW = datetime.now(UTC).replace(microsecond=0)

FORMS = ("key", "key and certificate", "certificate", "nothing")
"""What a list says of the key that has signed it."""


def key_identifier(authority: Authority, form: str = "key") -> x509.AuthorityKeyIdentifier | None:
    """Return what a list says of the key that has signed it, in one of the forms."""
    leaf = authority.certificate.leaf
    digest = x509.SubjectKeyIdentifier.from_public_key(leaf.public_key()).digest
    name, serial = [x509.DirectoryName(leaf.issuer)], leaf.serial_number
    return {
        "key": x509.AuthorityKeyIdentifier(digest, None, None),
        "key and certificate": x509.AuthorityKeyIdentifier(digest, name, serial),
        "certificate": x509.AuthorityKeyIdentifier(None, name, serial),
        "nothing": None,
    }[form]


def part(
    *, users: bool = False, authorities: bool = False, indirect: bool = False,
    place: str | None = None, reasons: frozenset[x509.ReasonFlags] | None = None,
) -> x509.IssuingDistributionPoint:  # fmt: skip
    """Return what a list says that is for a part of the certificates alone."""
    at = None if place is None else [x509.UniformResourceIdentifier(place)]
    return x509.IssuingDistributionPoint(
        at, None, users, authorities, reasons, indirect, only_contains_attribute_certs=False
    )


USERS, AUTHORITIES = part(users=True), part(authorities=True)


def make_list(
    authority: Authority,
    *revoked: int,
    hours: float = -1,
    form: str = "key",
    of: x509.IssuingDistributionPoint | None = None,
    reason: x509.ReasonFlags | None = None,
    name: x509.Name | None = None,
) -> CRL:
    """Return a list of an authority.

    Args:
        authority: Whose it is.
        revoked: Serial numbers.
        hours: When it was made, as seen from now.
        form: What it says of its key.
        of: What it says that it is for; `None`: nothing.
        reason: Why all of them are revoked; `None`: not said.
        name: How it writes its name; `None`: as in its certificate.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or authority.certificate.leaf.subject)
        .last_update(NOW + timedelta(hours=hours))
        .next_update(NOW + timedelta(days=1))
    )
    identifier = key_identifier(authority, form)
    if identifier is not None:
        builder = builder.add_extension(identifier, critical=False)
    if of is not None:
        builder = builder.add_extension(of, critical=True)
    for entry in _entries(revoked, reason):
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.certificate.private_key, hashes.SHA256())


def _entries(
    revoked: Iterable[int], reason: x509.ReasonFlags | None
) -> Iterable[x509.RevokedCertificate]:
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        yield entry.build()
