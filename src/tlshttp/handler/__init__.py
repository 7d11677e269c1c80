"""HTTP/1.1 underneath any `~http.server.BaseHTTPRequestHandler`, and handlers made of it."""

from tlshttp.handler._base import TLSRequestHandler
from tlshttp.handler._opening import FollowSymlinks
from tlshttp.handler._static import TLSFileRequestHandler

__all__ = [
    "FollowSymlinks",
    "TLSFileRequestHandler",
    "TLSRequestHandler",
]
