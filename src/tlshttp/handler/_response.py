"""What a response head says, and what is still to be said in it.

Sections are of RFC 9112 (HTTP/1.1) where none is named.
"""

from __future__ import annotations

import email.utils
import functools
from collections.abc import Iterable
from http import HTTPStatus

from tlshttp.handler._writer import AS_IS, CHUNKED, LENGTH, NONE, Framing

__all__ = [
    "DECISIVE",
    "ResponseHead",
    "format_date",
    "header_fields",
    "header_line",
    "status_line",
    "usual_lines",
]

_BODYLESS = frozenset({int(HTTPStatus.NO_CONTENT), int(HTTPStatus.NOT_MODIFIED)})
_SWITCHING_PROTOCOLS = int(HTTPStatus.SWITCHING_PROTOCOLS)
_SPECIAL = _BODYLESS | {_SWITCHING_PROTOCOLS}


DECISIVE = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})
"""The fields, in lower case, that decide about framing and the connection."""


class ResponseHead:
    """The head of one response after the other while a handler puts it together."""

    __slots__ = ("connection", "length", "status", "streams", "transfer_encoding")

    def __init__(self) -> None:
        self.begin()

    def begin(self, status: int = 0) -> None:
        """Begin a head, and forget the one before."""
        self.status = status
        """The status code; 0 where the handler wrote none."""
        self.length: str | None = None
        """The Content-Length the handler gave, if any."""
        self.transfer_encoding = False
        """Whether the handler frames the body by itself."""
        self.connection = False
        """Whether the handler gave a Connection field."""
        self.streams = False
        """Whether it is an event stream, whose head must not wait for the first event."""

    def take_note(self, name: str, value: str) -> None:
        """Take note of one of the `DECISIVE` fields."""
        if name == "content-length":
            self.length = value.strip()
        elif name == "content-type":
            self.streams = value.startswith("text/event-stream")
        elif name == "connection":
            self.connection = True
        else:
            self.transfer_encoding = True

    def takes_over(self, method: str) -> bool:
        """Whether the connection is the handler's after the head, and no longer HTTP.

        So it is after 101, and after CONNECT (RFC 9110, sections 15.2.2 and 9.3.6).
        """
        return self.status == _SWITCHING_PROTOCOLS or (
            method == "CONNECT" and 200 <= self.status < 300
        )

    @property
    def is_interim(self) -> bool:
        """Whether another response follows this one (RFC 9110, section 15.2)."""
        return 100 <= self.status < 200 and self.status != _SWITCHING_PROTOCOLS

    def framing(self, method: str) -> Framing:
        """Return how the body is to end (section 6.3), if the client understands chunks.

        Args:
            method: Of the request.
        """
        if self.status in _SPECIAL or method in ("HEAD", "CONNECT"):
            if method == "HEAD" or self.status in _BODYLESS:
                return NONE
            if self.takes_over(method):
                return AS_IS
        if self.transfer_encoding:
            return AS_IS
        if self.length is not None:
            return LENGTH if self.length.isascii() and self.length.isdigit() else AS_IS
        return CHUNKED


@functools.lru_cache(maxsize=256)
def status_line(version: str, code: int, message: str) -> bytes:
    """Return the status line.

    Raises:
        ValueError: There is a line break in it.
    """
    text = f"{version} {code:d} {message}"
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError(f"line break or NUL in a status line: {text!r}")
    return (text + "\r\n").encode("iso-8859-1")


def header_line(name: str, value: object) -> bytes:
    """Return a header line.

    Raises:
        ValueError: There is a line break or NUL in it (RFC 9110, section 5.5), which would let
            whoever wrote the value write headers, too.
    """
    text = f"{name}: {value}"
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError(f"line break or NUL in a response header: {text!r}")
    return (text + "\r\n").encode("iso-8859-1")


@functools.lru_cache(maxsize=8)
def usual_lines(server: str, date: str) -> bytes:
    """Return the lines of Server and Date, which many responses in a row have the same.

    Raises:
        ValueError: As `header_line`.
    """
    return header_line("Server", server) + header_line("Date", date)


def header_fields(lines: Iterable[bytes]) -> list[tuple[str, str]]:
    """Return name and value of the fields in a head, or in the beginning of one."""
    text = b"".join(lines).decode("iso-8859-1")
    pairs = (line.partition(": ") for line in text.split("\r\n"))
    return [(name, value) for name, _, value in pairs if value and " " not in name]


@functools.lru_cache(maxsize=2)
def format_date(timestamp: int) -> str:
    """Return a time as the Date field has it (RFC 9110, section 5.6.7)."""
    return email.utils.formatdate(timestamp, usegmt=True)
