"""Questions to one ``x509.Certificate`` that `cryptography` leaves to its users."""

from __future__ import annotations

from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from tlshttp._issued_by import are_one_name
from tlshttp.certs._names import render_name
from tlshttp.certs._serials import serial_of

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def find_extension(
    certificate: x509.Certificate, kind: type[_Extension]
) -> x509.Extension[_Extension] | None:
    """Return an extension of a certificate, or `None` where it has none of that kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """List the names in a certificate's subject alternative name, the only ones that count."""
    extension = find_extension(certificate, x509.SubjectAlternativeName)
    rendered = (render_name(name) for name in extension.value) if extension else ()
    return tuple(name for name in rendered if name is not None)


def common_name(certificate: x509.Certificate) -> str | None:
    """Return the common name of a certificate's subject, or `None`."""
    for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        return str(attribute.value)
    return None


def describe(certificate: x509.Certificate) -> str:
    """Name a certificate in a sentence: by its common name, first name or subject."""
    names = names_of(certificate)
    name = common_name(certificate) or (names[0] if names else None)
    return repr(name or certificate.subject.rfc4514_string())


def printable(text: str) -> str:
    """Escape what a terminal would obey instead of showing; names are whatever a peer chose."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def public_key_bytes(key: CertificatePublicKeyTypes) -> bytes:
    """Serialise a public key so that two of them can be compared."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may issue others."""
    extension = find_extension(certificate, x509.BasicConstraints)
    return extension is not None and extension.value.ca


def was_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether the issuer's name stands in the certificate and its key signed it.

    The name is compared as it is written; see `tlshttp._issued_by.is_below`.
    """
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001
        # InvalidSignature, ValueError (names differ), TypeError or UnsupportedAlgorithm (a key that
        # cannot sign): whichever it is, this issuer has not issued the certificate.
        return False
    return True


def fits_identifier(said: x509.AuthorityKeyIdentifier, issuer: x509.Certificate) -> bool:
    """Tell whether it may be a certificate that an authorityKeyIdentifier means, to OpenSSL.

    Of several names only the first counts (``X509_check_akid()`` in ``crypto/x509/v3_purp.c``).
    """
    serial = said.authority_cert_serial_number
    own = find_extension(issuer, x509.SubjectKeyIdentifier)
    names = [
        one.value for one in said.authority_cert_issuer or () if isinstance(one, x509.DirectoryName)
    ]
    return (
        (said.key_identifier is None or own is None or said.key_identifier == own.value.digest)
        and (serial is None or serial == serial_of(issuer))
        and all(are_one_name(name, issuer.issuer) for name in names[:1])
    )


def must_staple(certificate: x509.Certificate) -> bool:
    """Tell whether clients refuse a certificate without an OCSP response (RFC 7633)."""
    feature = find_extension(certificate, x509.TLSFeature)
    return feature is not None and x509.TLSFeatureType.status_request in feature.value


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate is signed with its own key."""
    return certificate.subject == certificate.issuer and was_issued_by(certificate, certificate)
