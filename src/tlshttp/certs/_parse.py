"""PEM, DER and PKCS#12 turned into certificates and keys, or into a `CertificateError`.

`cryptography` reads a certificate lazily and has no closed list of what it raises, so everything
that is ever asked of a certificate is asked once here, and later code need not expect failures.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeAlias, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from tlshttp.certs._files import MAXIMUM_FILE_SIZE, read_bounded
from tlshttp.certs._inspect import describe
from tlshttp.certs._keys import Password, PrivateKey, password_bytes
from tlshttp.certs._serials import accept_any_serial
from tlshttp.errors import CertificateError

Source: TypeAlias = str | os.PathLike[str] | bytes
"""A path, PEM text, or the bytes of a file in PEM or DER form."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_BEGIN = b"-----BEGIN "
_DASHES = b"-----"
_CERTIFICATE_LABELS = (b"CERTIFICATE", b"X509 CERTIFICATE")
_KEY_LABEL_END = b"PRIVATE KEY"

_PKCS12_START = b"\x02\x01\x03\x30"
"""Version 3 and the begin of the next SEQUENCE: RFC 7292, section 4."""


@dataclass(frozen=True, repr=False)
class Document:
    """The content of a file and what error messages call it. It has no repr: it may hold a key."""

    label: str
    content: bytes
    path: str | None = None

    @property
    def is_pem(self) -> bool:
        """Whether there is a PEM block; otherwise it can only be DER."""
        return _BEGIN in self.content


def open_source(source: Source) -> Document:
    """Read a source, wherever it is.

    Raises:
        CertificateError: It cannot be read, or is larger than 1 MiB.
    """
    if isinstance(source, str) and "-----BEGIN" in source:
        source = source.encode("utf-8", "replace")
    if isinstance(source, bytes):
        if len(source) > MAXIMUM_FILE_SIZE:
            raise CertificateError("more than 1 MiB of bytes: that is no certificate or key")
        return Document("the given PEM or DER", source)
    path = os.fspath(source)
    if not isinstance(path, str):
        raise TypeError("a path must be str or os.PathLike[str]")
    return Document(repr(path), read_bounded(path), path)


def parse_certificates(document: Document) -> list[x509.Certificate]:
    """Read all certificates of a document, in their order.

    Raises:
        CertificateError: There is none, or one of them cannot be read.
    """
    if not document.is_pem:
        return [_parse_der_certificate(document)]
    certificates: list[x509.Certificate] = []
    for label, block in _pem_blocks(document):
        if label in _CERTIFICATE_LABELS:
            number = len(certificates) + 1
            certificates.append(
                _attempt(
                    f"certificate {number} in {document.label} is damaged",
                    _read_pem_certificate,
                    block,
                )
            )
    if not certificates:
        raise CertificateError(f"there is no certificate in {document.label}")
    return certificates


def parse_key(document: Document, password: Password | None) -> PrivateKey | None:
    """Read the first private key of a document; `None` where it has none.

    Raises:
        CertificateError: The key cannot be read, mostly for want of the right password.
    """
    if not document.is_pem:
        return _parse_der_key(document, password)
    for label, block in _pem_blocks(document):
        if label == b"OPENSSH " + _KEY_LABEL_END:
            raise CertificateError(
                f"the key in {document.label} is an OpenSSH key: convert it with"
                " 'ssh-keygen -p -m PKCS8'"
            )
        if label.endswith(_KEY_LABEL_END):
            encrypted = label.startswith(b"ENCRYPTED") or b"ENCRYPTED" in block[:200]
            read = partial(serialization.load_pem_private_key, block)
            return _decrypt(read, document, password, encrypted=encrypted)
    return None


def parse_pkcs12(
    document: Document, password: Password | None
) -> tuple[PrivateKey | None, list[x509.Certificate]]:
    """Read a PKCS#12 file (RFC 7292): the key, and the certificates with the leaf first.

    Raises:
        CertificateError: The file cannot be read, or the password is wrong.
    """
    secret = password_bytes(password)
    key, leaf, others = _attempt(
        f"{document.label} is no PKCS#12 file, or the password is wrong",
        pkcs12.load_key_and_certificates,
        document.content,
        secret,
    )
    certificates = [
        _attempt(f"certificate {number} in {document.label} is damaged", _examined, certificate)
        for number, certificate in enumerate([leaf, *others] if leaf else others, start=1)
    ]
    return (None if key is None else _supported(key, document)), certificates


def parse_crl(document: Document) -> x509.CertificateRevocationList:
    """Read a CRL, as `CertificateAuthority` writes it.

    Raises:
        CertificateError: It cannot be read, or has no number.
    """
    read = x509.load_pem_x509_crl if document.is_pem else x509.load_der_x509_crl
    sentence = f"there is no readable CRL in {document.label}"
    return _attempt(sentence, _examined_crl, _attempt(sentence, read, document.content))


def _pem_blocks(document: Document) -> Iterator[tuple[bytes, bytes]]:
    """Find PEM blocks (RFC 7468) in one pass, so that hostile input costs its length only."""
    content, position = document.content, 0
    while (begin := content.find(_BEGIN, position)) >= 0:
        label_end = content.find(_DASHES, begin + len(_BEGIN))
        label = content[begin + len(_BEGIN) : label_end]
        last_line = b"-----END " + label + _DASHES
        end = content.find(last_line, label_end)
        if label_end < 0 or b"\n" in label or end < 0:
            raise CertificateError(
                f"a PEM block in {document.label} has no end: the file is cut off"
            )
        position = end + len(last_line)
        yield label, content[begin:position] + b"\n"


def _parse_der_certificate(document: Document) -> x509.Certificate:
    if not document.content.startswith(b"\x30"):
        raise CertificateError(f"there is no certificate in {document.label}")
    hint = "; it looks like PKCS#12: use load_pkcs12" if _is_pkcs12(document) else ""
    return _attempt(
        f"there is no readable certificate in {document.label}{hint}",
        _read_der_certificate,
        document.content,
    )


def _parse_der_key(document: Document, password: Password | None) -> PrivateKey | None:
    if not document.content.startswith(b"\x30") or _is_der_certificate(document):
        return None
    read = partial(serialization.load_der_private_key, document.content)
    return _decrypt(read, document, password, encrypted=password is not None)


def _decrypt(
    read: Callable[[bytes | None], object],
    document: Document,
    password: Password | None,
    *,
    encrypted: bool,
) -> PrivateKey:
    """Read a key; like ``ssl``, ignore a password that is not needed."""
    secret = password_bytes(password) if encrypted else None
    try:
        key = read(secret)
    except TypeError:
        # What cryptography says where a password is missing, or there for nothing.
        if password is None:
            raise CertificateError(
                f"the private key in {document.label} is encrypted: give its password"
            ) from None
        key = _attempt(f"the private key in {document.label} is damaged", read, None)
    except Exception:  # noqa: BLE001
        sentence = (
            f"the password does not open the private key in {document.label}, or it is damaged"
            if encrypted
            else f"the private key in {document.label} is damaged"
        )
        raise CertificateError(sentence) from None
    return _supported(key, document)


def _supported(key: object, document: Document) -> PrivateKey:
    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        return key
    kind = type(key).__name__.removesuffix("PrivateKey").lstrip("_")
    raise CertificateError(
        f"the private key in {document.label} is of type {kind}: use ECDSA, Ed25519 or RSA"
    )


def _read_pem_certificate(pem: bytes) -> x509.Certificate:
    with accept_any_serial():
        return _examined(x509.load_pem_x509_certificate(pem))


def _read_der_certificate(der: bytes) -> x509.Certificate:
    with accept_any_serial():
        return _examined(x509.load_der_x509_certificate(der))


def _examined(certificate: x509.Certificate) -> x509.Certificate:
    """Ask a certificate everything that is ever asked, so that it fails here or never."""
    for extension in certificate.extensions:
        repr(extension)
    describe(certificate)
    certificate.subject.rfc4514_string()
    certificate.issuer.rfc4514_string()
    certificate.public_key()
    certificate.signature_hash_algorithm  # noqa: B018
    f"{certificate.not_valid_before_utc:%Y}{certificate.not_valid_after_utc:%Y}"
    return certificate


def _examined_crl(crl: x509.CertificateRevocationList) -> x509.CertificateRevocationList:
    crl.extensions.get_extension_for_class(x509.CRLNumber)
    for entry in crl:
        repr(list(entry.extensions))
    return crl


def _attempt(
    sentence: str,
    read: Callable[_Arguments, _Result],
    *arguments: _Arguments.args,
    **options: _Arguments.kwargs,
) -> _Result:
    """Read something; whatever goes wrong is said with that sentence."""
    try:
        return read(*arguments, **options)
    except Exception as error:  # noqa: BLE001
        # The type only: the text of a parser's error may quote what it was parsing.
        raise CertificateError(f"{sentence} ({type(error).__name__})") from None


def _is_der_certificate(document: Document) -> bool:
    try:
        with accept_any_serial():
            x509.load_der_x509_certificate(document.content)
    except Exception:  # noqa: BLE001
        return False
    return True


def _is_pkcs12(document: Document) -> bool:
    return _PKCS12_START in document.content[:16]
