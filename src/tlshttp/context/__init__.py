"""From certificates and a policy to a finished `ssl.SSLContext`.

>>> from tlshttp import certs, context
>>> example, wiki = certs.self_signed("example.test"), certs.self_signed("wiki.example.test")
>>> ssl_context = context.create_server_context(example, wiki)
>>> ssl_context.minimum_version.name
'TLSv1_2'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp._engines.client_auth import ClientAuth
    from tlshttp._engines.directory import UnknownNames
    from tlshttp._engines.tickets import Tickets
    from tlshttp.context._audit import audit, audit_host
    from tlshttp.context._create import create_server_context
    from tlshttp.context._report import Deviation, Report
    from tlshttp.context._server_context import ServerContext

__all__ = [
    "ClientAuth",
    "Deviation",
    "Report",
    "ServerContext",
    "Tickets",
    "UnknownNames",
    "audit",
    "audit_host",
    "create_server_context",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "ClientAuth": "tlshttp._engines.client_auth",
            "Deviation": "tlshttp.context._report",
            "Report": "tlshttp.context._report",
            "ServerContext": "tlshttp.context._server_context",
            "Tickets": "tlshttp._engines.tickets",
            "UnknownNames": "tlshttp._engines.directory",
            "audit": "tlshttp.context._audit",
            "audit_host": "tlshttp.context._audit",
            "create_server_context": "tlshttp.context._create",
        },
    )
