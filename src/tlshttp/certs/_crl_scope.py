"""Which certificates a revocation list is about, and which of them it revokes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from cryptography import x509

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
class Scope:
    """What a list is about, of all that its authority has issued (RFC 5280, section 5.2.5)."""

    kinds: frozenset[str]
    """Certificates of users, or of authorities, or both."""
    places: frozenset[Hashable] | None
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
        names = [*(point.full_name or ()), *filter(None, [point.relative_name])]
        return cls(kinds or frozenset((_USERS, _AUTHORITIES)), frozenset(names) or None)

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
            self.places is None or not self.places.isdisjoint(_places_named_in(authority))
        )

    def __str__(self) -> str:
        """Say it in a sentence; empty for a list of all."""
        kinds = [f"for {kind}" for kind in sorted(self.kinds) if len(self.kinds) == 1]
        places = sorted(str(getattr(place, "value", place)) for place in self.places or ())
        return " ".join(kinds + [f"at {place}" for place in places])


def _places_named_in(certificate: x509.Certificate) -> Iterator[Hashable]:
    extension = find_extension(certificate, x509.CRLDistributionPoints)
    for point in extension.value if extension else ():
        yield from (*(point.full_name or ()), *filter(None, [point.relative_name]))


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
