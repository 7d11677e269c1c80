"""The names of a server's certificate, as clients compare them with the host they asked for."""

from __future__ import annotations

import re

from cryptography import x509

from tlshttp.certs._inspect import common_name, find_extension, printable
from tlshttp.certs._names import is_address, render_name
from tlshttp.certs._rules import Said

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
"""RFC 1123, section 2.1, with the underscore that container names have and clients accept."""

_MAXIMUM_NAME = 253
"""Characters in a DNS name, RFC 1035, section 2.3.4, less the length bytes."""


def judge_names(leaf: x509.Certificate) -> Said:
    """Find names that fit no host."""
    extension = find_extension(leaf, x509.SubjectAlternativeName)
    names = list(extension.value) if extension is not None else []
    hosts = [name for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]
    if not names and common_name(leaf):
        yield (
            "common-name-only",
            (
                f"the name {common_name(leaf)!r} stands in the common name only, where no"
                " client looks: it belongs into the subject alternative name"
            ),
        )
    elif not names:
        yield (
            "no-names",
            "the certificate has no subject alternative name, so it fits no host",
        )
    elif not hosts:
        others = ", ".join(filter(None, map(render_name, names))) or "of another kind"
        yield (
            "no-host-name",
            f"its only names are {printable(others)}: that is no host, so it fits none",
        )
    for name in hosts:
        if isinstance(name, x509.DNSName):
            yield from _judge_dns_name(name.value)


def _judge_dns_name(name: str) -> Said:
    if name == "*":
        yield "bare-wildcard", "the name '*' matches no host in any client"
        return
    why = _impossible(name)
    if why is not None:
        yield "impossible-name", f"the DNS name {name!r} matches no host: {why}"
    elif name.startswith("*.") and name.count(".") == 1:
        yield "wide-wildcard", f"the name {name!r} matches no host in clients built on OpenSSL"


def _impossible(name: str) -> str | None:
    """Say why no client asks for a DNS name, or return `None`."""
    if is_address(name.strip("[]")):
        return "an IP address needs a name of kind iPAddress (RFC 5280, section 4.2.1.6)"
    if "://" in name:
        return "leave out the scheme"
    if ":" in name:
        return "leave out the port"
    if name.endswith("."):
        return "leave out the final dot"
    if "*" in name.removeprefix("*."):
        return "an asterisk stands for the whole first label only (RFC 9525, section 6.3)"
    if not name.isascii():
        return "write it in its ASCII form, which starts with 'xn--'"
    labels = name.removeprefix("*.").split(".")
    if len(name) > _MAXIMUM_NAME or not all(map(_LABEL.fullmatch, labels)):
        return "it is no host name (RFC 1123, section 2.1)"
    return None
