"""Whether an OCSP response may be stapled: it has to be good, of this certificate, and of now.

OpenSSL staples what it is given. A response that is another certificate's or too old makes clients
refuse a connection that they would have accepted without any.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlshttp.certs import CertificateChain
from tlshttp.certs._inspect import describe, find_extension

__all__ = ["Response", "parse_response"]

_CLOCK_SKEW = timedelta(minutes=5)
"""How far a responder's clock may be ahead of ours."""


@dataclass(frozen=True)
class Response:
    """A response that may be stapled."""

    der: bytes
    this_update: datetime
    next_update: datetime

    def refresh_at(self) -> datetime:
        """Return when it is half as old as it may get."""
        return self.this_update + (self.next_update - self.this_update) / 2


def parse_response(der: bytes, shown: CertificateChain, now: datetime | None = None) -> Response:
    """Return a response for a certificate.

    Its signature is verified where the issuer's certificate is in the chain, as it is unless a root
    has issued the server's certificate itself; there the names and keys that both mention have to
    agree.

    Args:
        der: The response in DER (RFC 6960, section 4.2.1).
        shown: The certificate, with its chain.
        now: The moment to judge for, aware; `None`: now.

    Raises:
        ValueError: It must not be stapled; the message says why.
    """
    now = datetime.now(UTC) if now is None else now
    label = describe(shown.leaf)
    response = _load(der)
    single = next((one for one in response.responses if _is_about(one, shown)), None)
    if single is None:
        raise ValueError(f"the OCSP response is not about the certificate of {label}")
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        status = single.certificate_status.name.lower()
        raise ValueError(f"the OCSP response says that the certificate of {label} is {status}")
    end = single.next_update_utc
    if end is None:
        raise ValueError(f"the OCSP response for {label} does not say until when it counts")
    if not single.this_update_utc - _CLOCK_SKEW <= now < end:
        raise ValueError(
            f"the OCSP response for {label} counts from {single.this_update_utc:%Y-%m-%d %H:%M}"
            f" to {end:%Y-%m-%d %H:%M} UTC, and not now"
        )
    if shown.chain and not _is_signed(response, shown.chain[0], now):
        raise ValueError(f"the OCSP response for {label} is not signed by its issuer")
    return Response(der, single.this_update_utc, end)


def _load(der: bytes) -> ocsp.OCSPResponse:
    try:
        response = ocsp.load_der_ocsp_response(der)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is no OCSP response in DER") from None
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        status = response.response_status.name.lower().replace("_", " ")
        raise ValueError(f"the OCSP responder answers with an error: {status}")
    return response


def _is_about(single: ocsp.OCSPSingleResponse, shown: CertificateChain) -> bool:
    """Tell whether an answer is about a certificate (RFC 6960, section 4.1.1)."""
    leaf = shown.leaf
    if single.serial_number != leaf.serial_number:
        return False
    algorithm = single.hash_algorithm
    if _digest(algorithm, leaf.issuer.public_bytes()) != single.issuer_name_hash:
        return False
    if shown.chain:
        return _key_digest(algorithm, shown.chain[0]) == single.issuer_key_hash
    identifier = find_extension(leaf, x509.AuthorityKeyIdentifier)
    named = None if identifier is None else identifier.value.key_identifier
    # Most authorities name their key by the same hash of it (RFC 5280, section 4.2.1.2).
    comparable = named is not None and isinstance(algorithm, hashes.SHA1)
    return not comparable or named == single.issuer_key_hash


def _is_signed(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> bool:
    """Tell whether the issuer has signed a response, or somebody whom it has allowed to.

    RFC 6960, section 4.2.2.2.
    """
    return any(
        _has_signed(signer, response) for signer in (issuer, *_delegates(response, issuer, now))
    )


def _delegates(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime
) -> Iterable[x509.Certificate]:
    for one in response.certificates:
        usage = find_extension(one, x509.ExtendedKeyUsage)
        if usage is None or ExtendedKeyUsageOID.OCSP_SIGNING not in usage.value:
            continue
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            continue
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            continue
        yield one


def _has_signed(signer: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    signature, content = response.signature, response.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(signature, content, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(signature, content, ec.ECDSA(algorithm))
        else:
            key.verify(signature, content)  # type: ignore[union-attr, call-arg]  # Ed25519, Ed448
    except (InvalidSignature, TypeError, AttributeError, UnsupportedAlgorithm):
        return False
    return True


def _key_digest(algorithm: hashes.HashAlgorithm, issuer: x509.Certificate) -> bytes:
    """Return the hash of a public key, without its algorithm."""
    key = issuer.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return _digest(algorithm, key.public_bytes(Encoding.DER, PublicFormat.PKCS1))
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _digest(algorithm, key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    return _digest(algorithm, key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    made = hashes.Hash(algorithm)
    made.update(data)
    return made.finalize()
