"""How the end of a response body is marked (RFC 9112, section 6.3)."""

from __future__ import annotations

import enum

__all__ = ["AS_IS", "CHUNKED", "HEAD", "IN_DOUBT", "LENGTH", "NONE", "Framing"]


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
