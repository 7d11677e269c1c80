"""TLS-enabled HTTP server building blocks for any ``BaseHTTPRequestHandler``.

>>> from http.server import SimpleHTTPRequestHandler
>>> from tlshttp import ThreadingTLSHTTPServer, certs, context
>>> ssl_context = context.create_server_context(certs.self_signed("localhost"))
>>> with ThreadingTLSHTTPServer(
...     ("localhost", 0), SimpleHTTPRequestHandler, ssl_context=ssl_context
... ) as server:
...     server.url  # then server.serve_forever()
'https://localhost:...'

Each name is imported when it is first asked for: who makes certificates loads no server, and a
server whose context is the user's own loads no cryptography.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand
from tlshttp._version import __version__

if TYPE_CHECKING:
    from tlshttp import (
        aio,
        certs,
        context,
        errors,
        logs,
        metrics,
        profiles,
        pyopenssl,
        service,
        testing,
        websocket,
        wsgi,
    )
    from tlshttp._proxied import ProxyInfo, ProxyTLS
    from tlshttp._taken_over import ConnectionDriver, DrivenConnection, TakenOverConnection
    from tlshttp._tls_info import TLSInfo
    from tlshttp.handler import (
        AccessLogMixIn,
        AccessRecord,
        FollowSymlinks,
        ForwardedMixIn,
        ForwardedRequest,
        RequestIdMixIn,
        StrictTransportSecurityMixIn,
        TLSFileRequestHandler,
        TLSRequestHandler,
        authorize,
    )
    from tlshttp.limits import Limits
    from tlshttp.server import ThreadingTLSHTTPServer, TLSHTTPServer
    from tlshttp.stats import CertificateInUse, Histogram, Latencies, Stats

__all__ = [
    "AccessLogMixIn",
    "AccessRecord",
    "CertificateInUse",
    "ConnectionDriver",
    "DrivenConnection",
    "FollowSymlinks",
    "ForwardedMixIn",
    "ForwardedRequest",
    "Histogram",
    "Latencies",
    "Limits",
    "ProxyInfo",
    "ProxyTLS",
    "RequestIdMixIn",
    "Stats",
    "StrictTransportSecurityMixIn",
    "TLSFileRequestHandler",
    "TLSHTTPServer",
    "TLSInfo",
    "TLSRequestHandler",
    "TakenOverConnection",
    "ThreadingTLSHTTPServer",
    "__version__",
    "aio",
    "authorize",
    "certs",
    "context",
    "errors",
    "logs",
    "metrics",
    "profiles",
    "pyopenssl",
    "service",
    "testing",
    "websocket",
    "wsgi",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "AccessLogMixIn": "tlshttp.handler",
            "AccessRecord": "tlshttp.handler",
            "CertificateInUse": "tlshttp.stats",
            "ConnectionDriver": "tlshttp._taken_over",
            "DrivenConnection": "tlshttp._taken_over",
            "FollowSymlinks": "tlshttp.handler",
            "ForwardedMixIn": "tlshttp.handler",
            "ForwardedRequest": "tlshttp.handler",
            "Histogram": "tlshttp.stats",
            "Latencies": "tlshttp.stats",
            "Limits": "tlshttp.limits",
            "ProxyInfo": "tlshttp._proxied",
            "ProxyTLS": "tlshttp._proxied",
            "RequestIdMixIn": "tlshttp.handler",
            "Stats": "tlshttp.stats",
            "StrictTransportSecurityMixIn": "tlshttp.handler",
            "TLSFileRequestHandler": "tlshttp.handler",
            "TLSHTTPServer": "tlshttp.server",
            "TLSInfo": "tlshttp._tls_info",
            "TLSRequestHandler": "tlshttp.handler",
            "TakenOverConnection": "tlshttp._taken_over",
            "ThreadingTLSHTTPServer": "tlshttp.server",
            "aio": "tlshttp.aio",
            "authorize": "tlshttp.handler",
            "certs": "tlshttp.certs",
            "context": "tlshttp.context",
            "errors": "tlshttp.errors",
            "logs": "tlshttp.logs",
            "metrics": "tlshttp.metrics",
            "profiles": "tlshttp.profiles",
            "pyopenssl": "tlshttp.pyopenssl",
            "service": "tlshttp.service",
            "testing": "tlshttp.testing",
            "websocket": "tlshttp.websocket",
            "wsgi": "tlshttp.wsgi",
        },
    )
