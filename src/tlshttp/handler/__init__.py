"""HTTP/1.1 underneath any `~http.server.BaseHTTPRequestHandler`."""

from tlshttp.handler._base import TLSRequestHandler

__all__ = ["TLSRequestHandler"]
