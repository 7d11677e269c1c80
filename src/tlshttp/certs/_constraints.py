"""Name constraints: what an authority may issue (RFC 5280, section 4.2.1.10)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from cryptography import x509

from tlshttp.certs._inspect import find_extension
from tlshttp.certs._names import parse_name, render_name
from tlshttp.errors import CertificateError

LOCAL_DOMAINS = ("localhost", "test", "local", "internal", "home.arpa")
"""With all names below them: RFC 6761, sections 6.2 and 6.3; RFC 6762, section 3; reserved for
private use by ICANN's board on 2024-07-29; RFC 8375, section 3."""

LOCAL_NETWORKS = (
    "127.0.0.0/8",  # loopback: RFC 1122, section 3.2.1.3
    "10.0.0.0/8",  # private: RFC 1918, section 3
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",  # link-local: RFC 3927
    "100.64.0.0/10",  # shared by networks behind one address, such as Tailscale's: RFC 6598
    "::1/128",  # loopback: RFC 4291, section 2.5.3
    "fc00::/7",  # unique local: RFC 4193
    "fe80::/10",  # link-local: RFC 4291, section 2.5.6
)
"""Addresses that belong to nobody else."""


def local_constraints(host: str = "") -> x509.NameConstraints:
    """Permit names and addresses that mean this machine or the network around it.

    Args:
        host: What this machine is called. That is permitted, too, unless it could be a top-level
            domain: whoever may issue for ``dev`` may issue for all names below it.
    """
    own = [host.lower()] if _is_nobodys_domain(host) else []
    domains = [x509.DNSName(domain) for domain in dict.fromkeys((*LOCAL_DOMAINS, *own))]
    networks = [x509.IPAddress(ipaddress.ip_network(network)) for network in LOCAL_NETWORKS]
    return x509.NameConstraints(permitted_subtrees=[*domains, *networks], excluded_subtrees=None)


def constraint_findings(
    names: Iterable[x509.GeneralName], authorities: Iterable[x509.Certificate]
) -> Iterator[str]:
    """Say which names the authorities above a certificate do not allow in it."""
    constraints = [
        extension.value
        for authority in authorities
        if (extension := find_extension(authority, x509.NameConstraints)) is not None
    ]
    for name in names:
        if not all(_is_allowed(name, constraint) for constraint in constraints):
            yield (
                f"the authority may not issue for {render_name(name)!r}: clients would refuse it"
                f"{_what_is_allowed(name, constraints)}"
            )


def are_allowed(names: Iterable[x509.GeneralName], constraints: x509.NameConstraints) -> bool:
    """Tell whether constraints permit all of these names."""
    return all(_is_allowed(name, constraints) for name in names)


def _is_nobodys_domain(host: str) -> bool:
    """Tell whether this is a host name that can never become a top-level domain.

    A single label that has a digit or hyphen is none: they are letters only (ICANN's gTLD Applicant
    Guidebook, section 2.2.1.3.2), those in other scripts aside, which begin with ``xn--``.
    """
    try:
        if not isinstance(parse_name(host), x509.DNSName) or "*" in host or not host.isascii():
            return False
    except CertificateError:
        return False
    return "." in host or (not host.isalpha() and not host.lower().startswith("xn--"))


def _what_is_allowed(name: x509.GeneralName, constraints: Iterable[x509.NameConstraints]) -> str:
    """Say what is permitted of the name's kind, or nothing where only some names are excluded."""
    permitted = dict.fromkeys(
        _render_subtree(subtree)
        for constraint in constraints
        for subtree in constraint.permitted_subtrees or ()
        if isinstance(subtree, type(name))
    )
    return f"; it may for {', '.join(permitted)}" if permitted else ""


def _render_subtree(subtree: x509.GeneralName) -> str:
    text = render_name(subtree) or ""
    return f"{text} and *.{text}" if isinstance(subtree, x509.DNSName) else text


def _is_allowed(name: x509.GeneralName, constraints: x509.NameConstraints) -> bool:
    excluded = constraints.excluded_subtrees or ()
    if any(_is_below(name, subtree) or _reaches(name, subtree) for subtree in excluded):
        return False
    # A permitted subtree restricts names of its own kind only.
    permitted = [
        subtree
        for subtree in constraints.permitted_subtrees or ()
        if isinstance(subtree, type(name))
    ]
    return not permitted or any(_is_below(name, subtree) for subtree in permitted)


def _is_below(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    if isinstance(name, x509.DNSName) and isinstance(subtree, x509.DNSName):
        domain = subtree.value.lower()
        return not domain or f".{name.value.lower()}".endswith(f".{domain.lstrip('.')}")
    if isinstance(name, x509.IPAddress) and isinstance(subtree, x509.IPAddress):
        network = subtree.value
        return (
            isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network)
            and not isinstance(name.value, ipaddress.IPv4Network | ipaddress.IPv6Network)
            and name.value in network
        )
    if isinstance(name, x509.RFC822Name) and isinstance(subtree, x509.RFC822Name):
        return _is_mailbox_below(name.value, subtree.value)
    if isinstance(name, x509.UniformResourceIdentifier) and isinstance(
        subtree, x509.UniformResourceIdentifier
    ):
        return _is_host_below(urlsplit(name.value).hostname or "", subtree.value)
    if isinstance(name, x509.DirectoryName) and isinstance(subtree, x509.DirectoryName):
        return name.value.rdns[: len(subtree.value.rdns)] == subtree.value.rdns
    return name == subtree


def _reaches(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    """Tell whether a wildcard stands for a name that is excluded, among others."""
    if not (isinstance(name, x509.DNSName) and isinstance(subtree, x509.DNSName)):
        return False
    wildcard, _, rest = name.value.lower().partition(".")
    domain = subtree.value.lower().lstrip(".")
    return wildcard == "*" and domain.partition(".")[2] == rest


def _is_mailbox_below(mailbox: str, subtree: str) -> bool:
    """Compare an address with one mailbox, all of a host, or all below a domain."""
    local, _, host = mailbox.rpartition("@")
    wanted_local, at_sign, wanted_host = subtree.rpartition("@")
    if at_sign:
        return local == wanted_local and host.lower() == wanted_host.lower()
    return _is_host_below(host, wanted_host)


def _is_host_below(host: str, subtree: str) -> bool:
    """Compare a host with one host or, after a leading dot, with all below a domain."""
    host, subtree = host.lower(), subtree.lower()
    return host.endswith(subtree) if subtree.startswith(".") else host == subtree
