"""The opening handshake (RFC 6455, section 4.2): what is asked for, and the answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from tlshttp.errors import RequestRefused
from tlshttp.websocket._library import (
    Extension,
    InvalidHeaderFormat,
    NegotiationError,
    ServerPerMessageDeflateFactory,
    build_extension,
    parse_extension,
)
from tlshttp.websocket._terms import Origins

if TYPE_CHECKING:
    from tlshttp.websocket._terms import Terms

__all__ = ["Agreement", "judge", "offered_subprotocols", "open_websocket"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What is hashed with the client's key (section 1.3)."""

_KEY_BYTES = 16

_WINDOW_BITS = 12
"""The base two logarithm of how far compression looks back. zlib's largest, 15, takes 256 KiB for
each message that is compressed; 12 takes 32, and costs a few hundredths of what it saves."""


class Agreement(NamedTuple):
    """What was agreed on."""

    subprotocol: str | None
    compression: Extension | None


class _Refusal(Exception):
    """The request cannot be granted."""

    def __init__(self, status: HTTPStatus, message: str, *fields: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields


def open_websocket(
    handler: Any, terms: Terms, headers: Iterable[tuple[str, str]] = ()
) -> Agreement:
    """Answer a request for a WebSocket with 101, or refuse it.

    Args:
        handler: What the request has come to.
        terms: What the server wants.
        headers: Further fields of the answer.

    Raises:
        RequestRefused: It cannot be granted, and has been answered. Let it pass.
        RuntimeError: It is none of this package's servers, or the handler speaks only HTTP/1.0.
    """
    terms.check()
    if getattr(handler.request, "exchange", None) is None:
        raise RuntimeError("a WebSocket needs a connection of one of tlshttp's servers")
    if handler.protocol_version < "HTTP/1.1":
        raise RuntimeError("a WebSocket needs a handler whose protocol_version is HTTP/1.1")
    try:
        key = _key_of(handler)
        _judge_origin(handler.headers, terms)
        compression, extensions = _compression(handler.headers, terms)
    except _Refusal as refusal:
        _refuse(handler, refusal)
    subprotocol = _subprotocol(handler.headers, terms)
    handler.send_response(HTTPStatus.SWITCHING_PROTOCOLS)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Sec-WebSocket-Accept", _accept_of(key))
    if subprotocol is not None:
        handler.send_header("Sec-WebSocket-Protocol", subprotocol)
    if compression is not None:
        handler.send_header("Sec-WebSocket-Extensions", extensions)
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()
    return Agreement(subprotocol, compression)


def judge(handler: Any, terms: Terms) -> None:
    """Refuse what is no request for a WebSocket, or a page's of somebody else's.

    Args:
        handler: What the request has come to.
        terms: What the server wants.

    Raises:
        RequestRefused: It has been answered. Let it pass.
    """
    try:
        _key_of(handler)
        _judge_origin(handler.headers, terms)
    except _Refusal as refusal:
        _refuse(handler, refusal)


def offered_subprotocols(headers: Any) -> list[str]:
    """Return what the client speaks, in its order."""
    return _tokens(headers, "Sec-WebSocket-Protocol")


def _refuse(handler: Any, refusal: _Refusal) -> NoReturn:
    """Say why not, and report it."""
    refused = RequestRefused(str(refusal), status=refusal.status)
    exchange = handler.request.exchange
    exchange.refused = refused
    body = f"{refusal}\n".encode()
    handler.send_response(refusal.status)
    for name, value in refusal.fields:
        handler.send_header(name, value)
    handler.send_header("Content-Type", "text/plain; charset=utf-8")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
    raise refused


def _tokens(headers: Any, name: str) -> list[str]:
    """Return the members of a list field, all its lines together."""
    lines = headers.get_all(name) or ()
    return [token for line in lines for token in map(str.strip, str(line).split(",")) if token]


def _key_of(handler: Any) -> str:
    """Return the client's key, if this is a request for a WebSocket."""
    headers = handler.headers
    if handler.command != "GET":
        message = "A WebSocket is asked for with GET"
        raise _Refusal(HTTPStatus.METHOD_NOT_ALLOWED, message, ("Allow", "GET"))
    if handler.request_version < "HTTP/1.1":
        raise _Refusal(HTTPStatus.BAD_REQUEST, "A WebSocket needs HTTP/1.1")
    upgrades = any(token.lower() == "upgrade" for token in _tokens(headers, "Connection"))
    wanted = [token.lower() for token in _tokens(headers, "Upgrade")]
    if not upgrades or "websocket" not in wanted:
        fields = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
        raise _Refusal(HTTPStatus.UPGRADE_REQUIRED, "This is for WebSockets", *fields)
    if _tokens(headers, "Sec-WebSocket-Version") != ["13"]:
        message = "The version of WebSockets here is 13"
        raise _Refusal(HTTPStatus.UPGRADE_REQUIRED, message, ("Sec-WebSocket-Version", "13"))
    if headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers:
        raise _Refusal(HTTPStatus.BAD_REQUEST, "A request for a WebSocket has no body")
    keys = headers.get_all("Sec-WebSocket-Key") or []
    if len(keys) != 1 or not _is_key(str(keys[0])):
        raise _Refusal(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key is none")
    return str(keys[0]).strip()


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key.strip().encode(), validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _accept_of(key: str) -> str:
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _judge_origin(headers: Any, terms: Terms) -> None:
    """Refuse a page of somebody else's; what says no origin is no page, since browsers always do.

    RFC 6455, section 10.2. Nothing else does: cookies and client certificates go with requests that
    any page makes.
    """
    origins = headers.get_all("Origin") or []
    if not origins or terms.origins is Origins.ANY:
        return
    origin = str(origins[0]).strip()
    if len(origins) == 1:
        if terms.origins is Origins.SAME_HOST:
            if _is_same_host(origin, str(headers.get("Host", ""))):
                return
        elif origin.lower() in {each.lower().rstrip("/") for each in terms.origins}:
            return
    raise _Refusal(HTTPStatus.FORBIDDEN, "Pages of this origin may not open WebSockets here")


def _is_same_host(origin: str, host: str) -> bool:
    try:
        page, here = urlsplit(origin), urlsplit(f"https://{host}")
        return (
            page.scheme == "https"
            and bool(page.hostname)
            and "@" not in page.netloc  # no origin has it (RFC 6454, section 6.2)
            and (page.hostname, page.port or 443) == (here.hostname, here.port or 443)
        )
    except ValueError:
        return False


def _subprotocol(headers: Any, terms: Terms) -> str | None:
    """Return the first of the server's that the client speaks, too."""
    offered = offered_subprotocols(headers)
    return next((each for each in terms.subprotocols if each in offered), None)


def _compression(headers: Any, terms: Terms) -> tuple[Extension | None, str]:
    """Agree on compression, such that nothing of it stays in memory between two messages."""
    lines = headers.get_all("Sec-WebSocket-Extensions") or ()
    factory = ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=_WINDOW_BITS,
        compress_settings={"memLevel": 5},
    )
    try:
        offers = [offer for line in lines for offer in parse_extension(str(line))]
    except InvalidHeaderFormat as error:
        message = "Sec-WebSocket-Extensions cannot be read"
        raise _Refusal(HTTPStatus.BAD_REQUEST, message) from error
    for name, parameters in offers if terms.compression else ():
        if name == factory.name:
            try:
                agreed, extension = factory.process_request_params(parameters, [])
            except NegotiationError:
                continue
            return extension, build_extension([(name, agreed)])
    return None, ""
