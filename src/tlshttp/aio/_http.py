"""One call of an ASGI application for a request, as the specification of HTTP has it.

The exchange ends with the last piece of the response, not with the application, which may have
something to do afterwards: the next request does not wait for that. From then on, or when the
client has left, ``receive()`` returns ``http.disconnect``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, NoReturn, TypeAlias

from tlshttp.aio._left import ClientLeft
from tlshttp.errors import ConnectionCut
from tlshttp.handler._response import status_line, usual_lines

__all__ = ["Call", "Message", "send_whole"]

Message: TypeAlias = MutableMapping[str, Any]

_DISCONNECT = "http.disconnect"
_AT_ONCE = 65_536
"""Bytes of a request body that are given at once: what the server takes in at once."""

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

_LENGTH = re.compile(rb"[0-9]{1,19}")

_HOP_BY_HOP = frozenset({b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection"})
"""Fields that are the server's, not the application's (RFC 9110, section 7.6.1). ``Connection`` is
not among them: with ``close`` an application ends the connection."""


class Call:
    """The call.

    Args:
        handler: The request's.
    """

    __slots__ = (
        "_answer", "_body_is_over", "_cut", "_handler", "_has_begun", "_is_over", "_line",
    )  # fmt: skip

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._answer: Any = None
        self._line: str = handler.requestline
        self._body_is_over = self._has_begun = self._is_over = False
        self._cut: ConnectionCut | None = None

    async def run(
        self, application: Callable[..., Coroutine[Any, Any, None]], scope: MutableMapping[str, Any]
    ) -> None:
        """Call the application.

        Raises:
            RuntimeError: It has not answered, or not to the end.
        """
        self._answer = self._handler._answer
        await application(scope, self.receive, self.send)
        if not self._is_over and self._answer.later is not None and not self._has_left():
            self._complain()

    def _complain(self) -> None:
        exchange = self._handler.request.exchange
        if not self._has_begun:
            raise RuntimeError(
                f"{self._line!r}: the ASGI application has returned, and not answered"
            )
        exchange.warn(
            "%r: the ASGI application has returned before the end of its response", self._line
        )
        exchange.apologise()

    def _has_left(self) -> bool:
        later = self._answer.later
        return later is None or later.has_left

    # What comes -------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next event: a piece of the body, or that the client has left."""
        if self._is_over or self._cut is not None or self._answer.later is None:
            return {"type": _DISCONNECT}
        if self._body_is_over:
            await self._answer.wait_for_end()
            return {"type": _DISCONNECT}
        handler = self._handler
        exchange = handler.request.exchange
        rfile = exchange.rfile  # which is gone from there when the connection is over
        try:
            data = await handler.read1(_AT_ONCE)
        except ConnectionCut:
            self._body_is_over = True
            if exchange.refused is not None:
                raise  # what has come is no HTTP: the client is told
            return {"type": _DISCONNECT}
        more = bool(data) and not rfile.is_at_end()
        self._body_is_over = not more
        return {"type": "http.request", "body": data, "more_body": more}

    # What goes --------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Send a piece of the response.

        Raises:
            RuntimeError: This is not its turn.
            ValueError: There is something in it that would not be HTTP.
            OSError: The client has left.
        """
        kind = message["type"]
        if self._cut is not None:
            self._leave(self._cut)
        self._is_over |= self._answer.later is None  # the application has returned without an end
        if kind == "http.response.body" and self._has_begun and not self._is_over:
            if message.get("more_body", False):
                await self._send_more(message.get("body", b""))
            else:
                self._send_last(message.get("body", b""))
        elif kind == "http.response.start" and not (self._has_begun or self._is_over):
            self._start(message)
        else:
            self._refuse(kind)

    def _refuse(self, kind: str) -> None:
        if self._is_over:
            raise RuntimeError(f"{self._line!r}: {kind} after the end of the response")
        wanted = "http.response.body" if self._has_begun else "http.response.start"
        raise RuntimeError(f"{self._line!r}: {kind} where {wanted} is due")

    def _start(self, message: Message) -> None:
        """Send the head, which is held back until there is some of the body."""
        handler = self._handler
        head = _head(handler, int(message["status"]), message.get("headers", ()))
        self._has_begun = True
        try:
            _send_head(handler, head)
        except ConnectionCut as cut:
            self._leave(cut)

    async def _send_more(self, data: bytes) -> None:
        """Send a piece of the body that is not the last."""
        try:
            if data:
                await self._handler.write(data)
            else:
                self._handler.wfile.flush()
        except ConnectionCut as cut:
            self._leave(cut)

    def _send_last(self, data: bytes) -> None:
        """Send the last piece of the body, and end the exchange."""
        if data:
            try:
                self._handler.__dict__["wfile"].write(data)  # nor here: it is not over
            except ConnectionCut as cut:
                self._leave(cut)
        self._is_over = True
        self._answer.finish()

    def _leave(self, cut: ConnectionCut) -> NoReturn:
        self._cut = cut
        raise ClientLeft(f"the client has left: {cut}") from cut


def send_whole(handler: Any, status: int, fields: Iterable[Any], body: bytes) -> None:
    """Send a response in one piece.

    Args:
        handler: The request's.
        status: The status code.
        fields: The application's, names and values in bytes; none about the length.
        body: The body.
    """
    own = [field for field in fields if field[0].lower() != b"content-length"]
    _send_head(handler, _head(handler, status, [*own, (b"Content-Length", b"%d" % len(body))]))
    handler.wfile.write(body)


def _send_head(handler: Any, head: list[bytes]) -> None:
    """End a head and send it, by ``end_headers()``, in which mix-ins add fields of their own."""
    own = type(handler)
    is_plain = own.end_headers is _PLAIN_END and own.flush_headers is _PLAIN_FLUSH
    if is_plain and handler.request_version != "HTTP/0.9":
        head.append(b"\r\n")
        handler.__dict__["wfile"].write(b"".join(head))  # which nobody need be kept from here
    else:
        handler._headers_buffer = head
        handler.end_headers()


_PLAIN_END: Final = BaseHTTPRequestHandler.end_headers
_PLAIN_FLUSH: Final = BaseHTTPRequestHandler.flush_headers


def _head(handler: Any, status: int, fields: Iterable[Any]) -> list[bytes]:
    """Return a response head without its end, as ``send_response()`` begins one; log the request.

    Raises:
        ValueError: Something would not be HTTP.
    """
    if not 200 <= status <= 599:  # RFC 9110, section 15; 1xx is no answer
        raise ValueError(f"{handler.requestline!r}: {status} is not the status of a response")
    lines, has_server, has_date = _field_lines(fields, has_length=status != HTTPStatus.NO_CONTENT)
    phrase = handler.responses.get(status, ("",))[0]
    head = [status_line("HTTP/1.1", status, phrase)]
    if not (has_server or has_date):
        head.append(usual_lines(handler.version_string(), handler.date_time_string()))
    elif not has_date:
        head.append(b"Date: %s\r\n" % handler.date_time_string().encode())
    elif not has_server:
        head.append(b"Server: %s\r\n" % handler.version_string().encode("latin-1"))
    head.append(lines)
    handler.log_request(status)
    return head


def _field_lines(fields: Iterable[Any], *, has_length: bool) -> tuple[bytes, bool, bool]:
    """Return the lines of a head, and whether Server and Date are among them.

    Args:
        fields: Names and values.
        has_length: Whether the response may have a Content-Length (RFC 9110, section 8.6).

    Raises:
        ValueError: A name is none, there is a line break or NUL in a value, or the length is none,
            or there are two of them.
    """
    lines: list[bytes] = []
    kinds = set()
    length: bytes | None = None
    for name, value in fields:
        begun, kind = _begun_line(name)
        if kind is not None:
            if kind in _HOP_BY_HOP:
                continue
            kinds.add(kind)
            if kind == b"content-length":
                if not has_length:
                    continue
                length = _checked_length(value, length)
        lines += (begun, value, b"\r\n")
    data = b"".join(lines)
    if (
        data.count(b"\n") != len(lines) // 3
        or data.count(b"\r") != len(lines) // 3
        or b"\0" in data
    ):
        raise ValueError("line break or NUL in a header field of a response")
    return data, b"server" in kinds, b"date" in kinds


_OF_NOTE: Final = _HOP_BY_HOP | {b"content-length", b"date", b"server"}


@functools.lru_cache(maxsize=256)
def _begun_line(name: bytes) -> tuple[bytes, bytes | None]:
    """Return what a field's line begins with, and its name in lower case if that is of note.

    Applications send the same few names again and again.

    Raises:
        ValueError: It is no name.
    """
    lower = name.lower()
    if lower not in _HOP_BY_HOP and not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header field")
    return name + b": ", lower if lower in _OF_NOTE else None


def _checked_length(value: bytes, earlier: bytes | None) -> bytes:
    """Return a Content-Length that can be one.

    Raises:
        ValueError: It is no number of bytes, or there was one before.
    """
    if not _LENGTH.fullmatch(value):
        raise ValueError(f"Content-Length is a number of bytes, not {value!r}")
    if earlier is not None:
        raise ValueError(f"Content-Length twice: {earlier!r} and {value!r}")
    return value
