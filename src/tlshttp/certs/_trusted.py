"""OpenSSL's own PEM block ``TRUSTED CERTIFICATE``: a certificate, and what it may be trusted for.

``openssl x509 -trustout`` writes it, and so do the system's stores of some Linux distributions. The
certificate is followed by a structure of OpenSSL's (``X509_CERT_AUX`` in ``x_x509a.c``), which
`cryptography` does not know.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tlshttp.certs import _der
from tlshttp.certs._serials import read_der

__all__ = ["Trusted", "read_trusted"]

_FOR_CLIENTS = frozenset(
    _der.oid(usage.dotted_string)
    for usage in (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
)

_REJECTED = 0xA0
"""The tag of the list of uses that it is not to be trusted for."""


class Trusted(NamedTuple):
    """A certificate, and whether its file lets it vouch for clients."""

    certificate: x509.Certificate
    vouches_for_clients: bool = True
    """As OpenSSL decides (``obj_trust`` in ``x509_trust.c``): nothing of it is rejected, and where
    there is a list of what it is trusted for, that is in it. Always so without such a list."""


def read_trusted(pem: bytes) -> Trusted:
    """Read the block.

    Raises:
        ValueError: It is damaged.
    """
    content = _der.from_pem(pem)
    certificate = _der.read(content).encoded
    rest = content[len(certificate) :]
    return Trusted(
        read_der(certificate),
        vouches_for_clients=not rest or _vouches(_der.read(rest)),
    )


def _vouches(settings: _der.Element) -> bool:
    for item in _der.children(settings):
        if item.tag not in (_der.SEQUENCE, _REJECTED):
            continue
        named = {usage.content for usage in _der.children(item)} & _FOR_CLIENTS
        if bool(named) is (item.tag == _REJECTED):
            return False
    return True
