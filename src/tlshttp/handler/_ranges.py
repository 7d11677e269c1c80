"""Byte ranges: the ``Range`` field and what is sent for it (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Span", "multipart", "requested_spans"]

MAX_RANGES = 100
"""Ranges in one request that are looked at; with more of them the whole file is sent.

As many as Starlette allows (1.5.1, 2026); Apache's ``MaxRanges`` is 200. Without a bound, and
without joining overlaps, one short request can make a server send a file hundreds of times
(CVE-2011-3192).
"""

SMALLEST_GAP = 80
"""Bytes: ranges closer than this are sent as one, because another part costs about as much
(RFC 9110, section 15.3.7.2)."""

_UNIT = re.compile(r"bytes[ \t]*=", re.IGNORECASE)
# A hundred digits are more than any file has, and few enough for int() at any setting.
_SPEC = re.compile(r"([0-9]{1,100})-([0-9]{0,100})|-([0-9]{1,100})")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Bytes of a file that follow each other."""

    start: int
    """Offset of the first byte."""
    stop: int
    """Offset after the last byte."""

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """Return the value of ``Content-Range`` for a file of `size` bytes (section 14.4)."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def requested_spans(field: str, size: int) -> tuple[Span, ...] | None:
    """Return what a ``Range`` field asks for.

    Overlapping, adjacent and nearly adjacent ranges are joined; otherwise the order is the client's
    (section 15.3.7.2).

    Args:
        field: The value of the field.
        size: The size of the file in bytes.

    Returns:
        The spans to send, each within the file; none of them where no range can be satisfied (416,
        section 15.5.17); `None` where the field is to be ignored: it has another unit, is not
        well-formed or asks for too many ranges (section 14.2).
    """
    unit = _UNIT.match(field)
    if unit is None:
        return None
    specs = [spec for part in field[unit.end() :].split(",") if (spec := part.strip(" \t"))]
    if not 0 < len(specs) <= MAX_RANGES:
        return None
    spans = []
    for spec in specs:
        found = _SPEC.fullmatch(spec)
        if found is None:
            return None
        first, last, suffix = found.groups()
        if last and int(last) < int(first):
            return None
        if suffix is not None and size == 0 and int(suffix):
            return None  # satisfiable (section 14.1.2), but no Content-Range can say so
        span = _last_bytes(int(suffix), size) if suffix else _between(int(first), last, size)
        if span.length > 0:
            spans.append(span)
    return _joined(spans)


def _last_bytes(length: int, size: int) -> Span:
    return Span(max(0, size - length), size)


def _between(first: int, last: str, size: int) -> Span:
    return Span(first, min(int(last) + 1, size) if last else size)


def _joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Join spans that overlap or nearly touch; a joined one stands where its first part stood."""
    joined: list[tuple[int, Span]] = []
    for span, position in sorted((span, position) for position, span in enumerate(spans)):
        if joined and span.start - joined[-1][1].stop < SMALLEST_GAP:
            before, last = joined[-1]
            wider = Span(last.start, max(last.stop, span.stop))
            joined[-1] = (min(before, position), wider)
        else:
            joined.append((position, span))
    return tuple(span for _, span in sorted(joined))


def multipart(
    spans: Sequence[Span], size: int, content_type: str, boundary: str
) -> list[bytes | Span]:
    """Return the pieces of a ``multipart/byteranges`` body (RFC 9110, section 14.6).

    Args:
        spans: What is sent, in this order.
        size: The size of the file in bytes.
        content_type: The media type of the file.
        boundary: What separates the parts.
    """
    pieces: list[bytes | Span] = []
    for span in spans:
        head = (
            f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
            f"Content-Range: {span.content_range(size)}\r\n\r\n"
        )
        pieces += [head.encode("latin-1"), span]
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    return pieces
