"""Names in certificates: told apart by their form and put into the right kind of GeneralName.

| form | kind (RFC 5280, section 4.2.1.6) |
|---|---|
| ``192.0.2.1``, ``2001:db8::1`` | iPAddress |
| ``scheme://...``, ``urn:...`` | uniformResourceIdentifier |
| ``someone@example.org`` | rfc822Name |
| ``example.org``, ``*.example.org``, ``bücher.example`` | dNSName, in its ASCII form |

Whatever is none of these is refused with the name and the reason: a certificate with a name that no
client ever matches is worse than none.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from cryptography import x509

from tlshttp.errors import CertificateError

_MAXIMUM_NAME = 253
"""Characters in a DNS name, RFC 1035, section 2.3.4, less the length bytes."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
"""RFC 1123, section 2.1, with the underscore that container names have and clients accept."""

_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", re.ASCII)
"""The local part of an address that needs no quotes: RFC 5321, section 4.1.2."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", re.ASCII)
"""RFC 3986, section 3, as far as it matters here."""

_AMBIGUOUS_IN_IDNA = "ßς\u200c\u200d"
"""UTS 46, section 2.3: browsers (IDNA 2008) and Python (IDNA 2003) encode these differently."""


def general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    """Turn names into GeneralNames, in their order and without repetition.

    Raises:
        CertificateError: There is no name, or there are impossible ones; it lists each of them.
    """
    found: dict[x509.GeneralName, None] = {}
    findings: list[str] = []
    for name in names:
        try:
            found[parse_name(name)] = None
        except CertificateError as error:
            findings.extend(error.findings)
    CertificateError.raise_if(findings)
    if not found:
        raise CertificateError("a certificate needs at least one name, such as 'localhost'")
    return list(found)


def parse_name(name: str) -> x509.GeneralName:
    """Turn one name into the GeneralName that its form calls for.

    Raises:
        CertificateError: The name cannot stand in a certificate.
    """
    if not isinstance(name, str):
        raise TypeError(f"a name must be str, not {type(name).__name__}")
    address = _ip_address(name)
    if address is not None:
        return address
    if "://" in name or name.lower().startswith("urn:"):
        return _uri(name)
    if "@" in name:
        return _mail_address(name)
    if ":" in name or "[" in name or "/" in name:
        raise CertificateError(
            f"{name!r} is not a name: leave out port, path, brackets and prefix length"
        )
    return x509.DNSName(_dns_name(name, name))


def render_name(name: x509.GeneralName) -> str | None:
    """Turn a GeneralName back into text; `None` for kinds that are no name of a host or person."""
    if isinstance(name, x509.IPAddress):
        return str(name.value)
    if isinstance(name, x509.DNSName | x509.RFC822Name | x509.UniformResourceIdentifier):
        return name.value
    return None


def is_url(text: str) -> bool:
    """Tell whether a text is a URI that names a host."""
    try:
        return "://" in text and bool(_uri(text))
    except CertificateError:
        return False


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ip_address(name: str) -> x509.IPAddress | None:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise CertificateError(f"{name!r} has a zone, which means nothing on another machine")
    return x509.IPAddress(address)


def _uri(name: str) -> x509.UniformResourceIdentifier:
    if not _URI.fullmatch(name):
        raise CertificateError(f"{name!r} is not a URI (RFC 3986): encode special characters")
    try:
        parts = urlsplit(name)
    except ValueError as error:
        raise CertificateError(f"{name!r} is not a URI: {error}") from None
    if "://" in name and not parts.hostname:
        raise CertificateError(f"{name!r} is a URI without a host")
    if parts.scheme == "spiffe" and (
        parts.query or parts.fragment or parts.netloc != parts.hostname
    ):
        raise CertificateError(
            f"{name!r} is not a SPIFFE ID: a trust domain in lower case and a path is all it has"
        )
    return x509.UniformResourceIdentifier(name)


def _mail_address(name: str) -> x509.RFC822Name:
    mailbox, _, domain = name.rpartition("@")
    if not _MAILBOX.fullmatch(mailbox) or "*" in domain:
        raise CertificateError(f"{name!r} is not an e-mail address that a certificate can hold")
    return x509.RFC822Name(f"{mailbox}@{_dns_name(domain, name)}")


def _dns_name(text: str, name: str) -> str:
    """Check and encode a DNS name; ``name`` is what the error calls it."""
    wildcard, rest = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    if "*" in rest:
        raise CertificateError(
            f"{name!r}: an asterisk stands for the whole first label only, as in '*.example.org'"
        )
    ascii_name = wildcard + _to_ascii(rest, name)
    labels = ascii_name.removeprefix("*.").split(".")
    if len(labels) > 1 and "" in (labels[0], labels[-1]):
        advice = "final dot" if not labels[-1] else "first dot, or write '*.' for all names below"
        raise CertificateError(f"{name!r} is no name in a certificate: leave out the {advice}")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(ascii_name) > _MAXIMUM_NAME:
        raise CertificateError(f"{name!r} is not a DNS name, IP address, URI or e-mail address")
    if labels[-1].isdigit():
        raise CertificateError(f"{name!r} is neither an IP address nor a DNS name")
    return ascii_name


def _to_ascii(text: str, name: str) -> str:
    """Encode an internationalised name (RFC 3490), in lower case."""
    if text.isascii():
        return text.lower()
    if any(character in _AMBIGUOUS_IN_IDNA for character in text):
        raise CertificateError(
            f"{name!r} has a letter that older and newer software encode differently: give its"
            " ASCII form, which starts with 'xn--'"
        )
    try:
        return text.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise CertificateError(f"{name!r} is no internationalised name: {error}") from None
