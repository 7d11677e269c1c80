"""What is older than today's certificates, and still in some: extensions and forms of a time."""

from __future__ import annotations

from cryptography import x509

from tlshttp.certs import _der
from tlshttp.certs._findings import Purpose
from tlshttp.certs._inspect import describe
from tlshttp.certs._rules import Said

_NETSCAPE_TYPE = x509.ObjectIdentifier("2.16.840.1.113730.1.1")

_BITS = {Purpose.CLIENT: 0x80, Purpose.SERVER: 0x40}
"""The first two bits of Netscape's extension: ``NS_SSL_CLIENT`` and ``NS_SSL_SERVER`` of OpenSSL,
which refuses where it is there without the one that is wanted (``ns_reject`` in ``v3_purp.c``)."""

_GENERALIZED_TIME = 0x18

_FIRST_YEAR = 2050
"""Of GeneralizedTime: RFC 5280, section 4.1.2.5."""


def judge_netscape_type(leaf: x509.Certificate, purpose: Purpose) -> Said:
    """Find a purpose that OpenSSL asks for, and that everybody else has forgotten."""
    wanted = _BITS.get(purpose)
    for extension in leaf.extensions:
        value = extension.value
        if extension.oid != _NETSCAPE_TYPE or not isinstance(value, x509.UnrecognizedExtension):
            continue
        if wanted is not None and not _bits(value.value) & wanted:
            yield (
                "netscape-type",
                (
                    f"the nsCertType of {describe(leaf)} leaves out {purpose.value}s: have it"
                    " issued without that extension"
                ),
            )


def judge_time_form(certificate: x509.Certificate) -> Said:
    """Find times that stand in the form for those from 2050 on."""
    times = _times(certificate)
    if any(one.tag == _GENERALIZED_TIME and _year(one) < _FIRST_YEAR for one in times):
        yield (
            "time-form",
            (
                f"a time before {_FIRST_YEAR} in {describe(certificate)} is a GeneralizedTime, and"
                " RFC 5280 wants UTCTime: have it issued again"
            ),
        )


def _bits(encoded: bytes) -> int:
    """Return the first eight bits of a BIT STRING; none where it is something else."""
    try:
        element = _der.read(encoded)
    except ValueError:
        return 0
    is_bits = element.tag == _der.BIT_STRING and len(element.content) > 1
    return element.content[1] if is_bits else 0


def _times(certificate: x509.Certificate) -> list[_der.Element]:
    """Return beginning and end as they are written; none where that is not to be found."""
    try:
        fields = _der.children(_der.read(certificate.tbs_certificate_bytes))
        # RFC 5280, section 4.1: version (if any), serial number, signature, issuer, validity.
        place = 3 if fields[0].tag == _der.INTEGER else 4
        return _der.children(fields[place])
    except (ValueError, IndexError):
        return []


def _year(time: _der.Element) -> int:
    digits = time.content[:4]
    return int(digits) if digits.isdigit() else _FIRST_YEAR
