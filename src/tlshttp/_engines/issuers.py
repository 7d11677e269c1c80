"""Who has issued the certificate of an authority, and which of them are roots, as OpenSSL has it.

OpenSSL finds an issuer by its name, however it is written, and by what a certificate says of it;
the signature it looks at when the chain is whole. A root is what fits itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import PublicKeyAlgorithmOID as Kind
from cryptography.x509.oid import SignatureAlgorithmOID

from tlshttp._issued_by import ComparableName, are_one_name, comparable_name, was_signed_by
from tlshttp.certs._inspect import find_extension, fits_identifier

__all__ = ["Issuers", "fits_issuer", "is_root", "kind_of_issuers_key"]


def _signatures(start: str) -> frozenset[x509.ObjectIdentifier]:
    named = vars(SignatureAlgorithmOID).items()
    return frozenset(identifier for name, identifier in named if name.startswith(start))


_SIGNATURES = {
    Kind.RSAES_PKCS1_v1_5: _signatures("RSA"),
    Kind.RSASSA_PSS: _signatures("RSASSA_PSS"),
    Kind.EC_PUBLIC_KEY: _signatures("ECDSA"),
    Kind.DSA: _signatures("DSA"),
}
"""What keys of a kind sign by; the newer kinds have one signature, of the same identifier."""


class Issuers:
    """Finds those of some authorities that have issued a certificate.

    Args:
        anchors: The authorities.
    """

    def __init__(self, anchors: Iterable[x509.Certificate]) -> None:
        self._by_name: dict[ComparableName, list[x509.Certificate]] = {}
        for anchor in anchors:
            self._by_name.setdefault(comparable_name(anchor.subject), []).append(anchor)
        self._found: dict[x509.Certificate, list[x509.Certificate]] = {}

    def of(self, certificate: x509.Certificate) -> list[x509.Certificate]:
        """Return those whose key has signed a certificate in their name, without itself."""
        if certificate not in self._found:
            self._found[certificate] = [
                other
                for other in self.named(certificate.issuer)
                if other != certificate and was_signed_by(certificate, other)
            ]
        return self._found[certificate]

    def above(self, *certificates: x509.Certificate) -> list[x509.Certificate]:
        """Return certificates and all above them, as far as they are known."""
        found: dict[x509.Certificate, None] = {}
        reached = [*certificates]
        while reached:
            current = reached.pop()
            if current not in found:
                found[current] = None
                reached += self.of(current)
        return list(found)

    def named(self, name: x509.Name) -> list[x509.Certificate]:
        """Return those of a name."""
        return self._by_name.get(comparable_name(name), [])


def kind_of_issuers_key(certificate: x509.Certificate) -> x509.ObjectIdentifier:
    """Return of which kind the key is that has signed a certificate, as its signature tells."""
    signature = certificate.signature_algorithm_oid
    kinds = (kind for kind, signatures in _SIGNATURES.items() if signature in signatures)
    return next(kinds, signature)


def is_root(anchor: x509.Certificate) -> bool:
    """Tell whether OpenSSL takes a certificate for a root, which ends a chain.

    It does not verify the signature, and looks only whether a key of that kind could have made it
    (``EXFLAG_SS`` in ``crypto/x509/v3_purp.c``).
    """
    return (
        are_one_name(anchor.subject, anchor.issuer)
        and fits_issuer(anchor, anchor)
        and _may_be_signed_by_its_own_key(anchor)
    )


def fits_issuer(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether an authority is the issuer of a certificate by all that it says of that."""
    said = find_extension(certificate, x509.AuthorityKeyIdentifier)
    return said is None or fits_identifier(said.value, issuer)


def _may_be_signed_by_its_own_key(certificate: x509.Certificate) -> bool:
    kind = certificate.public_key_algorithm_oid
    return certificate.signature_algorithm_oid in _SIGNATURES.get(kind, (kind,))
