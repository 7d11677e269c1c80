"""HTTP/1.1 underneath any `~http.server.BaseHTTPRequestHandler`, and what to add to handlers."""

from tlshttp.handler._authorize import authorize
from tlshttp.handler._base import TLSRequestHandler
from tlshttp.handler._hsts import StrictTransportSecurityMixIn

__all__ = ["StrictTransportSecurityMixIn", "TLSRequestHandler", "authorize"]
