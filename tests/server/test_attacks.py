"""Promise P2 while handlers read and write: no peer delays another, in any phase, in either server.

What the limits are here is no figure: an attack that worked cost seconds, and all that is asked is
a fraction of that. ``python -m tests.benchmarks.attacks`` measures, at full size.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.attacks import (
    ATTACKS,
    Siege,
    ask_honestly,
    besieged,
    client_context,
)
from tests.server.program import server_process
from tests.support import UNIT

SERVERS = ("TLSHTTPServer", "ThreadingTLSHTTPServer")
WORST = 10.0 * UNIT
"""Seconds that an honest request may take while others attack, on the busiest machine; where one
waits for peers it takes 20 s or more."""
USUAL = 1.0 * UNIT
"""Seconds that half of them may take; where one waits for all the work of an attack, none is that
quick."""
PATIENCE = 20.0 * UNIT

EXHAUSTIVE_12 = pytest.param("1.2", marks=pytest.mark.exhaustive)

pytestmark = pytest.mark.parametrize("server_class", SERVERS)


def honest_under(
    server_class: str, attack: str, count: int, version: str = "1.3", **options: Any
) -> None:
    """Assert that honest clients are served while an attack is under way, and after it."""
    with server_process(server_class, **options) as server:
        context = client_context(version)
        assert ask_honestly(server.address, context, count=3, patience=PATIENCE).failed == 0
        with Siege(server.address, context, patience=PATIENCE) as siege:
            ATTACKS[attack](siege, count)
            honest = ask_honestly(
                server.address, client_context(version), count=12, pause=0.02, patience=PATIENCE
            )
            assert honest.failed == 0, f"{len(honest.fresh)} served, then one failed"
            assert honest.worst < WORST
            assert honest.percentile(50) < USUAL
            assert siege.refused == 0
        assert ask_honestly(server.address, context, count=3, patience=PATIENCE).failed == 0


@pytest.mark.parametrize("count", [2, pytest.param(16, marks=pytest.mark.thorough)])
def test_peers_02_pipelining_starves_nobody(count: int, server_class: str) -> None:
    """A connection whose next request is there already waits for its turn, too.

    peers 2. The attacker is a process of its own, so that it keeps up with the server.
    """
    with server_process(server_class) as server, besieged("pipelining", count, server.port):
        honest = ask_honestly(server.address, client_context(), pause=0.02, patience=PATIENCE)
        assert honest.failed == 0
        assert honest.worst < WORST
        assert honest.percentile(50) < USUAL


@pytest.mark.parametrize("attack", ["one-byte-records", "one-byte-records-of-a-body"])
def test_peers_03_tiny_records_are_read_in_turns(attack: str, server_class: str) -> None:
    """A head, or a body, in sixty thousand records stops nobody.

    peers 3.
    """
    honest_under(server_class, attack, 2)


@pytest.mark.parametrize("attack", ["slow-length", "slow-chunked", "slow-expected"])
def test_peers_04_slow_uploads_hold_no_place(attack: str, server_class: str) -> None:
    """More uploads at 600 bytes a second than there are workers cost nobody anything.

    peers 4, clients D1 (slow body).
    """
    honest_under(server_class, attack, 40)


@pytest.mark.parametrize("version", [EXHAUSTIVE_12, "1.3"])
@pytest.mark.parametrize("attack", ["non-readers", "non-readers-of-new-pieces", "slow-readers"])
def test_peers_04_who_does_not_read_holds_no_place(
    attack: str, version: str, server_class: str
) -> None:
    """More peers that ask for 50 MB than there are workers, and that read nothing or little.

    peers 4, clients D1 (slow read).
    """
    honest_under(server_class, attack, 40, version)


@pytest.mark.parametrize("handler", ["function", "own-handle", "streaming"])
def test_peers_05_idle_connections_of_blocking_handlers_hold_no_place(
    handler: str, server_class: str
) -> None:
    """Handlers from a function, or with ``handle()``, whose peers are idle give way.

    peers 5.
    """
    honest_under(server_class, "many-idle", 40, handler=handler)


@pytest.mark.parametrize(
    "attack", ["slow-length", pytest.param("slow-expected", marks=pytest.mark.thorough)]
)
@pytest.mark.parametrize("handler", ["function", "streaming"])
def test_peers_05_slow_uploads_to_blocking_handlers_hold_no_place(
    handler: str, attack: str, server_class: str
) -> None:
    """They give their places back while they wait for their peers, as all handlers do."""
    honest_under(server_class, attack, 40, handler=handler)


@pytest.mark.parametrize("attack", ["silent-expected", "silent-chunked", "silent-zeros"])
def test_peers_10_small_bodies_that_do_not_come(attack: str, server_class: str) -> None:
    """A body of five bytes is awaited outside the handler, however it was announced.

    peers 10.
    """
    honest_under(server_class, attack, 40)


def test_peers_10_tiny_responses_that_nobody_reads(server_class: str) -> None:
    """Before the next pipelined request there must be room for its response.

    peers 10.
    """
    honest_under(server_class, "tiny-pipeline", 2)


@pytest.mark.parametrize("attack", ["one-byte-chunks", "chunk-extensions"])
def test_peers_11_an_unread_body_is_bounded_by_its_work(attack: str, server_class: str) -> None:
    """A chunked body that no handler reads costs what its bytes on the wire say, in turns.

    peers 11.
    """
    honest_under(server_class, attack, 1)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_clients_d1_all_at_once(version: str, server_class: str) -> None:
    """Slow uploads of three kinds, peers that do not read and idle ones, 34 of each.

    clients D1.
    """
    honest_under(server_class, "everything", 34, version)
