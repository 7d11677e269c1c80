"""What a ClientHello says, before any TLS state is made for it.

It is only looked at: to read it in earnest is the TLS engine's. ClientHello: RFC 8446, section
4.1.2; server name: RFC 6066, section 3.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

__all__ = ["NOTHING_SAID", "ClientHello", "alert", "parse"]

_ALERT = 0x15
_FATAL = 2
_SERVER_NAME = 0
_GROUPS = 10
_ALPN = 16
_KEY_SHARE = 51
_HOST_NAME = 0
_WANTED = (_SERVER_NAME, _GROUPS, _ALPN, _KEY_SHARE)
_FINITE_FIELDS = range(0x0100, 0x0200)  # RFC 7919, section 2
_CURVES = frozenset((0x17, 0x18, 0x19, 0x1D, 0x1E))  # what every OpenSSL has: RFC 8446, 4.2.7
_EXTENSION = struct.Struct(">HH")  # its type, and its length without these four bytes
_read_extension = _EXTENSION.unpack_from
_NAME = re.compile(rb"[A-Za-z0-9_.-]{1,255}")


class ClientHello(NamedTuple):
    """What is wanted of a ClientHello, as far as there is any."""

    raw_server_name: bytes | None
    """The host name it asks for, as it was sent; `None` where it asks for none."""
    alpn_protocols: tuple[bytes, ...]
    """The application protocols it offers (RFC 7301, section 3.1); empty without any."""
    groups: tuple[int, ...] | None = None
    """The key-exchange groups it offers (RFC 8446, section 4.2.7); `None` where it tells none."""
    key_shares: tuple[int, ...] | None = None
    """Those of them that it has sent a share for (section 4.2.8); `None` before TLS 1.3."""

    @property
    def wants_finite_field(self) -> bool:
        """Whether OpenSSL, left to itself, would compute in a finite field in TLS 1.3.

        Which costs up to 121 ms, and the client nothing (CVE-2002-20001).
        """
        if self.key_shares is None or not self.groups:
            return False
        likely = [one for one in self.key_shares if one in _CURVES or one in _FINITE_FIELDS]
        if not likely:
            likely = [one for one in self.groups if one in _CURVES] or list(self.groups)
            return any(one in _FINITE_FIELDS for one in likely)
        return likely[0] in _FINITE_FIELDS

    @property
    def has_name(self) -> bool:
        """Whether it asks for a host by a name: whatever ends in a digit may be an IP address."""
        name = self.raw_server_name
        return name is not None and not name[-1:].isdigit() and b":" not in name

    @property
    def server_name(self) -> str | None:
        """The host name in lower case; `None` also where it could not be a host's."""
        if self.raw_server_name is None or not _NAME.fullmatch(self.raw_server_name):
            return None
        return self.raw_server_name.decode("ascii").lower()


NOTHING_SAID = ClientHello(None, ())
"""A hello without these extensions."""


def parse(content: bytes) -> ClientHello:
    """Read a ClientHello without its record headers; one that is cut off tells nothing."""
    extensions = _extensions(content)
    if not extensions:
        return NOTHING_SAID
    name = None
    if _SERVER_NAME in extensions:
        names = _block(extensions[_SERVER_NAME])
        if names[:1] in (b"", bytes((_HOST_NAME,))):
            name = _block(names[1:])
    offered = _block(extensions.get(_ALPN, b""))
    protocols = []
    while offered:
        protocols.append(_block(offered, 1))
        offered = offered[1 + offered[0] :]
    groups = shares = None
    if _GROUPS in extensions:
        groups = _numbers(_block(extensions[_GROUPS]))
    if _KEY_SHARE in extensions:
        shares = _share_groups(_block(extensions[_KEY_SHARE]))
    return ClientHello(name, tuple(protocols), groups, shares)


def alert(description: int) -> bytes:
    """Return the record of a fatal alert, as it is sent before there are keys."""
    return bytes((_ALERT, 3, 3, 0, 2, _FATAL, description))


def _block(data: bytes, length_size: int = 2) -> bytes:
    """Return what the length covers that `data` begins with; nothing where that is cut off."""
    end = length_size + int.from_bytes(data[:length_size])
    return data[length_size:end] if end <= len(data) else b""


def _numbers(data: bytes) -> tuple[int, ...]:
    """Return numbers of two bytes each."""
    return struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])


def _share_groups(data: bytes) -> tuple[int, ...]:
    """Return the groups of key shares, without the shares."""
    found = []
    at, last = 0, len(data) - _EXTENSION.size
    while at <= last:
        group, length = _read_extension(data, at)
        found.append(group)
        at += 4 + length
    return tuple(found)


def _extensions(hello: bytes) -> dict[int, bytes]:
    """Return what the extensions that matter say."""
    at = 4 + 2 + 32  # handshake type and length, version, random
    found: dict[int, bytes] = {}
    try:  # by the byte: slices would take twice as long
        at += 1 + hello[at]  # session id
        at += 2 + (hello[at] << 8 | hello[at + 1])  # cipher suites
        at += 1 + hello[at]  # compression methods
        end = at + 2 + (hello[at] << 8 | hello[at + 1])
    except IndexError:
        return found
    at += 2
    if end > len(hello):
        return found
    last = end - _EXTENSION.size
    while at <= last:
        kind, length = _read_extension(hello, at)
        at += 4 + length
        if kind in _WANTED and kind not in found:
            found[kind] = hello[at - length : at] if at <= end else b""
            if len(found) == len(_WANTED):
                break
    return found
