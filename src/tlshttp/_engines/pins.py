"""Self-signed certificates of single clients: each is accepted, and nothing that it has issued.

OpenSSL takes a self-signed certificate that it trusts as the end of a chain. But it would also take
what such a certificate has issued, where it may issue: ``openssl req -x509`` makes certificates of
authorities unless told otherwise. Next to real authorities nobody could tell the two apart when a
session is resumed, which has only the client's own certificate. So such a one is accepted by itself
only, where every client's certificate has to be one of those given, resumed or not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlshttp._engines.issuers import is_root
from tlshttp._issued_by import is_below
from tlshttp.certs._inspect import describe, find_extension

__all__ = ["Pins"]

_log = logging.getLogger("tlshttp.context")


class Pins:
    """Certificates of single clients.

    Args:
        certificates: All of them.
        beside_authorities: Whether clients of authorities are accepted, too.
    """

    def __init__(
        self, certificates: Iterable[x509.Certificate] = (), *, beside_authorities: bool = False
    ) -> None:
        self._certificates: Sequence[x509.Certificate] = tuple(certificates)
        self._der = frozenset(one.public_bytes(Encoding.DER) for one in self._certificates)
        self._beside = beside_authorities

    def __bool__(self) -> bool:
        return bool(self._certificates)

    def findings(self) -> list[str]:
        """Say which of them cannot be accepted alone; log which have expired."""
        found = []
        for one in self._certificates:
            label = f"client_certificates: {describe(one)}"
            if not is_below(one, one):
                found.append(f"{label} is not self-signed: give its authority as client_cas")
                continue
            if not is_root(one):
                found.append(
                    f"{label} names another issuer than itself by its authorityKeyIdentifier, and"
                    " OpenSSL would refuse it: have it made without"
                )
            usage = find_extension(one, x509.ExtendedKeyUsage)
            if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage.value:
                found.append(f"{label} is not for clients: its extendedKeyUsage lacks clientAuth")
            if self._beside and _may_issue(one):
                found.append(
                    f"{label} may issue others, and besides client_cas it could not be told whether"
                    " it did: have it made with basicConstraints CA:FALSE, or use another context"
                )
            if one.not_valid_after_utc < datetime.now(UTC):
                _log.warning("%s expired at %s", label, f"{one.not_valid_after_utc:%Y-%m-%d}")
        return found

    def all_der(self) -> tuple[bytes, ...]:
        """Return what OpenSSL is to trust, each in DER."""
        return tuple(self._der)

    def admit(self, certificate: bytes) -> bool:
        """Tell whether a certificate that OpenSSL has verified, in DER, is one of these.

        Besides authorities OpenSSL's word is enough.
        """
        return self._beside or certificate in self._der


def _may_issue(certificate: x509.Certificate) -> bool:
    """Tell whether OpenSSL may take a certificate for that of an authority, as it does old ones."""
    extension = find_extension(certificate, x509.BasicConstraints)
    return extension is None or extension.value.ca
