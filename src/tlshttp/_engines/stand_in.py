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

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.x509.oid import PublicKeyAlgorithmOID

from tlshttp.certs._serials import serial_of

__all__ = ["StandInRoot"]

_ONE_SECOND = timedelta(seconds=1)
_FAR = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # "no end": RFC 5280, section 4.1.2.5

_Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


class StandInRoot:
    """A root that has issued one certificate: the copy of an authority's.

    Args:
        anchor: The authority's own certificate.
        unlike: The kinds of keys of others that have the name of its issuer.

    Raises:
        ValueError: The certificate is not as RFC 5280 says, and cannot be copied.
    """

    def __init__(
        self, anchor: x509.Certificate, unlike: Collection[x509.ObjectIdentifier] = ()
    ) -> None:
        self._key = _key_unlike(unlike)
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self._name = anchor.issuer
        self._serial = serial_of(anchor)
        self.certificate = self._certify_itself(anchor)
        """The root."""
        self.copy = self._certify(anchor)
        """What it has issued."""

    def publish(
        self, *, revoked: bool, until: datetime | None = None, since: datetime | None = None
    ) -> x509.CertificateRevocationList:
        """Return its revocation list.

        Args:
            revoked: Whether the copy stands in it.
            until: When the list runs out; `None`: never.
            since: When the newest list of the same name was made; `None`: there is none.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        # At the beginning of a second the clock that OpenSSL asks is still in the one before. But
        # of lists that do not name their key it takes the newest, which has to be this one.
        made = now - _ONE_SECOND if since is None or since < now - _ONE_SECOND else now
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(made if until is None else min(made, until - _ONE_SECOND))
            .next_update(until or _FAR)
            .add_extension(self._authority_identifier(), critical=False)
        )
        if revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(self._serial)
            builder = builder.add_revoked_certificate(entry.revocation_date(now).build())
        return builder.sign(self._key, _hash_for(self._key))

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
            .sign(self._key, _hash_for(self._key))
        )

    def _certify(self, anchor: x509.Certificate) -> x509.Certificate:
        """Issue an authority's certificate anew."""
        copy = (
            x509.CertificateBuilder()
            .subject_name(anchor.subject)
            .issuer_name(self._name)
            .public_key(anchor.public_key())
            .serial_number(self._serial)
            .not_valid_before(anchor.not_valid_before_utc)
            .not_valid_after(anchor.not_valid_after_utc)
        )
        for extension in anchor.extensions:
            if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
                copy = copy.add_extension(extension.value, extension.critical)
        copy = copy.add_extension(self._authority_identifier(), critical=False)
        return copy.sign(self._key, _hash_for(self._key))

    def _authority_identifier(self) -> x509.AuthorityKeyIdentifier:
        """Return what means this root, and no other authority of its name.

        The number tells it also from one that does not name its key.
        """
        return x509.AuthorityKeyIdentifier(
            self._identifier.digest,
            [x509.DirectoryName(self._name)],
            self.certificate.serial_number,
        )


def _key_unlike(kinds: Collection[x509.ObjectIdentifier]) -> _Key:
    """Make a key of another kind than those of namesakes, as far as there are kinds.

    What is issued without an authorityKeyIdentifier tells by its signature alone which kind of key
    it is from. OpenSSL would take the stand-in for its issuer otherwise, and refuse it.
    """
    if PublicKeyAlgorithmOID.EC_PUBLIC_KEY not in kinds:
        return ec.generate_private_key(ec.SECP256R1())
    if PublicKeyAlgorithmOID.ED25519 not in kinds:
        return ed25519.Ed25519PrivateKey.generate()
    return ed448.Ed448PrivateKey.generate()


def _hash_for(key: _Key) -> hashes.SHA256 | None:
    return hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None


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
