"""Name constraints: what an authority may issue (RFC 5280, section 4.2.1.10)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self
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
    rules = [_Rules.of(constraint) for constraint in constraints]
    for name in names:
        if not all(rule.allow(name) for rule in rules):
            yield (
                f"the authority may not issue for {render_name(name)!r}: clients would refuse it"
                f"{_what_is_allowed(name, constraints)}"
            )


def are_allowed(names: Iterable[x509.GeneralName], constraints: x509.NameConstraints) -> bool:
    """Tell whether constraints permit all of these names."""
    return all(map(_Rules.of(constraints).allow, names))


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


@dataclass(frozen=True)
class _Subtrees:
    """Subtrees, those of DNS to be looked up: a file may have thousands, for as many names."""

    domains: frozenset[str]
    """In lower case, without dots in front; an empty one stands for all names."""
    parents: frozenset[str]
    """What is above those by one label."""
    others: tuple[x509.GeneralName, ...]

    @classmethod
    def of(cls, subtrees: Iterable[x509.GeneralName] | None) -> Self:
        """Sort them."""
        given = tuple(subtrees or ())
        names = {subtree.value.lower() for subtree in given if isinstance(subtree, x509.DNSName)}
        domains = {name.lstrip(".") or name for name in names}
        return cls(
            frozenset(domains),
            frozenset(domain.partition(".")[2] for domain in domains),
            tuple(subtree for subtree in given if not isinstance(subtree, x509.DNSName)),
        )

    def have(self, name: x509.GeneralName) -> bool:
        """Tell whether a name is in one of them."""
        if isinstance(name, x509.DNSName):
            return not self.domains.isdisjoint(_and_above(name.value.lower()))
        return any(_is_below(name, subtree) for subtree in self.others)

    def are_reached(self, name: x509.GeneralName) -> bool:
        """Tell whether a wildcard stands for one of them, among others."""
        if not isinstance(name, x509.DNSName):
            return False
        wildcard, _, rest = name.value.lower().partition(".")
        return wildcard == "*" and rest in self.parents

    def have_kind(self, name: x509.GeneralName) -> bool:
        """Tell whether there is one of the name's kind, which restricts those only."""
        if isinstance(name, x509.DNSName):
            return bool(self.domains)
        return any(isinstance(subtree, type(name)) for subtree in self.others)


@dataclass(frozen=True)
class _Rules:
    """The constraints of an authority."""

    excluded: _Subtrees
    permitted: _Subtrees

    @classmethod
    def of(cls, constraints: x509.NameConstraints) -> Self:
        """Sort their subtrees."""
        return cls(
            _Subtrees.of(constraints.excluded_subtrees),
            _Subtrees.of(constraints.permitted_subtrees),
        )

    def allow(self, name: x509.GeneralName) -> bool:
        """Tell whether there may be such a name in a certificate."""
        if self.excluded.have(name) or self.excluded.are_reached(name):
            return False
        return not self.permitted.have_kind(name) or self.permitted.have(name)


def _and_above(domain: str) -> Iterator[str]:
    """Yield a name, those above it, and the empty one that is above all."""
    rest = domain
    while rest:
        yield rest
        rest = rest.partition(".")[2]
    if domain.endswith("."):
        yield "."  # the root, written as such
    yield ""


def _is_below(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    """Tell whether a name that is none of DNS is in a subtree."""
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
