"""PROXY protocol headers, good and bad, as bytes."""

from __future__ import annotations

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

CLIENT = ("192.0.2.7", 51_522)
SERVER = ("198.51.100.1", 443)
CLIENT6 = ("2001:db8::7", 51_522, 0, 0)
SERVER6 = ("2001:db8::1", 443, 0, 0)


def line(protocol: str = "TCP4", *words: object) -> bytes:
    """Return a header of version 1."""
    words = words or (CLIENT[0], SERVER[0], CLIENT[1], SERVER[1])
    return " ".join(["PROXY", protocol, *map(str, words)]).encode() + b"\r\n"


def addresses() -> bytes:
    """Return the addresses of version 2, for IPv4."""
    hosts = b"".join(ipaddress.IPv4Address(one[0]).packed for one in (CLIENT, SERVER))
    return hosts + struct.pack(">HH", CLIENT[1], SERVER[1])


def addresses6() -> bytes:
    """Return the same for IPv6."""
    hosts = b"".join(ipaddress.IPv6Address(one[0]).packed for one in (CLIENT6, SERVER6))
    return hosts + struct.pack(">HH", CLIENT6[1], SERVER6[1])


def binary(
    content: bytes = addresses(),
    *,
    kind: int = 0x21,
    family: int = 0x11,
    length: int | None = None,
) -> bytes:
    """Return a header of version 2."""
    size = len(content) if length is None else length
    return SIGNATURE + struct.pack(">BBH", kind, family, size) + content


def vector(kind: int, value: bytes) -> bytes:
    """Return one vector."""
    return struct.pack(">BH", kind, len(value)) + value


def tls_vector(client: int = 0x07, verify: int = 0) -> bytes:
    """Return the vector about the client's TLS."""
    inner = vector(0x21, b"TLSv1.3") + vector(0x22, b"alice") + vector(0x23, b"AES128")
    return vector(0x20, struct.pack(">BL", client, verify) + inner)


BAD: dict[str, bytes] = {
    "empty line": b"\r\n" * 20,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a hello without a header": bytes.fromhex("1603010200010001fc0303") + bytes(32),
    "small letters": b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "no space": b"PROXYTCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "two spaces": b"PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "a tab": b"PROXY\tTCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "no carriage return": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
    "a space at the end": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
    "one address": b"PROXY TCP4 192.0.2.7 1 2\r\n",
    "no ports": b"PROXY TCP4 192.0.2.7 198.51.100.1\r\n",
    "one port": b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
    "three ports": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    "a large port": line("TCP4", "192.0.2.7", "198.51.100.1", 65_536, 443),
    "a negative port": line("TCP4", "192.0.2.7", "198.51.100.1", -1, 443),
    "a port with a leading zero": line("TCP4", "192.0.2.7", "198.51.100.1", "0443", 443),
    "a port in hexadecimal": line("TCP4", "192.0.2.7", "198.51.100.1", "0x1f", 443),
    "a large octet": line("TCP4", "192.0.2.256", "198.51.100.1", 1, 2),
    "three octets": line("TCP4", "192.0.2", "198.51.100.1", 1, 2),
    "an octet with a leading zero": line("TCP4", "192.0.2.07", "198.51.100.1", 1, 2),
    "a host name": line("TCP4", "example.org", "198.51.100.1", 1, 2),
    "IPv6 in TCP4": line("TCP4", "2001:db8::7", "2001:db8::1", 1, 2),
    "IPv4 in TCP6": line("TCP6", "192.0.2.7", "198.51.100.1", 1, 2),
    "a zone": line("TCP6", "fe80::1%eth0", "2001:db8::1", 1, 2),
    "two double colons": line("TCP6", "2001::db8::7", "2001:db8::1", 1, 2),
    "UDP": line("UDP4", "192.0.2.7", "198.51.100.1", 1, 2),
    "TCP": line("TCP", "192.0.2.7", "198.51.100.1", 1, 2),
    "UNKNOWN with something attached": b"PROXY UNKNOWNX\r\n",
    "a NUL": b"PROXY TCP4 192.0.2.7\0 198.51.100.1 1 2\r\n",
    "a line without end": b"PROXY UNKNOWN " + b"x" * 200,
    "a line that is too long": b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    "version 1 in binary": binary(kind=0x11),
    "version 3": binary(kind=0x31),
    "command 2": binary(kind=0x22),
    "family 4": binary(family=0x41),
    "a datagram": binary(family=0x12),
    "transport 3": binary(family=0x13),
    "a stream of no family": binary(family=0x01),
    "a signature that breaks off": SIGNATURE[:-1] + b"\0" + bytes(16),
    "a header that is too large": binary(length=65_535),
    "no addresses": binary(b""),
    "half of the addresses": binary(addresses()[:6]),
    "IPv4's addresses for IPv6": binary(family=0x21),
    "IPv4's addresses for a path": binary(family=0x31),
    "a vector cut off": binary(addresses() + vector(1, b"http/1.1")[:-1]),
    "a vector without its length": binary(addresses() + b"\1\0"),
    "a vector about TLS that is too short": binary(addresses() + vector(0x20, b"\1\0")),
    "a vector cut off inside": binary(addresses() + vector(0x20, b"\1\0\0\0\0" + b"\x21\0\7TLS")),
    "text that is no UTF-8": binary(addresses() + vector(2, b"\xff\xfe")),
    "a long identifier": binary(addresses() + vector(5, bytes(129))),
    "a wrong checksum": binary(addresses() + vector(3, bytes(4))),
    "a short checksum": binary(addresses() + vector(3, bytes(3))),
    "two checksums": binary(addresses() + vector(3, bytes(4)) * 2),
}
"""Each is refused: some when the first bytes are there, none after more than all of them."""
