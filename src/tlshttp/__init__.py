"""TLS-enabled HTTP server building blocks for any ``BaseHTTPRequestHandler``."""

from __future__ import annotations

from tlshttp._version import __version__

__all__ = ["__version__"]
