"""Requests that are there already when the one before is answered by a coroutine."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.aio.conftest import Run, connected
from tests.aio.test_asgi import answer, only_http, quiet
from tests.machinery.peers import read_to_end, request
from tests.support import UNIT
from tlshttp._machinery import loop
from tlshttp.aio import _serve

SECONDS = 0.5 * UNIT
"""How long whoever waits does so, if nobody tells that there is more to do."""

REQUESTS = 20


@only_http
async def _greets(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"hello")


def test_the_next_request_does_not_wait_for_the_socket(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came with the one before, and no poller reports it: the loop, or the leader, is told."""
    monkeypatch.setattr(loop, "_LINGER_SECONDS", SECONDS)
    monkeypatch.setattr(loop, "_SWEEP_SECONDS", SECONDS)
    monkeypatch.setattr(_serve, "_TICK_SECONDS", SECONDS)
    with run(quiet(_greets)) as server, connected(server) as sock:
        began = time.monotonic()
        sock.sendall(request("/") * REQUESTS + request("/", close=True))
        assert read_to_end(sock).count(b"hello") == REQUESTS + 1
        assert time.monotonic() - began < REQUESTS * SECONDS / 2
