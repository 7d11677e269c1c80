"""Whether all certificates are known between authorities that are trusted.

An authority that is trusted without its issuer ends the chain: who is above it is not asked. That
is what is wanted of one that stands alone. Beside another authority it may be below that, with
somebody in between who is trusted by being issued and not by being named. If the upper one takes
back the one in between, then all below have lost it, and ``openssl verify -crl_check_all`` says so.
But nobody here has the certificate in between: its serial number is not known before a client sends
it, and a client that is to stay out does not. So with revocation lists such a mixture is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography import x509

from tlshttp._engines.issuers import Issuers, is_root
from tlshttp._issued_by import are_one_name
from tlshttp.certs._inspect import describe, find_extension

__all__ = ["gap_findings", "may_be_above"]


def gap_findings(anchors: Sequence[x509.Certificate]) -> Iterator[str]:
    """Name each authority that may be below another one by certificates that nobody has.

    Args:
        anchors: All authorities that are trusted.
    """
    issuers = Issuers(anchors)
    for lower in anchors:
        if is_root(lower) or issuers.of(lower):
            continue
        for upper in anchors:
            if may_be_above(upper, lower, issuers):
                issuer = lower.issuer.rfc4514_string()
                yield (
                    f"client_cas: {describe(lower)} may be below {describe(upper)} by way of"
                    f" {issuer!r}, whose certificate is not among them, so that nobody could tell"
                    " whether it is revoked: with crls put that one among client_cas, too, or leave"
                    f" {describe(lower)} out"
                )
                break


def may_be_above(upper: x509.Certificate, lower: x509.Certificate, issuers: Issuers) -> bool:
    """Tell whether one authority may have issued the issuer of another, which is no anchor.

    It cannot where it is itself below the other one, or below that one's issuer.

    Args:
        upper: The one.
        lower: The other one.
        issuers: Finds those of all authorities that are trusted.
    """
    return _may_have_authorities_below(upper) and not any(
        one == lower or _have_one_issuer(one, lower) for one in issuers.above(upper)
    )


def _may_have_authorities_below(anchor: x509.Certificate) -> bool:
    extension = find_extension(anchor, x509.BasicConstraints)
    return extension is None or extension.value.path_length != 0


def _have_one_issuer(one: x509.Certificate, other: x509.Certificate) -> bool:
    keys = [_issuer_key(certificate) for certificate in (one, other)]
    return are_one_name(one.issuer, other.issuer) and None not in keys and keys[0] == keys[1]


def _issuer_key(certificate: x509.Certificate) -> bytes | None:
    extension = find_extension(certificate, x509.AuthorityKeyIdentifier)
    return None if extension is None else extension.value.key_identifier
