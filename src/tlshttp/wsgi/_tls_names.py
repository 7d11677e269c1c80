"""What is known of a connection's TLS, by the names of Apache's mod_ssl.

They are those of ``SSLOptions +StdEnvVars +ExportCertData``, which applications and their libraries
know. Names of persons are texts of RFC 4514, as mod_ssl has had them since 2.3.11; whatever is not
ASCII is UTF-8 in the disguise of PEP 3333.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

    from tlshttp._tls_info import TLSInfo

__all__ = ["tls_variables"]


def tls_variables(tls: TLSInfo) -> dict[str, str]:
    """Return what there is to say of a connection."""
    found = {
        "HTTPS": "on",
        "SSL_PROTOCOL": tls.version,
        "SSL_CIPHER": tls.cipher,
        "SSL_SESSION_RESUMED": "Resumed" if tls.resumed else "Initial",
        "SSL_CLIENT_VERIFY": "NONE",
    }
    if tls.server_name is not None:
        found["SSL_TLS_SNI"] = disguised(tls.server_name)
    try:
        chain = tls.peer_chain
        if chain:
            found.update(_of_client(chain[0]))
            found.update(
                (f"SSL_CLIENT_CERT_CHAIN_{number}", _pem(one))
                for number, one in enumerate(chain[1:])
            )
            found["SSL_CLIENT_VERIFY"] = "SUCCESS"
    except ValueError:
        # OpenSSL takes certificates that cryptography does not. Whose this is nobody can tell here.
        found["SSL_CLIENT_VERIFY"] = "FAILED:the certificate cannot be read"
    return found


def disguised(text: str) -> str:
    """Return a text as PEP 3333 wants it: its bytes, each as the character of that number."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")


def _of_client(certificate: x509.Certificate) -> dict[str, str]:
    found = {
        "SSL_CLIENT_CERT": _pem(certificate),
        "SSL_CLIENT_M_VERSION": str(certificate.version.value + 1),
        "SSL_CLIENT_M_SERIAL": f"{certificate.serial_number:X}",
        "SSL_CLIENT_S_DN": disguised(certificate.subject.rfc4514_string()),
        "SSL_CLIENT_I_DN": disguised(certificate.issuer.rfc4514_string()),
        "SSL_CLIENT_V_START": _time(certificate.not_valid_before_utc),
        "SSL_CLIENT_V_END": _time(certificate.not_valid_after_utc),
    }
    for prefix, name in ("S", certificate.subject), ("I", certificate.issuer):
        found.update(_attributes(f"SSL_CLIENT_{prefix}_DN", name))
    found.update(_alternatives(certificate))
    return found


def _attributes(prefix: str, name: x509.Name) -> Iterator[tuple[str, str]]:
    """Yield the parts of a name; a second one of a kind with a number, as mod_ssl has it."""
    seen: dict[str, int] = {}
    for attribute in name:
        kind = _KINDS.get(attribute.oid.dotted_string)
        if kind is None or not isinstance(attribute.value, str):
            continue
        number = seen.get(kind, 0)
        seen[kind] = number + 1
        if not number:
            yield f"{prefix}_{kind}", disguised(attribute.value)
        yield f"{prefix}_{kind}_{number}", disguised(attribute.value)


def _alternatives(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    """Yield the subject's alternative names of the two kinds that mod_ssl has."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    hosts, mails = (
        names.get_values_for_type(x509.DNSName),
        names.get_values_for_type(x509.RFC822Name),
    )
    for kind, values in ("DNS", hosts), ("Email", mails):
        for number, value in enumerate(values):
            yield f"SSL_CLIENT_SAN_{kind}_{number}", disguised(value)


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _time(moment: datetime) -> str:
    """Return a time as OpenSSL prints it: ``Nov  6 05:00:00 2026 GMT``, whatever the locale."""
    month = _MONTHS[3 * moment.month - 3 : 3 * moment.month]
    return f"{month} {moment.day:2} {moment:%H:%M:%S} {moment.year} GMT"


_KINDS = {
    "2.5.4.6": "C",
    "2.5.4.8": "ST",
    "2.5.4.7": "L",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.3": "CN",
    "2.5.4.12": "T",
    "2.5.4.43": "I",
    "2.5.4.42": "G",
    "2.5.4.4": "S",
    "2.5.4.13": "D",
    "0.9.2342.19200300.100.1.1": "UID",
    "1.2.840.113549.1.9.1": "Email",
}
"""How mod_ssl calls the parts of a name, by their numbers."""

_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
