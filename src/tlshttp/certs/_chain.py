"""What is odd about the certificates after a leaf, and which of them clients need.

Clients look for a path to a root they trust among all the certificates they are sent. So many
oddities of a file are harmless: a certificate twice, two of the same authority (cross-signed, or an
old copy), the root, a stranger. RFC 8446, section 4.4.2, allows all of it; what is harmless is a
warning here. An error is what leaves clients without a path, and an order that RFC 5246, section
7.4.2, forbids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from tlshttp.certs._findings import Finding, Severity
from tlshttp.certs._inspect import (
    describe,
    find_extension,
    is_authority,
    is_self_signed,
    public_key_bytes,
    was_issued_by,
)

__all__ = ["check_each", "check_order", "needed", "way_up", "without_repetitions"]


MAXIMUM_CHAIN = 32
"""Certificates; public chains have three at most. To find out who issued whom takes a verification
for each pair of equal names, and a server may send as many certificates as it likes."""


def check_order(leaf: x509.Certificate, chain: Sequence[x509.Certificate]) -> Iterator[Finding]:
    """Find what is missing, misplaced or superfluous in a chain."""
    if len(chain) > MAXIMUM_CHAIN:
        yield _warning(
            "chain-long",
            f"{len(chain)} certificates follow {describe(leaf)}, and only the first"
            f" {MAXIMUM_CHAIN} were looked at: leave out what does not lead to the root",
        )
    chain = chain[:MAXIMUM_CHAIN]
    certificates = without_repetitions((leaf, *chain))
    yield from _check_repetitions((leaf, *chain))
    yield from _check_twins(certificates)
    above = _ancestors(certificates)
    if len(certificates) > 1 and not above and not is_self_signed(leaf):
        yield _error(
            f"{describe(leaf)} is followed by {describe(certificates[1])}, which did not issue it:"
            " its issuer is missing"
        )
        return
    for position, certificate in enumerate(certificates[1:], start=1):
        if certificate not in above:
            yield _superfluous(certificate, certificates[position - 1])
        elif not any(was_issued_by(other, certificate) for other in certificates[:position]):
            yield _error(
                f"{describe(certificates[position - 1])} is followed by {describe(certificate)},"
                " which did not issue it: put the leaf first and each one's issuer after it"
            )
        elif is_self_signed(certificate) and not is_authority(leaf):
            yield _warning(
                "chain-root",
                f"the root {describe(certificate)} is in the chain, and clients use their own copy:"
                " leave it out",
            )
    if not chain and _names_its_issuers_address(leaf) and not is_self_signed(leaf):
        yield _warning(
            "chain-incomplete",
            f"no intermediate certificate follows {describe(leaf)}, and few clients"
            " fetch one by themselves",
        )


def without_repetitions(certificates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """Leave out what has been there before."""
    return list(dict.fromkeys(certificates))


def check_each(
    leaf: x509.Certificate,
    chain: Sequence[x509.Certificate],
    at: datetime,
    *,
    period: Callable[[x509.Certificate, datetime], Iterable[Finding]],
    others: Callable[[x509.Certificate], Iterable[Finding]],
) -> Iterator[Finding]:
    """Ask rules about every certificate; about one that no client needs they only warn.

    Clients judge the time of a root by the copy that they have, so it does not matter here.

    Args:
        leaf: The certificate itself.
        chain: Those after it; no more than the first `MAXIMUM_CHAIN` are asked.
        at: The moment to judge for.
        period: A rule about the time in which a certificate is valid.
        others: All other rules.
    """
    chain = chain[:MAXIMUM_CHAIN]
    way = (leaf, *way_up(leaf, chain, at))
    for certificate in without_repetitions((leaf, *chain)):
        is_root = certificate != leaf and is_self_signed(certificate)
        timely, other = period(certificate, at), others(certificate)
        yield from timely if certificate in way and not is_root else _soften(timely)
        yield from other if certificate in way else _soften(other)


def way_up(
    leaf: x509.Certificate, chain: Sequence[x509.Certificate], at: datetime
) -> list[x509.Certificate]:
    """Return the issuer of the leaf, its issuer and so on, as far as they are there.

    Of several certificates of one authority the first that is valid counts; where none is, the
    first.
    """
    chain, way = chain[:MAXIMUM_CHAIN], [leaf]
    while not is_self_signed(way[-1]):
        issuers = [one for one in chain if one not in way and was_issued_by(way[-1], one)]
        if not issuers:
            break
        way.append(next((one for one in issuers if _is_valid(one, at)), issuers[0]))
    return way[1:]


def needed(
    leaf: x509.Certificate, chain: Sequence[x509.Certificate], at: datetime
) -> list[x509.Certificate]:
    """Return the leaf and those after it that clients need; of the root they have a copy."""
    return [leaf, *(one for one in way_up(leaf, chain, at) if not is_self_signed(one))]


def _soften(findings: Iterable[Finding]) -> Iterator[Finding]:
    # GnuTLS refuses a chain in which an expired version of an authority comes before a valid one.
    for finding in findings:
        advice = "no client needs it, and some stumble over it: leave it out"
        yield _warning(finding.code, f"{finding.sentence}; {advice}")


def _check_repetitions(certificates: Sequence[x509.Certificate]) -> Iterator[Finding]:
    for certificate in without_repetitions(certificates):
        number = sum(certificate == other for other in certificates)
        if number > 1:
            times = "twice" if number == 2 else f"{number} times"
            yield _warning(
                "chain-repetition",
                f"{describe(certificate)} is in the chain {times}: once is enough",
            )


def _check_twins(certificates: Sequence[x509.Certificate]) -> Iterator[Finding]:
    """Find an authority that is there in several versions, cross-signed for example."""
    versions: dict[tuple[x509.Name, bytes], list[x509.Certificate]] = {}
    for certificate in certificates:
        key = public_key_bytes(certificate.public_key())
        versions.setdefault((certificate.subject, key), []).append(certificate)
    for twins in versions.values():
        if len(twins) > 1:
            issuers = " and ".join(repr(one.issuer.rfc4514_string()) for one in twins)
            yield _warning(
                "chain-twins",
                f"{describe(twins[0])} is in the chain in {len(twins)} versions, issued by"
                f" {issuers}: clients built on OpenSSL follow the first valid one only, so put that"
                " first whose root they trust",
            )


def _ancestors(certificates: Sequence[x509.Certificate]) -> set[x509.Certificate]:
    """Return all that the first certificate may have been issued by, directly or not."""
    found: set[x509.Certificate] = set()
    looked_at = [certificates[0]]
    while looked_at:
        one = looked_at.pop()
        issuers = {
            other
            for other in certificates[1:]
            if other not in found and other != one and was_issued_by(one, other)
        }
        found |= issuers
        looked_at += issuers
    return found


def _superfluous(certificate: x509.Certificate, before: x509.Certificate) -> Finding:
    """Say that a certificate is not above the leaf; perhaps what would put it there is missing."""
    if is_self_signed(before) or is_self_signed(certificate):
        advice = "leave it out"
    else:
        issuer = before.issuer.rfc4514_string()
        advice = f"leave it out, unless {issuer!r}, the issuer of {describe(before)}, is missing"
    return _warning(
        "chain-stranger",
        f"{describe(certificate)} has issued no other certificate of the chain: {advice}",
    )


def _is_valid(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _names_its_issuers_address(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate says where its issuer can be fetched, as public ones do."""
    access = find_extension(certificate, x509.AuthorityInformationAccess)
    wanted = AuthorityInformationAccessOID.CA_ISSUERS
    return access is not None and any(item.access_method == wanted for item in access.value)


def _error(sentence: str) -> Finding:
    return Finding("chain-order", Severity.ERROR, sentence)


def _warning(code: str, sentence: str) -> Finding:
    return Finding(code, Severity.WARNING, sentence)
