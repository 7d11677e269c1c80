"""Which TLS engine serves where nobody has chosen one: decided here, and nowhere else.

pyOpenSSL, where all of this holds:

* Python's `ssl` cannot keep to the profile: before 3.15 it sets neither groups nor TLS 1.3 suites
  nor signature algorithms. From then on it can, starts sooner and needs half the memory.
* The OpenSSL that `cryptography` brings is 4.0 or later. Handshake, request, response and close
  took 239 us of CPU there, 310 with `ssl` on OpenSSL 3.0, and on OpenSSL 3.5 no less than with
  `ssl` (AMD EPYC, 2026-11; "The two engines" in the documentation).
* OpenSSL's functions can be called directly: the public methods alone cost more than `ssl`.

Otherwise `ssl`.
"""

from __future__ import annotations

import functools
import logging
import reprlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp._tls import TLSContext

__all__ = ["ENGINES", "Engine", "create_context", "default_engine"]

Engine: TypeAlias = Literal["ssl", "pyopenssl"]

ENGINES: tuple[Engine, ...] = ("ssl", "pyopenssl")

_FASTER_SINCE = 0x4000_0000
"""The first OpenSSL that is faster than Python's own, as OPENSSL_VERSION_NUMBER has it."""

_log = logging.getLogger("tlshttp.context")


def create_context(
    certificate: Any, engine: Engine | None = None, alpn_protocols: Sequence[str] | None = None
) -> TLSContext:
    """Return a hardened context that shows a certificate, and reloads it where it is a store.

    Args:
        certificate: A `tlshttp.certs.Certificate` or `tlshttp.certs.CertificateStore`.
        engine: What does the work; `None`: the default.
        alpn_protocols: Application protocols to offer by ALPN, in order of preference; `None`:
            those that ``create_server_context()`` has by default.

    Raises:
        ConfigurationError: There is no such engine, or it cannot show the certificate.
        TypeError: The certificate or the engine is of another kind.
    """
    from tlshttp._engines.kinds import require_source

    _require_engine(engine)
    require_source(certificate)
    offered: dict[str, Any] = {}
    if alpn_protocols is not None:
        offered["alpn_protocols"] = tuple(alpn_protocols)
    if (engine or default_engine()) == "ssl":
        from tlshttp import context

        return context.create_server_context(certificate, **offered)
    from tlshttp import pyopenssl

    return pyopenssl.create_server_context(certificate, **offered)


@functools.cache
def default_engine() -> Engine:
    """Return what serves where nobody has chosen; found out once, and said at level DEBUG."""
    reason = _why_not_pyopenssl()
    if reason is None:
        return "pyopenssl"
    _log.debug("the default engine is ssl: %s", reason)
    return "ssl"


def _why_not_pyopenssl() -> str | None:
    import ssl

    if hasattr(ssl.SSLContext, "set_groups"):
        return "it keeps to the profile itself"
    try:
        from OpenSSL import SSL

        from tlshttp.pyopenssl._choice import why_not_direct
    except (ImportError, AttributeError) as error:
        # Of versions of cryptography and pyOpenSSL that do not fit each other.
        return f"pyOpenSSL cannot be imported: {error}"
    if SSL.OPENSSL_VERSION_NUMBER < _FASTER_SINCE:
        return f"pyOpenSSL has OpenSSL {SSL.OPENSSL_VERSION_NUMBER >> 20:#x}, and is no faster"
    return why_not_direct()


def _require_engine(engine: object) -> None:
    if engine is None:
        return
    if not isinstance(engine, str):
        raise TypeError(f'engine must be "ssl" or "pyopenssl", not {reprlib.repr(engine)}')
    if engine not in ENGINES:
        raise ConfigurationError(f'engine must be "ssl" or "pyopenssl", not {engine!r}')
