"""Who wants turn after turn: others come first, and no handshake is held up by the lock."""

from __future__ import annotations

import collections
import math
import ssl

import pytest

from tests.machinery.conftest import RecordingThreading, serving
from tests.machinery.handlers import Plain
from tests.machinery.office import Office
from tests.machinery.peers import handshake
from tests.support import UNIT
from tlshttp._machinery import leader as module
from tlshttp._machinery.connection import Connection
from tlshttp._machinery.loop import Loop


def test_who_wants_turn_after_turn_comes_after_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that are never done have a turn each time the leader looks at the others, and no more."""
    monkeypatch.setattr(module, "_SECONDS_AT_ONCE", math.inf)  # it looks after 64
    order: list[str] = []
    left = collections.Counter({"client": 1000, "greedy": 100})

    def ask() -> None:
        order.append("client")
        left["client"] -= 1
        if left["client"] >= 70:
            office.arrived.append(ask)  # seventy of them, each of which asks again and again

    def go_on() -> None:
        order.append("greedy")
        left["greedy"] -= 1
        if left["greedy"] >= 2:
            office.leaders.again.append(go_on)  # type: ignore[arg-type]

    office.bring(go_on, go_on, *[ask] * 70)
    assert office.resigned.acquire(timeout=30 * UNIT)
    assert len(order) == 1100
    assert order[:72] == ["greedy"] * 2 + ["client"] * 70
    last = len(order) - order[::-1].index("client")
    assert order[:last].count("greedy") == pytest.approx(last // 64, abs=3)
    assert set(order[last:]) == {"greedy"}


def test_no_handshake_beside_who_wants_turn_after_turn(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have to wait for the interpreter's lock each time that it has let go of it."""
    monkeypatch.setattr(office.leaders, "_many_cores", True)
    done: list[str] = []

    def handshake() -> None:
        office.leaders.again.append(lambda: done.append("greedy"))  # type: ignore[arg-type]
        office.leaders.before_handshake()
        done.append("handshake")

    office.bring(handshake, lambda: done.append("other"))
    assert office.resigned.acquire(timeout=30 * UNIT)
    assert done == ["handshake", "other", "greedy"]
    assert len(set(office.threads)) == 1


def test_who_sends_requests_at_once_comes_after_others(
    server_context: ssl.SSLContext,
    any_client: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of three requests in one record, two are answered when others have had their turn."""
    again: list[object] = []
    resume_again = Loop.resume_again

    def resume(loop: Loop, connection: Connection) -> None:
        again.append(connection)
        resume_again(loop, connection)

    monkeypatch.setattr(Loop, "resume_again", resume)
    server = RecordingThreading(("127.0.0.1", 0), Plain, ssl_context=server_context)
    with serving(server), handshake(server.server_address, any_client) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        answer = b""
        while answer.count(b"\r\n\r\n") < 3:
            received = client.recv(65_536)
            assert received
            answer += received
    assert len(again) == 2
