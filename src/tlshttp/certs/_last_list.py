"""The last revocation list of an authority, which is its memory of what was revoked.

Whoever goes on from a list writes one that takes its place, for everything that the authority has
issued. So what the next one would not say any more, or not rightly, is refused here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tlshttp._issued_by import are_one_name
from tlshttp.certs._crl_makers import is_signed_by
from tlshttp.certs._crl_scope import critical_unknown, find_in_list, revoked_by
from tlshttp.certs._documents import Document
from tlshttp.certs._files import MAXIMUM_LIST_SIZE, PUBLIC, write_atomically
from tlshttp.certs._parse import pem_labels
from tlshttp.errors import CertificateError

__all__ = ["CRL_LABEL", "read_last_list", "write_list"]

_List = x509.CertificateRevocationList

CRL_LABEL = b"X509 CRL"
"""What stands in the first line of a list in PEM (RFC 7468, section 6)."""


def read_last_list(document: Document, authority: x509.Certificate) -> _List:
    """Read the one list of an authority.

    Args:
        document: Where it is, in PEM or DER.
        authority: Whose it has to be.

    Raises:
        CertificateError: There is none, or several, or it is of another authority, or for a part
            alone of what this one has issued.
    """
    count = pem_labels(document).count(CRL_LABEL) if document.is_pem else 1
    if count > 1:
        raise CertificateError(
            f"there are {count} CRLs in {document.label}, and all but one would be lost: put the"
            " authority's newest one into a file of its own, and give servers each file"
        )
    crl = _read(document)
    if not (are_one_name(crl.issuer, authority.subject) and is_signed_by(crl, authority)):
        raise CertificateError(f"the CRL in {document.label} is not from this authority")
    CertificateError.raise_if(f"the CRL in {document.label} {flaw}" for flaw in _flaws(crl))
    return crl


def write_list(crlfile: str | os.PathLike[str], crl: _List, encoding: Encoding) -> None:
    """Write a list that the next one can go on from, replacing the last one in one step.

    Raises:
        CertificateError: It cannot be written, or could not be read again.
    """
    content = crl.public_bytes(encoding)
    if len(content) > MAXIMUM_LIST_SIZE:
        raise CertificateError(
            f"the CRL would be larger than {MAXIMUM_LIST_SIZE >> 20} MiB, which nobody here reads:"
            f" {os.fspath(crlfile)!r} stays as it is"
        )
    write_atomically(crlfile, content, mode=PUBLIC)


def _read(document: Document) -> _List:
    read = x509.load_pem_x509_crl if document.is_pem else x509.load_der_x509_crl
    try:
        crl = read(document.content)
        repr(list(crl.extensions))
        for entry in crl:
            repr(list(entry.extensions))
    except Exception as error:  # noqa: BLE001
        kind = type(error).__name__
        raise CertificateError(f"there is no readable CRL in {document.label} ({kind})") from None
    return crl


def _flaws(crl: _List) -> Iterator[str]:
    """Say why a list is not all that the authority has revoked (RFC 5280, section 5.2)."""
    point = find_in_list(crl, x509.IssuingDistributionPoint)
    if find_in_list(crl, x509.DeltaCRLIndicator) is not None:
        yield "is a delta, which has changes only: give the complete one"
    elif (point is not None and point.indirect_crl) or any(of for _, of in revoked_by(crl)):
        yield "is for several authorities: give one of this authority alone"
    elif point is not None:
        yield (
            "is for a part of the certificates alone (issuingDistributionPoint), and the next one"
            " would be for all: give a complete one"
        )
    strange = next(critical_unknown(crl), None)
    if strange is not None:
        yield f"has a critical extension that is unknown here, {strange}: give one without"
