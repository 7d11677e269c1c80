"""Loading certificates and keys: everything that is wrong is found at once."""

from __future__ import annotations

import functools
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from tlshttp._several import require_texts
from tlshttp.certs._certificate import Certificate, CertificateChain
from tlshttp.certs._chain import check_each, check_order, without_repetitions
from tlshttp.certs._essentials import check_period, check_strength
from tlshttp.certs._findings import TOLERABLE, Finding, Severity
from tlshttp.certs._inspect import describe, public_key_bytes
from tlshttp.certs._keys import Password, PrivateKey
from tlshttp.certs._kinds import are_swapped, instead
from tlshttp.certs._parse import (
    Document,
    Source,
    count_keys,
    open_source,
    parse_certificates,
    parse_key,
    parse_pkcs12,
    parse_trusted,
)
from tlshttp.certs._validity import require_aware
from tlshttp.errors import CertificateError, ConfigurationError

_log = logging.getLogger("tlshttp.certs")

_OTHERWISE = {"key-exposed": ", or tolerate 'key-exposed'"}
"""What an error advises besides; a warning does not, since it is tolerated already."""


def load(
    certfile: Source,
    keyfile: Source | None = None,
    password: Password | None = None,
    *,
    tolerate: Iterable[str] = (),
    at: datetime | None = None,
) -> Certificate:
    """Load a certificate with its chain and private key from PEM, DER or PKCS#12.

    What is odd about the chain and hurts no client is logged as a warning. A certificate that is
    in the chain twice is left out.

    Args:
        certfile: The leaf, then each one's issuer: a path, PEM text or bytes; PKCS#12 (``.p12``,
            ``.pfx``) may have them in any order.
        keyfile: The private key, likewise; `None` means it is in ``certfile``.
        password: What opens an encrypted key or PKCS#12, or a function that returns it, which is
            called once, if it is needed; `None` means that nothing is encrypted.
        tolerate: Codes of findings to log as warnings instead: ``"chain-order"``, ``"expired"``,
            ``"key-exposed"``, ``"not-yet-valid"``, ``"weak-key"``, ``"weak-signature"``.
        at: The moment to judge the validity for, aware; `None` means now.

    Raises:
        CertificateError: The certificate cannot be used; the findings list everything.
    """
    require_aware(at)
    tolerated = _known_codes(tolerate)
    password = functools.cache(password) if callable(password) else password
    findings: list[Finding] = []
    certificates: list[x509.Certificate] = []
    key: PrivateKey | None = None
    document = _open(certfile, findings)
    key_document = document if keyfile is None else _open(keyfile, findings)
    if document is not None:
        certificates = _collect_certificates(document, password, findings)
    if key_document is not None:
        explain = keyfile is not None or bool(certificates)
        key = _collect_key(key_document, password, findings, explain=explain)
    if document and key_document and not certificates and are_swapped(document, key_document):
        raise CertificateError(
            f"the two files are swapped: {document.label} has the private key, and"
            f" {key_document.label} the certificate"
        )
    findings += _judge(certificates, key, at or datetime.now(UTC))
    return _conclude(certificates, key, findings, tolerated)


def load_pkcs12(
    path: Source,
    password: Password | None = None,
    *,
    tolerate: Iterable[str] = (),
    at: datetime | None = None,
) -> Certificate:
    """Load a certificate with its chain and private key from a PKCS#12 file (``.p12``, ``.pfx``).

    Args:
        path: The file, or its bytes.
        password: What opens the file, or a function that returns it; `None` means it has none.
        tolerate: Codes of findings to log as warnings instead, as for `load`.
        at: The moment to judge the validity for, aware; `None` means now.

    Raises:
        CertificateError: The certificate cannot be used; the findings list everything.
    """
    require_aware(at)
    tolerated = _known_codes(tolerate)
    document = open_source(path)
    key, certificates = parse_pkcs12(document, password)
    findings: list[Finding] = _exposure(document)
    if not certificates:
        findings.append(_finding("no-certificate", f"there is no certificate in {document.label}"))
    if key is None:
        findings.append(_finding("no-key", f"there is no private key in {document.label}"))
    findings += _judge(certificates, key, at or datetime.now(UTC))
    return _conclude(certificates, key, findings, tolerated)


def load_chain(certfile: Source, password: Password | None = None) -> CertificateChain:
    """Load a certificate and its chain for a look at them, without a private key.

    Args:
        certfile: PEM, DER or PKCS#12: a path, PEM text or bytes.
        password: What opens PKCS#12, or a function that returns it, which is called only if it is
            needed; `None` means that none is.

    Raises:
        CertificateError: There is no certificate, or one of them is damaged.
    """
    leaf, *chain = parse_certificates(open_source(certfile), password)
    return CertificateChain(leaf, tuple(chain))


def load_trust_anchors(cafile: Source, password: Password | None = None) -> list[x509.Certificate]:
    """Load the certificates of authorities to trust for client certificates.

    Args:
        cafile: One or more certificates in PEM or PKCS#12, or one in DER: a path, PEM text or
            bytes. What OpenSSL marks as not to be trusted for client certificates
            (``BEGIN TRUSTED CERTIFICATE``) is an error.
        password: What opens PKCS#12, as for `load_chain`.

    Raises:
        CertificateError: There is no certificate, one of them is damaged, or not to be trusted.
    """
    document = open_source(cafile)
    found = parse_trusted(document, password)
    CertificateError.raise_if(
        f"{describe(anchor.certificate)} in {document.label} is marked as not to be trusted for"
        " client certificates: leave it out, or write it without that mark by"
        f" 'openssl x509 -in {document.argument} -out ca.pem'"
        for anchor in found
        if not anchor.vouches_for_clients
    )
    return [anchor.certificate for anchor in found]


def _known_codes(tolerate: Iterable[str]) -> frozenset[str]:
    codes = frozenset(require_texts("tolerate", tolerate))
    ConfigurationError.raise_if(
        f"{code!r} cannot be tolerated, only {', '.join(TOLERABLE)}"
        for code in sorted(codes.difference(TOLERABLE))
    )
    return codes


def _open(source: Source, findings: list[Finding]) -> Document | None:
    try:
        return open_source(source)
    except CertificateError as error:
        findings += _fatal("unreadable", error)
        return None


def _collect_certificates(
    document: Document, password: Password | None, findings: list[Finding]
) -> list[x509.Certificate]:
    try:
        return parse_certificates(document, password)
    except CertificateError as error:
        findings += _fatal("no-certificate", error)
        return []


def _collect_key(
    document: Document, password: Password | None, findings: list[Finding], *, explain: bool
) -> PrivateKey | None:
    """Read the key, or find why not; what else the file may be need not be said twice."""
    try:
        key = parse_key(document, password)
    except CertificateError as error:
        findings += _fatal("key-unreadable", error)
        return None
    if key is None:
        kind = instead(document) if explain else ""
        findings.append(_finding("no-key", f"there is no private key in {document.label}{kind}"))
    else:
        findings += _exposure(document)
        findings += _others(document)
    return key


def _others(document: Document) -> Iterator[Finding]:
    """Find keys that are not used."""
    number = count_keys(document)
    if number > 1:
        yield Finding(
            "several-keys",
            Severity.WARNING,
            f"there are {number} private keys in {document.label}, and the first is used: leave out"
            " the others",
        )


def _exposure(document: Document) -> list[Finding]:
    """Find key files that every user of the machine may read or replace."""
    if document.path is None or os.name != "posix":
        return []
    try:
        mode = Path(document.path).stat().st_mode
    except OSError:
        return []
    if not mode & (stat.S_IROTH | stat.S_IWOTH):
        return []
    return [
        _finding(
            "key-exposed",
            f"every user of this machine can read or replace the private key in {document.label}:"
            f" run 'chmod 600 {document.path}'",
        )
    ]


def _judge(
    certificates: Sequence[x509.Certificate], key: PrivateKey | None, at: datetime
) -> list[Finding]:
    """Find what is wrong with certificates that could be read."""
    if not certificates:
        return []
    leaf, *chain = certificates
    findings = list(check_order(leaf, chain))
    findings += check_each(leaf, chain, at, period=check_period, others=check_strength)
    if key is not None:
        findings += _check_belonging(certificates, key)
    return findings


def _check_belonging(
    certificates: Sequence[x509.Certificate], key: PrivateKey
) -> Iterable[Finding]:
    leaf, *chain = certificates
    own = public_key_bytes(key.public_key())
    if own == public_key_bytes(leaf.public_key()):
        return
    for certificate in chain:
        if own == public_key_bytes(certificate.public_key()):
            yield _finding(
                "leaf-not-first",
                f"the private key belongs to {describe(certificate)}: put that certificate first",
            )
            return
    yield _finding("key-mismatch", f"the private key does not belong to {describe(leaf)}")


def _conclude(
    certificates: Sequence[x509.Certificate],
    key: PrivateKey | None,
    findings: Iterable[Finding],
    tolerated: frozenset[str],
) -> Certificate:
    """Raise what cannot be tolerated, log the rest, and put the parts together."""
    fatal: list[str] = []
    bearable: list[str] = []
    for finding in findings:
        bears = finding.severity is Severity.WARNING or finding.code in tolerated
        advice = "" if bears else _OTHERWISE.get(finding.code, "")
        (bearable if bears else fatal).append(finding.sentence + advice)
    if fatal or not certificates or key is None:
        # A PKCS#12 file that cannot be opened has no certificate and no key, for the same reason.
        raise CertificateError(*dict.fromkeys(fatal))
    for sentence in bearable:
        _log.warning("%s", sentence)
    leaf, *chain = without_repetitions(certificates)
    return Certificate(leaf, tuple(chain), key)


def _finding(code: str, sentence: str) -> Finding:
    return Finding(code, Severity.ERROR, sentence)


def _fatal(code: str, error: CertificateError) -> list[Finding]:
    return [_finding(code, sentence) for sentence in error.findings]
