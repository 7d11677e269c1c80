"""Whichever worker is scraped tells the numbers of all."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.machinery.peers import connect, get, handshake, read_response, read_to_end, request
from tests.metrics.test_exposition import Parsed, parsed, value
from tests.service.program import Service, running
from tests.support import UNIT, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork() is of Unix")


def scraped(one: Service) -> Parsed:
    """Return what one of the workers exposes."""
    response = get(one.address, one.client, "/metrics")
    return parsed(response.partition(b"\r\n\r\n")[2].decode())


def test_the_numbers_are_the_sums_over_all_workers() -> None:
    """1 000 requests and some failures, over two workers; none is lost with a worker."""
    with running(workers=2) as one:
        seen: set[int] = set()
        asked = 0
        for _ in range(20):
            with handshake(one.address, one.client) as kept:
                for _ in range(48):
                    kept.sendall(request())
                    seen.add(int(read_response(kept).rpartition(b"\r\n")[2]))
                    asked += 1
        while asked < 1000 or len(seen) < 2:
            seen.add(one.ask())
            asked += 1
        for _ in range(9):
            with connect(one.address) as sock:
                sock.sendall(b"SSH-2.0-x\r\n")
                read_to_end(sock)
        scrapes = 0

        def has_all() -> bool:
            nonlocal scrapes
            scrapes += 1
            found = scraped(one)
            failures = value(found, "tlshttp_handshake_failures_total", reason="not-tls")
            requests = value(found, "tlshttp_requests_total")
            # Of the other worker's last scrapes this one may not know yet.
            return failures == 9 and asked <= requests <= asked + scrapes

        assert wait_until(has_all, timeout=30 * UNIT)
        assert value(scraped(one), "tlshttp_workers") == 2
        before = max(value(scraped(one), "tlshttp_requests_total") for _ in range(4))
        assert wait_until(lambda: value(scraped(one), "tlshttp_requests_total") >= before + 4)
        victim = min(one.workers())
        os.kill(victim, signal.SIGKILL)
        assert wait_until(lambda: len(one.workers() - {victim}) == 2)
        assert wait_until(lambda: value(scraped(one), "tlshttp_workers") == 2)
        found = scraped(one)
        assert value(found, "tlshttp_requests_total") >= before
        assert value(found, "tlshttp_handshake_failures_total", reason="not-tls") == 9
        one.tell(signal.SIGHUP)  # new workers take over, and with them the numbers
        assert wait_until(lambda: not one.workers() & seen, timeout=30 * UNIT)
        assert value(scraped(one), "tlshttp_requests_total") >= before
        one.tell(signal.SIGTERM)
        assert one.end()[0] == 0
