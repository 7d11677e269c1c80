"""From the arguments that a server is given for TLS to its context."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tlshttp._several import require_several
from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp._tls import TLSContext

__all__ = ["given_context"]

# The standard library's server serves with all of these. So does this one, with a warning.
_TOLERATED = (
    "chain-order",
    "expired",
    "key-exposed",
    "not-yet-valid",
    "weak-key",
    "weak-signature",
)


def given_context(
    certfile: Any,
    keyfile: Any,
    password: Any,
    alpn_protocols: Iterable[str] | None,
    ssl_context: TLSContext | None,
) -> TLSContext:
    """Return the context the arguments stand for.

    Raises:
        ConfigurationError: They do not fit together; all that is wrong is named.
        CertificateError: The certificate or key cannot be used.
        TypeError: `alpn_protocols` is one text.
    """
    require_several("alpn_protocols", alpn_protocols)
    files = {"certfile": certfile, "keyfile": keyfile, "password": password}
    given = [name for name, value in (*files.items(), ("alpn_protocols", alpn_protocols)) if value]
    if ssl_context is None:
        if certfile is None:
            raise ConfigurationError(
                "a certificate is needed: pass certfile=..., or ssl_context=..., for instance "
                'context.create_server_context(certs.self_signed("localhost"))'
            )
        from tlshttp import certs, context, profiles

        offered: dict[str, Any] = {}
        if alpn_protocols:
            offered["alpn_protocols"] = tuple(alpn_protocols)
        return context.create_server_context(
            certs.load(_path(certfile), _path(keyfile), password, tolerate=_TOLERATED),
            profile=profiles.INTERMEDIATE.replace(certificate_keys=(), security_level=None),
            **offered,
        )
    findings = [f"{name} cannot be combined with ssl_context" for name in given]
    if getattr(ssl_context, "protocol", None) == ssl.PROTOCOL_TLS_CLIENT:
        findings.append("ssl_context is one for clients; a server needs ssl.PROTOCOL_TLS_SERVER")
    ConfigurationError.raise_if(findings)
    return ssl_context


def _path(file: Any) -> Any:
    """Return a path; `certs.load` would take bytes for PEM itself, `ssl` takes them for a path."""
    return os.fsdecode(file) if isinstance(file, bytes) else file
