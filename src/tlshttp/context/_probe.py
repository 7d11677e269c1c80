"""Questions to a TLS server in its own language: one ClientHello, and what is answered.

A client made with the `ssl` module can only offer what its own OpenSSL has. A ClientHello written
by hand can offer anything, and the server's first answer tells what it would negotiate: version,
cipher, group and signature. Nothing has to be computed for that. With TLS 1.3 an empty list of key
shares is a question, too: the server answers it with a HelloRetryRequest that names its group
(RFC 8446, section 4.2.8).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

__all__ = ["Offer", "Reply", "is_complete", "parse_reply"]

TLS12, TLS13 = 0x0303, 0x0304

_ALERT, _HANDSHAKE = 0x15, 0x16
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE, _KEY_EXCHANGE, _HELLO_DONE = 1, 2, 11, 12, 14
_HANDSHAKE_FAILURE = 40
_NAMED_CURVE = 3
_RENEGOTIATION_SCSV = 0x00FF  # RFC 5746, section 3.3

# Extensions
_SERVER_NAME, _SUPPORTED_GROUPS, _POINT_FORMATS, _SIGNATURES, _ALPN = 0, 10, 11, 13, 16
_EXTENDED_MASTER_SECRET, _SUPPORTED_VERSIONS, _PSK_MODES, _KEY_SHARE = 23, 43, 45, 51
_RENEGOTIATION_INFO = 0xFF01


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A ClientHello."""

    version: int
    ciphers: Sequence[int]
    groups: Sequence[int]
    signatures: Sequence[int]
    server_name: bytes | None = None
    alpn_protocols: Sequence[bytes] = ()

    def without(self, field: str, number: int) -> Offer:
        """Return an offer that lacks one number of one field."""
        left = tuple(one for one in getattr(self, field) if one != number)
        changed: dict[str, Sequence[int]] = {field: left}
        return replace(self, **changed)  # type: ignore[arg-type]

    def to_bytes(self) -> bytes:
        """Return the record to send."""
        new = self.version == TLS13
        ciphers = (*self.ciphers, *(() if new else (_RENEGOTIATION_SCSV,)))
        body = struct.pack("!H", min(self.version, TLS12)) + os.urandom(32)
        body += _block(1, os.urandom(32) if new else b"")
        body += _block(2, _numbers(ciphers))
        body += _block(1, b"\0" if new else b"\1\0")  # DEFLATE is offered to see it refused
        if self.version > 0x0300:
            body += _block(2, b"".join(self._extensions()))
        hello = bytes([_CLIENT_HELLO]) + _block(3, body)
        record_version = 0x0301 if self.version > 0x0300 else 0x0300
        return struct.pack("!BH", _HANDSHAKE, record_version) + _block(2, hello)

    def _extensions(self) -> Iterable[bytes]:
        if self.server_name is not None:
            yield _extension(_SERVER_NAME, _block(2, b"\0" + _block(2, self.server_name)))
        if self.groups:
            yield _extension(_SUPPORTED_GROUPS, _block(2, _numbers(self.groups)))
            yield _extension(_POINT_FORMATS, b"\1\0")
        if self.version >= TLS12:
            yield _extension(_SIGNATURES, _block(2, _numbers(self.signatures)))
        if self.alpn_protocols:
            names = b"".join(_block(1, name) for name in self.alpn_protocols)
            yield _extension(_ALPN, _block(2, names))
        yield _extension(_EXTENDED_MASTER_SECRET, b"")
        if self.version == TLS13:
            yield _extension(_SUPPORTED_VERSIONS, _block(1, _numbers([TLS13])))
            yield _extension(_PSK_MODES, b"\1\1")
            yield _extension(_KEY_SHARE, _block(2, b""))


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answers."""

    alert: int | None = None
    """The alert it refuses with; `None`: it does not."""
    version: int = 0
    cipher: int = 0
    compression: int = 0
    group: int | None = None
    """The group it chooses, `None` where it tells of none."""
    signature: int | None = None
    """How it signs (TLS 1.2), `None` where it does not tell."""
    secure_renegotiation: bool = True
    chain: tuple[bytes, ...] = ()
    """Its certificates in DER (up to TLS 1.2)."""


def is_complete(data: bytes) -> bool:
    """Tell whether no more is to be expected as an answer."""
    try:
        messages, alert = _messages(data)
        kinds = {kind for kind, _ in messages}
        if alert is not None or _HELLO_DONE in kinds:
            return True
        return any(
            _parse_hello(body).version == TLS13 for kind, body in messages if kind == _SERVER_HELLO
        )
    except (IndexError, struct.error):
        return False


def parse_reply(data: bytes) -> Reply:
    """Read an answer, as far as it is not encrypted. One that cannot be read is a refusal."""
    try:
        return _parse(data)
    except (IndexError, struct.error):
        return Reply(alert=_HANDSHAKE_FAILURE)


def _parse(data: bytes) -> Reply:
    messages, alert = _messages(data)
    reply: Reply | None = None
    for kind, body in messages:
        if kind == _SERVER_HELLO and reply is None:
            reply = _parse_hello(body)
            if reply.version == TLS13:
                return reply
        elif reply is not None and kind == _CERTIFICATE:
            reply = replace(reply, chain=tuple(_blocks(_Reader(body).block(3), 3)))
        elif reply is not None and kind == _KEY_EXCHANGE:
            reply = _with_key_exchange(reply, body)
    if reply is None or alert is not None:
        return Reply(alert=_HANDSHAKE_FAILURE if alert is None else alert)
    return reply


def _messages(data: bytes) -> tuple[list[tuple[int, bytes]], int | None]:
    """Return the handshake messages that are there as a whole, and the alert if there is one."""
    stream = b""
    while len(data) >= 5:
        kind, size = data[0], int.from_bytes(data[3:5])
        content, data = data[5 : 5 + size], data[5 + size :]
        if kind == _ALERT and len(content) == 2:
            return _split(stream), content[1]
        if kind != _HANDSHAKE:
            break
        stream += content
    return _split(stream), None


def _split(stream: bytes) -> list[tuple[int, bytes]]:
    messages = []
    while len(stream) >= 4:
        size = int.from_bytes(stream[1:4])
        if len(stream) < 4 + size:
            break
        messages.append((stream[0], stream[4 : 4 + size]))
        stream = stream[4 + size :]
    return messages


def _parse_hello(body: bytes) -> Reply:
    reader = _Reader(body)
    version = reader.number(2)
    reader.take(32)
    reader.block(1)
    cipher, compression = reader.number(2), reader.number(1)
    extensions = dict(_extensions(reader.block(2)) if reader else ())
    version = int.from_bytes(extensions.get(_SUPPORTED_VERSIONS, version.to_bytes(2)))
    share = extensions.get(_KEY_SHARE)
    return Reply(
        version=version,
        cipher=cipher,
        compression=compression,
        group=None if share is None else int.from_bytes(share[:2]),
        secure_renegotiation=version == TLS13 or _RENEGOTIATION_INFO in extensions,
    )


def _with_key_exchange(reply: Reply, body: bytes) -> Reply:
    reader = _Reader(body)
    if reader.number(1) != _NAMED_CURVE:
        return reply  # a finite field of the server's own
    group = reader.number(2)
    reader.block(1)
    signature = reader.number(2) if reply.version == TLS12 and reader else None
    return replace(reply, group=group, signature=signature)


class _Reader:
    """A cursor over bytes.

    Raises:
        IndexError: There are fewer bytes than asked for.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bool__(self) -> bool:
        return bool(self._data)

    def take(self, size: int) -> bytes:
        if len(self._data) < size:
            raise IndexError("the message is too short")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def block(self, length_size: int) -> bytes:
        return self.take(self.number(length_size))


def _blocks(data: bytes, length_size: int) -> Iterable[bytes]:
    reader = _Reader(data)
    while reader:
        yield reader.block(length_size)


def _extensions(data: bytes) -> Iterable[tuple[int, bytes]]:
    reader = _Reader(data)
    while reader:
        yield reader.number(2), reader.block(2)


def _block(length_size: int, content: bytes) -> bytes:
    return len(content).to_bytes(length_size) + content


def _extension(kind: int, content: bytes) -> bytes:
    return struct.pack("!H", kind) + _block(2, content)


def _numbers(numbers: Iterable[int]) -> bytes:
    return b"".join(number.to_bytes(2) for number in numbers)
