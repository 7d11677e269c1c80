"""What a file is, where it is not what was asked for, and what turns it into that.

People have files of many kinds, and "there is no certificate in it" helps none of them. `instead`
looks at the labels of PEM blocks, then at how the content begins, then at what parsers say of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tlshttp.certs import _der
from tlshttp.certs._documents import Document
from tlshttp.certs._serials import read_der

__all__ = [
    "CERTIFICATE_LABELS",
    "Kind",
    "are_swapped",
    "escaped_lines",
    "instead",
    "is_der_key",
    "is_encrypted_der_key",
    "is_private_key",
    "kind_of_label",
    "otherwise",
]


class Kind(NamedTuple):
    """A kind of file."""

    noun: str
    """What it is called."""
    advice: str
    """What to do; ``{file}`` stands for its path."""


CERTIFICATE_LABELS = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
_KEY_LABEL_END = b"PRIVATE KEY"

_CERTIFICATE = Kind("a certificate", "give the file of the private key, too")
_PRIVATE_KEY = Kind("a private key", "give the file of its certificate, too")
_REQUEST = Kind(
    "a certificate request (CSR)",
    "an authority answers it with the certificate, and the private key has a file of its own",
)
_PKCS7 = Kind(
    "a PKCS#7 bundle",
    "convert it with 'openssl pkcs7 -in {file}{form} -print_certs -out chain.pem'; a private key"
    " is never in one",
)
_PUBLIC_KEY = Kind("a public key", "what is needed was made with it and is kept elsewhere")
_CRL = Kind("a revocation list (CRL)", "it belongs into 'crls' of create_server_context")
_PARAMETERS = Kind("parameters for a key", "leave the file out, nothing needs it today")
_OPENSSH = Kind(
    "an OpenSSH key", "convert a copy of it with 'ssh-keygen -p -m PKCS8 -f {file}', or make one"
)
_OPENPGP = Kind("OpenPGP", "that is for mail and packages, and TLS cannot use it")
_TPM = Kind("a key that only its TPM can use (TSS2)", "Python's ssl module cannot, give another")
_KEYSTORE = "convert it with 'keytool -importkeystore -srckeystore {file} -destkeystore pair.p12"
_KEYSTORE += " -deststoretype PKCS12', and give pair.p12"
_COMPRESSED = "unpack it first, {how}"

_BY_LABEL = {
    b"CERTIFICATE REQUEST": _REQUEST,
    b"NEW CERTIFICATE REQUEST": _REQUEST,
    b"PKCS7": _PKCS7,
    b"PKCS #7 SIGNED DATA": _PKCS7,
    b"CMS": _PKCS7,
    b"PUBLIC KEY": _PUBLIC_KEY,
    b"RSA PUBLIC KEY": _PUBLIC_KEY,
    b"X509 CRL": _CRL,
    b"DH PARAMETERS": _PARAMETERS,
    b"X9.42 DH PARAMETERS": _PARAMETERS,
    b"EC PARAMETERS": _PARAMETERS,
    b"DSA PARAMETERS": _PARAMETERS,
    b"OPENSSH PRIVATE KEY": _OPENSSH,
    b"TSS2 PRIVATE KEY": _TPM,
    b"TSS2 KEY BLOB": _TPM,
    b"ATTRIBUTE CERTIFICATE": Kind("an attribute certificate", "TLS has no use for it"),
    b"SSL SESSION PARAMETERS": Kind("a saved TLS session", "TLS servers have no use for it"),
    b"AGE ENCRYPTED FILE": Kind("a file encrypted by age", "decrypt it with 'age -d {file}'"),
}
"""PEM labels (RFC 7468, OpenSSL's pem.h, and those of other programs)."""

_BY_START = {
    b"\xfe\xed\xfe\xed": Kind("a Java keystore (JKS)", _KEYSTORE),
    b"\xce\xce\xce\xce": Kind("a Java keystore (JCEKS)", _KEYSTORE + ", with -srcstoretype JCEKS"),
    b"\x1f\x8b": Kind("compressed by gzip", _COMPRESSED.format(how="with 'gunzip -k {file}'")),
    b"PK\x03\x04": Kind("a ZIP archive", _COMPRESSED.format(how="with 'unzip {file}'")),
    b"BZh": Kind("compressed by bzip2", _COMPRESSED.format(how="with 'bunzip2 -k {file}'")),
    b"\xfd7zXZ\x00": Kind("compressed by xz", _COMPRESSED.format(how="with 'unxz -k {file}'")),
    b"7z\xbc\xaf\x27\x1c": Kind("a 7z archive", _COMPRESSED.format(how="with '7z x {file}'")),
    b"\x28\xb5\x2f\xfd": Kind("compressed by zstd", _COMPRESSED.format(how="with 'unzstd {file}'")),
    b"PuTTY-User-Key-File-": Kind(
        "a PuTTY key",
        "convert it with 'puttygen {file} -O private-openssh -o key' and"
        " 'ssh-keygen -p -m PKCS8 -f key', or make one",
    ),
    b"---- BEGIN SSH2 ": Kind("an SSH2 key", "make a key for TLS, or convert it by ssh-keygen"),
    b"ssh-": Kind("a public key of SSH", "TLS needs a certificate and a private key"),
    b"ecdsa-sha2-": Kind("a public key of SSH", "TLS needs a certificate and a private key"),
    b"$ANSIBLE_VAULT;": Kind("an Ansible vault", "decrypt it with 'ansible-vault decrypt {file}'"),
    b"age-encryption.org/": Kind("a file encrypted by age", "decrypt it with 'age -d {file}'"),
    b"version https://git-lfs": Kind("a pointer of Git LFS", "fetch the file with 'git lfs pull'"),
    b"\0GITCRYPT\0": Kind("encrypted by git-crypt", "decrypt it with 'git-crypt unlock'"),
    b"SQLite format 3\0": Kind(
        "a database, perhaps of NSS",
        "export the pair with 'pk12util -d FOLDER -n NAME -o pair.p12'",
    ),
    b"\x1e\xf1\xb5\xb0": Kind(
        "a private key of Windows (PVK)",
        "convert it with 'openssl rsa -inform PVK -in {file} -out key.pem'",
    ),
    b"%PDF": Kind("a PDF document", "the files for a server are other ones"),
}

_VERSIONS = (b"\0", b"\1")

_TELLS_LITTLE = [_CERTIFICATE, _PRIVATE_KEY, _PARAMETERS, _PARAMETERS]
"""Kinds that hardly explain why something else is missing; the last one does least."""

_SIGNED_DATA = b"\x06\x09" + _der.oid("1.2.840.113549.1.7.2")
"""RFC 2315, section 7, with tag and length."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"-\0-\0-\0", b"\0-\0-\0-")
_UTF_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"-\0\0\0-\0\0\0", b"\0\0\0-\0\0\0-")
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_ESCAPED = re.compile(rb"-----BEGIN [A-Z0-9 #.]+-----[ \"']*\\+[nr]")
_LONE_BASE64 = re.compile(rb"MI[A-Za-z0-9+/=\s]{60,}")
_BASE64_OF_PEM = b"LS0tLS1CRUdJTi"
_LOOSE_DASHES = re.compile(rb"BEGIN (?:[A-Z0-9]+ )*(?:CERTIFICATE|PRIVATE KEY)\b")


def instead(document: Document) -> str:
    """Say what a document is and what to do, to follow "there is no ... in it"; empty: unknown."""
    kind = _find(document)
    if kind is None:
        return ""
    form = "" if document.is_pem else " -inform DER"
    advice = kind.advice.replace("{file}", document.argument).replace("{form}", form)
    return f", it is {kind.noun}: {advice}"


def are_swapped(certificate: Document, key: Document) -> bool:
    """Tell whether two files were swapped: one has the key, the other the certificate."""
    return _find(certificate) is _PRIVATE_KEY and _find(key) is _CERTIFICATE


def otherwise(document: Document, der: bytes) -> str:
    """Say what DER inside a PEM block is, where it is not what its label says; empty: unknown.

    Authorities built on Windows write PKCS#7 under the label of a certificate.
    """
    kind = _by_der(der)
    if kind is None or kind is _CERTIFICATE:
        return ""
    advice = kind.advice.replace("{file}", document.argument).replace("{form}", "")
    return f"is {kind.noun}: {advice}"


def kind_of_label(label: bytes) -> Kind | None:
    """Name what is no usable certificate or key by the label of its PEM block."""
    if label.startswith(b"PGP "):
        return _OPENPGP
    return _BY_LABEL.get(label)


def is_private_key(label: bytes) -> bool:
    """Tell whether a PEM block has a private key of a kind that may be used."""
    return label.endswith(_KEY_LABEL_END) and kind_of_label(label) is None


def is_der_key(der: bytes) -> bool:
    """Tell whether DER is built as a private key.

    All of them begin with version 0 or 1 (RFC 5958, section 2; RFC 8017, appendix A.1.2; RFC 5915,
    section 3), but for encrypted ones.
    """
    return is_encrypted_der_key(der) or _first_tags(der, 1) == [_der.INTEGER]


def is_encrypted_der_key(der: bytes) -> bool:
    """Tell whether DER is built as an encrypted private key (RFC 5958, section 3)."""
    return _first_tags(der, 3) == [_der.SEQUENCE, _der.OCTET_STRING]


def _first_tags(der: bytes, number: int) -> list[int]:
    """Return the tags of the first elements in DER; of integers only the versions 0 and 1."""
    try:
        parts = _der.children(_der.read(der))[:number]
    except ValueError:
        return []
    return [part.tag for part in parts if part.tag != _der.INTEGER or part.content in _VERSIONS]


def escaped_lines(document: Document) -> str | None:
    r"""Say that a PEM has ``\n`` in two characters for the ends of its lines, if that is so."""
    if not _ESCAPED.search(document.content):
        return None
    return (
        f"the lines of {document.label} end in the two characters '\\n', as in JSON or an"
        " environment variable: make them ends of lines, in Python by"
        r" text.replace('\\n', '\n'), in a shell by printf '%b'"
    )


def _find(document: Document) -> Kind | None:
    content = document.content
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:32]
    if not content.strip():
        return Kind("empty", "whatever should have written it has failed")
    if document.is_pem:
        return _by_labels(content)
    for begin, kind in _BY_START.items():
        if content.startswith(begin) or start.startswith(begin):
            return kind
    return _by_text(content) or (_by_der(content) if content[:1] == b"\x30" else None)


def _by_labels(content: bytes) -> Kind | None:
    """Name the first block that has a name, and parameters only where there is nothing else."""
    labels = re.findall(rb"-----BEGIN ([^\r\n]{1,60}?)-----", content)
    found = [_kind_of_block(label) for label in labels]
    return min(found, key=_TELLS_LITTLE.count, default=None)


def _kind_of_block(label: bytes) -> Kind:
    if label in CERTIFICATE_LABELS:
        return _CERTIFICATE
    if is_private_key(label):
        return _PRIVATE_KEY
    return kind_of_label(label) or Kind(
        f"PEM of another kind, {label.decode('ascii', 'replace')!a}",
        "give a certificate or private key",
    )


def _by_text(content: bytes) -> Kind | None:
    text = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if content.startswith(_UTF_32):
        return Kind("text in UTF-32", "convert it with 'iconv -f UTF-32 -t UTF-8 {file}'")
    if content.startswith(_UTF_16):
        return Kind(
            "text in UTF-16, as PowerShell writes it",
            "convert it with 'iconv -f UTF-16 -t UTF-8 {file}'",
        )
    if _HTML.match(text):
        return Kind("a web page", "the download has failed, look at it in a browser")
    if text.startswith(b"<?xml"):
        return Kind("XML", "take the certificate out of it, or export it as PEM")
    if text.startswith(b"{"):
        return Kind("JSON", "take the text of the certificate or key out of it")
    if re.search(rb"(?m)^(?:apiVersion|kind|data|stringData):", text[:2000]):
        return Kind(
            "YAML, perhaps a secret of Kubernetes", "mount the secret, or decode its data by base64"
        )
    if text.startswith(_BASE64_OF_PEM):
        return Kind("the base64 of a PEM file", "decode it with 'base64 -d {file}'")
    if _LONE_BASE64.match(text):
        return Kind(
            "base64 without the lines '-----BEGIN ...-----' and '-----END ...-----'",
            "decode it with 'base64 -d {file}', and give what comes out",
        )
    if _LOOSE_DASHES.search(text[:2000]):
        return Kind(
            "PEM whose dashes are not five hyphens",
            "copy it once more, not by way of a word processor",
        )
    return None


def _by_der(content: bytes) -> Kind | None:
    """Ask one parser after the other."""
    try:
        encoded = _der.read(content).encoded
    except ValueError:
        return Kind("cut off, or damaged", "copy it once more")
    if _SIGNED_DATA in encoded[:24]:
        return _PKCS7
    kind = _by_parsers(encoded)
    after = len(content) - len(encoded)
    if kind is None or not after:
        return kind
    return Kind(
        f"{kind.noun} with {after} byte{'' if after == 1 else 's'} after its end",
        "copy it once more, or cut off what does not belong to it",
    )


def _by_parsers(encoded: bytes) -> Kind | None:
    for kind, parse in _parsers():
        try:
            parse(encoded)
        except TypeError:  # what is said of an encrypted key
            return kind
        except Exception:  # noqa: BLE001, S112
            continue
        return kind
    return None


def _parsers() -> Iterator[tuple[Kind, Callable[[bytes], object]]]:
    yield _CERTIFICATE, read_der
    yield _REQUEST, x509.load_der_x509_csr
    yield _CRL, x509.load_der_x509_crl
    yield _PUBLIC_KEY, serialization.load_der_public_key
    yield _PRIVATE_KEY, lambda der: serialization.load_der_private_key(der, None)
