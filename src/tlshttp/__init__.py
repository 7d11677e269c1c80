"""TLS-enabled HTTP server building blocks for any ``BaseHTTPRequestHandler``.

>>> from http.server import SimpleHTTPRequestHandler
>>> from tlshttp import ThreadingTLSHTTPServer, certs, context
>>> ssl_context = context.create_server_context(certs.self_signed("localhost"))
>>> with ThreadingTLSHTTPServer(
...     ("localhost", 0), SimpleHTTPRequestHandler, ssl_context=ssl_context
... ) as server:
...     server.url  # then server.serve_forever()
'https://localhost:...'

The modules `certs` and `context` import cryptography and are themselves imported on demand.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from tlshttp import errors
from tlshttp._tls import TLSInfo
from tlshttp._version import __version__
from tlshttp.handler import (
    AccessLogMixIn,
    AccessRecord,
    FollowSymlinks,
    StrictTransportSecurityMixIn,
    TLSFileRequestHandler,
    TLSRequestHandler,
    authorize,
)
from tlshttp.limits import Limits
from tlshttp.server import ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp.stats import Stats

if TYPE_CHECKING:
    from types import ModuleType

    from tlshttp import certs, context, profiles

__all__ = [
    "AccessLogMixIn",
    "AccessRecord",
    "FollowSymlinks",
    "Limits",
    "Stats",
    "StrictTransportSecurityMixIn",
    "TLSFileRequestHandler",
    "TLSHTTPServer",
    "TLSInfo",
    "TLSRequestHandler",
    "ThreadingTLSHTTPServer",
    "__version__",
    "authorize",
    "certs",
    "context",
    "errors",
    "profiles",
]

_ON_DEMAND = ("certs", "context", "profiles")


def __getattr__(name: str) -> ModuleType:
    """Import a module when it is first asked for (PEP 562)."""
    if name in _ON_DEMAND:
        return importlib.import_module(f"tlshttp.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
