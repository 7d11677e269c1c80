"""Reading a PROXY protocol header, versions 1 and 2.

Sections are of HAProxy's ``doc/proxy-protocol.txt``. What is not exactly as it says there is
malformed: whoever guesses lets somebody speak in another's name.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from types import MappingProxyType
from typing import Any, NamedTuple

from tlshttp._proxied import ProxyInfo, ProxyTLS

__all__ = ["LONGEST", "Malformed", "parse"]

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # section 2.2
_PREFIX = b"PROXY "  # section 2.1

_LONGEST_LINE = 107
"""Bytes of a version 1 header, its line break included: section 2.1."""

LONGEST = 4096
"""Bytes of a version 2 header that are read: nginx's ``NGX_PROXY_PROTOCOL_MAX_HEADER``. The format
itself ends at 65 551."""

_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?"
    rb"|(TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
)
_HEADER = struct.Struct(">BBH")
_FIXED = len(_SIGNATURE) + _HEADER.size
_LOCAL, _PROXY = 0, 1
_UNSPEC, _INET, _INET6, _UNIX = range(4)
_STREAM = 1
_ADDRESSES = {_INET: 12, _INET6: 36, _UNIX: 216}  # bytes of both, with their ports

# Section 2.2, "Type-Length-Value vectors".
_ALPN, _AUTHORITY, _CRC32C, _NOOP, _UNIQUE_ID, _SSL = 1, 2, 3, 4, 5, 0x20
_SSL_VERSION, _SSL_CN, _SSL_CIPHER = 0x21, 0x22, 0x23
_CLIENT_SSL, _CLIENT_CERTIFICATE = 0x01, 0x06  # a certificate on this connection, or in the session
_LONGEST_ID = 128

_CASTAGNOLI = 0x82F63B78  # reversed: RFC 3720, section 12.1


class Malformed(Exception):
    """What came is no PROXY protocol header."""


class Header(NamedTuple):
    """A header, and how long it is."""

    info: ProxyInfo
    size: int


def parse(data: bytes, proxy: object) -> Header | None:
    """Read the header that data begins with; `None` where more of it is needed.

    Args:
        data: What has come so far.
        proxy: The address of who has sent it.

    Raises:
        Malformed: It is none, or none that is taken.
    """
    if data[:1] == _PREFIX[:1]:
        return _parse_line(data, proxy)
    if data[: len(_SIGNATURE)] != _SIGNATURE[: len(data)]:
        raise Malformed(f"it begins with {data[:12].hex(' ')}")
    if len(data) < _FIXED:
        return None
    kind, family, length = _HEADER.unpack_from(data, len(_SIGNATURE))
    if kind >> 4 != 2:
        raise Malformed(f"it has version {kind >> 4}")
    if _FIXED + length > LONGEST:
        raise Malformed(f"it has {_FIXED + length} bytes, and {LONGEST} are taken")
    _check_kind(kind & 15, family)
    if len(data) < _FIXED + length:
        return None
    content = data[_FIXED : _FIXED + length]
    if kind & 15 == _LOCAL:
        info = ProxyInfo(address=proxy, version=2, local=True)
    else:
        info = _read(data[: _FIXED + length], content, family >> 4, proxy)
    return Header(info, _FIXED + length)


def _check_kind(command: int, family: int) -> None:
    if command not in (_LOCAL, _PROXY):
        raise Malformed(f"it has the command {command}")
    if command == _LOCAL:
        return  # the receiver must ignore the rest
    if family >> 4 not in (_UNSPEC, *_ADDRESSES):
        raise Malformed(f"it has the address family {family >> 4}")
    if family != _UNSPEC and (family & 15 != _STREAM or family >> 4 == _UNSPEC):
        raise Malformed(f"it is of no stream, but of {family:#04x}")


# Version 1 --------------------------------------------------------------------------------------


def _parse_line(data: bytes, proxy: object) -> Header | None:
    end = data.find(b"\n", 0, _LONGEST_LINE) + 1
    if not end:
        if len(data) >= _LONGEST_LINE:
            raise Malformed(f"it has no line break within {_LONGEST_LINE} bytes")
        if data[: len(_PREFIX)] != _PREFIX[: len(data)]:
            raise Malformed(f"it begins with {data[:12].decode('latin-1')!a}")
        return None
    found = _LINE.fullmatch(data, 0, end)
    if found is None:
        raise Malformed("the line is malformed")
    protocol, source, destination, source_port, destination_port = found.groups()
    if protocol is None:  # UNKNOWN: whatever follows is to be ignored
        return Header(ProxyInfo(address=proxy, version=1), end)
    make = ipaddress.IPv4Address if protocol == b"TCP4" else ipaddress.IPv6Address
    info = ProxyInfo(
        address=proxy,
        version=1,
        source=_text_address(make, source, source_port),
        destination=_text_address(make, destination, destination_port),
    )
    return Header(info, end)


def _text_address(make: Any, host: bytes, port: bytes) -> tuple[Any, ...]:
    try:
        address = make(host.decode("ascii"))
    except ValueError as error:
        raise Malformed(f"it has a malformed address: {error}") from None
    if int(port) > 65_535:
        raise Malformed(f"it has the port {int(port)}")
    return _address(address, int(port))


# Version 2 --------------------------------------------------------------------------------------


def _read(whole: bytes, content: bytes, family: int, proxy: object) -> ProxyInfo:
    if family == _UNSPEC:
        return ProxyInfo(address=proxy, version=2)
    size = _ADDRESSES[family]
    if len(content) < size:
        raise Malformed(f"it has {len(content)} bytes where its addresses need {size}")
    source, destination = _addresses(content, family)
    tlvs = _vectors(content[size:])
    _verify_checksum(whole, tlvs, _FIXED + size)
    found = dict(tlvs)
    if len(found.get(_UNIQUE_ID, b"")) > _LONGEST_ID:
        raise Malformed(f"it has an identifier of more than {_LONGEST_ID} bytes")
    return ProxyInfo(
        address=proxy,
        version=2,
        source=source,
        destination=destination,
        alpn_protocol=_text(found.get(_ALPN)),
        server_name=_text(found.get(_AUTHORITY)),
        unique_id=found.get(_UNIQUE_ID),
        tls=_tls(found.get(_SSL)),
        tlvs=MappingProxyType(found),
    )


def _addresses(content: bytes, family: int) -> tuple[Any, Any]:
    if family == _UNIX:
        return ("unix:", 0), ("unix:", 0)
    make: Any = ipaddress.IPv4Address if family == _INET else ipaddress.IPv6Address
    size = 4 if family == _INET else 16
    ports = struct.unpack_from(">HH", content, 2 * size)
    hosts = content[:size], content[size : 2 * size]
    source, destination = (
        _address(make(host), port) for host, port in zip(hosts, ports, strict=True)
    )
    return source, destination


def _address(host: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> tuple[Any, ...]:
    """Return an address as the `socket` module has it; one of IPv4 in the form of IPv4.

    The same client would else have two, one of which no rule of anybody's has (RFC 4291, section
    2.5.5.2).
    """
    mapped = host.ipv4_mapped if isinstance(host, ipaddress.IPv6Address) else None
    host = mapped or host
    return (str(host), port) if host.version == 4 else (str(host), port, 0, 0)


def _vectors(data: bytes) -> list[tuple[int, bytes]]:
    """Return types and values."""
    found = []
    while data:
        end = 3 + int.from_bytes(data[1:3])
        if len(data) < 3 or len(data) < end:
            raise Malformed("a vector is cut off")
        if data[0] != _NOOP:
            found.append((data[0], data[3:end]))
        data = data[end:]
    return found


def _tls(data: bytes | None) -> ProxyTLS | None:
    """Read what is said of the client's TLS: section 2.2.6, PP2_TYPE_SSL."""
    if data is None:
        return None
    if len(data) < 5:
        raise Malformed("the vector about TLS is cut off")
    client, failure = struct.unpack_from(">BL", data)
    found = dict(_vectors(data[5:]))
    if not client & _CLIENT_SSL:
        return None
    return ProxyTLS(
        version=_text(found.get(_SSL_VERSION)),
        cipher=_text(found.get(_SSL_CIPHER)),
        common_name=_text(found.get(_SSL_CN)),
        client_certificate_verified=bool(client & _CLIENT_CERTIFICATE) and not failure,
    )


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a vector of text is not UTF-8") from None


def _verify_checksum(whole: bytes, tlvs: list[tuple[int, bytes]], begin: int) -> None:
    """Compare the checksum with that of the header with zeros in its place (section 2.2.3)."""
    sums = [value for kind, value in tlvs if kind == _CRC32C]
    if not sums:
        return
    at = begin
    while whole[at] != _CRC32C:
        at += 3 + int.from_bytes(whole[at + 1 : at + 3])
    if len(sums) > 1 or len(sums[0]) != 4:
        raise Malformed("its checksum is malformed")
    zeroed = whole[: at + 3] + bytes(4) + whole[at + 7 :]
    if _crc32c(zeroed) != int.from_bytes(sums[0]):
        raise Malformed("its checksum is wrong")


def _crc32c(data: bytes) -> int:
    """Return CRC-32C (RFC 3720, section 12.1); a header is short, so no table is kept."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_CASTAGNOLI if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
