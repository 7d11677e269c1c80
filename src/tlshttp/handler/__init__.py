"""HTTP/1.1 underneath any `~http.server.BaseHTTPRequestHandler`, and handlers made of it.

Each name is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp.handler._access_log import AccessLogMixIn
    from tlshttp.handler._access_record import AccessRecord
    from tlshttp.handler._authorize import authorize
    from tlshttp.handler._base import TLSRequestHandler
    from tlshttp.handler._forwarded import ForwardedMixIn, ForwardedRequest
    from tlshttp.handler._hsts import StrictTransportSecurityMixIn
    from tlshttp.handler._opening import FollowSymlinks
    from tlshttp.handler._request_id import RequestIdMixIn
    from tlshttp.handler._static import TLSFileRequestHandler

__all__ = [
    "AccessLogMixIn",
    "AccessRecord",
    "FollowSymlinks",
    "ForwardedMixIn",
    "ForwardedRequest",
    "RequestIdMixIn",
    "StrictTransportSecurityMixIn",
    "TLSFileRequestHandler",
    "TLSRequestHandler",
    "authorize",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "AccessLogMixIn": "tlshttp.handler._access_log",
            "AccessRecord": "tlshttp.handler._access_record",
            "FollowSymlinks": "tlshttp.handler._opening",
            "ForwardedMixIn": "tlshttp.handler._forwarded",
            "ForwardedRequest": "tlshttp.handler._forwarded",
            "RequestIdMixIn": "tlshttp.handler._request_id",
            "StrictTransportSecurityMixIn": "tlshttp.handler._hsts",
            "TLSFileRequestHandler": "tlshttp.handler._static",
            "TLSRequestHandler": "tlshttp.handler._base",
            "authorize": "tlshttp.handler._authorize",
        },
    )
