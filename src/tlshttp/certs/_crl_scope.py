"""Which certificates a revocation list is about, and which of them it revokes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from cryptography import x509

from tlshttp._issued_by import are_one_name, comparable_name
from tlshttp.certs._inspect import find_extension

__all__ = ["Entry", "Scope", "critical_unknown", "find_in_list", "is_taken_back", "revoked_by"]

_List = x509.CertificateRevocationList

Entry: TypeAlias = tuple[int, Hashable]
"""The serial number of a certificate, and who has issued it; `None`: whoever issued the list."""

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_KNOWN_IN_LISTS = frozenset(
    (
        x509.AuthorityKeyIdentifier.oid,
        x509.DeltaCRLIndicator.oid,
        x509.IssuingDistributionPoint.oid,
    )
)
"""The critical extensions that OpenSSL knows (``crl_cb()`` in ``crypto/x509/x_crl.c``)."""
_KNOWN_IN_ENTRIES = frozenset((x509.CertificateIssuer.oid,))

_USERS, _AUTHORITIES, _ATTRIBUTES = "users", "authorities", "attributes"


@dataclass(frozen=True)
class Place:
    """Where a list is published: one of the names that a distribution point has."""

    name: Hashable
    """It, so that two of them can be compared as OpenSSL does (``idp_check_dp()``)."""
    label: str = field(compare=False)


@dataclass(frozen=True)
class Scope:
    """What a list is about, of all that its authority has issued (RFC 5280, section 5.2.5)."""

    kinds: frozenset[str]
    """Certificates of users, or of authorities, or both."""
    places: frozenset[Place] | None
    """Those that name one of these as the place of their list; `None`: all."""

    @classmethod
    def of(cls, crl: _List) -> Scope:
        """Return what a list says of itself."""
        point = find_in_list(crl, x509.IssuingDistributionPoint)
        if point is None:
            return cls(frozenset((_USERS, _AUTHORITIES)), None)
        only = {
            _USERS: point.only_contains_user_certs,
            _AUTHORITIES: point.only_contains_ca_certs,
            _ATTRIBUTES: point.only_contains_attribute_certs,
        }
        kinds = frozenset(kind for kind, is_so in only.items() if is_so)
        places = frozenset(_places_of(point, crl.issuer))
        return cls(kinds or frozenset((_USERS, _AUTHORITIES)), places or None)

    def overlaps(self, other: Scope) -> bool:
        """Tell whether a certificate may be in both."""
        return not self.kinds.isdisjoint(other.kinds) and (
            self.places is None or other.places is None or not self.places.isdisjoint(other.places)
        )

    def is_within(self, others: Iterable[Scope]) -> bool:
        """Tell whether every certificate in it is in one of others, too."""
        given = tuple(others)
        return all(
            any(kind in one.kinds and (one.places is None or place in one.places) for one in given)
            for kind in self.kinds
            for place in self.places or (None,)
        )

    def is_about(self, authority: x509.Certificate) -> bool:
        """Tell whether an authority's certificate may be in it, if it has issued it."""
        return _AUTHORITIES in self.kinds and (
            self.places is None or _names_one(authority, self.places)
        )

    def __str__(self) -> str:
        """Say it in a sentence; empty for a list of all."""
        kinds = [f"for {kind}" for kind in sorted(self.kinds) if len(self.kinds) == 1]
        places = sorted(place.label for place in self.places or ())
        return " ".join(kinds + [f"at {place}" for place in places])


def _places_of(
    point: x509.IssuingDistributionPoint | x509.DistributionPoint, issuer: x509.Name
) -> Iterator[Place]:
    """Yield the names of a place; one that is relative goes on from the issuer's."""
    directories = [
        one.value for one in point.full_name or () if isinstance(one, x509.DirectoryName)
    ]
    if point.relative_name is not None:
        directories.append(x509.Name([*issuer.rdns, point.relative_name]))
    for directory in directories:
        yield Place(comparable_name(directory), directory.rfc4514_string())
    for name in point.full_name or ():
        if not isinstance(name, x509.DirectoryName):
            yield Place(name, str(name.value))


def _names_one(authority: x509.Certificate, places: frozenset[Place]) -> bool:
    """Tell whether an authority names one of some places for the list of its issuer.

    A place that it does not name is any.
    """
    extension = find_extension(authority, x509.CRLDistributionPoints)
    for point in extension.value if extension else ():
        publishers = [
            one.value for one in point.crl_issuer or () if isinstance(one, x509.DirectoryName)
        ]
        if publishers and not any(are_one_name(one, authority.issuer) for one in publishers):
            continue
        named = frozenset(_places_of(point, authority.issuer))
        if not named or not named.isdisjoint(places):
            return True
    return False


def revoked_by(crl: _List) -> Iterator[Entry]:
    """Yield all that a list revokes: an entry may say that a certificate counts again.

    OpenSSL goes by that (RFC 5280, section 5.3.1). Where an entry names the certificate's issuer,
    those after it have the same (section 5.3.3).
    """
    issuer: Hashable = None
    for entry in crl:
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CertificateIssuer):
                issuer = tuple(extension.value)
        if not is_taken_back(entry):
            yield entry.serial_number, issuer


def is_taken_back(entry: x509.RevokedCertificate) -> bool:
    """Tell whether an entry of a list says that a certificate is not revoked any more."""
    return any(
        isinstance(extension.value, x509.CRLReason)
        and extension.value.reason is x509.ReasonFlags.remove_from_crl
        for extension in entry.extensions
    )


def critical_unknown(crl: _List) -> Iterator[str]:
    """Yield the critical extensions of a list, and of its entries, that OpenSSL does not know."""
    known = _KNOWN_IN_LISTS
    for owner in (crl, *crl):
        for extension in owner.extensions:
            if extension.critical and extension.oid not in known:
                yield extension.oid.dotted_string
        known = _KNOWN_IN_ENTRIES


def find_in_list(crl: _List, kind: type[_Extension]) -> _Extension | None:
    """Return what an extension of a list says, `None` where it has none of that kind."""
    try:
        return crl.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
