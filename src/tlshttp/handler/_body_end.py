"""How the end of a response body is marked (RFC 9112, section 6.3)."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlshttp.handler._responding import Responding
    from tlshttp.handler._response import ResponseHead

__all__ = [
    "AS_IS",
    "CHUNKED",
    "HEAD",
    "IN_DOUBT",
    "LENGTH",
    "NONE",
    "Framing",
    "framing_of",
    "in_bytes",
]

_WITHOUT_BODY = ("HEAD", "CONNECT")
"""Methods to which a response has no body, or is the beginning of another protocol."""


class Framing(enum.Enum):
    """How the end of a response body is marked (section 6.3)."""

    HEAD = enum.auto()
    """The head has not been written."""
    NONE = enum.auto()
    """There is no body, whatever the handler writes: HEAD, 204, 304; or the response is over."""
    LENGTH = enum.auto()
    """By Content-Length."""
    CHUNKED = enum.auto()
    """By the last chunk (section 7.1)."""
    AS_IS = enum.auto()
    """By the end of the connection, or by the handler itself."""
    IN_DOUBT = enum.auto()
    """The handler has raised an exception and written nothing since. Whoever called it may catch
    that, and write on."""


# These names spare the look-up in an enumeration, which is slow in Python 3.11.
HEAD, NONE, LENGTH, CHUNKED, AS_IS, IN_DOUBT = Framing


def framing_of(head: ResponseHead, exchange: Responding) -> Framing:
    """Return how a body is to end.

    Args:
        head: The head of its response.
        exchange: What the request was.
    """
    if head.is_special or exchange.method in _WITHOUT_BODY:
        if exchange.method == "HEAD":
            return NONE
        if exchange.takes_over(head):  # 204 to CONNECT, too
            return AS_IS
        if head.has_no_body:
            return NONE
    if head.transfer_encoding:
        return AS_IS
    if head.length >= 0:
        return LENGTH
    # Chunks are of HTTP/1.1, on both sides.
    if head.has_odd_length or not (exchange.minor_version and head.minor_version):
        return AS_IS
    return CHUNKED


def in_bytes(count: int) -> str:
    """Return a number of bytes in words."""
    return "1 byte" if count == 1 else f"{count} bytes"
