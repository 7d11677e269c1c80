"""From the arguments that a server is given for TLS to its context."""

from __future__ import annotations

import os
import reprlib
import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tlshttp._default_engine import create_context
from tlshttp._members import require_instance
from tlshttp._paths import require_path
from tlshttp._several import require_texts
from tlshttp.errors import CertificateError, ConfigurationError

if TYPE_CHECKING:
    from tlshttp._default_engine import Engine
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

_PASSWORDS = (str, bytes, bytearray)


def given_context(
    certfile: Any,
    keyfile: Any,
    password: Any,
    alpn_protocols: Iterable[str] | None,
    ssl_context: TLSContext | None,
    certificate: Any,
    engine: Engine | None,
) -> TLSContext:
    """Return the context the arguments stand for.

    Raises:
        ConfigurationError: They do not fit together; all that is wrong is named.
        CertificateError: The certificate or key cannot be used.
        TypeError: One of them is of another kind, or `alpn_protocols` is one text.
    """
    if alpn_protocols is not None:
        alpn_protocols = require_texts("alpn_protocols", alpn_protocols)
    _require_kinds(certfile, keyfile, password, ssl_context)
    files = {"certfile": certfile, "keyfile": keyfile, "password": password}
    given = [name for name, value in (*files.items(), ("alpn_protocols", alpn_protocols)) if value]
    if certificate is not None:
        ConfigurationError.raise_if(_beside_certificate(given, ssl_context))
        offered_by_alpn = tuple(alpn_protocols) if alpn_protocols else None
        return create_context(certificate, engine, offered_by_alpn)
    if engine is not None:
        given.append("engine")
    if ssl_context is None:
        if certfile is None:
            raise ConfigurationError(
                "a certificate is needed: pass certificate=..., for instance certs.self_signed("
                '"localhost"), or certfile=..., or a finished context as ssl_context=...'
            )
        if engine is not None:
            raise ConfigurationError(
                "engine cannot be combined with certfile, which the ssl module serves: pass"
                " certificate=certs.CertificateStore(certfile, keyfile) instead"
            )
        from tlshttp import certs, context, profiles

        offered: dict[str, Any] = {}
        if alpn_protocols:
            offered["alpn_protocols"] = tuple(alpn_protocols)
        return context.create_server_context(
            certs.load(
                _path("certfile", certfile),
                None if keyfile is None else _path("keyfile", keyfile),
                password,
                tolerate=_TOLERATED,
            ),
            profile=profiles.INTERMEDIATE.replace(certificate_keys=(), security_level=None),
            **offered,
        )
    findings = [f"{name} cannot be combined with ssl_context" for name in given]
    if getattr(ssl_context, "protocol", None) == ssl.PROTOCOL_TLS_CLIENT:
        findings.append("ssl_context is one for clients; a server needs ssl.PROTOCOL_TLS_SERVER")
    ConfigurationError.raise_if(findings)
    return ssl_context


def _require_kinds(certfile: Any, keyfile: Any, password: Any, ssl_context: Any) -> None:
    for name, file in (("certfile", certfile), ("keyfile", keyfile)):
        if file is not None:
            require_instance(name, file, (str, bytes, os.PathLike), "a path")
    if not (password is None or callable(password) or isinstance(password, _PASSWORDS)):
        # Not what was given, which may be a password all the same.
        raise TypeError(f"password must be text or a function, not {type(password).__name__}")
    is_one = hasattr(ssl_context, "wrap_bio") and not isinstance(ssl_context, type)
    if ssl_context is not None and not is_one:
        raise TypeError(
            "ssl_context must be an ssl.SSLContext, or what create_server_context() returns, not"
            f" {reprlib.repr(ssl_context)}"
        )


def _beside_certificate(given: list[str], ssl_context: object) -> list[str]:
    """Say what cannot stand beside a certificate."""
    found = [
        f"{name} cannot be combined with certificate, which has its key with it"
        for name in given
        if name != "alpn_protocols"
    ]
    if ssl_context is not None:
        found.append("ssl_context cannot be combined with certificate: it shows its own")
    return found


def _path(name: str, file: Any) -> str:
    """Return a path; `certs.load` would take bytes for PEM itself, `ssl` takes them for a path."""
    return require_path(name, file, wrong=CertificateError)
