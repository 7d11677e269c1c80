"""A certificate as `ssl.SSLSocket.getpeercert` tells it, for handlers that know that form."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from tlshttp.certs._inspect import find_extension

__all__ = ["parsed"]

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def parsed(certificate: x509.Certificate) -> dict[str, Any]:
    """Return what a certificate says, with the keys and forms that the `ssl` module has."""
    found: dict[str, Any] = {
        "subject": _name(certificate.subject),
        "issuer": _name(certificate.issuer),
        "version": certificate.version.value + 1,
        "serialNumber": _hexadecimal(certificate.serial_number),
        "notBefore": _moment(certificate.not_valid_before_utc),
        "notAfter": _moment(certificate.not_valid_after_utc),
    }
    names = find_extension(certificate, x509.SubjectAlternativeName)
    if names is not None:
        found["subjectAltName"] = tuple(map(_general_name, names.value))
    for key, method in (
        ("OCSP", AuthorityInformationAccessOID.OCSP),
        ("caIssuers", AuthorityInformationAccessOID.CA_ISSUERS),
    ):
        if places := tuple(_access(certificate, method)):
            found[key] = places
    if places := tuple(_lists(certificate)):
        found["crlDistributionPoints"] = places
    return found


def _name(name: x509.Name) -> tuple[tuple[tuple[str, str], ...], ...]:
    return tuple(
        tuple((one.oid._name, str(one.value)) for one in part)  # noqa: SLF001  # OpenSSL's names
        for part in name.rdns
    )


def _hexadecimal(number: int) -> str:
    digits = f"{number:X}"
    return "0" * (len(digits) % 2) + digits


def _moment(moment: datetime) -> str:
    """Return a moment as OpenSSL prints it, whatever the locale."""
    return f"{_MONTHS[moment.month - 1]} {moment.day:>2} {moment:%H:%M:%S} {moment.year} GMT"


def _general_name(name: x509.GeneralName) -> tuple[str, Any]:
    if isinstance(name, x509.DNSName):
        return "DNS", name.value
    if isinstance(name, x509.RFC822Name):
        return "email", name.value
    if isinstance(name, x509.UniformResourceIdentifier):
        return "URI", name.value
    if isinstance(name, x509.IPAddress):
        return "IP Address", _address(name.value)
    if isinstance(name, x509.DirectoryName):
        return "DirName", _name(name.value)
    if isinstance(name, x509.RegisteredID):
        return "Registered ID", name.value.dotted_string
    return "othername", "<unsupported>"


def _address(address: Any) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        packed = address.packed
        return ":".join(f"{packed[at] << 8 | packed[at + 1]:X}" for at in range(0, 16, 2))
    return str(address)


def _access(certificate: x509.Certificate, method: x509.ObjectIdentifier) -> Iterator[str]:
    extension = find_extension(certificate, x509.AuthorityInformationAccess)
    for one in extension.value if extension is not None else ():
        place = one.access_location
        if one.access_method == method and isinstance(place, x509.UniformResourceIdentifier):
            yield place.value


def _lists(certificate: x509.Certificate) -> Iterator[str]:
    extension = find_extension(certificate, x509.CRLDistributionPoints)
    for point in extension.value if extension is not None else ():
        for place in point.full_name or ():
            if isinstance(place, x509.UniformResourceIdentifier):
                yield place.value
