"""The heads of an ASGI application's responses."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from tlshttp.handler._response import LONGEST_REMEMBERED, status_line, usual_lines

__all__ = ["Heads", "send_whole"]

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

_LENGTH = re.compile(rb"[0-9]{1,19}")

_HOP_BY_HOP = frozenset({b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection"})
"""Fields that are the server's, not the application's (RFC 9110, section 7.6.1). ``Connection`` is
not among them: with ``close`` an application ends the connection."""

_PLAIN_END: Final = BaseHTTPRequestHandler.end_headers
_PLAIN_FLUSH: Final = BaseHTTPRequestHandler.flush_headers


class Heads:
    """The heads of the responses on one connection, of which many are like the one before.

    Such a head is neither checked nor put together again. It is kept as long as the connection and
    no longer, since there may be secrets in it.

    Args:
        own: The handler's class.
    """

    __slots__ = ("_is_plain", "_last", "_told")

    def __init__(self, own: type[BaseHTTPRequestHandler]) -> None:
        self._is_plain = own.end_headers is _PLAIN_END and own.flush_headers is _PLAIN_FLUSH
        self._told: tuple[object, ...] | None = None
        self._last = b""

    def head(self, handler: Any, status: int, fields: Iterable[Any]) -> bytes:
        """Return a response head, as ``send_response()`` begins one; log the request.

        Args:
            handler: Whose response it is.
            status: The status code.
            fields: The application's, names and values in bytes.

        Raises:
            ValueError: Something would not be HTTP.
        """
        given = tuple(fields)
        told = (status, given, handler.version_string(), handler.date_time_string())
        if told == self._told:
            head = self._last
        else:
            head = _head(handler, *told)
            # What is large is not kept while the connection is idle.
            is_kept = len(head) <= LONGEST_REMEMBERED and _stays(given)
            self._told, self._last = (told, head) if is_kept else (None, b"")
        handler.log_request(status)
        return head

    def send(self, handler: Any, head: bytes) -> None:
        """Send a head, by ``end_headers()`` where mix-ins add fields of their own in there."""
        if self._is_plain and handler.request_version != "HTTP/0.9":
            handler.__dict__["wfile"].write(head)  # which nobody need be kept from here
        else:
            handler._headers_buffer = head[:-2].splitlines(keepends=True)
            handler.end_headers()


def _stays(fields: tuple[object, ...]) -> bool:
    """Return whether nobody can change the fields: a list would be equal to itself afterwards."""
    return all(
        type(field) is tuple and all(type(part) is bytes for part in field) for field in fields
    )


def send_whole(handler: Any, status: int, fields: Iterable[Any], body: bytes) -> None:
    """Send a response in one piece.

    Args:
        handler: The request's.
        status: The status code.
        fields: The application's, names and values in bytes; none about the length.
        body: The body.
    """
    own = [field for field in fields if field[0].lower() != b"content-length"]
    heads = Heads(type(handler))
    heads.send(handler, heads.head(handler, status, [*own, (b"Content-Length", b"%d" % len(body))]))
    handler.wfile.write(body)


def _head(handler: Any, status: int, fields: Iterable[Any], server: str, date: str) -> bytes:
    """Return a response head.

    Raises:
        ValueError: Something would not be HTTP.
    """
    if not 200 <= status <= 599:  # RFC 9110, section 15; 1xx is no answer
        raise ValueError(f"{handler.requestline!r}: {status} is not the status of a response")
    lines, has_server, has_date = _field_lines(fields, has_length=status != HTTPStatus.NO_CONTENT)
    phrase = handler.responses.get(status, ("",))[0]
    head = [status_line("HTTP/1.1", status, phrase)]
    if not (has_server or has_date):
        head.append(usual_lines(server, date))
    elif not has_date:
        head.append(b"Date: %s\r\n" % date.encode())
    elif not has_server:
        head.append(b"Server: %s\r\n" % server.encode("latin-1"))
    return b"".join((*head, lines, b"\r\n"))


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
