"""Who is a proxy, by its address. What proxies say is in `tlshttp._proxied`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from tlshttp._members import require_instance
from tlshttp._several import require_several
from tlshttp.errors import ConfigurationError

__all__ = ["TrustedProxies"]

_MAPPED_BITS = 96
"""Of an IPv6 address before the IPv4 address in it: RFC 4291, section 2.5.5.2."""

_NETWORKS = (
    str,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
    tuple,  # of an address and a prefix length
)


class TrustedProxies:
    """The networks whose peers begin each connection with a PROXY protocol header, and must.

    Args:
        networks: IPv4 or IPv6 addresses or networks, those of IPv4 also as IPv6 has them
            (``::ffff:192.0.2.1``); ``"unix:"`` for peers of an ``AF_UNIX`` socket.
        name: What the setting is called.

    Raises:
        ConfigurationError: Some are none of these; all are named.
        TypeError: It is one text, not several, or has something else than networks.
    """

    def __init__(self, networks: Iterable[Any], *, name: str = "trusted_proxies") -> None:
        require_several(name, networks)
        if isinstance(networks, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
            networks = [networks]  # else it would be each of its addresses
        require_instance(name, networks, Iterable, "several, such as a list")
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._unix = False
        findings = []
        for network in networks:
            if network == "unix:":
                self._unix = True
                continue
            # Numbers and bytes would do, too, and be addresses that nobody has meant.
            require_instance(f"each of {name}", network, _NETWORKS, "text, such as '10.0.0.0/8'")
            try:
                self._networks.append(_plain_network(ipaddress.ip_network(network)))
            except ValueError as error:
                findings.append(f"{name}: {error}")
        ConfigurationError.raise_if(findings)

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def trusts(self, address: object) -> bool:
        """Tell whether a peer with this address is such a proxy."""
        if not isinstance(address, tuple) or not address or not isinstance(address[0], str):
            return False
        if address[0] == "unix:":
            return self._unix
        try:
            found = ipaddress.ip_address(address[0].partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


def _plain_network(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Return a network in the form in which its addresses are compared."""
    if network.version == 4 or network.prefixlen < _MAPPED_BITS:
        return network
    mapped = network.network_address.ipv4_mapped
    prefix = network.prefixlen - _MAPPED_BITS
    return network if mapped is None else ipaddress.IPv4Network((mapped, prefix))
