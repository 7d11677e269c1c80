"""Strict-Transport-Security (RFC 6797)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from tlshttp.handler._hosts import without_port
from tlshttp.handler._response import writes_interim_response

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler as _Base
else:
    _Base = object

__all__ = ["StrictTransportSecurityMixIn"]


class StrictTransportSecurityMixIn(_Base):
    """Tells browsers to use nothing but HTTPS for this host: put it before the handler class.

    The header is sent where a browser would heed it: the certificate is not self-signed, and the
    host asked for is a name, no address (RFC 6797, section 8.1.1). A context that is not of
    `tlshttp.context` does not tell what it shows: there it is never sent.

    .. warning::
        A browser that has seen the header refuses plain HTTP, and offers no exceptions for bad
        certificates, for as long as the age says: for two years by default.
    """

    hsts_max_age: int | None = None
    """Seconds; `None`: the age of the context's profile."""
    hsts_include_subdomains = False
    """Whether it holds for all names below the host's, too."""

    def end_headers(self) -> None:
        """Add the header to every response but interim ones."""
        age = self._hsts_age()
        if age is not None and not writes_interim_response(self):
            subdomains = "; includeSubDomains" if self.hsts_include_subdomains else ""
            self.send_header("Strict-Transport-Security", f"max-age={age}{subdomains}")
        super().end_headers()

    def _hsts_age(self) -> int | None:
        tls: Any = getattr(self, "tls", None)
        if tls is None or not _is_name(self._hsts_host()):
            return None
        known: int | None = tls.hsts_max_age
        return known if known is None or self.hsts_max_age is None else self.hsts_max_age

    def _hsts_host(self) -> str:
        headers = getattr(self, "headers", None)
        return without_port(headers.get("Host", "") if headers is not None else "")


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return bool(host)
    return False
