"""When to speak of the end of a certificate: early enough to act, not so early that nobody listens.

Twenty-one days leave three weeks to whoever renews by hand. But a certificate of a few days would
be announced from its first hour on. So a third of the lifetime is the other bound: programs renew
after two thirds (RFC 9773 and Let's Encrypt's advice), and if one has not done so by then, it has
failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509

LONGEST_NOTICE = timedelta(days=21)

_SHARE = 3


def notice_of(certificate: x509.Certificate) -> timedelta:
    """Return how long before its end a certificate is spoken of."""
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return min(LONGEST_NOTICE, lifetime / _SHARE)


def is_near_end(certificate: x509.Certificate, at: datetime) -> bool:
    """Tell whether a certificate is to be renewed at that moment, or should have been."""
    return at > certificate.not_valid_after_utc - notice_of(certificate)


def first_end(certificates: Iterable[x509.Certificate]) -> datetime:
    """Return when the first of some certificates ends, aware and in UTC."""
    return min(certificate.not_valid_after_utc for certificate in certificates)


def describe_left(left: timedelta) -> str:
    """Say how much time is left: in days, hours or minutes, whichever is of use."""
    if left >= timedelta(days=2):
        return f"{left.days} days"
    if left >= timedelta(hours=2):
        return f"{left // timedelta(hours=1)} hours"
    return f"{left // timedelta(minutes=1)} minutes"
