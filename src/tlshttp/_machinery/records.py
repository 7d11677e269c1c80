"""The records that a connection begins with: a ClientHello, put together, or something else.

OpenSSL takes a ClientHello of up to 128 KiB, in any number of records (RFC 8446, section 5.1), and
so do we: all of it has to be there before it is judged, else whoever sends a part in a record of
its own would not be judged by what is in the rest. What that costs is bounded:

*   Memory: the content is kept, without record headers. They are made anew for the TLS engine,
    which does not care where one record ends and the next begins.
*   Time: each byte is looked at once, and no more than a socket's read at a time, before others
    have their turn.
*   Waiting: what is told to be awaited is the rest of a record, or the header of the next, never
    more; whatever a peer sends instead of more of its hello is seen at once.
"""

from __future__ import annotations

import enum
import ssl

from tlshttp.errors import (
    HandshakeDisconnected,
    HandshakeError,
    MalformedHandshake,
    NotTLSError,
    PeerRejected,
)

__all__ = [
    "AT_ONCE",
    "CLIENT_HELLO",
    "LARGEST_HELLO",
    "PARTIAL_HELLO",
    "TEXT",
    "BeganWith",
    "NoHello",
    "Records",
]

_HEADER = 5
_MESSAGE_HEADER = 4  # type and length of a handshake message
_LARGEST_RECORD = 1 << 14
_ALERT, _HANDSHAKE = 0x15, 0x16
_CONTENT_TYPES = range(0x14, 0x19)  # RFC 8446, appendix B.1; heartbeat: RFC 6520
_MAJOR_VERSION = 3
_CLIENT_HELLO = 1
_FATAL = 2
_LEAVING = (0, 90)  # close_notify, user_canceled

# The alerts we send: RFC 8446, section 6.
_UNEXPECTED_MESSAGE, _RECORD_OVERFLOW, _ILLEGAL_PARAMETER, _PROTOCOL_VERSION = 10, 22, 47, 70

_MOST_EMPTY = 32  # records without content, as OpenSSL takes (``MAX_EMPTY_RECORDS``)

AT_ONCE = _HEADER + _LARGEST_RECORD
"""Bytes to read at a time: one record of the largest size."""

LARGEST_HELLO = 131_396
"""Bytes of a ClientHello: OpenSSL's own limit (``ossl_statem_server_max_message_size()``)."""


class BeganWith(enum.Enum):
    """What a peer began with."""

    CLIENT_HELLO = enum.auto()
    """A whole ClientHello."""
    PARTIAL_HELLO = enum.auto()
    """The beginning of one, or of something else that shows when there is more."""
    TEXT = enum.auto()
    """A letter, as an HTTP request without TLS begins with."""


# These names spare each connection to look for members of an enumeration, which is slow.
CLIENT_HELLO, PARTIAL_HELLO, TEXT = BeganWith


class NoHello(Exception):
    """What came is not the beginning of a ClientHello.

    Args:
        error: What it is.
        alert: The TLS alert to answer it with; `None`: none, since the peer knows no TLS.
    """

    def __init__(self, error: HandshakeError, alert: int | None = _UNEXPECTED_MESSAGE) -> None:
        super().__init__(error)
        self.error = error
        self.alert = alert


class Records:
    """What has come of one connection."""

    __slots__ = ("_empty", "_rest", "_version", "awaited", "content", "data")

    def __init__(self) -> None:
        self._rest = b""
        self._version = b""
        self._empty = 0
        self.content: bytes | bytearray = b""
        """The ClientHello without record headers, as far as it is there."""
        self.awaited = 1
        """How many bytes have to come, at least, before there is anything to see."""
        self.data = b""
        """What came: for the TLS engine once the hello is whole, else what a text begins with."""

    def take(self, more: bytes) -> BeganWith:
        """Look at what has come, at least one byte.

        Raises:
            NoHello: It cannot become a ClientHello.
        """
        if not (self._rest or self._version) and _is_one_hello(more):  # as nearly always
            self.content, self.data = more[_HEADER:], more
            return CLIENT_HELLO
        data = self._rest + more if self._rest else more
        if not self._version:
            if data[0] != _HANDSHAKE:
                return self._begin_otherwise(data)
            if len(data) > 1 and data[1] != _MAJOR_VERSION:
                raise NoHello(_not_tls(data), None)
        at, size = 0, len(data)
        while size - at >= _HEADER:
            end = at + _HEADER + self._length(data, at)
            begin = at + _HEADER
            if not self.content and begin < min(end, size) and data[begin] != _CLIENT_HELLO:
                raise self._broken("the first handshake message is no ClientHello")
            if end > size:
                self.awaited = end - size
                break
            is_whole = self._add(data, at, end)
            at = end
            if is_whole:
                return CLIENT_HELLO
        else:
            self.awaited = _HEADER - (size - at)
        self._rest = data[at:]
        return PARTIAL_HELLO

    def _length(self, data: bytes, at: int) -> int:
        """Return how many bytes of content a record has, from its header."""
        if data[at] != _HANDSHAKE:
            if self._is_cut_alert(data, at):
                return 2
            raise self._another_record(data[at:])
        if data[at + 1] != _MAJOR_VERSION:
            message = "a record of another protocol in the middle of the ClientHello"
            raise self._broken(message, _PROTOCOL_VERSION)
        length = data[at + 3] << 8 | data[at + 4]
        if length > _LARGEST_RECORD:
            message = f"a record of {length} bytes, and none has more than 16384"
            raise self._broken(message, _RECORD_OVERFLOW)
        return length

    def _is_cut_alert(self, data: bytes, at: int) -> bool:
        """Tell whether an alert is on its way, which says more than that it is no hello."""
        return data[at : at + _HEADER : 4] == b"\x15\x02" and len(data) - at < _HEADER + 2

    def _add(self, data: bytes, at: int, end: int) -> bool:
        """Take in a record; tell whether the hello is whole."""
        piece = data[at + _HEADER : end]
        first = not self._version
        if first:
            self._version = data[at + 1 : at + 3]
            self.content = piece
        else:
            if isinstance(self.content, bytes):
                self.content = bytearray(self.content)
            self.content += piece
        if not piece:
            self._empty += 1
            if self._empty > _MOST_EMPTY:
                raise self._broken("too many records without content")
        content = self.content
        if len(content) < 4:
            return False
        missing = 4 + int.from_bytes(content[1:4]) - len(content)
        if missing + len(content) > 4 + LARGEST_HELLO:
            message = f"a ClientHello of more than {LARGEST_HELLO} bytes"
            raise self._broken(message, _ILLEGAL_PARAMETER)
        if missing > 0:
            return False
        self._rest = b""
        self.data = data if first else self._in_records() + data[end:]
        self.content = bytes(content)
        return True

    def _in_records(self) -> bytes:
        """Return the content in as few records as it fits in."""
        pieces = (
            self.content[begin : begin + _LARGEST_RECORD]
            for begin in range(0, len(self.content), _LARGEST_RECORD)
        )
        start = bytes((_HANDSHAKE,)) + self._version
        return b"".join(start + len(piece).to_bytes(2) + piece for piece in pieces)

    def _begin_otherwise(self, data: bytes) -> BeganWith:
        """Tell what it is that does not begin with a handshake record."""
        self.data = self._rest = data
        if data[:1].isalpha():
            return TEXT
        is_tls = data[0] in _CONTENT_TYPES and data[1:2] in (b"", b"\3")
        if not is_tls and not _may_be_sslv2(data):
            raise NoHello(_not_tls(data), None)
        if len(data) < _HEADER or (is_tls and self._is_cut_alert(data, 0)):
            self.awaited = max(1, _HEADER + 2 * self._is_cut_alert(data, 0) - len(data))
            return PARTIAL_HELLO
        if is_tls:
            raise self._another_record(data)
        message = "an SSLv2 ClientHello (RFC 5246, appendix E.2)"
        raise self._broken(message, _PROTOCOL_VERSION)

    def _another_record(self, data: bytes) -> NoHello:
        """Return what a record is reported as that has no place before or in a ClientHello."""
        if data[0] != _ALERT or data[3:5] != b"\0\2":
            return self._broken(f"a record of type {data[0]} where a ClientHello should be")
        level, description = data[5], data[6]
        message = f"the alert {_alert_name(description)} where a ClientHello should be"
        if self.content and description in _LEAVING:
            return NoHello(HandshakeDisconnected(f"the peer left: {message}"))
        if self.content and level == _FATAL:
            return NoHello(PeerRejected(f"the peer gave up: {message}"))
        return self._broken(message)

    def _broken(self, message: str, alert: int = _UNEXPECTED_MESSAGE) -> NoHello:
        """Return what is reported: a hello that breaks off, or first bytes that are none."""
        if self.content:
            return NoHello(MalformedHandshake(f"the peer broke the TLS protocol: {message}"), alert)
        return NoHello(
            NotTLSError(f"the first bytes are not TLS as clients begin it: {message}"), alert
        )


def _is_one_hello(data: bytes) -> bool:
    """Tell whether data is a ClientHello in a single record, and nothing else."""
    size = len(data)
    return (
        size > _HEADER + _MESSAGE_HEADER
        and data[0] == _HANDSHAKE
        and data[1] == _MAJOR_VERSION
        and data[3] << 8 | data[4] == size - _HEADER <= _LARGEST_RECORD
        and data[_HEADER] == _CLIENT_HELLO
        and int.from_bytes(data[6:9]) == size - _HEADER - _MESSAGE_HEADER
    )


def _may_be_sslv2(data: bytes) -> bool:
    """Tell whether data may begin a hello as SSL 2.0 had it, of whatever version."""
    expected = (range(0x80, 0x100), range(0x100), (1,), (0, _MAJOR_VERSION))
    return all(byte in likely for byte, likely in zip(data, expected, strict=False))


def _alert_name(description: int) -> str:
    try:
        return ssl.AlertDescription(description).name.removeprefix("ALERT_DESCRIPTION_").lower()
    except ValueError:
        return str(description)


def _not_tls(data: bytes) -> NotTLSError:
    return NotTLSError(f"the first bytes are not TLS: {data[:8].hex(' ')}")
