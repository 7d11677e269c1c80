"""The authorities that clients are trusted by, and how far below them.

The `ssl` module has no limit on the depth of a chain. OpenSSL has one that every certificate of an
authority may carry, the path length constraint (RFC 5280, section 4.2.1.9), and heeds it in trust
anchors, too. So a depth is enforced by trusting a copy of each anchor that carries it, which is
what RFC 5937 calls a trust anchor constraint. A chain that is too long then fails inside the
handshake, with an alert, and there is no session that could be resumed.

A copy differs from its original in that constraint and in the signature. The signature of an
anchor counts for nothing and is not verified (RFC 5280, section 6.1; OpenSSL's
``X509_V_FLAG_CHECK_SS_SIGNATURE`` is off), so a key that is thrown away makes it. Copies are seen
by OpenSSL alone: where it tells of a verified chain, the original is put back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp.certs._inspect import describe, is_authority, is_self_signed
from tlshttp.errors import ConfigurationError

__all__ = ["TrustAnchors"]


@dataclass(frozen=True)
class TrustAnchors:
    """Authorities of clients, and how many intermediate certificates there may be below them."""

    certificates: Sequence[x509.Certificate] = ()
    """The authorities, as they were given."""
    depth: int | None = None
    """The largest number of intermediate certificates; `None`: as many as OpenSSL follows."""
    _originals: dict[bytes, x509.Certificate] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the copies.

        Raises:
            ConfigurationError: There cannot be copies of some authorities; each is named.
        """
        findings = self._findings()
        for anchor in self.certificates:
            trusted = anchor
            if self.depth is not None and not findings:
                try:
                    trusted = _limited(anchor, self.depth)
                except ValueError as error:
                    label = describe(anchor)
                    raise ConfigurationError(
                        f"client_cas: verify_depth cannot be applied to {label}: {error}"
                    ) from None
            self._originals[trusted.public_bytes(Encoding.DER)] = anchor
        ConfigurationError.raise_if(findings)

    def _findings(self) -> list[str]:
        found = [
            f"client_cas: {describe(anchor)} is not the certificate of an authority"
            for anchor in self.certificates
            if not is_authority(anchor)
        ]
        if self.depth is not None and self.depth < 0:
            found.append(f"verify_depth must be 0 or more, not {self.depth}")
        return found

    def to_der(self) -> bytes:
        """Return what OpenSSL is to trust."""
        return b"".join(self._originals)

    @property
    def are_roots(self) -> bool:
        """Whether none has an issuer above it."""
        return all(is_self_signed(anchor) for anchor in self.certificates)

    def originals(self, chain: Iterable[bytes]) -> list[bytes]:
        """Put the authorities as they were given into a chain that OpenSSL has verified."""
        return [
            self._originals[der].public_bytes(Encoding.DER) if der in self._originals else der
            for der in chain
        ]


def _limited(anchor: x509.Certificate, depth: int) -> x509.Certificate:
    """Return a copy of an authority's certificate below which no chain is longer.

    Raises:
        ValueError: It is not as RFC 5280 says; the number zero, for example.
    """
    copy = (
        x509.CertificateBuilder()
        .subject_name(anchor.subject)
        .issuer_name(anchor.issuer)
        .public_key(anchor.public_key())
        .serial_number(anchor.serial_number)
        .not_valid_before(anchor.not_valid_before_utc)
        .not_valid_after(anchor.not_valid_after_utc)
    )
    for extension in anchor.extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints):
            own = value.path_length
            value = x509.BasicConstraints(
                ca=True, path_length=depth if own is None else min(own, depth)
            )
        copy = copy.add_extension(value, extension.critical)
    return copy.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
