"""The requests that a bad server sees: enough HTTP to find where one ends (RFC 9112)."""

from __future__ import annotations

import email.parser
from dataclasses import dataclass, field
from email.message import Message
from typing import Protocol

__all__ = ["SeenRequest", "Source", "read_request"]

_MAXIMUM_LINE = 64 * 1024
_MAXIMUM_HEAD = 256 * 1024
_MAXIMUM_BODY = 16 * 1024 * 1024
"""Bytes. Tests upload less; whoever sends more is hung up on."""


class Source(Protocol):
    """Where a request is read from; each method ends the conversation where the client does."""

    def line(self, maximum: int) -> bytes:
        """Return the next line, with its end."""

    def exactly(self, size: int) -> bytes:
        """Return the next bytes, so many."""

    def go_on(self) -> None:
        """Send ``100 (Continue)`` to a client that waits for it."""

    def hang_up(self) -> None:
        """End the connection: too much has come."""


@dataclass(frozen=True)
class SeenRequest:
    """A request that a bad server has received."""

    method: str
    """The method, such as ``"GET"``."""
    path: str
    """The target as the client sent it, with its query."""
    headers: Message = field(repr=False)
    """The header fields; names in any case."""
    body: bytes = field(repr=False)
    """The whole body, without its chunks, up to 16 MiB."""
    connection: int
    """The number of its connection, 1 for the first of the server."""

    @property
    def ends_connection(self) -> bool:
        """Whether the client has said that no other request follows on its connection."""
        return "close" in str(self.headers.get("Connection", "")).lower()


def read_request(source: Source, connection: int) -> SeenRequest:
    """Read a request, its body included."""
    request_line = source.line(_MAXIMUM_LINE).decode("latin-1")
    method, _, rest = request_line.strip().partition(" ")
    headers = _read_fields(source)
    if str(headers.get("Expect", "")).lower() == "100-continue":
        source.go_on()
    if "chunked" in str(headers.get("Transfer-Encoding", "")).lower():
        body = _read_chunks(source)
    else:
        body = source.exactly(_size(source, str(headers.get("Content-Length", "0")), 10))
    return SeenRequest(method, rest.rpartition(" ")[0] or rest, headers, body, connection)


def _read_fields(source: Source) -> Message:
    text = b""
    while (line := source.line(_MAXIMUM_LINE)).strip():
        text += line
        if len(text) > _MAXIMUM_HEAD:
            source.hang_up()
    return email.parser.Parser().parsestr(text.decode("latin-1"), headersonly=True)


def _read_chunks(source: Source) -> bytes:
    body = bytearray()
    while size := _size(source, _before_extension(source.line(_MAXIMUM_LINE)), 16):
        body += source.exactly(size)
        source.line(2)
        if len(body) > _MAXIMUM_BODY:
            source.hang_up()
    _read_fields(source)  # trailers
    return bytes(body)


def _before_extension(line: bytes) -> str:
    """Return what the first line of a chunk says of its size."""
    return line.partition(b";")[0].decode("latin-1")


def _size(source: Source, text: str, base: int) -> int:
    """Read a length; what is none, or too much, ends the connection."""
    try:
        size = int(text.strip(), base)
    except ValueError:
        size = -1
    if not 0 <= size <= _MAXIMUM_BODY:
        source.hang_up()
    return size
