"""When a request is ready for a handler: decided on bytes alone, before anything is parsed.

A handler is called when the whole head is there and, if the body is small and its length is
announced, the body as well. So neither a slow head nor a slow form or JSON document occupies a
thread. Everything else about a request is the handler layer's to judge.
"""

from __future__ import annotations

import functools
import re

from tlshttp._seam import BODY_MISSING, HEAD_MISSING, UNUSUAL, FindRequest
from tlshttp.limits import Limits

__all__ = ["LONGEST_LINE", "SMALL_BODY", "head_end", "request_finder", "section_size"]

LONGEST_LINE = 65_536  # as http.server has it

SMALL_BODY = 16_384
"""Bytes of a body that is awaited before a handler is called: one full TLS record (RFC 8446,
section 5.1), which keeps what a half-sent request costs in memory bounded."""

_LENGTH = re.compile(rb"\ncontent-length:[ \t]*([0-9]{1,5})[ \t]*\r?\n", re.IGNORECASE)
_EXPECT = re.compile(rb"\nexpect:", re.IGNORECASE)


def request_finder(limits: Limits) -> FindRequest:
    """Return the function that tells whether a request is ready in a buffer."""
    return functools.partial(_find_request, limits.max_header_bytes)


def _find_request(most: int, buffer: bytes, start: int) -> int:
    end = head_end(buffer, start)
    if end < 0:
        # A head that is too long is ready, too: to be refused.
        return HEAD_MISSING if len(buffer) - start <= most else UNUSUAL
    if not buffer.startswith((b"GET ", b"HEAD "), start):
        if len(buffer) - end < _small_body(buffer[start:end]):
            return BODY_MISSING
        if buffer.startswith((b"\r", b"\n"), start):
            return UNUSUAL
    return end - start if end - start <= min(most, LONGEST_LINE) else UNUSUAL


def head_end(buffer: bytes, start: int) -> int:
    """Return where the head that begins at `start` ends, after its empty line; -1 if it does not.

    Lines may end with a bare line feed (RFC 9112, section 2.2), as `http.server` allows.
    """
    end = buffer.find(b"\n\r\n", start)
    bare = buffer.find(b"\n\n", start, None if end < 0 else end + 1)
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else -1


def section_size(buffer: bytes, start: int) -> int:
    """Return how long the header lines from `start` on are, with their empty line; 0: not there."""
    if buffer.startswith(b"\r\n", start):
        return 2
    if buffer.startswith(b"\n", start):
        return 1
    return max(0, head_end(buffer, start) - start)


def _small_body(head: bytes) -> int:
    """Return the announced size of a body that is worth waiting for, else 0."""
    length = _LENGTH.search(head)
    # A client that expects 100 (Continue) waits for the handler's word before it sends a body.
    if length is None or _EXPECT.search(head):
        return 0
    size = int(length[1])
    return size if size <= SMALL_BODY else 0
