"""Which certificate is shown for which name."""

from __future__ import annotations

import enum
import functools
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from cryptography import x509

from tlshttp._engines.names import Names, normalise
from tlshttp.certs import Certificate
from tlshttp.certs._inspect import find_extension, is_self_signed

__all__ = ["Directory", "Group", "Shown", "UnknownNames", "build_directory", "parse_address"]

Group: TypeAlias = tuple[Certificate, ...]
"""Certificates of one name, with different kinds of keys: the client's abilities choose."""


class UnknownNames(enum.Enum):
    """What a client gets that asks for a name which no certificate has."""

    SERVE_DEFAULT = "serve-default"
    """The first certificate, which it may or may not accept."""
    REFUSE = "refuse"
    """The alert ``unrecognized_name`` (RFC 6066, section 3). Clients that ask for no name, such as
    those that connect to an IP address, still get a certificate: the first that has the address
    they connected to, else the first of all."""


class Shown(NamedTuple):
    """A group of certificates, ready to be shown."""

    context: Any
    """The engine's."""
    self_signed: bool
    """Whether clients accept it only by an exception."""


@dataclass(frozen=True)
class Directory:
    """A snapshot; it is replaced as a whole when a certificate changes."""

    groups: Mapping[Group, Shown]
    default: Shown
    _by_name: Names[Shown]
    _by_address: Mapping[str, Shown]

    @functools.cached_property
    def tells_addresses_apart(self) -> bool:
        """Whether what a client is shown that asks for no name depends on its address."""
        return bool(self._by_address)

    def find(self, name: str | None, address: Callable[[], str | None]) -> Shown | None:
        """Return what is shown for a name; `None` for an unknown name.

        Args:
            name: What the client asks for, `None` where it asks for no name.
            address: Returns the IP address that it connected to, `None` where there is none.
        """
        if name is not None:
            return self._by_name.find(normalise(name))
        if not self._by_address:
            return self.default
        return self._by_address.get(parse_address(address()) or "") or self.default


@functools.lru_cache(maxsize=128)
def parse_address(text: str | None) -> str | None:
    """Return an IP address in the one form of all; `None` for anything else.

    Every connection asks, mostly about the same few; to find out takes 3 us.

    A socket for both versions of IP gives an IPv4 address in the form of IPv6; it becomes IPv4 (RFC
    4291, section 2.5.5.2).
    """
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0].strip("[]"))
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def build_directory(
    certificates: Sequence[Certificate],
    create_context: Callable[[Group], Any],
    previous: Mapping[Group, Shown],
) -> Directory:
    """Sort certificates by name.

    Args:
        certificates: All of them; the first is the default, and earlier ones win.
        create_context: Makes the context of a group.
        previous: What was made earlier and can still be used.
    """
    by_name = {name: _group(certificates, name) for name in _all_names(certificates)}
    addresses = dict.fromkeys(address for one in certificates for address in _addresses(one))
    by_address = {
        address: _one_of_each_kind([one for one in certificates if address in _addresses(one)])
        for address in addresses
    }
    default = _default(certificates)
    groups: dict[Group, Shown] = {}
    for group in (default, *by_name.values(), *by_address.values()):
        if group not in groups:
            groups[group] = previous.get(group) or Shown(
                create_context(group), any(is_self_signed(one.leaf) for one in group)
            )
    names = Names({name: groups[group] for name, group in by_name.items()})
    # The default is what every other address gets, too.
    apart = {address: group for address, group in by_address.items() if group != default}
    found = {address: groups[group] for address, group in apart.items()}
    return Directory(groups, groups[default], names, found)


def _all_names(certificates: Sequence[Certificate]) -> list[str]:
    return list(dict.fromkeys(name for one in certificates for name in _dns_names(one)))


def _group(certificates: Sequence[Certificate], name: str) -> Group:
    return _one_of_each_kind([one for one in certificates if name in _dns_names(one)])


def _default(certificates: Sequence[Certificate]) -> Group:
    """Return the first, and others that can stand in for it."""
    first = set(certificates[0].names)
    return _one_of_each_kind([one for one in certificates if first <= set(one.names)])


def _one_of_each_kind(certificates: Sequence[Certificate]) -> Group:
    kinds: dict[type, Certificate] = {}
    for certificate in certificates:
        kinds.setdefault(type(certificate.private_key), certificate)
    return tuple(kinds.values())


def _dns_names(certificate: Certificate) -> list[str]:
    """Return the names that a client can ask for: no addresses (RFC 6066, section 3)."""
    names = find_extension(certificate.leaf, x509.SubjectAlternativeName)
    if names is None:
        return []
    return [normalise(name) for name in names.value.get_values_for_type(x509.DNSName)]


def _addresses(certificate: Certificate) -> list[str]:
    """Return the IP addresses that a client can connect to."""
    names = find_extension(certificate.leaf, x509.SubjectAlternativeName)
    if names is None:
        return []
    return [str(address) for address in names.value.get_values_for_type(x509.IPAddress)]
