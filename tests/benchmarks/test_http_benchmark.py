"""How long a request head takes; run with ``pytest tests/benchmarks`` on one pinned core."""

from __future__ import annotations

import http.client
import io
import statistics
import time
from collections.abc import Callable
from http.client import HTTPMessage

from tlshttp.handler._head import RequestHeaders, parse_head

BROWSER = (
    b"Host: localhost:8443\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/156.0.0.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;"
    b"q=0.8\r\n"
    b"Accept-Language: en-GB,en;q=0.9\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Connection: keep-alive\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"Sec-Fetch-Dest: document\r\n"
    b"Sec-Fetch-Mode: navigate\r\n"
    b"Sec-Fetch-Site: none\r\n"
    b"Sec-Fetch-User: ?1\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
)


def ours() -> HTTPMessage:
    """Parse and check the head, and fill the message, as a handler does it."""
    head = parse_head(BROWSER, 1, needs_host=True)
    return RequestHeaders.of(head.fields)


def theirs() -> HTTPMessage:
    """Do it with what `http.server` uses."""
    return http.client.parse_headers(io.BytesIO(BROWSER + b"\r\n"))


def seconds(operation: Callable[[], object], number: int) -> float:
    """Return how long one call takes."""
    began = time.perf_counter()
    for _ in range(number):
        operation()
    return (time.perf_counter() - began) / number


def test_head_speed(record_property: Callable[[str, object], None]) -> None:
    """The head of a browser's request, twelve fields, five times as fast as http.client's way."""
    assert ours().items() == theirs().items()
    rounds = [(seconds(ours, 500), seconds(theirs, 100)) for _ in range(30)]  # interleaved
    ratio = statistics.median(slow / fast for fast, slow in rounds)
    record_property("ours_us", statistics.median(fast for fast, _ in rounds) * 1e6)
    record_property("theirs_us", statistics.median(slow for _, slow in rounds) * 1e6)
    record_property("ratio", ratio)
    assert ratio >= 5
