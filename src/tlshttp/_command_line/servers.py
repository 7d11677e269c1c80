"""Servers as people write them, and what went wrong when one was asked."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tlshttp.errors import ConfigurationError

HTTPS_PORT = 443
"""RFC 9110, section 4.2.2."""

LAST_PORT = 65_535

_SCHEMES = ("https", "tls", "wss")
"""What begins with a TLS handshake."""

_SERVER = re.compile(
    r"(?:\[(?P<address>[^\[\]]+)\]|(?P<host>[^\[\]:/?#@\s]+))(?::(?P<port>[^:\s]*))?"
)

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")
"""What OpenSSL says of an answer that is not TLS; the words differ from version to version."""


@dataclass(frozen=True)
class ServerAddress:
    """A host and a port to connect to."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_server(text: str) -> ServerAddress:
    """Read ``HOST``, ``HOST:PORT``, ``[IPv6]:PORT``, a bare IPv6 address or an https URL.

    Without a port it is 443.

    Raises:
        ConfigurationError: It is none of these; the finding says what is wrong.
    """
    authority = _authority(text)
    if _is_ipv6(authority):
        return ServerAddress(authority, HTTPS_PORT)
    found = _SERVER.fullmatch(authority)
    if found is None:
        raise ConfigurationError(f"{text!r} is not HOST, HOST:PORT, [IPv6]:PORT or an https URL")
    if found["address"] is not None and not _is_ipv6(found["address"]):
        raise ConfigurationError(f"{text!r}: {found['address']!r} is not an IPv6 address")
    return ServerAddress(found["address"] or found["host"], _port(found["port"], text))


def host_of(text: str) -> str:
    """Return a host without the brackets that an IPv6 address has in URLs."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return inner if _is_ipv6(inner) else text


@contextmanager
def asking(server: ServerAddress, timeout: float) -> Iterator[None]:
    """Turn what goes wrong while a server is asked into a sentence that names it.

    Args:
        server: Who is asked.
        timeout: Seconds that it has for each answer, for the sentence.

    Raises:
        ConfigurationError: Whatever went wrong.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{server}: {_explain(error, timeout)}") from error
    except UnicodeError:  # of the IDNA codec: an empty or too long part
        raise ConfigurationError(f"{server}: {server.host!r} is not the name of a host") from None


def _authority(text: str) -> str:
    """Return what stands between scheme and path of a URL, or the text where it is none."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        return text.strip()
    if scheme.lower() not in _SCHEMES:
        raise ConfigurationError(f"{text!r}: {scheme} is not TLS: give https://HOST[:PORT]")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return authority.replace("%25", "%")  # the zone of an address: RFC 6874, section 2


def _port(text: str | None, whole: str) -> int:
    if not text:
        return HTTPS_PORT
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:6]) <= LAST_PORT:
        raise ConfigurationError(f"{whole!r}: {text!r} is not a port (1 to {LAST_PORT})")
    return int(text)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _explain(error: OSError, timeout: float) -> str:
    if isinstance(error, ssl.SSLError):
        return _explain_tls(error)
    if isinstance(error, TimeoutError):
        return f"timed out: it does not answer within {timeout:g} seconds"
    if isinstance(error, ConnectionRefusedError):
        return "Connection refused: nothing listens there"
    if isinstance(error, socket.gaierror):
        return f"the host cannot be found ({error.strerror})"
    if isinstance(error, ConnectionError):
        return (
            "it broke the connection off before it showed a certificate: perhaps it speaks no TLS"
        )
    return error.strerror or str(error)


def _explain_tls(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLEOFError):
        return "it closed the connection at once: perhaps it speaks no TLS"
    if reason in _NO_TLS:
        return "it does not speak TLS on this port"
    if "ALERT" in reason:
        return f"it refuses the handshake ({reason.lower().replace('_', ' ')})"
    return f"the handshake fails ({reason.lower().replace('_', ' ') or error})"
