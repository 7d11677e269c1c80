"""Which of the revocation lists that have come count, and which of the old ones stay.

Each list is judged by itself: what is wrong with the one of an authority is no reason to go on
without what another one has revoked. An old list stays until one that can be used replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from cryptography import x509

from tlshttp._issued_by import are_one_name
from tlshttp.certs._crl_makers import Makers
from tlshttp.certs._crl_scope import Scope, critical_unknown, find_in_list
from tlshttp.errors import ConfigurationError

__all__ = ["Check", "Lists", "Succession", "describe_moment", "newest_lists", "succeed"]

_List = x509.CertificateRevocationList

Lists: TypeAlias = tuple[_List, ...]
"""Lists of one or more authorities."""

Check: TypeAlias = Callable[[_List], object]
"""Refuses a list by a `ConfigurationError`."""


@dataclass(frozen=True)
class Succession:
    """What comes of new lists beside those of before."""

    taken: Lists
    """Those of the new ones that can be used."""
    kept: Lists
    """Those of before that stay."""
    findings: tuple[str, ...]
    """What is wrong with the others."""


def succeed(
    new: Lists,
    current: Lists,
    *,
    label: str,
    checks: Iterable[Check] = (),
    damage: Iterable[str] = (),
    issuers: Iterable[x509.Certificate] = (),
) -> Succession:
    """Judge new lists, each by itself.

    Args:
        new: All that there are now.
        current: Those of before.
        label: Where the new ones come from, in a sentence.
        checks: What else they have to pass.
        damage: What is wrong with those that could not be read; whose they are nobody knows.
        issuers: Authorities whose keys are known.
    """
    makers = Makers((*new, *current), issuers)
    old = _newest(current, makers)
    findings = [*damage] if new or damage else [f"{label}: there is none"]
    unreadable = bool(findings)
    good: list[_List] = []
    bad: list[_List] = []
    for crl in new:
        flaws = [*_flaws(crl, label), *_objections(crl, checks)]
        findings += flaws
        (bad if flaws else good).append(crl)
    older = [crl for crl in good if _newer(old, crl, makers)]
    good = [crl for crl in good if not any(crl is one for one in older)]
    # One that stands beside the newer ones that replace it does no harm.
    older = [crl for crl in older if not _newer(good, crl, makers)]
    findings += [_describe_older(crl, _newer(old, crl, makers), label) for crl in older]
    bad += older
    left = [
        crl
        for crl in old
        if not _replacing([one for one in good if _order(one) >= _order(crl)], crl, makers)
    ]
    if not unreadable:
        gone = [crl for crl in left if not _is_doubted(crl, bad, old, makers)]
        findings += dict.fromkeys(_describe_gone(crl, label, makers) for crl in gone)
    return Succession(tuple(good), tuple(left), tuple(findings))


def _flaws(crl: _List, label: str) -> Iterator[str]:
    """Refuse a delta or another part that OpenSSL does not read, and a list that is not valid now.

    With a list that is not valid now OpenSSL would refuse every client. Whoever is revoked in one
    that it does not read would be let in: in a delta (RFC 5280, section 5.2.4), in a list for some
    reasons only, or in one that has entries of several authorities (section 5.2.5).
    """
    issuer, now = crl.issuer.rfc4514_string(), datetime.now(UTC)
    if find_in_list(crl, x509.DeltaCRLIndicator) is not None:
        yield f"{label} of {issuer!r} is a delta, which has changes only: give the complete list"
    point = find_in_list(crl, x509.IssuingDistributionPoint)
    if point is not None and point.only_some_reasons:
        yield f"{label} of {issuer!r} is for some reasons only: give the complete list"
    if point is not None and point.indirect_crl:
        yield f"{label} of {issuer!r} is for several authorities: give a list of each"
    strange = next(critical_unknown(crl), None)
    if strange is not None:
        yield (
            f"{label} of {issuer!r} has a critical extension that OpenSSL does not know, {strange},"
            " for which it would refuse every client: have it published without"
        )
    if crl.last_update_utc > now:
        yield (
            f"{label} of {issuer!r} is not valid before {describe_moment(crl.last_update_utc)}: the"
            f" clock of {issuer!r}, or that of this machine, is wrong"
        )
    if crl.next_update_utc is not None and crl.next_update_utc < now:
        yield (
            f"{label} expired at {describe_moment(crl.next_update_utc)}: have a new one published"
            f" by {issuer!r}"
        )


def _objections(crl: _List, checks: Iterable[Check]) -> list[str]:
    found: list[str] = []
    for check in checks:
        try:
            check(crl)
        except ConfigurationError as error:
            found += error.findings
    return found


def _newer(lists: Iterable[_List], crl: _List, makers: Makers) -> list[_List]:
    """Return newer lists that replace one, which revokes less; empty where they do not."""
    return _replacing([one for one in lists if _order(one) > _order(crl)], crl, makers)


def _replacing(lists: Iterable[_List], crl: _List, makers: Makers) -> list[_List]:
    """Return those of its key if together they are about all that a list is about; else nothing."""
    found = [one for one in lists if makers.are_one(one, crl)]
    return found if Scope.of(crl).is_within(map(Scope.of, found)) else []


def _is_doubted(crl: _List, bad: Iterable[_List], old: Iterable[_List], makers: Makers) -> bool:
    """Tell whether one of the new lists is its successor, but for what is wrong with it.

    What is of none of the keys known may have been meant for any authority of that name.
    """
    return any(
        are_one_name(one.issuer, crl.issuer)
        and (makers.are_one(one, crl) or not any(makers.are_one(one, other) for other in old))
        for one in bad
    )


def _describe_older(crl: _List, newer: Iterable[_List], label: str) -> str:
    moment = max(one.last_update_utc for one in newer)
    return (
        f"{label} of {crl.issuer.rfc4514_string()!r} of {describe_moment(crl.last_update_utc)} is"
        f" older than the one in use, of {describe_moment(moment)}"
    )


def _describe_gone(crl: _List, label: str, makers: Makers) -> str:
    return (
        f"{label}: there is none of {crl.issuer.rfc4514_string()!r}{makers.tell_apart(crl)} any"
        " more, without which no client of it could be verified; the old one stays"
    )


def newest_lists(lists: Lists, issuers: Iterable[x509.Certificate] = ()) -> Lists:
    """Return lists without those that others of them replace.

    OpenSSL takes the newest that fits by its time, and of the same second the first.

    Args:
        lists: All there are.
        issuers: Authorities whose keys are known.
    """
    return _newest(lists, Makers(lists, issuers))


def _newest(lists: Lists, makers: Makers) -> Lists:
    ranks = [(_order(crl), number) for number, crl in enumerate(lists)]
    return tuple(
        crl
        for rank, crl in zip(ranks, lists, strict=True)
        if not _replacing(
            [one for its, one in zip(ranks, lists, strict=True) if its > rank], crl, makers
        )
    )


def _order(crl: _List) -> tuple[datetime, int]:
    """Return what rises from list to list: the time, and within a second the number."""
    number = find_in_list(crl, x509.CRLNumber)
    return crl.last_update_utc, 0 if number is None else number.crl_number


def describe_moment(time: datetime) -> str:
    """Write a time in a sentence."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
