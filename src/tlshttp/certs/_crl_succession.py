"""Which of the revocation lists that have come count, and which of the old ones stay.

Each list is judged by itself: what is wrong with the one of an authority is no reason to go on
without what another one has revoked. An old list stays until one that can be used replaces it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

from cryptography import x509

from tlshttp.errors import ConfigurationError

__all__ = ["Check", "Lists", "Succession", "describe_moment", "newest_lists", "succeed"]

_List = x509.CertificateRevocationList

Lists: TypeAlias = tuple[_List, ...]
"""Lists of one or more authorities."""

Check: TypeAlias = Callable[[_List], object]
"""Refuses a list by a `ConfigurationError`."""

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


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
    due: Container[x509.Name] = (),
    checks: Iterable[Check] = (),
    damage: Iterable[str] = (),
) -> Succession:
    """Judge new lists, each by itself.

    Args:
        new: All that there are now.
        current: Those of before.
        label: Where the new ones come from, in a sentence.
        due: Authorities that are to have a list. Of another one, which has come by mistake perhaps,
            a list goes as it came.
        checks: What else they have to pass.
        damage: What is wrong with those that could not be read; whose they are nobody knows.
    """
    old = newest_lists(current)
    findings = [*damage] if new or damage else [f"{label}: there is none"]
    unreadable = bool(findings)
    good: list[_List] = []
    bad: list[_List] = []
    for crl in new:
        flaws = [*_flaws(crl, label), *_objections(crl, checks)]
        findings += flaws
        (bad if flaws else good).append(crl)
    older = [crl for crl in good if _older_than(crl, old) is not None]
    good = [crl for crl in good if crl not in older]
    # One that stands beside the newer one that replaces it does no harm.
    older = [crl for crl in older if not any(_replaces(other, crl) for other in good)]
    findings += [_describe_older(crl, old, label) for crl in older]
    bad += older
    issuers = {crl.issuer for crl in good}
    doubtful = {crl.issuer for crl in bad}
    kept = [
        crl
        for crl in old
        if not any(_replaces(other, crl) for other in good)
        and (
            unreadable
            or crl.issuer in doubtful
            or (crl.issuer in due and crl.issuer not in issuers)
        )
    ]
    if not unreadable:
        gone = [crl.issuer for crl in kept if crl.issuer not in doubtful]
        findings += [_describe_gone(issuer, label) for issuer in dict.fromkeys(gone)]
    return Succession(tuple(good), tuple(kept), tuple(findings))


def _flaws(crl: _List, label: str) -> Iterator[str]:
    """Refuse a delta, and a list that is not valid now.

    With a list that is not valid now OpenSSL would refuse every client. Deltas (RFC 5280, section
    5.2.4) it does not read, so whoever is revoked in a delta alone would be let in.
    """
    issuer, now = crl.issuer.rfc4514_string(), datetime.now(UTC)
    if _extension(crl, x509.DeltaCRLIndicator) is not None:
        yield f"{label} of {issuer!r} is a delta, which has changes only: give the complete list"
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


def _older_than(crl: _List, old: Lists) -> _List | None:
    """Return what is newer than a list that would replace it, which revokes less."""
    newer = (one for one in old if _replaces(crl, one) and _order(crl) < _order(one))
    return next(newer, None)


def _describe_older(crl: _List, old: Lists, label: str) -> str:
    newer = _older_than(crl, old) or crl
    return (
        f"{label} of {crl.issuer.rfc4514_string()!r} of {describe_moment(crl.last_update_utc)} is"
        f" older than the one in use, of {describe_moment(newer.last_update_utc)}"
    )


def _describe_gone(issuer: x509.Name, label: str) -> str:
    return (
        f"{label}: there is none of {issuer.rfc4514_string()!r} any more, without which no client"
        " of it could be verified; the old one stays"
    )


def newest_lists(lists: Lists) -> Lists:
    """Return lists without those that another one of them replaces.

    OpenSSL takes the first that fits, which may be one from before somebody was revoked.
    """
    return tuple(
        crl
        for number, crl in enumerate(lists)
        if not any(
            _replaces(other, crl) and (_order(other), at) > (_order(crl), number)
            for at, other in enumerate(lists)
        )
    )


def _replaces(one: _List, other: _List) -> bool:
    """Return whether two lists are of one key and for the same certificates.

    An authority may have several keys (RFC 5280, section 5.2.1) and lists for parts of what it
    has issued (section 5.2.5). A list that does not name its key may be of any.
    """
    keys = [_extension(crl, x509.AuthorityKeyIdentifier) for crl in (one, other)]
    return (
        one.issuer == other.issuer
        and _extension(one, x509.IssuingDistributionPoint)
        == _extension(other, x509.IssuingDistributionPoint)
        and (None in keys or keys[0] == keys[1])
    )


def _extension(crl: _List, kind: type[_Extension]) -> _Extension | None:
    try:
        return crl.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _order(crl: _List) -> tuple[datetime, int]:
    """Return what rises from list to list: the time, and within a second the number."""
    number = _extension(crl, x509.CRLNumber)
    return crl.last_update_utc, 0 if number is None else number.crl_number


def describe_moment(time: datetime) -> str:
    """Write a time in a sentence."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
