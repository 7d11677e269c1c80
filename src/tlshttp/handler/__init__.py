"""HTTP/1.1 underneath any `~http.server.BaseHTTPRequestHandler`, and handlers made of it."""

from tlshttp.handler._access_log import AccessLogMixIn
from tlshttp.handler._access_record import AccessRecord
from tlshttp.handler._authorize import authorize
from tlshttp.handler._base import TLSRequestHandler
from tlshttp.handler._hsts import StrictTransportSecurityMixIn
from tlshttp.handler._opening import FollowSymlinks
from tlshttp.handler._static import TLSFileRequestHandler

__all__ = [
    "AccessLogMixIn",
    "AccessRecord",
    "FollowSymlinks",
    "StrictTransportSecurityMixIn",
    "TLSFileRequestHandler",
    "TLSRequestHandler",
    "authorize",
]
