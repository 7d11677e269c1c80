"""The head that an application gives to ``start_response()``: whether it may be sent.

What is wrong with it is raised, and nothing sent: whoever can put a line break into a field writes
a response of his own. Fields of the connection are the server's (PEP 3333, "Other HTTP Features").
"""

from __future__ import annotations

import functools
import re
from typing import Any

__all__ = ["Head"]

_STATUS = re.compile(r"([1-9][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_ILLEGAL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, section 5.5
_LENGTH = re.compile(r"[0-9]{1,19}")

_OF_CONNECTION = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "trailers", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""RFC 2616, section 13.5.1, which PEP 3333 refers to, with the misspelling there (erratum 3)."""


class Head:
    """Status and fields of a response.

    Args:
        status: As ``start_response()`` was given it: ``"200 OK"``.
        fields: Likewise: pairs of name and value.

    Raises:
        TypeError: Something has not the type that PEP 3333 wants.
        ValueError: Something must not be in a head.
    """

    __slots__ = ("code", "has_body", "length", "lines", "pairs", "phrase", "says_usual")

    def __init__(self, status: Any, fields: Any) -> None:
        self.code, self.phrase = _parsed_status(status)
        self.pairs: list[tuple[str, str]] = []
        """Name and value of each field."""
        self.lines: list[bytes] = []
        """The same as they are sent."""
        self.length = -1
        """The Content-Length; -1 without one."""
        self.says_usual = False
        """Whether a field is there that the server sends by itself where it is not."""
        self.has_body = self.code not in _BODILESS
        """Whether the status allows one (RFC 9112, section 6.3)."""
        pair: Any = None
        try:
            for pair in fields:
                name, value = pair
                parse = _parsed_field if len(value) <= _LONGEST_REMEMBERED else _parse
                line, kind = parse(name, value)
                if kind is PLAIN or self._takes(kind, value):
                    self.lines.append(line)
                    self.pairs.append(pair)
        except TypeError:
            raise _mistyped(pair) from None

    def announce(self, size: int) -> None:
        """Add the Content-Length, which the application has left to the server."""
        self.length = size
        self.pairs.append(("Content-Length", str(size)))
        self.lines.append(b"Content-Length: %d\r\n" % size)

    def _takes(self, kind: int, value: str) -> bool:
        """Take note of a field that means something; tell if it is to be sent."""
        if kind is USUAL:
            self.says_usual = True
            return True
        if self.length >= 0:
            raise ValueError("Content-Length twice")
        if self.code == 204:  # RFC 9110, section 8.6
            return False
        self.length = int(value)
        return True


PLAIN, LENGTH, USUAL = range(3)
"""Kinds of fields."""

_BODILESS = frozenset({204, 304})

_LONGEST_REMEMBERED = 64
"""Characters of a value that is likely to be sent again."""


@functools.lru_cache(maxsize=64)
def _parse_status(status: str) -> tuple[int, str]:
    """Return code and phrase of a status such as ``"200 OK"``."""
    match = _STATUS.fullmatch(status)
    if match is None:
        begin = status.partition(" ")[0]
        raise ValueError(f'the status is to begin as "200 OK" does (PEP 3333), not {begin!r}')
    if not _is_latin(status):
        raise ValueError("a status has no other characters than those of Latin-1 (PEP 3333)")
    code = int(match[1])
    if code < 200:
        raise ValueError(f"{code} is no final status, and an application can send no other")
    return code, match[2] or ""


def _parsed_status(status: Any) -> tuple[int, str]:
    if isinstance(status, str):
        return _parse_status(status)
    raise TypeError(f"a status is a str, not {type(status).__name__} (PEP 3333)")


def _parse(name: Any, value: Any) -> tuple[bytes, int]:
    """Return the line of a field, and its kind.

    Raises:
        TypeError: Name or value is no text.
        ValueError: It must not be sent.
    """
    if not (isinstance(name, str) and isinstance(value, str)):
        raise TypeError(name, value)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header field")
    if _ILLEGAL.search(value):
        raise ValueError(f"line break or control character in the header field {name}")
    if not _is_latin(value):
        raise ValueError(
            f"the header field {name} has other characters than those of Latin-1 (PEP 3333)"
        )
    lower = name.lower()
    if lower in _OF_CONNECTION:
        raise ValueError(f"{name} is of the connection, which is the server's (PEP 3333)")
    if lower == "content-length" and not _LENGTH.fullmatch(value):
        raise ValueError(f"Content-Length is a number of bytes, not {value!r}")
    kind = {"content-length": LENGTH, "date": USUAL, "server": USUAL}.get(lower, PLAIN)
    return f"{name}: {value}\r\n".encode("latin-1"), kind


_parsed_field = functools.lru_cache(maxsize=512)(_parse)
"""The same, for what is the same in most responses of an application."""


def _is_latin(text: str) -> bool:
    return text.isascii() or max(text) <= "\xff"


def _mistyped(pair: Any) -> TypeError:
    types = type(pair).__name__
    if isinstance(pair, (tuple, list)):
        types = ", ".join(type(each).__name__ for each in pair)
    return TypeError(f"header fields are pairs of str, not of {types} (PEP 3333)")
