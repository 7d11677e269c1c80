"""The authorities that clients are trusted by, and how far below them.

What OpenSSL is given differs from what the user has given in two cases. In both it is a copy:

*   With a depth. The `ssl` module has no limit on the depth of a chain. OpenSSL has one that every
    certificate of an authority may carry, the path length constraint (RFC 5280, section 4.2.1.9),
    and heeds it in trust anchors, too. So a copy carries it (`limited`), which is what RFC 5937
    calls a trust anchor constraint. A chain that is too long then fails inside the handshake, with
    an alert, and there is no session that could be resumed. The signature of a root counts for
    nothing and is not verified (RFC 5280, section 6.1; OpenSSL's ``X509_V_FLAG_CHECK_SS_SIGNATURE``
    is off), so that it stays as it is.
*   An authority that is no root. It gets a root of ours above it (`StandInRoot`), unless one that
    has issued it is an anchor, too: then the chain goes on to that, and what is wrong with that,
    or what it forbids, counts. So only where a chain ends there are copies, and a limit.

Copies are seen by OpenSSL alone: where it tells of a verified chain, the original is put back.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp._engines.issuers import Issuers, fits_issuer, is_root, kind_of_issuers_key
from tlshttp._issued_by import are_one_name
from tlshttp.certs._inspect import describe, is_authority
from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp._engines.stand_in import StandInRoot

__all__ = ["NOBODY", "TrustAnchors"]

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
        self._chain_goes_on_to: dict[x509.Certificate, list[x509.Certificate]] = {}
        self._issuers = Issuers(certificates)
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
        if not root and self._goes_on(anchor):
            self._chain_goes_on_to[anchor] = self._issuers.of(anchor)
            return anchor
        seen = anchor
        if self.depth is not None:
            from tlshttp._engines.limited import limited

            seen = limited(anchor, self.depth)
        if root:
            return seen
        from tlshttp._engines.stand_in import StandInRoot

        try:
            root_of_ours = StandInRoot(seen, self._kinds_of_namesakes(anchor))
        except ValueError as error:
            findings.append(
                f"client_cas: {describe(anchor)} cannot be trusted without its root: {error}"
            )
            return anchor
        self._stand_ins[anchor] = root_of_ours
        return root_of_ours.copy

    def _kinds_of_namesakes(self, anchor: x509.Certificate) -> set[x509.ObjectIdentifier]:
        """Return the kinds of keys of those that may be met by the name of an authority's issuer.

        That issuer itself may be: as an intermediate that a client sends, below another anchor.
        """
        from tlshttp._engines.gaps import may_be_above

        kinds = {one.public_key_algorithm_oid for one in self._issuers.named(anchor.issuer)}
        if any(may_be_above(one, anchor, self._issuers) for one in self.certificates):
            kinds.add(kind_of_issuers_key(anchor))
        return kinds

    def _goes_on(self, anchor: x509.Certificate) -> bool:
        """Tell whether a chain goes on from an authority that is no root to another anchor.

        Not from those that have issued each other and are below nobody else, where it would never
        end.
        """
        issuers = self._issuers.of(anchor)
        if issuers and not any(fits_issuer(anchor, one) for one in issuers):
            _log.warning(
                "client_cas: %s says by its authorityKeyIdentifier that it is of another"
                " certificate than that of %s which is among them: its clients will be refused",
                describe(anchor), describe(issuers[0]),
            )  # fmt: skip
        above = self._issuers.above(anchor)
        ends = any(is_root(one) or not self._issuers.of(one) for one in above)
        return bool(issuers) and (ends or anchor not in self._issuers.above(*issuers))

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
            found = standing(anchor, self._issuers.of, crls)
            if found.known:
                published.append(
                    root.publish(revoked=found.revoked, until=found.until, since=found.since)
                )
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
        for anchor in self.certificates:
            issuers = self._chain_goes_on_to.get(anchor, ())
            if issuers and not any(_may_be_listed(anchor, one, crls) for one in issuers):
                _log.warning(
                    "crls: there is none of %s that %s could be in: its clients will be refused",
                    describe(issuers[0]), describe(anchor),
                )  # fmt: skip
        return [
            f"crls: those of {describe(anchor)} are for some certificates only, and not for its own"
            " one, for which OpenSSL asks, too: give its list of authorities, too, or one for all"
            for anchor in self.certificates
            if is_root(anchor)
            and anchor not in missing
            and not _may_be_listed(anchor, anchor, crls)
        ]


NOBODY = TrustAnchors()


def _may_be_listed(
    authority: x509.Certificate, issuer: x509.Certificate, crls: Iterable[_List]
) -> bool:
    """Tell whether there is a list of an issuer in which an authority's certificate could be."""
    from tlshttp.certs._crl_makers import is_signed_by
    from tlshttp.certs._crl_scope import Scope

    return any(is_signed_by(crl, issuer) and Scope.of(crl).is_about(authority) for crl in crls)
