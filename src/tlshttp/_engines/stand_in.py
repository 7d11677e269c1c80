"""Roots of our own above authorities that are trusted without theirs.

OpenSSL follows a chain up to a root. Told to stop earlier (``X509_V_FLAG_PARTIAL_CHAIN``) it cannot
verify revocation lists for the whole chain any more: for its last certificate it wants a list, too,
and takes one from a self-signed issuer only (``check_crl()`` in ``crypto/x509/x509_vfy.c``). And
the flags hold for all chains of a context. So with a single authority without its root there would
be a choice of two evils: no intermediate is checked for anybody, or nobody is let in.

Therefore OpenSSL never sees such an authority, but a copy of it whose issuer is a root that we
make: with the same name, so that all that clients' certificates say of their issuer still fits,
and with a key that nobody else has. Chains then end in a root, and one flag says "the whole chain".
What the root publishes about the copy we decide, from the lists that there are.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["StandInRoot", "copy_authority"]

_FAR = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # "no end": RFC 5280, section 4.1.2.5


class StandInRoot:
    """A root that has issued one certificate: the copy of an authority's.

    Args:
        anchor: The authority's own certificate.
        depth: The largest number of intermediate certificates below it; `None`: as its own says.

    Raises:
        ValueError: The certificate is not as RFC 5280 says, and cannot be copied.
    """

    def __init__(self, anchor: x509.Certificate, depth: int | None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self._name = anchor.issuer
        self._serial = anchor.serial_number
        self.certificate = self._certify_itself(anchor)
        """The root."""
        self.copy = copy_authority(anchor, depth, self._key, self._authority_identifier())
        """What it has issued."""

    def publish(self, *, revoked: bool, until: datetime | None) -> x509.CertificateRevocationList:
        """Return its revocation list.

        Args:
            revoked: Whether the copy stands in it.
            until: When the list runs out; `None`: never.
        """
        # One that OpenSSL prefers to a list of the same name without a key identifier: the newer.
        now = datetime.now(UTC).replace(microsecond=0)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now if until is None else min(now, until - timedelta(seconds=1)))
            .next_update(until or _FAR)
            .add_extension(self._authority_identifier(), critical=False)
        )
        if revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(self._serial)
            builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
        return builder.sign(self._key, hashes.SHA256())

    def _certify_itself(self, anchor: x509.Certificate) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(anchor.not_valid_before_utc)
            .not_valid_after(anchor.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_SIGNS_CERTIFICATES_AND_LISTS, critical=True)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _authority_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)


def copy_authority(
    anchor: x509.Certificate,
    depth: int | None,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.AuthorityKeyIdentifier | None = None,
) -> x509.Certificate:
    """Return a copy of an authority's certificate, signed anew.

    Args:
        anchor: The original.
        depth: The largest number of intermediate certificates below it, unless its own is smaller;
            `None`: as its own says.
        key: What signs the copy.
        issuer: Which of the issuers of that name it is; `None`: as the original says.

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
        if isinstance(value, x509.BasicConstraints) and depth is not None:
            own = value.path_length
            value = x509.BasicConstraints(
                ca=True, path_length=depth if own is None else min(own, depth)
            )
        if issuer is None or not isinstance(value, x509.AuthorityKeyIdentifier):
            copy = copy.add_extension(value, extension.critical)
    if issuer is not None:
        copy = copy.add_extension(issuer, critical=False)
    return copy.sign(key, hashes.SHA256())


_SIGNS_CERTIFICATES_AND_LISTS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
