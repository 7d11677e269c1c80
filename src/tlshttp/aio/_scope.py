"""What an ASGI application is told of a request: its scope."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp._tls_info import TLSInfo
    from tlshttp.handler._forwarded import ForwardedRequest

__all__ = ["ASGI", "Scope", "Scopes", "checked_root_path", "tls_extension"]

Scope = MutableMapping[str, Any]

ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
"""The versions of ASGI, and of its specification of HTTP and WebSocket. ``send()`` raises an
`OSError` when the client has left, as with 2.4. But Starlette takes that to mean that nobody need
listen for a client that leaves, and lets streams go on until they have something to send."""

_VERSIONS: Final = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
"""Protocol versions on the wire (RFC 8446, section 4.2.1)."""


def checked_root_path(root_path: str) -> str:
    """Return where an application is mounted, as ASGI has it: without a slash at its end.

    Raises:
        ConfigurationError: It does not begin with a slash.
    """
    if root_path and not root_path.startswith("/"):
        raise ConfigurationError(f"root_path must begin with a slash, unlike {root_path!r}")
    return root_path.rstrip("/")


class Scopes:
    """The scopes of the requests on one connection, of which most are like the one before.

    Args:
        root_path: Where the application is mounted, as `checked_root_path` returns it.
        tls: What `tls_extension` says of the connection.
    """

    __slots__ = ("_last", "_root_path", "_tls", "_told")

    def __init__(self, root_path: str, tls: Mapping[str, object]) -> None:
        self._root_path = root_path
        self._tls = tls
        self._told: tuple[object, ...] | None = None
        self._last: dict[str, Any] = {}

    def scope(self, handler: Any) -> Scope:
        """Return the scope of a request; it is the application's to change."""
        exchange = handler.request.exchange
        told = (
            handler.path, handler.command, handler.request_version, exchange.fields,
            handler.client_address, handler.forwarded,
        )  # fmt: skip
        if told != self._told:
            self._last = _described(handler, self._root_path)
            # What is large is not kept while the connection is idle.
            self._told = told if exchange.is_plain else None
        scope = self._last.copy()
        scope["asgi"] = ASGI.copy()
        scope["headers"] = scope["headers"].copy()
        scope["extensions"] = {"tls": self._tls}
        return scope


def _described(handler: Any, root_path: str) -> dict[str, Any]:
    """Return what a scope says of a request."""
    target: str = handler.path
    if target[:1] != "/":
        target = _origin_form(target)
    path, _, query = target.partition("?")
    path = root_path + path
    kind = "websocket" if _asks_for_websocket(handler) else "http"
    scope = {
        "type": kind,
        "http_version": "1.0" if handler.request_version == "HTTP/1.0" else "1.1",
        "scheme": _scheme(kind, handler.forwarded),
        "path": path if "%" not in path and path.isascii() else _decoded(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": root_path,
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in handler.request.exchange.fields
        ],
        "client": _address(handler.client_address),
        "server": _server(handler.server),
    }
    if kind == "http":
        scope["method"] = handler.command
    return scope


def _asks_for_websocket(handler: Any) -> bool:
    """Return whether a request asks for a WebSocket (RFC 6455, section 4.1)."""
    upgrade = handler.headers.get("Upgrade")
    return (
        upgrade is not None
        and upgrade.strip().lower() == "websocket"
        and handler.command == "GET"
        and handler.request_version == "HTTP/1.1"
    )


_SCHEMES: Final = {
    "http": {"http": "http", "https": "https"},
    "websocket": {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"},
}
"""What the scope says where a proxy has named a scheme, by the kind of the scope."""


def _scheme(kind: str, forwarded: ForwardedRequest | None) -> str:
    """Return how the client has asked: by TLS, unless a trusted proxy says otherwise."""
    told = "https" if forwarded is None or forwarded.scheme is None else forwarded.scheme
    schemes = _SCHEMES[kind]
    return schemes.get(told, schemes["https"])


def _decoded(path: str) -> str:
    """Return a path percent-decoded, as UTF-8; what is none is replaced."""
    return unquote_to_bytes(path.encode("latin-1")).decode("utf-8", "replace")


def _origin_form(target: str) -> str:
    """Return path and query of an absolute target (RFC 9112, section 3.2.2)."""
    _, separator, rest = target.partition("://")
    if not separator:
        return target  # the * of OPTIONS
    for index, character in enumerate(rest):
        if character in "/?":
            rest = rest[index:]
            return rest if character == "/" else "/" + rest
    return "/"


def _address(address: Any) -> tuple[str, int] | None:
    """Return a client's address; `None` on an ``AF_UNIX`` socket, where it has none."""
    if isinstance(address, tuple) and len(address) >= 2:
        return str(address[0]), int(address[1])
    return None


def _server(server: Any) -> tuple[str, int | None]:
    address = server.server_address
    if isinstance(address, tuple):
        return str(address[0]), int(address[1])
    return str(address), None


def tls_extension(tls: TLSInfo) -> dict[str, object]:
    """Return the extension ``tls`` of ASGI's specification (version 0.2).

    The server's own certificate is not in it: which one was shown, only the engine knows.
    """
    return {
        "server_cert": None,
        "client_cert_chain": [_pem(certificate) for certificate in tls.peer_chain],
        "client_cert_name": _name_of_client(tls),
        "client_cert_error": None,  # a certificate that is not accepted ends the handshake
        "tls_version": _VERSIONS.get(tls.version),
        "cipher_suite": _cipher_suites().get(tls.cipher),
    }


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    text: str = certificate.public_bytes(Encoding.PEM).decode("ascii")
    return text


def _name_of_client(tls: TLSInfo) -> str | None:
    certificate = tls.peer_certificate
    try:
        return None if certificate is None else certificate.subject.rfc4514_string()
    except ValueError:  # OpenSSL takes certificates that cryptography does not
        return None


@functools.cache
def _cipher_suites() -> dict[str, int]:
    """Return the numbers of cipher suites (RFC 8446, appendix B.4, and earlier) by name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    return {suite["name"]: suite["id"] & 0xFFFF for suite in context.get_ciphers()}
