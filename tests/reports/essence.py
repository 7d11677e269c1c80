"""What is worth telling of an exception: its type, and the innermost reason in one line."""

from __future__ import annotations

import re

_LIMIT = 90  # characters of a cell

_NOISE = (
    (r"(OpenSSL SSL_\w+: )?OpenSSL/[\d.]+: error:[0-9A-F]+:[\w ]+::", ""),
    (r" after \d+ (ms|milliseconds)", ""),
    (r", errno 0$", ""),
    (r" \[Connect call failed [^]]+\]", ""),
    (r"(?i)(localhost|127\.0\.0\.1)[:, ]+(port[= ])?\d+", r"\1"),
)
"""What differs from run to run, or helps nobody."""

_REASONS = (
    r"certificate verify failed: ([^\"'()\[\],]+?)\.?(?: \(_ssl|,|$|[\"'])",
    r"\[(?:SSL: ?)?([A-Z0-9_]{4,})\]",
    r"\[SSL\] ([^(]+) \(_ssl",
    r"ConnectionResetError\(\d+, '([^']+)'",
    r"(\[Errno -?\d+\] [^'\"()]+)",
    r"(IncompleteRead\([^)]*\))",
    r"((?:[Tt]he )?(?:handshake|read|write) operation timed out)",
    r"([Rr]ead timed out|[Cc]onnect timeout|Connection timeout)",
    r"(Remote end closed connection without response)",
    r"(got more than [^'\"()]+)",
    r"(BadStatusLine\(['\"][^'\"\\]*)",
    r"(InvalidChunkLength)",
    r"message=\"([^\":\\]+)",
    r"message='([^':\\]+)",
    r"(failed to decode it)",
    r"Caused by \w+\(['\"(]*([^'\"()]+)",
)
"""From the most telling on."""


def success(status: int, size: int) -> str:
    """Say that there was a response."""
    return f"{status}, {size} bytes"


def failure(error: BaseException) -> str:
    """Say what an exception says."""
    reason = essence(str(error))
    kind = type(error).__name__
    if not reason or reason.startswith(kind):
        return reason or kind
    return f"{kind}: {reason}"


def essence(text: str) -> str:
    """Return the innermost reason in a message."""
    text = " ".join(text.split())
    for pattern, replacement in _NOISE:
        text = re.sub(pattern, replacement, text)
    for pattern in _REASONS:
        if found := re.search(pattern, text):
            text = found[1].strip()
            break
    return text if len(text) <= _LIMIT else f"{text[: _LIMIT - 3]}..."
