"""The requests that a bad server sees: enough HTTP to find where one ends."""

from __future__ import annotations

import email.parser
from dataclasses import dataclass, field
from email.message import Message

__all__ = ["SeenRequest", "parse_request"]

_HEAD_END = b"\r\n\r\n"


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
    """The body; nothing where it came in chunks, which are not read."""
    connection: int
    """The number of its connection, 1 for the first of the server."""

    @property
    def ends_connection(self) -> bool:
        """Whether no other request can follow on its connection."""
        tokens = str(self.headers.get("Connection", "")).lower()
        return "close" in tokens or "Transfer-Encoding" in self.headers


def parse_request(data: bytes, connection: int) -> tuple[SeenRequest | None, int]:
    """Return the request that the data begins with, and its length; `None` until it is whole."""
    head, separator, rest = data.partition(_HEAD_END)
    if not separator:
        return None, 0
    line, _, fields = head.decode("latin-1").partition("\r\n")
    method, _, target = line.partition(" ")
    headers = email.parser.Parser().parsestr(fields, headersonly=True)
    length = str(headers.get("Content-Length", "0"))
    size = int(length) if length.isascii() and length.isdecimal() and len(length) < 9 else 0
    if len(rest) < size:
        return None, 0
    request = SeenRequest(
        method, target.rpartition(" ")[0] or target, headers, rest[:size], connection
    )
    return request, len(head) + len(separator) + size
