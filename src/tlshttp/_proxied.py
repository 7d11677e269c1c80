"""What a proxy in front has said of a connection before its first byte: the PROXY protocol.

Rules are those of HAProxy's ``doc/proxy-protocol.txt``, "The PROXY protocol, versions 1 & 2".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["ProxyInfo", "ProxyTLS"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyTLS:
    """What the proxy has agreed on with the client, where it has ended the client's TLS."""

    version: str | None = None
    """The protocol version as the proxy names it, such as ``"TLSv1.3"``; `None`: it does not say,
    as with all that follow."""
    cipher: str | None = None
    """The cipher suite."""
    common_name: str | None = None
    """The common name in the client's certificate."""
    client_certificate_verified: bool = False
    """Whether the client has shown a certificate, on this connection or in the session that it has
    resumed, and the proxy has verified it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyInfo:
    """What a trusted proxy has said of a connection: ``self.proxy`` in a handler."""

    address: Any
    """The proxy's own address, as ``get_request()`` returned it."""
    version: int
    """Of the PROXY protocol: 1 or 2."""
    local: bool = False
    """Whether the proxy has connected by itself, as for a health check: there is no client."""
    source: Any = None
    """The client's address, which is the connection's ``client_address``; `None`: the proxy does
    not say, and ``client_address`` is the proxy's own."""
    destination: Any = None
    """The address that the client has connected to; `None`: the proxy does not say."""
    alpn_protocol: str | None = None
    """The application protocol agreed on by ALPN; `None`: the proxy does not say, as with all that
    follow."""
    server_name: str | None = None
    """The host name that the client has asked for (SNI)."""
    unique_id: bytes | None = None
    """The proxy's own name for the connection, as in its log."""
    tls: ProxyTLS | None = None
    """What is known of the client's TLS where the proxy has ended it."""
    tlvs: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """All values that came with version 2, by their type; the last one of each type."""
