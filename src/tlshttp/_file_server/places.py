"""Where to listen, as people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tlshttp._command_line.own_certificate import WILDCARDS
from tlshttp._command_line.servers import LAST_PORT, host_of
from tlshttp.errors import ConfigurationError

__all__ = ["DEFAULT_PORT", "Place", "parse_place", "parse_port"]

DEFAULT_PORT = 8000

_EVERYWHERE = "*"

_ALL_OF_IPV4 = "0.0.0.0"  # noqa: S104 (it is what users say)

_PLACE = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:/?#@\s]*)(?::(?P<port>[^:\s]*))?")


@dataclass(frozen=True)
class Place:
    """An address of this machine and a port."""

    host: str
    """Name or address, without brackets; empty: all addresses."""
    port: int | None
    """`None`: not given."""

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for all addresses."""
        return self.host in WILDCARDS

    def includes(self, other: Place) -> bool:
        """Return whether who listens here listens there, too."""
        return self.is_wildcard and not (self.host == _ALL_OF_IPV4 and ":" in other.host)

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine itself comes there."""
        host = self.host.partition("%")[0]
        return host == "localhost" or host == "::1" or host.startswith("127.")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "all addresses"
        return host if self.port is None else f"{host}, port {self.port}"


def parse_place(text: str) -> Place:
    """Read ``HOST``, ``HOST:PORT``, ``[IPv6]:PORT``, a bare IPv6 address, ``:PORT`` or a URL.

    Raises:
        ConfigurationError: It is none of these.
    """
    authority = _authority(text.strip())
    if authority in ("", _EVERYWHERE) or authority != host_of(authority) or _is_ipv6(authority):
        return Place("" if authority == _EVERYWHERE else host_of(authority), None)
    found = _PLACE.fullmatch(authority)
    if found is None:
        raise ConfigurationError(f"{text!r} is not an address, as 127.0.0.1, ::1 or localhost:8443")
    host, port = found["host"], found["port"]
    if host.startswith("[") and host == host_of(host):
        raise ConfigurationError(f"{text!r}: {host} is not an IPv6 address")
    if host.isdecimal() and port is None:
        raise ConfigurationError(f"{text!r} is a port, not an address: write :{host}")
    return Place(
        "" if host == _EVERYWHERE else host_of(host), None if port is None else parse_port(port)
    )


def parse_port(text: str) -> int:
    """Read a port; 0 lets the system choose one.

    Raises:
        ConfigurationError: It is none.
    """
    if not (text.isascii() and text.isdecimal()) or int(text[:6]) > LAST_PORT:
        raise ConfigurationError(f"{text!r} is not a port (0 to {LAST_PORT})")
    return int(text)


def _authority(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    if scheme.lower() != "https":
        raise ConfigurationError(f"{text!r}: this server speaks HTTPS only")
    return rest.removesuffix("/").replace("%25", "%")  # the zone of an address: RFC 6874


def _is_ipv6(text: str) -> bool:
    return host_of(f"[{text}]") == text
