"""What the first bytes of a connection are, before any TLS state is made for it.

The bytes are only looked at (``MSG_PEEK``); those of a ClientHello stay where they are for the TLS
engine to read. Record layer: RFC 8446, section 5.1; ClientHello: section 4.1.2; server name: RFC
6066, section 3.
"""

from __future__ import annotations

import enum
import re

__all__ = ["PEEK_SIZE", "FirstBytes", "classify", "record_size", "server_name"]

_RECORD_HEADER = 5
_LARGEST_RECORD = 1 << 14
_HANDSHAKE = 0x16
_MAJOR_VERSION = 3
_CLIENT_HELLO = 1
_SERVER_NAME = 0
_HOST_NAME = 0
_NAME = re.compile(rb"[A-Za-z0-9_.-]{1,255}")

PEEK_SIZE = _RECORD_HEADER + _LARGEST_RECORD
"""Bytes to look at: one TLS record of the largest size."""


class FirstBytes(enum.Enum):
    """What a peer began with."""

    CLIENT_HELLO = enum.auto()
    """A whole record that begins a ClientHello."""
    PARTIAL_HELLO = enum.auto()
    """The beginning of such a record."""
    TEXT = enum.auto()
    """A letter, as an HTTP request without TLS begins with."""
    OTHER = enum.auto()
    """Neither."""


def classify(data: bytes) -> FirstBytes:
    """Tell what `data`, at least one byte, is the beginning of."""
    if data[0] != _HANDSHAKE:
        return FirstBytes.TEXT if data[:1].isalpha() else FirstBytes.OTHER
    if len(data) > 1 and data[1] != _MAJOR_VERSION:
        return FirstBytes.OTHER
    if len(data) > _RECORD_HEADER and data[_RECORD_HEADER] != _CLIENT_HELLO:
        return FirstBytes.OTHER
    size = record_size(data)
    if size > PEEK_SIZE:
        return FirstBytes.OTHER
    return FirstBytes.PARTIAL_HELLO if len(data) < size else FirstBytes.CLIENT_HELLO


def record_size(data: bytes) -> int:
    """Return how long the record is that `data` begins, as far as `data` tells."""
    if len(data) < _RECORD_HEADER:
        return _RECORD_HEADER
    return _RECORD_HEADER + max(1, int.from_bytes(data[3:5]))


def server_name(record: bytes) -> str | None:
    """Return the host name that a ClientHello asks for, in lower case.

    `None` where there is none, or none that could be a host's, or the hello is not whole: cut off,
    or spread over several records.
    """
    extension = _find_extension(_Reader(record[: record_size(record)]), _SERVER_NAME)
    if extension is None:
        return None
    names = extension.block(2)
    kind, name = names.number(1), names.block(2).rest()
    if kind != _HOST_NAME or not _NAME.fullmatch(name):
        return None
    return name.decode("ascii").lower()


class _Reader:
    """A cursor over bytes that reads nothing, rather than fails, beyond their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bool__(self) -> bool:
        return bool(self._data)

    def skip(self, size: int) -> None:
        self._data = self._data[size:]

    def number(self, size: int) -> int:
        value = int.from_bytes(self._data[:size])
        self.skip(size)
        return value

    def block(self, length_size: int) -> _Reader:
        """Read a length of `length_size` bytes and return what it covers; if cut off, nothing."""
        length = self.number(length_size)
        block = _Reader(self._data[:length] if length <= len(self._data) else b"")
        self.skip(length)
        return block

    def rest(self) -> bytes:
        return self._data


def _find_extension(record: _Reader, wanted: int) -> _Reader | None:
    record.skip(_RECORD_HEADER + 4)  # handshake type and length
    record.skip(2 + 32)  # version and random
    record.block(1)  # session id
    record.block(2)  # cipher suites
    record.block(1)  # compression methods
    extensions = record.block(2)
    while extensions:
        kind, body = extensions.number(2), extensions.block(2)
        if kind == wanted:
            return body
    return None
