"""The second engine: pyOpenSSL, on the OpenSSL that `cryptography` brings, whatever Python has.

>>> from tlshttp import certs, pyopenssl
>>> ssl_context = pyopenssl.create_server_context(certs.self_signed("localhost"))

It negotiates exactly the profile, groups and signature algorithms included. Any server of this
package takes it as ``ssl_context``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp.pyopenssl._create import create_server_context
    from tlshttp.pyopenssl._server_context import ServerContext

__all__ = ["ServerContext", "create_server_context"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "ServerContext": "tlshttp.pyopenssl._server_context",
            "create_server_context": "tlshttp.pyopenssl._create",
        },
    )
