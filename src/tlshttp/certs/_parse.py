"""PEM, DER and PKCS#12 turned into certificates and keys, or into a `CertificateError`.

`cryptography` reads a certificate lazily and has no closed list of what it raises, so everything
that is ever asked of a certificate is asked once here, and later code need not expect failures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import ParamSpec, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from tlshttp.certs import _der, _kinds
from tlshttp.certs._documents import BEGIN, Document, Source, open_source
from tlshttp.certs._inspect import describe, printable
from tlshttp.certs._keys import Password, PrivateKey, password_bytes
from tlshttp.certs._serials import ImpossibleVersion, read_der, read_pem
from tlshttp.certs._trusted import Trusted, read_trusted
from tlshttp.certs._unsupported import is_unsupported, unsupported_key, unsupported_sentence
from tlshttp.errors import CertificateError

__all__ = [
    "Document",
    "Source",
    "count_keys",
    "open_source",
    "parse_certificates",
    "parse_key",
    "parse_pkcs12",
    "parse_trusted",
    "pem_labels",
]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_DASHES = b"-----"
_LONGEST_REASON = 200  # characters: a parser may quote all of what it was parsing
_BLANK_LINES = re.compile(rb"(?:[ \t]*\r?\n){2,}")


def parse_certificates(
    document: Document, password: Password | None = None
) -> list[x509.Certificate]:
    """Read all certificates of a document, in their order; of PKCS#12 in the order of a chain.

    Args:
        document: What was read.
        password: What opens PKCS#12; PEM and DER need none.

    Raises:
        CertificateError: There is none, or one of them cannot be read.
    """
    return [found.certificate for found in parse_trusted(document, password)]


def parse_trusted(document: Document, password: Password | None = None) -> list[Trusted]:
    """Read all certificates of a document, with what OpenSSL may have written beside them.

    Raises:
        CertificateError: There is none, or one of them cannot be read.
    """
    if document.is_pkcs12:
        found = [Trusted(one) for one in parse_pkcs12(document, password)[1]]
    elif document.is_pem:
        found = _parse_pem_certificates(document)
    else:
        found = [Trusted(one) for one in _parse_der_certificate(document)]
    if not found:
        raise CertificateError(
            f"there is no certificate in {document.label}{_kinds.instead(document)}"
        )
    return found


def parse_key(document: Document, password: Password | None) -> PrivateKey | None:
    """Read the first private key of a document; `None` where it has none.

    Raises:
        CertificateError: The key cannot be read, mostly for want of the right password.
    """
    if document.is_pkcs12:
        return parse_pkcs12(document, password)[0]
    if not document.is_pem:
        return _parse_der_key(document, password)
    for label, block in _pem_blocks(document):
        if _kinds.is_private_key(label):
            encrypted = label.startswith(b"ENCRYPTED") or b"ENCRYPTED" in block[:200]
            read = partial(serialization.load_pem_private_key, block)
            return _decrypt(read, document, password, block, encrypted=encrypted)
    return None


def count_keys(document: Document) -> int:
    """Count the different private keys in PEM; in DER there is one at most."""
    if not document.is_pem or document.is_pkcs12:
        return 1
    return len({block for label, block in _pem_blocks(document) if _kinds.is_private_key(label)})


def parse_pkcs12(
    document: Document, password: Password | None
) -> tuple[PrivateKey | None, list[x509.Certificate]]:
    """Read a PKCS#12 file (RFC 7292): the key, and the certificates with the leaf first.

    Raises:
        CertificateError: The file cannot be read, or the password is wrong.
    """
    if not document.is_pkcs12:
        hint = ": use load" if document.is_pem else _kinds.instead(document)
        raise CertificateError(f"there is no PKCS#12 in {document.label}{hint}")
    from tlshttp.certs._pkcs12_reader import open_pkcs12

    key, certificates = open_pkcs12(document, password)
    for number, certificate in enumerate(certificates, start=1):
        _attempt(f"certificate {number} in {document.label}", _examined, certificate)
    return (None if key is None else _supported(key, document)), certificates


def pem_labels(document: Document) -> list[bytes]:
    """Return what each PEM block of a document says that it is.

    Raises:
        CertificateError: One has no end.
    """
    return [label for label, _ in _pem_blocks(document)]


def _pem_blocks(document: Document) -> Iterator[tuple[bytes, bytes]]:
    """Find PEM blocks (RFC 7468) in one pass, so that hostile input costs its length only."""
    escaped = _kinds.escaped_lines(document)
    if escaped:
        raise CertificateError(escaped)
    content, position = document.content, 0
    while (begin := content.find(BEGIN, position)) >= 0:
        label_end = content.find(_DASHES, begin + len(BEGIN))
        label = content[begin + len(BEGIN) : label_end]
        last_line = b"-----END " + label + _DASHES
        end = content.find(last_line, label_end)
        if label_end < 0 or b"\n" in label or end < 0:
            raise CertificateError(
                f"a PEM block in {document.label} has no end: the file is cut off"
            )
        position = end + len(last_line)
        yield label, content[begin:position] + b"\n"


def _parse_pem_certificates(document: Document) -> list[Trusted]:
    found: list[Trusted] = []
    for label, block in _pem_blocks(document):
        if label in _kinds.CERTIFICATE_LABELS:
            what = f"certificate {len(found) + 1} in {document.label}"
            read = read_trusted if label == b"TRUSTED CERTIFICATE" else _read_pem_certificate
            try:
                found.append(read(block))
            except ImpossibleVersion as error:
                raise CertificateError(f"{what}: {error}") from None
            except ValueError:
                _refuse_mislabelled(document, what, block)
                raise CertificateError(f"{what} is damaged") from None
            _attempt(what, _examined, found[-1].certificate)
    return found


def _read_pem_certificate(block: bytes) -> Trusted:
    # Mail programs put blank lines between the lines, and cryptography reads no such block.
    return Trusted(read_pem(_BLANK_LINES.sub(b"\n", block)))


def _refuse_mislabelled(document: Document, what: str, block: bytes) -> None:
    try:
        kind = _kinds.otherwise(document, _der.from_pem(block))
    except ValueError:
        return
    if kind:
        raise CertificateError(f"{what} {kind}")


def _parse_der_certificate(document: Document) -> list[x509.Certificate]:
    """Read the one certificate that DER can have; none where it is something else."""
    try:
        certificate = read_der(document.content)
    except ImpossibleVersion as error:
        raise CertificateError(f"{document.label}: {error}") from None
    except Exception:  # noqa: BLE001
        return []
    return [_attempt(f"the certificate in {document.label}", _examined, certificate)]


def _parse_der_key(document: Document, password: Password | None) -> PrivateKey | None:
    # Every private key begins with its version (RFC 5208, 3447, 5915), unless it is encrypted.
    if not _kinds.is_der_key(document.content):
        return None
    read = partial(serialization.load_der_private_key, document.content)
    encrypted = _kinds.is_encrypted_der_key(document.content)
    return _decrypt(read, document, password, document.content, encrypted=encrypted)


def _decrypt(
    read: Callable[[bytes | None], object],
    document: Document,
    password: Password | None,
    encoded: bytes,
    *,
    encrypted: bool,
) -> PrivateKey:
    """Read a key; like ``ssl``, ignore a password that is not needed."""
    what = f"the private key in {document.label}"
    if not encrypted:
        try:
            key = read(None)
        except Exception as error:  # noqa: BLE001
            if is_unsupported(error):
                raise CertificateError(unsupported_sentence(what, error)) from None
            key = _read_mislabelled(encoded)
        if key is None:
            raise CertificateError(unsupported_key(what, encoded))
        return _supported(key, document)
    secret = _secret(document, password)
    errors = []
    for attempt in (partial(read, secret), partial(_read_by_openssl, encoded, secret)):
        try:
            key = attempt()
        except Exception as error:  # noqa: BLE001
            errors.append(error)
        else:
            return _supported(key, document)
    raise CertificateError(_why_not_opened(what, secret, errors))


def _read_mislabelled(encoded: bytes) -> object | None:
    """Read an open key of another form than its PEM label says, as ``ssl`` does; `None`: none."""
    if b"-----" not in encoded:
        return None
    try:
        return serialization.load_der_private_key(_der.from_pem(encoded), None)
    except Exception:  # noqa: BLE001
        return None


def _why_not_opened(what: str, secret: bytes, errors: Iterable[Exception]) -> str:
    for error in errors:
        if is_unsupported(error):
            return unsupported_sentence(what, error)
    if not secret:
        return f"the password for {what} is empty, and that does not open it: give the right one"
    return f"the password does not open {what}, or it is damaged"


def _secret(document: Document, password: Password | None) -> bytes:
    secret = password_bytes(password)
    if secret is not None:
        return secret
    if callable(password):
        raise CertificateError(
            f"the private key in {document.label} is encrypted, and the function for its password"
            " returned None"
        )
    raise CertificateError(f"the private key in {document.label} is encrypted: give its password")


def _read_by_openssl(encoded: bytes, secret: bytes) -> object:
    """Read an encrypted key as ``ssl`` does.

    `cryptography` knows fewer algorithms (no Camellia, no ARIA), and refuses an empty password.
    """
    from OpenSSL import crypto

    if b"-----" not in encoded:
        encoded = _der.to_pem(encoded, "ENCRYPTED PRIVATE KEY")
    return crypto.load_privatekey(crypto.FILETYPE_PEM, encoded, secret).to_cryptography_key()


def _supported(key: object, document: Document) -> PrivateKey:
    if isinstance(
        key,
        ec.EllipticCurvePrivateKey
        | ed25519.Ed25519PrivateKey
        | ed448.Ed448PrivateKey
        | rsa.RSAPrivateKey,
    ):
        return key
    kind = type(key).__name__.removesuffix("PrivateKey").lstrip("_")
    raise CertificateError(
        f"the private key in {document.label} is of type {kind}: use ECDSA, Ed25519 or RSA"
    )


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


def _attempt(
    what: str,
    read: Callable[_Arguments, _Result],
    *arguments: _Arguments.args,
    **options: _Arguments.kwargs,
) -> _Result:
    """Read something; whatever goes wrong is said of it."""
    try:
        return read(*arguments, **options)
    except Exception as error:  # noqa: BLE001
        if is_unsupported(error):
            raise CertificateError(unsupported_sentence(what, error)) from None
        # A certificate has no secrets, but what a stranger has written into it is made harmless.
        reason = printable(str(error) or type(error).__name__)[:_LONGEST_REASON]
        raise CertificateError(f"{what} is damaged: {reason}") from None
