"""What a response head says, and what is still to be said in it.

Sections are of RFC 9112 (HTTP/1.1) where none is named.
"""

from __future__ import annotations

import email.utils
import functools
import re
from collections.abc import Iterable
from http import HTTPStatus

__all__ = [
    "CHUNKED_LINE",
    "CLOSE_LINE",
    "KEEP_LINE",
    "LONGEST_HEAD",
    "LONGEST_REMEMBERED",
    "ResponseHead",
    "format_date",
    "framed_head",
    "head_end",
    "header_fields",
    "header_line",
    "is_end_of_head",
    "parsed_head",
    "remembered_head",
    "status_line",
    "usual_lines",
    "writes_interim_response",
]

CHUNKED_LINE = b"Transfer-Encoding: chunked\r\n"
CLOSE_LINE = b"Connection: close\r\n"
KEEP_LINE = b"Connection: keep-alive\r\n"

_BODYLESS = frozenset({int(HTTPStatus.NO_CONTENT), int(HTTPStatus.NOT_MODIFIED)})
_SWITCHING_PROTOCOLS = int(HTTPStatus.SWITCHING_PROTOCOLS)
_SPECIAL = _BODYLESS | {_SWITCHING_PROTOCOLS}

_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})[ \r\n]")

# The fields that decide about framing and the connection.
_FIELD = re.compile(
    rb"\n(content-length|transfer-encoding|connection|content-type):[ \t]*([^\r\n]*)"
)
_FRAMING_LINES = {
    name: re.compile(rb"(?<=\n)" + name + rb":[^\n]*\n", re.IGNORECASE)
    for name in (b"content-length", b"connection")
}


class ResponseHead:
    """What a head says about framing and the connection.

    Args:
        data: The head, with its empty line.
    """

    __slots__ = (
        "connection", "data", "end", "has_odd_length", "is_plain", "length", "minor_version",
        "repeats_length", "status", "streams", "transfer_encoding", "unbounded",
    )  # fmt: skip

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = head_end(data)
        """Where it ends, after its empty line; 0 if it does not."""
        match = _STATUS.match(data)
        self.minor_version = int(match[1]) if match else 0
        """Of HTTP/1."""
        self.status = int(match[2]) if match else 0
        """The status code; 0 where it is no head."""
        self.length = -1
        """The Content-Length, in bytes; -1 where there is none that is a number."""
        self.has_odd_length = self.repeats_length = False
        self.transfer_encoding = False
        """Whether the handler frames the body by itself."""
        self.unbounded = False
        """Whether the end of the connection marks it, rather than chunks (section 6.3)."""
        self.connection: bytes | None = None
        """The Connection field, in lower case; `None` without one."""
        self.streams = False
        """Whether it is an event stream, whose head must not wait for the first event."""
        for name, value in _FIELD.findall(data.lower()):
            self._take_note(name, value)
        self.is_plain = (
            self.length >= 0
            and self.minor_version > 0
            and self.end == len(data)
            and self.status >= 200
            and self.status not in _SPECIAL
            and not (self.transfer_encoding or self.repeats_length or self.streams)
            and b"\nconnection:" not in data.lower()
        )
        """Whether it can be sent as it is on a connection that is kept."""

    def _take_note(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            length = int(value) if value.strip().isdigit() else -1
            self.repeats_length |= self.length >= 0
            self.has_odd_length |= length < 0 or (self.repeats_length and length != self.length)
            self.length = -1 if self.has_odd_length else length
        elif name == b"content-type":
            self.streams = value.startswith(b"text/event-stream")
        elif name == b"connection":
            self.connection = value if self.connection is None else self.connection + b"," + value
        else:
            self.transfer_encoding = True
            self.unbounded = value.rpartition(b",")[2].strip(b" \t") != b"chunked"

    @property
    def is_interim(self) -> bool:
        """Whether another response follows this one (RFC 9110, section 15.2)."""
        return self.status < 200 and self.status != _SWITCHING_PROTOCOLS

    @property
    def is_special(self) -> bool:
        """Whether the status says something about the body."""
        return self.status in _SPECIAL

    @property
    def has_no_body(self) -> bool:
        """Whether the status allows no body (section 6.3)."""
        return self.status in _BODYLESS

    @property
    def switches_protocols(self) -> bool:
        """Whether the connection is no longer HTTP (RFC 9110, section 15.2.2)."""
        return self.status == _SWITCHING_PROTOCOLS

    def asks(self) -> bool | None:
        """Return whether the handler wants to keep the connection (true), close it, or neither."""
        if self.connection is None:
            return None
        options = [option.strip(b" \t") for option in self.connection.split(b",")]
        if b"close" in options:
            return False
        return True if b"keep-alive" in options else None


remembered_head = functools.lru_cache(maxsize=32)(ResponseHead)
"""Returns what a head says; many in a row are the same, for as long as a second lasts."""

LONGEST_REMEMBERED = 1_024
"""Bytes of a head that is remembered."""


LONGEST_HEAD = 1_048_576
"""Bytes within which a response head has to end; what is longer is no head."""

_END_OF_HEAD = re.compile(rb"([!-9;-~]+:[^\r\n]*\r\n)*\r\n")


def is_end_of_head(data: bytes | memoryview) -> bool:
    """Return whether this is nothing but fields and an empty line."""
    return _END_OF_HEAD.fullmatch(data) is not None


def parsed_head(data: bytes) -> ResponseHead:
    """Return what a head says, of whatever size."""
    return remembered_head(data) if len(data) <= LONGEST_REMEMBERED else ResponseHead(data)


def head_end(data: bytes) -> int:
    """Return where a response head ends, after its empty line; 0 if it does not."""
    end = data.find(b"\n\r\n")
    if end >= 0:
        return end + 3
    return data.find(b"\n\n") + 2 if b"\n\n" in data else 0


def framed_head(head: ResponseHead, framing: bytes, connection: bytes) -> bytes:
    """Return a head, completed with what the handler has left to us.

    Args:
        head: The handler's.
        framing: A line about the framing of the body, or nothing.
        connection: A line about the connection, or nothing.
    """
    data = head.data
    if head.connection is not None:
        asks = head.asks()
        if connection == CLOSE_LINE and asks is not False:
            if asks:
                data = _FRAMING_LINES[b"connection"].sub(b"", data)
        else:
            connection = b""
    if (head.transfer_encoding and head.length >= 0) or head.has_odd_length:
        data = _FRAMING_LINES[b"content-length"].sub(b"", data)  # section 6.2
    elif head.repeats_length:
        data = _FRAMING_LINES[b"content-length"].sub(b"", data)
        framing = b"Content-Length: %d\r\n" % head.length
    added = framing + connection
    if not added:
        return data
    end = -2 if data.endswith(b"\r\n") else -1
    return data[:end] + added + data[end:]


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
    if text.isprintable():  # as nearly all are; a tab, say, is not
        return (text + "\r\n").encode("iso-8859-1")
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


def writes_interim_response(handler: object) -> bool:
    """Return whether the response head that a handler is writing is that of an interim response."""
    lines: list[bytes] = getattr(handler, "_headers_buffer", None) or [b""]
    status = lines[0][9:12]
    return lines[0].startswith(b"HTTP/") and status.startswith(b"1") and status != b"101"
