"""Serial numbers and versions that RFC 5280 forbids, and that certificates have all the same."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from tlshttp.certs import _der


class ImpossibleVersion(ValueError):
    """A certificate says that it is of a version that nobody reads."""


@contextlib.contextmanager
def accept_any_serial() -> Iterator[None]:
    """Parse a serial number of zero, or below, without a warning to people who cannot mend it.

    `cryptography` warns as if the caller's code were wrong. `check` has a finding for it instead.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Parsed a serial number", category=CryptographyDeprecationWarning
        )
        yield


def read_pem(pem: bytes) -> x509.Certificate:
    """Parse a certificate in PEM, whatever its serial number.

    Raises:
        ImpossibleVersion: Its version is neither 1 nor 3.
        ValueError: It is damaged.
    """
    with accept_any_serial(), _naming_the_version():
        return x509.load_pem_x509_certificate(pem)


def read_der(der: bytes) -> x509.Certificate:
    """Parse a certificate in DER, whatever its serial number.

    Raises:
        ImpossibleVersion: Its version is neither 1 nor 3.
        ValueError: It is damaged.
    """
    with _naming_the_version():
        if not _may_warn(der):
            return x509.load_der_x509_certificate(der)
        with accept_any_serial():
            return x509.load_der_x509_certificate(der)


@contextlib.contextmanager
def _naming_the_version() -> Iterator[None]:
    try:
        yield
    except x509.InvalidVersion as error:
        # RFC 5280, section 4.1.2.1: what stands there is one less.
        raise ImpossibleVersion(
            f"the certificate is of X.509 version {error.parsed_version + 1}, which nobody reads:"
            " have one of version 3 issued"
        ) from None


def _may_warn(der: bytes) -> bool:
    """Tell whether parsing may warn.

    It hardly ever does. So the filters for warnings, which all threads share, hardly ever change
    while connections are served.
    """
    try:
        first, second, *_ = _der.children(_der.children(_der.read(der))[0])
    except (ValueError, IndexError):
        return True
    # RFC 5280, section 4.1: the version, if any, is tagged; then comes the serial number.
    serial = first if first.tag == _der.INTEGER else second
    return int.from_bytes(serial.content, "big", signed=True) < 1


def serial_of(certificate: x509.Certificate) -> int:
    """Return the serial number of a certificate, whatever it is; asking it warns, too."""
    with accept_any_serial():
        return certificate.serial_number
