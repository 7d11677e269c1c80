"""PKCS#12 (RFC 7292): what is in a file, and the key and certificates of it.

`cryptography` reads these files as OpenSSL does: of several private keys it returns the first one
and does not tell of the others. So they are counted here before, which needs no password: each key
is encrypted, but the list of keys is not.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import pkcs12

from tlshttp.certs import _der
from tlshttp.certs._documents import Document
from tlshttp.certs._inspect import is_self_signed, printable, public_key_bytes, was_issued_by
from tlshttp.certs._keys import Password, password_bytes
from tlshttp.certs._serials import accept_any_serial
from tlshttp.errors import CertificateError

__all__ = ["open_pkcs12"]

_INDEFINITE = b"\x80"
"""A length that is not told (X.690, section 8.1.3.6)."""

_DATA = _der.oid("1.2.840.113549.1.7.1")
_KEY_BAGS = (
    _der.oid("1.2.840.113549.1.12.10.1.1"),  # a key as it is
    _der.oid("1.2.840.113549.1.12.10.1.2"),  # an encrypted one
)
_FRIENDLY_NAME = _der.oid("1.2.840.113549.1.9.20")


def open_pkcs12(
    document: Document, password: Password | None
) -> tuple[object | None, list[x509.Certificate]]:
    """Return the private key of a file, and its certificates in the order of a chain.

    Raises:
        CertificateError: The file is damaged or has several keys, or the password is wrong.
    """
    _refuse_several_keys(document)
    key, leaf, others = _read(document, password)
    if leaf is None and key is not None:
        own = public_key_bytes(key.public_key())
        leaf = next((one for one in others if _has_key(one, own)), None)
        others = [one for one in others if one is not leaf]
    return key, _in_order([leaf, *others]) if leaf else list(others)


def _read(document: Document, password: Password | None) -> Any:
    """Read the file; a function for the password is called only where it is needed."""
    found = _try(document, None) if password is None or callable(password) else None
    if found is None:
        found = _try(document, _secret(document, password))
    if found is None:
        raise CertificateError(
            f"the PKCS#12 file {document.label} is damaged, or the password is wrong"
        )
    return found


def _try(document: Document, secret: bytes | None) -> Any:
    """Read the file with a password; `None`: it is wrong, or the file is damaged."""
    try:
        with _quiet_about_ber(document), accept_any_serial():
            return pkcs12.load_key_and_certificates(document.content, secret)
    except UnsupportedAlgorithm:
        raise CertificateError(_outdated(document)) from None
    except Exception:  # noqa: BLE001
        return None


@contextlib.contextmanager
def _quiet_about_ber(document: Document) -> Iterator[None]:
    """Keep `cryptography` from warning that a file is BER, as RFC 7292 allows and NSS writes it."""
    if document.content[1:2] != _INDEFINITE:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _secret(document: Document, password: Password | None) -> bytes:
    """Return the password, unless it is already clear that it opens nothing."""
    try:
        _der.read(document.content)
    except ValueError:
        raise CertificateError(
            f"the PKCS#12 file {document.label} is cut off, or damaged: copy it once more"
        ) from None
    secret = password_bytes(password)
    if secret is None and callable(password):
        raise CertificateError(
            f"the PKCS#12 file {document.label} is encrypted, and the function for its password"
            " returned None"
        )
    if secret is None:
        raise CertificateError(
            f"the PKCS#12 file {document.label} is encrypted, or damaged: give its password"
        )
    if not secret and _try(document, None) is None:
        raise CertificateError(
            f"the password for the PKCS#12 file {document.label} is empty, and that does not open"
            " it: give the right one"
        )
    return secret


def _outdated(document: Document) -> str:
    return (
        f"the PKCS#12 file {document.label} is encrypted by an algorithm that is not supported any"
        f" more: convert it with 'openssl pkcs12 -legacy -in {document.argument} -out pair.pem',"
        " and give pair.pem"
    )


def _refuse_several_keys(document: Document) -> None:
    names = _attempt(lambda: list(_key_names(document.content)))
    if len(names) > 1:
        listed = ", ".join(ascii(printable(name)) for name in names)
        raise CertificateError(
            f"the PKCS#12 file {document.label} has {len(names)} private keys ({listed}): take one"
            f" out with 'keytool -importkeystore -srckeystore {document.argument} -srcalias NAME"
            " -destkeystore pair.p12 -deststoretype PKCS12', and give pair.p12"
        )


def _attempt(look: Callable[[], list[str]]) -> list[str]:
    """Look into a file; what is broken there is said better when it is read with its password."""
    try:
        return look()
    except (ValueError, IndexError):
        return []


def _key_names(content: bytes) -> Iterator[str]:
    """Yield the name of every private key; what is in an encrypted list is not seen."""
    authenticated = _der.children(_der.read(content))[1]
    for part in _der.children(_der.read(_data(authenticated))):
        if _der.children(part)[0].content != _DATA:
            continue
        for bag in _der.children(_der.read(_data(part))):
            kind, _, *attributes = _der.children(bag)
            if kind.content in _KEY_BAGS:
                yield _friendly_name(attributes)


def _data(content_info: _der.Element) -> bytes:
    """Return what is in a ContentInfo of the kind data (RFC 2315, section 7)."""
    return _der.octets(_der.children(_der.children(content_info)[1])[0])


def _friendly_name(attributes: list[_der.Element]) -> str:
    for attribute in (one for several in attributes for one in _der.children(several)):
        kind, values = _der.children(attribute)
        if kind.content == _FRIENDLY_NAME:
            return _der.children(values)[0].content.decode("utf-16-be", "replace")
    return "without a name"


def _has_key(certificate: x509.Certificate, own: bytes) -> bool:
    try:
        return public_key_bytes(certificate.public_key()) == own
    except Exception:  # noqa: BLE001
        return False  # a kind of key that nobody knows is not the one that could be read


def _in_order(certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """Follow the issuers from the leaf on; these files have them in any order, with the root."""
    ordered, rest = certificates[:1], certificates[1:]
    while True:
        issuers = [other for other in rest if was_issued_by(ordered[-1], other)]
        if not issuers or is_self_signed(issuers[0]):
            return ordered
        rest.remove(issuers[0])
        ordered.append(issuers[0])
