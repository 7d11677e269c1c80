"""Extensions and fields of a single certificate: RFC 5280, sections 4.1 and 4.2."""

from __future__ import annotations

from cryptography import x509

from tlshttp.certs._inspect import describe, find_extension, is_authority
from tlshttp.certs._rules import MAXIMUM_SERIAL_BITS, UNDERSTOOD, Said
from tlshttp.certs._serials import serial_of


def judge_extensions(certificate: x509.Certificate) -> Said:
    """Find what is wrong with any certificate, whatever it is for."""
    name = describe(certificate)
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in UNDERSTOOD:
            yield (
                "unknown-critical",
                (
                    f"the extension {extension.oid.dotted_string} of {name} is critical, and"
                    " clients refuse what they do not know: do not mark it so"
                ),
            )
    if certificate.version is not x509.Version.v3:
        yield "old-version", f"{name} is of version 1: version 3 has names and purposes"
    if not certificate.issuer.rdns:
        yield "empty-issuer", f"{name} does not name its issuer"
    yield from _judge_serial(certificate, name)
    # What VERIFY_X509_STRICT refuses, the default of Python clients since 3.13.
    identifier = find_extension(certificate, x509.AuthorityKeyIdentifier)
    if certificate.subject != certificate.issuer:
        if identifier is None:
            yield "no-authority-key-identifier", f"{name} has no authority key identifier"
        elif identifier.value.key_identifier is None:
            yield (
                "no-authority-key-identifier",
                f"the authority key identifier of {name} names no key",
            )
    if is_authority(certificate):
        yield from _judge_strict_authority(certificate, name)


def judge_leaf(leaf: x509.Certificate) -> Said:
    """Find what is wrong with the certificate of a server or client."""
    name = describe(leaf)
    usage = find_extension(leaf, x509.KeyUsage)
    if usage is not None and not usage.value.digital_signature:
        yield (
            "no-digital-signature",
            f"the keyUsage of {name} lacks digitalSignature, which every handshake of today needs",
        )
    if is_authority(leaf):
        yield "leaf-is-authority", f"{name} is an authority: issue a certificate with it instead"
    elif usage is not None and usage.value.key_cert_sign:
        yield (
            "signs-certificates",
            f"the keyUsage of {name} has keyCertSign, but it is no authority",
        )
    if leaf.subject == leaf.issuer and find_extension(leaf, x509.AuthorityKeyIdentifier) is None:
        yield (
            "self-signed-no-identifier",
            f"{name} is self-signed and has no authority key identifier",
        )
    names = find_extension(leaf, x509.SubjectAlternativeName)
    if not leaf.subject.rdns and names is not None and not names.critical:
        yield (
            "empty-subject",
            (
                f"the subject of {name} is empty, so its names must be critical"
                " (RFC 5280, section 4.2.1.6)"
            ),
        )


def judge_authority(certificate: x509.Certificate) -> Said:
    """Find what keeps clients from accepting anything that an authority issues."""
    name = describe(certificate)
    usage = find_extension(certificate, x509.KeyUsage)
    if not is_authority(certificate):
        yield "no-authority", f"{name} is no authority: nobody accepts what it issues"
    elif usage is not None and not usage.value.key_cert_sign:
        yield "issuer-may-not-sign", f"the keyUsage of the authority {name} lacks keyCertSign"
    if not certificate.subject.rdns:
        yield "empty-issuer", "the authority has no name, so what it issues has no issuer"


def _judge_strict_authority(certificate: x509.Certificate, name: str) -> Said:
    constraints = find_extension(certificate, x509.BasicConstraints)
    if constraints is not None and not constraints.critical:
        yield "basic-constraints-not-critical", f"the basicConstraints of {name} are not critical"
    if find_extension(certificate, x509.KeyUsage) is None:
        yield "no-key-usage", f"the authority {name} has no keyUsage"
    if find_extension(certificate, x509.SubjectKeyIdentifier) is None:
        yield "no-subject-key-identifier", f"{name} has no subject key identifier"


def _is_root(certificate: x509.Certificate) -> bool:
    """Tell whether clients trust a certificate, if at all, for being in their store."""
    return is_authority(certificate) and certificate.subject == certificate.issuer


def _judge_serial(certificate: x509.Certificate, name: str) -> Said:
    serial = serial_of(certificate)
    if serial < 0:
        yield "negative-serial", f"the serial number of {name} is negative: issue it again"
    elif serial.bit_length() > MAXIMUM_SERIAL_BITS or (serial == 0 and not _is_root(certificate)):
        yield (
            "odd-serial",
            (
                f"the serial number of {name} is zero or longer than 20 bytes"
                " (RFC 5280, section 4.1.2.2): issue it again"
            ),
        )
