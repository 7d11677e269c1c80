"""TLS on buffers in memory, by either engine, for a server that decides on every byte it sends.

`ssl` does everything that it can do. pyOpenSSL does the rest: a group that is not a curve, an
application protocol that the client has not offered, a stapled OCSP response.
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from tlshttp.certs._memory import pem_path
from tlshttp.errors import ConfigurationError
from tlshttp.testing._bad.recipes import Shown
from tlshttp.testing._bad.vocabulary import Terms

if TYPE_CHECKING:
    import OpenSSL.SSL

__all__ = ["Ended", "Engine", "Wanting", "prepare"]

_CURVES = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}
"""The groups that `ssl` can be held to before Python 3.15, as RFC 8446 and OpenSSL call them."""

_WEAK = ":@SECLEVEL=0"
"""OpenSSL refuses to show a weak certificate, or to speak TLS 1.1, at any higher level."""

_READ_SIZE = 16 * 1024


class Wanting(Exception):
    """More bytes have to come from the peer first."""


class Ended(Exception):
    """The peer has ended TLS, or has broken it; the message tells how."""


class Engine(Protocol):
    """One server side of TLS, between two buffers."""

    def receive(self, data: bytes) -> None:
        """Take bytes that have come from the wire."""

    def pending(self) -> bytes:
        """Return bytes that have to go on the wire."""

    def handshake(self) -> None:
        """Go on with the handshake; return when it is done."""

    def read(self) -> bytes:
        """Return what has come, decrypted; nothing means that the peer has ended it."""

    def write(self, data: bytes) -> None:
        """Encrypt at most 16 KiB as one record."""

    def close(self) -> None:
        """Make a ``close_notify``."""

    def facts(self) -> tuple[str, str]:
        """Return version and cipher."""


def prepare(
    terms: Terms, shown: Shown, client_ca: str, staple: bytes | None
) -> Callable[[], Engine]:
    """Make a context, and return what makes an engine for each connection.

    Args:
        terms: What is negotiated.
        shown: What is shown.
        client_ca: Who has issued clients' certificates, as PEM.
        staple: The OCSP response to staple, in DER; `None`: none.

    Raises:
        ConfigurationError: The engines cannot do it here.
    """
    foreign_group = terms.group is not None and terms.group not in _CURVES
    if foreign_group or terms.forced_alpn or terms.alpn or staple:
        with warnings.catch_warnings():
            # Before pyOpenSSL 25.2 set_cipher_list() makes a connection, and so a used context.
            warnings.simplefilter("ignore", DeprecationWarning)
            context = _pyopenssl_context(terms, shown, client_ca, staple)
        return lambda: _PyOpenSSLEngine(context)
    standard = _ssl_context(terms, shown, client_ca)
    return lambda: _SSLEngine(standard)


def _ssl_context(terms: Terms, shown: Shown, client_ca: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.set_ciphers((terms.ciphers or "DEFAULT") + _WEAK)
    except ssl.SSLError:
        raise _no_cipher(terms) from None
    with warnings.catch_warnings():  # old versions are what was asked for
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = terms.minimum_version
        context.maximum_version = terms.maximum_version
    if terms.group is not None:
        context.set_ecdh_curve(_CURVES[terms.group])
    context.set_alpn_protocols(["http/1.1"])
    if terms.client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca)
    with pem_path(shown.to_pem()) as path:
        context.load_cert_chain(path)
    return context


def _no_cipher(terms: Terms) -> ConfigurationError:
    return ConfigurationError(f"this OpenSSL knows none of the ciphers {terms.ciphers!r}")


class _SSLEngine:
    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    def receive(self, data: bytes) -> None:
        self._in.write(data)

    def pending(self) -> bytes:
        return self._out.read()

    def handshake(self) -> None:
        self._do(self._tls.do_handshake)

    def read(self) -> bytes:
        try:
            data: bytes = self._do(self._tls.read, _READ_SIZE)
        except ssl.SSLZeroReturnError:
            return b""
        return data

    def write(self, data: bytes) -> None:
        self._do(self._tls.write, data)

    def close(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLError:  # it waits for the peer's, and need not
            return

    def facts(self) -> tuple[str, str]:
        return self._tls.version() or "", (self._tls.cipher() or ("",))[0]

    @staticmethod
    def _do(action: Callable[..., Any], *arguments: object) -> Any:
        try:
            return action(*arguments)
        except ssl.SSLWantReadError:
            raise Wanting from None
        except ssl.SSLZeroReturnError:
            raise
        except ssl.SSLError as error:
            raise Ended(error.reason or str(error)) from None


def _pyopenssl_context(
    terms: Terms, shown: Shown, client_ca: str, staple: bytes | None
) -> OpenSSL.SSL.Context:
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.set_cipher_list(((terms.ciphers or "DEFAULT") + _WEAK).encode())
    except SSL.Error:
        raise _no_cipher(terms) from None
    context.set_min_proto_version(terms.minimum_version)
    context.set_max_proto_version(terms.maximum_version)
    if terms.group is not None:
        _set_group(context, terms.group)
    if terms.client_certificate:
        _require_client_certificate(context, client_ca)
    context.set_alpn_select_callback(_alpn_choice(terms))
    if staple is not None:
        context.set_ocsp_server_callback(lambda _connection, _data: staple)
    context.use_privatekey(shown.key)
    context.use_certificate(shown.leaf)
    for certificate in shown.certificates[1:]:
        context.add_extra_chain_cert(certificate)
    return context


def _require_client_certificate(context: OpenSSL.SSL.Context, client_ca: str) -> None:
    from OpenSSL import SSL, crypto

    store = context.get_cert_store()
    if store is None:
        raise ConfigurationError("this pyOpenSSL has no store for the issuer of clients")
    store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, client_ca.encode("ascii")))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, None)
    context.set_session_id(b"tlshttp")  # OpenSSL resumes nothing with a client's name without one


def _alpn_choice(terms: Terms) -> Callable[[OpenSSL.SSL.Connection, list[bytes]], Any]:
    from OpenSSL import SSL

    def choose(_connection: OpenSSL.SSL.Connection, offered: list[bytes]) -> object:
        if terms.forced_alpn is not None:
            return terms.forced_alpn.encode("ascii")
        wanted = (terms.alpn or "http/1.1").encode("ascii")
        if wanted in offered:
            return wanted
        if terms.alpn is None:
            return SSL.NO_OVERLAPPING_PROTOCOLS
        raise Ended("no shared application protocol")  # pyOpenSSL makes an alert of it

    return choose


def _set_group(context: OpenSSL.SSL.Context, group: str) -> None:
    """Hold a context to one group, by the function that pyOpenSSL binds and has no method for."""
    from OpenSSL import _util

    setter = getattr(_util.lib, "SSL_CTX_set1_curves_list", None)
    inner = getattr(context, "_context", None)
    if setter is None or inner is None or setter(inner, group.encode("ascii")) != 1:
        raise ConfigurationError(
            f"this OpenSSL cannot be held to the group {group}: update pyOpenSSL and cryptography"
        )


class _PyOpenSSLEngine:
    def __init__(self, context: OpenSSL.SSL.Context) -> None:
        from OpenSSL import SSL

        self._errors = SSL
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()

    def receive(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._tls.bio_write(bytes(view)) :]

    def pending(self) -> bytes:
        pieces = []
        while True:
            try:
                pieces.append(self._tls.bio_read(_READ_SIZE))
            except self._errors.WantReadError:
                return b"".join(pieces)

    def handshake(self) -> None:
        self._do(self._tls.do_handshake)

    def read(self) -> bytes:
        try:
            data: bytes = self._do(self._tls.recv, _READ_SIZE)
        except self._errors.ZeroReturnError:
            return b""
        return data

    def write(self, data: bytes) -> None:
        self._do(self._tls.send, data)

    def close(self) -> None:
        try:
            self._tls.shutdown()
        except self._errors.Error:
            return

    def facts(self) -> tuple[str, str]:
        return self._tls.get_protocol_version_name(), self._tls.get_cipher_name() or ""

    def _do(self, action: Callable[..., Any], *arguments: object) -> Any:
        try:
            return action(*arguments)
        except self._errors.WantReadError:
            raise Wanting from None
        except self._errors.ZeroReturnError:
            raise
        except (self._errors.Error, Ended) as error:
            raise Ended(str(error)) from None
