"""Whose a revocation list is: which key has signed it.

Authorities may share a name, and one may have several keys (RFC 5280, section 5.2.1). A list can
name its key in several ways, and need not do it at all. So what it says counts only where nobody
knows a key by which its signature is right.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from cryptography import x509

from tlshttp._issued_by import ComparableName, comparable_name
from tlshttp.certs._crl_scope import Scope, find_in_list
from tlshttp.certs._inspect import find_extension, fits_identifier, public_key_bytes

__all__ = ["Makers", "is_signed_by", "may_seem_signed_by", "why_refused"]

_List = x509.CertificateRevocationList

_SIGNATURE = "signature"


class _Maker(NamedTuple):
    """Who has made a list, as far as it is known."""

    name: ComparableName
    told_by: str | None
    """What tells which key it was; `None`: nothing."""
    key: Hashable


class Makers:
    """Tells of lists whether they are of one authority, and of one key of it.

    Args:
        lists: All that are to be compared.
        issuers: Authorities whose keys are known.
    """

    def __init__(self, lists: Iterable[_List], issuers: Iterable[x509.Certificate] = ()) -> None:
        known = [(comparable_name(one.subject), one) for one in issuers]
        self._lists = tuple(lists)
        self._makers = {id(crl): _maker_of(crl, known) for crl in self._lists}

    def are_one(self, one: _List, other: _List) -> bool:
        """Tell whether one key has made two lists.

        Where it cannot be told it has, unless lists of that name tell of several keys.
        """
        first, second = self._makers[id(one)], self._makers[id(other)]
        told_by = {first.told_by, second.told_by}
        if first.name != second.name:
            return False
        if _SIGNATURE in told_by or (len(told_by) == 1 and None not in told_by):
            return first == second
        return not self._has_several(first.name)

    def _has_several(self, name: ComparableName) -> bool:
        makers = {one for one in self._makers.values() if one.name == name}
        told = [one.told_by for one in makers if one.told_by not in (None, _SIGNATURE)]
        return len(told) > len(set(told))

    def tell_apart(self, crl: _List) -> str:
        """Return what a list has that others of its name have not, to follow that name."""
        name, scope = self._makers[id(crl)].name, Scope.of(crl)
        namesakes = [one for one in self._lists if self._makers[id(one)].name == name]
        words = []
        if not all(self.are_one(crl, one) for one in namesakes):
            identifier = find_in_list(crl, x509.AuthorityKeyIdentifier)
            key = None if identifier is None else identifier.key_identifier
            words.append("without a name for its key" if key is None else f"by the key {key.hex()}")
        if any(Scope.of(one) != scope for one in namesakes):
            words.append(str(scope))
        return "".join(f" {word}" for word in words if word)


def _maker_of(crl: _List, known: Iterable[tuple[ComparableName, x509.Certificate]]) -> _Maker:
    name = comparable_name(crl.issuer)
    for named, issuer in known:
        if named == name and is_signed_by(crl, issuer):
            return _Maker(name, _SIGNATURE, public_key_bytes(issuer.public_key()))
    said = find_in_list(crl, x509.AuthorityKeyIdentifier)
    if said is not None and said.key_identifier is not None:
        return _Maker(name, "identifier", said.key_identifier)
    if said is not None and said.authority_cert_serial_number is not None:
        return _Maker(name, "certificate", said.authority_cert_serial_number)
    return _Maker(name, None, None)


def is_signed_by(crl: _List, issuer: x509.Certificate) -> bool:
    """Tell whether the key of an authority has signed a list."""
    try:
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001
        # TypeError for a key that cannot sign, UnsupportedAlgorithm or ValueError: whatever it is,
        # nobody here can verify it.
        return False


def may_seem_signed_by(crl: _List, issuer: x509.Certificate) -> bool:
    """Tell whether a list is an authority's by all that it says, as OpenSSL goes by.

    Of lists that are, OpenSSL takes the newest, and looks at the signature only then.
    """
    if comparable_name(crl.issuer) != comparable_name(issuer.subject):
        return False
    said = find_in_list(crl, x509.AuthorityKeyIdentifier)
    return said is None or fits_identifier(said, issuer)


def why_refused(crl: _List, issuer: x509.Certificate) -> str | None:
    """Return why OpenSSL does not use a list of an authority's own; `None`: it does."""
    usage = find_extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.value.crl_sign:
        return (
            "is of an authority whose certificate, by its keyUsage, may not sign lists (cRLSign):"
            " OpenSSL would refuse all clients"
        )
    if not may_seem_signed_by(crl, issuer):
        return (
            "does not fit, by its authorityKeyIdentifier, the certificate in client_cas whose key"
            " has signed it: OpenSSL would refuse all clients. Of those with that key leave only"
            " the one that it names in client_cas, or have it published with the right name"
        )
    return None
