"""How long certificates live, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tlshttp.errors import CertificateError

BACKDATING = timedelta(minutes=5)
"""A certificate begins this long before its issue, for clients whose clock is behind."""

LEAF_LIFETIME = timedelta(days=90)
"""The default for servers and clients, five minutes of back-dating included.

Today's clients accept up to 200 days from public authorities, 100 from 2027-03-15 (CA/Browser Forum
ballot SC-081v3), and Apple's up to 825 days from private ones (support.apple.com/103769). Ninety
days stay below all of these until 2029-03-15, and are what users of Let's Encrypt are used to.
"""

AUTHORITY_LIFETIME = timedelta(days=3650)
"""The default for authorities: ten years, since replacing one means touching every client."""

_ONE_SECOND = timedelta(seconds=1)


class Validity(NamedTuple):
    """The period in which a certificate is valid, ends included (RFC 5280, section 4.1.2.5)."""

    not_valid_before: datetime
    not_valid_after: datetime


def choose_validity(
    lifetime: timedelta,
    not_valid_before: datetime | None,
    not_valid_after: datetime | None,
    *,
    issuer_end: datetime | None = None,
) -> Validity:
    """Work out the validity period from what the caller gave.

    The lifetime counts from ``not_valid_before``, back-dating included and both end seconds
    counted, so that a lifetime at a client's limit is not over it.

    Args:
        lifetime: The length of the period where one of its ends is open.
        not_valid_before: The beginning, or `None` for five minutes ago.
        not_valid_after: The end, or `None` for the beginning plus the lifetime.
        issuer_end: When the issuer's own certificate ends, which caps an end that was not given.

    Raises:
        CertificateError: The period is empty, over at once, or has naive ends.
    """
    require_aware(not_valid_before, not_valid_after)
    now = datetime.now(UTC)
    begin, end = not_valid_before or now - BACKDATING, not_valid_after
    try:
        if end is None:
            end = begin + lifetime - _ONE_SECOND
            end = min(end, issuer_end) if issuer_end is not None else end
            if not_valid_before is None and end <= now:
                raise CertificateError(_over_at_once(lifetime, issuer_end, now))
        elif not_valid_before is None and end <= begin:
            begin = end - lifetime
    except OverflowError:
        raise CertificateError(f"a lifetime of {lifetime} ends after the year 9999") from None
    begin, end = (moment.astimezone(UTC).replace(microsecond=0) for moment in (begin, end))
    if end < begin:
        raise CertificateError(f"the certificate would end ({end}) before it begins ({begin})")
    return Validity(begin, end)


def require_aware(*moments: datetime | None) -> None:
    """Refuse moments without a time zone.

    Raises:
        CertificateError: There is one.
    """
    for moment in moments:
        if moment is not None and moment.tzinfo is None:
            raise CertificateError(f"{moment!r} needs a time zone, such as datetime.UTC")


def _over_at_once(lifetime: timedelta, issuer_end: datetime | None, now: datetime) -> str:
    if issuer_end is not None and issuer_end <= now:
        return f"the issuing authority expired on {issuer_end:%Y-%m-%d}: generate a new one"
    return (
        f"a lifetime of {lifetime} is over before it begins, since it includes {BACKDATING} of"
        " back-dating: give not_valid_after instead"
    )
