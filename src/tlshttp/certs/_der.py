"""A little of DER and BER (X.690), for what `cryptography` does not tell of a file.

Only the outermost structure is read here, and never trusted: what counts in a certificate or key is
read by `cryptography` and OpenSSL. Input is bounded by the size of a file, depth and number are
bounded here.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

__all__ = ["Element", "children", "encode", "from_pem", "octets", "oid", "read", "to_pem"]

BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE, SET = 0x03, 0x02, 0x04, 0x06, 0x30, 0x31
BMP_STRING = 0x1E

_CONSTRUCTED = 0x20
_MAXIMUM_DEPTH = 32
"""Levels of indefinite length. The deepest known PKCS#12 files have eleven."""
_MAXIMUM_CHILDREN = 10_000
"""Elements of one structure; a bundle of all public roots has about 150."""


@dataclass(frozen=True, repr=False)
class Element:
    """One element. It has no repr: it may be of a key."""

    tag: int
    """The first byte: class, form and number."""
    content: bytes
    """What is in it."""
    encoded: bytes
    """All of it, with tag and length."""


def read(data: bytes, start: int = 0) -> Element:
    """Read one element; what follows it does not matter.

    Raises:
        ValueError: There is none, or it is cut off.
    """
    body, body_end, end = _bounds(data, start, 0)
    return Element(data[start], data[body:body_end], data[start:end])


def children(element: Element) -> list[Element]:
    """Read what a structure consists of.

    Raises:
        ValueError: It is no structure, or broken.
    """
    if not element.tag & _CONSTRUCTED:
        raise ValueError("no structure")
    found: list[Element] = []
    position = 0
    while position < len(element.content):
        if len(found) == _MAXIMUM_CHILDREN:
            raise ValueError("too many elements")
        found.append(read(element.content, position))
        position += len(found[-1].encoded)
    return found


def octets(element: Element) -> bytes:
    """Return an OCTET STRING; BER may have it in pieces.

    Raises:
        ValueError: It is none.
    """
    if element.tag == OCTET_STRING:
        return element.content
    if element.tag == OCTET_STRING | _CONSTRUCTED:
        return b"".join(piece.content for piece in children(element))
    raise ValueError("no OCTET STRING")


def oid(dotted: str) -> bytes:
    """Encode an object identifier, without its tag and length (X.690, section 8.19)."""
    first, second, *rest = map(int, dotted.split("."))
    encoded = bytearray()
    for number in (first * 40 + second, *rest):
        piece = [number & 0x7F]
        while number := number >> 7:
            piece.append(number & 0x7F | 0x80)
        encoded += bytes(reversed(piece))
    return bytes(encoded)


def encode(tag: int, *contents: bytes) -> bytes:
    """Encode an element in DER."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def from_pem(block: bytes) -> bytes:
    """Decode the one PEM block there is, which has no headers.

    Raises:
        ValueError: It is no base64.
    """
    body = block.split(b"-----")[2]
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error


def to_pem(der: bytes, label: str) -> bytes:
    """Write DER as PEM (RFC 7468)."""
    text = base64.encodebytes(der).replace(b"\n", b"")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    name = label.encode()
    return b"\n".join((b"-----BEGIN %b-----" % name, *lines, b"-----END %b-----\n" % name))


def _bounds(data: bytes, start: int, depth: int) -> tuple[int, int, int]:
    """Tell where content begins and ends, and where the element ends."""
    try:
        number, first = data[start] & 0x1F, data[start + 1]
    except IndexError:
        raise ValueError("cut off") from None
    if number == 0x1F:
        raise ValueError("a long tag")
    body = start + 2
    if first == 0x80:
        return _indefinite(data, body, depth)
    size = first
    if first > 0x80:
        after = body + (first & 0x7F)
        size, body = int.from_bytes(data[body:after], "big"), after
    if body + size > len(data):
        raise ValueError("cut off")
    return body, body + size, body + size


def _indefinite(data: bytes, body: int, depth: int) -> tuple[int, int, int]:
    """Find the end of an element that does not tell its length (X.690, section 8.1.3.6)."""
    if depth == _MAXIMUM_DEPTH:
        raise ValueError("too deep")
    position = body
    while data[position : position + 2] != b"\0\0":
        position = _bounds(data, position, depth + 1)[2]
    return body, position, position + 2
