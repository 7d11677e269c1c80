"""Whether an authority is revoked, by the lists of those above it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from tlshttp._issued_by import are_one_name
from tlshttp.certs._crl_makers import is_signed_by
from tlshttp.certs._crl_scope import Scope, find_in_list, is_taken_back

__all__ = ["Standing", "describe_list", "standing"]

_List = x509.CertificateRevocationList


@dataclass(frozen=True)
class Standing:
    """What the lists above an authority say of it."""

    known: bool
    """Whether there is a list for it, and one for everybody above it."""
    revoked: bool
    """Whether it, or somebody above it, is revoked."""
    until: datetime | None
    """When the first of those lists runs out; `None`: never."""
    since: datetime | None
    """When the newest of all that may name it was made; `None`: there is none."""


def standing(
    anchor: x509.Certificate,
    issuers_of: Callable[[x509.Certificate], Iterable[x509.Certificate]],
    crls: Iterable[_List],
) -> Standing:
    """Return what lists say of an authority that is trusted.

    If its issuer is not trusted, no list above it can be demanded. A list in the issuer's name
    counts all the same, although nothing can verify it: it comes from the user.

    Args:
        anchor: The authority.
        issuers_of: Returns those of the trusted that have issued a certificate.
        crls: All lists there are.
    """
    lists = list(crls)
    known, revoked, ends, begins = True, False, [], []
    seen: list[x509.Certificate] = []
    current: x509.Certificate | None = anchor
    while current is not None and current not in seen:
        seen.append(current)
        issuer = next(iter(issuers_of(current)), None)
        own = [
            crl
            for crl in lists
            if are_one_name(crl.issuer, current.issuer)
            and (issuer is None or is_signed_by(crl, issuer))
        ]
        revoked = revoked or any(_names(crl, current) for crl in own)
        begins += [crl.last_update_utc for crl in own]
        whole = [crl for crl in own if _may_name(crl, current)]
        if whole:
            ends.append(max((crl.next_update_utc for crl in whole), key=_none_last))
        known = known and (bool(whole) or issuer is None)
        current = issuer
    return Standing(
        known, revoked, min(ends, key=_none_last, default=None), max(begins, default=None)
    )


def describe_list(crl: _List) -> str:
    """Name a list in a sentence."""
    name = crl.issuer.rfc4514_string()
    return f"the CRL of {name!r} of {crl.last_update_utc:%Y-%m-%d %H:%M:%S} UTC"


def _names(crl: _List, certificate: x509.Certificate) -> bool:
    entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    return entry is not None and not is_taken_back(entry)


def _may_name(crl: _List, authority: x509.Certificate) -> bool:
    """Tell whether an authority would be in a list of its issuer's if it were revoked."""
    point = find_in_list(crl, x509.IssuingDistributionPoint)
    is_whole = find_in_list(crl, x509.DeltaCRLIndicator) is None and not (
        point is not None and (point.indirect_crl or point.only_some_reasons)
    )
    return is_whole and Scope.of(crl).is_about(authority)


def _none_last(moment: datetime | None) -> tuple[bool, float]:
    return moment is None, 0.0 if moment is None else moment.timestamp()
