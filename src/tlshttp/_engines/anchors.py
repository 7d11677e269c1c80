"""The authorities that clients are trusted by, and how far below them.

What OpenSSL is given differs from what the user has given in two cases. In both it is a copy, which
differs from its original in what is said here and in the signature:

*   With a depth. The `ssl` module has no limit on the depth of a chain. OpenSSL has one that every
    certificate of an authority may carry, the path length constraint (RFC 5280, section 4.2.1.9),
    and heeds it in trust anchors, too. So a copy carries it, which is what RFC 5937 calls a trust
    anchor constraint. A chain that is too long then fails inside the handshake, with an alert, and
    there is no session that could be resumed.
*   An authority that is no root. It gets a root of ours above it (`StandInRoot`), unless the one
    that has issued it is an anchor, too, and OpenSSL can go on to that.

The signature of a root counts for nothing and is not verified (RFC 5280, section 6.1; OpenSSL's
``X509_V_FLAG_CHECK_SS_SIGNATURE`` is off), so a key that is thrown away makes that of its copy.
Copies are seen by OpenSSL alone: where it tells of a verified chain, the original is put back.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp.certs._inspect import (
    are_one_name,
    describe,
    find_extension,
    is_authority,
    was_issued_by,
)
from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp._engines.stand_in import StandInRoot

__all__ = ["NOBODY", "TrustAnchors", "is_root"]

_log = logging.getLogger("tlshttp.context")

_List = x509.CertificateRevocationList


class TrustAnchors:
    """Authorities of clients, and how many intermediate certificates there may be below them.

    Args:
        certificates: The authorities.
        depth: The largest number of intermediate certificates; `None`: as many as OpenSSL follows.

    Raises:
        ConfigurationError: There cannot be copies of some authorities; each is named.
    """

    def __init__(
        self, certificates: Sequence[x509.Certificate] = (), depth: int | None = None
    ) -> None:
        self.certificates = certificates
        self.depth = depth
        self._originals: dict[bytes, x509.Certificate] = {}
        self._stand_ins: dict[x509.Certificate, StandInRoot] = {}
        findings = self._findings()
        ConfigurationError.raise_if(findings)
        for anchor in self.certificates:
            self._originals[self._seen(anchor, findings).public_bytes(Encoding.DER)] = anchor
        ConfigurationError.raise_if(findings)

    def _findings(self) -> list[str]:
        found = [
            f"client_cas: {describe(anchor)} is not the certificate of an authority; a single"
            " client's own, self-signed, goes to client_certificates"
            for anchor in self.certificates
            if not is_authority(anchor)
        ]
        if self.depth is not None and self.depth < 0:
            found.append(f"verify_depth must be 0 or more, not {self.depth}")
        return found

    def _seen(self, anchor: x509.Certificate, findings: list[str]) -> x509.Certificate:
        """Return what OpenSSL is to see of an authority."""
        root = is_root(anchor)
        if self.depth is None and (root or self._leads_to_root(anchor)):
            return anchor
        try:
            if root and self.depth is not None:
                return _limited(anchor, self.depth)
            from tlshttp._engines.stand_in import StandInRoot

            self._stand_ins[anchor] = StandInRoot(anchor, self.depth)
            return self._stand_ins[anchor].copy
        except ValueError as error:
            what = (
                "it cannot be trusted without its root" if self.depth is None
                else "verify_depth cannot be applied"
            )  # fmt: skip
            findings.append(f"client_cas: {what} to {describe(anchor)}: {error}")
            return anchor

    def all_der(self) -> tuple[bytes, ...]:
        """Return what OpenSSL is to trust, each in DER."""
        roots = (root.certificate.public_bytes(Encoding.DER) for root in self._stand_ins.values())
        return (*self._originals, *roots)

    def originals(self, chain: Iterable[bytes]) -> list[bytes]:
        """Put the authorities as they were given into a chain that OpenSSL has verified."""
        ours = {one.certificate.public_bytes(Encoding.DER) for one in self._stand_ins.values()}
        return [
            self._originals[der].public_bytes(Encoding.DER) if der in self._originals else der
            for der in chain
            if der not in ours
        ]

    def lists(self, crls: Sequence[_List]) -> list[_List]:
        """Return the lists that roots of ours publish, beside the `crls` of the others."""
        from tlshttp._engines.standing import standing

        published = []
        for anchor, root in self._stand_ins.items():
            found = standing(anchor, self._issuer_of, crls)
            if found.known:
                published.append(root.publish(revoked=found.revoked, until=found.until))
        return published

    def refuse_foreign_list(self, crl: _List) -> None:
        """Refuse a revocation list by which no client of these authorities could be verified.

        A list of an authority that is not among them may be of one below. Whose it is shows when a
        client comes; OpenSSL verifies it then.

        Raises:
            ConfigurationError: Somebody else signed the list in the name of one of them, or it is
                in another name though none of them has authorities below.
        """
        ConfigurationError.raise_if(self.list_findings(crl))

    def list_findings(self, crl: _List) -> Iterator[str]:
        """Say why no client of these authorities could be verified by a list."""
        from tlshttp._engines.standing import describe_list
        from tlshttp.certs._crl_makers import is_signed_by, may_seem_signed_by, why_refused

        label = describe_list(crl)
        issuers = [one for one in self.certificates if are_one_name(one.subject, crl.issuer)]
        makers = [issuer for issuer in issuers if is_signed_by(crl, issuer)]
        reasons = [why_refused(crl, maker) for maker in makers]
        if any(reasons):
            yield f"{label} {next(filter(None, reasons))}"
        elif makers:
            own = makers[0].public_key()
            for other in issuers:
                if other.public_key() != own and may_seem_signed_by(crl, other):
                    yield (
                        f"{label} does not say by its authorityKeyIdentifier which key has signed"
                        f" it, and client_cas has several of that name: OpenSSL would take it for"
                        " another one's, and refuse all clients of that"
                    )
                    break
        elif issuers:
            yield (
                f"{label} is not signed by that authority, whose certificate is in client_cas: if"
                " it is by an earlier key of it, put the certificate of that key (which the new one"
                " has issued, OldWithNew) among client_cas, too"
            )
        elif self.certificates and not (
            self._has_room_below()
            or any(are_one_name(one.issuer, crl.issuer) for one in self.certificates)
        ):
            yield f"{label} is of none of client_cas, which have no authorities below them"

    def _has_room_below(self) -> bool:
        """Tell whether any of the authorities may have another one below it."""
        limits = [
            one.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
            for one in self.certificates
        ]
        return self.depth != 0 and any(limit != 0 for limit in limits)

    def lists_findings(self, crls: Sequence[_List]) -> list[str]:
        """Say that no client could be verified by revocation lists; log whose could not."""
        from tlshttp._engines.standing import describe_list
        from tlshttp.certs._crl_makers import is_signed_by

        missing = [
            anchor
            for anchor in self.certificates
            if not any(
                are_one_name(crl.issuer, anchor.subject) and is_signed_by(crl, anchor)
                for crl in crls
            )
        ]
        if missing and len(missing) == len(self.certificates):
            names = ", ".join(describe(anchor) for anchor in missing)
            return [
                f"{describe_list(crl)} is of none of client_cas, and there is none of {names}:"
                " every client would be refused"
                for crl in crls
            ]
        for anchor in missing:
            _log.warning("crls: there is none of %s: its clients will be refused", describe(anchor))
        return [
            f"crls: those of {describe(anchor)} are for some certificates only, and not for its own"
            " one, for which OpenSSL asks, too: give its list of authorities, too, or one for all"
            for anchor in self.certificates
            if is_root(anchor) and anchor not in missing and not _has_list_of_itself(anchor, crls)
        ]

    def _issuer_of(self, anchor: x509.Certificate) -> x509.Certificate | None:
        """Return who of the authorities has issued another one, itself included."""
        issuers = (other for other in self.certificates if was_issued_by(anchor, other))
        return next(issuers, None)

    def _leads_to_root(self, anchor: x509.Certificate) -> bool:
        """Tell whether OpenSSL gets from an authority to a root by the other ones."""
        seen = []
        issuer: x509.Certificate | None = anchor
        while issuer is not None and issuer not in seen:
            if is_root(issuer):
                return True
            seen.append(issuer)
            issuer = self._issuer_of(issuer)
        return False


NOBODY = TrustAnchors()


def is_root(anchor: x509.Certificate) -> bool:
    """Tell whether OpenSSL takes a certificate for a root: it goes by names, not by the key."""
    if not are_one_name(anchor.subject, anchor.issuer):
        return False
    issuer = find_extension(anchor, x509.AuthorityKeyIdentifier)
    own = find_extension(anchor, x509.SubjectKeyIdentifier)
    named = None if issuer is None else issuer.value.key_identifier
    return named is None or own is None or named == own.value.digest


def _has_list_of_itself(root: x509.Certificate, crls: Iterable[_List]) -> bool:
    """Tell whether there is a list of a root in which its own certificate could be."""
    from tlshttp.certs._crl_makers import is_signed_by
    from tlshttp.certs._crl_scope import Scope

    return any(is_signed_by(crl, root) and Scope.of(crl).is_about(root) for crl in crls)


def _limited(anchor: x509.Certificate, depth: int) -> x509.Certificate:
    """Return a copy of a root below which no chain is longer.

    Raises:
        ValueError: It is not as RFC 5280 says; the number zero, for example.
    """
    from tlshttp._engines.stand_in import copy_authority

    return copy_authority(anchor, depth, ec.generate_private_key(ec.SECP256R1()))
