"""Whom to trust: what a file says, or what Python trusts on this machine."""

from __future__ import annotations

import contextlib
import ssl
import warnings
from pathlib import Path

from cryptography import x509

from tlshttp import certs
from tlshttp.errors import CertificateError


def load_anchors(cafile: str) -> list[x509.Certificate]:
    """Load trust anchors from a file.

    Raises:
        CertificateError: There is none.
    """
    return certs.load_trust_anchors(Path(cafile))


def system_anchors() -> list[x509.Certificate]:
    """Return whom Python's clients trust here: OpenSSL's bundle, or the store of Windows.

    Raises:
        CertificateError: There is nobody.
    """
    context = ssl.create_default_context()
    found = []
    with warnings.catch_warnings():
        # A system's store has old roots that are not quite right: of serial number 0, for example.
        warnings.simplefilter("ignore", UserWarning)
        for der in context.get_ca_certs(binary_form=True):
            with contextlib.suppress(ValueError):
                found.append(x509.load_der_x509_certificate(der))
    if not found:
        raise CertificateError("this machine has no bundle of trust anchors: give --ca FILE")
    return found
