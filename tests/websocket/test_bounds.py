"""What clients may take of a server: no thread while idle, bounded memory, nobody else's time."""

from __future__ import annotations

import contextlib
import math
import statistics
import threading
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate

from tests.support import UNIT, wait_until
from tests.websocket.support import (
    BINARY,
    PATIENCE,
    PING,
    PONG,
    STYLES,
    TEXT,
    Echo,
    Raw,
    client,
    frame,
)
from tlshttp import Limits, ThreadingTLSHTTPServer
from tlshttp.websocket._conversation import Conversation

DRIVEN = pytest.mark.parametrize("style", STYLES[:2], ids=lambda style: style.name)

pytestmark = pytest.mark.timeout(300)  # much is counted here, which a busy machine takes long for

CLIENTS = [20, pytest.param(1_000, marks=[pytest.mark.exhaustive, pytest.mark.timeout(300)])]


def _threads() -> int:
    return sum(thread.name.startswith("tlshttp") for thread in threading.enumerate())


def _resident() -> int:
    """Return how many bytes of this process are in memory."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in x)
    return int(line.split()[1]) << 10


@DRIVEN
def test_idle_websockets_cost_no_thread(style) -> None:  # type: ignore[no-untyped-def]
    """Forty of them with four threads at most, each of which still answers."""
    options = {"max_workers": 4} if style.server_class is ThreadingTLSHTTPServer else {}
    with style.serving(options) as echo, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Raw.of(echo)) for _ in range(40)]
        for raw in clients:
            raw.head()
        stats = echo.served.server.stats
        assert wait_until(lambda: stats().parked["taken-over"] == 40)
        assert _threads() < 8
        for raw in clients:
            raw.send(frame(TEXT, b"hello"))
            assert raw.frame() == (TEXT, b"hello")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells the memory")
@pytest.mark.parametrize("count", CLIENTS)
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_half_of_all_clients_stop_reading(style, count: int) -> None:  # type: ignore[no-untyped-def]
    """Each sends until nothing more goes; memory is bounded, the others are served as ever."""
    limits = Limits(max_connections=2 * count + 50)
    options: dict[str, Any] = {"limits": limits}
    if style.name == "blocking":
        options["max_workers"] = count  # a thread for each, and 800 that wait
    with style.serving(options) as echo, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Raw.of(echo, rcvbuf=4096)) for _ in range(count)]
        for raw in connections:
            raw.head()
        silent, others = connections[::2], connections[1::2]
        before = _usual(others)
        memory = _resident()
        for raw in silent:
            raw.sock.settimeout(0.01 * UNIT)
            with contextlib.suppress(OSError):
                for _ in range(math.ceil(16_000 / count)):
                    raw.send(frame(BINARY, bytes(16_384)))
        assert wait_until(lambda: _is_settled(echo), timeout=30 * UNIT)
        grown = _resident() - memory
        after = _usual(others)
        assert grown < (16 << 20) + len(silent) * (512 << 10)
        assert after < 10 * before + 0.5 * UNIT


def _is_settled(echo: Echo) -> bool:
    """Return whether the server has taken in all that it will."""
    before = echo.served.server.stats().bytes_in
    time.sleep(0.2)
    return bool(before == echo.served.server.stats().bytes_in)


def _usual(clients: list[Raw]) -> float:
    """Return within how many seconds half of all echoes come: others' work delays some of them."""
    times = []
    for raw in clients * max(1, 500 // len(clients)):
        began = time.monotonic()
        raw.send(frame(TEXT, b"hello"))
        assert raw.frame() == (TEXT, b"hello")
        times.append(time.monotonic() - began)
    return statistics.median(times)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_flood_of_small_messages_delays_nobody(style) -> None:  # type: ignore[no-untyped-def]
    """Another client is served in between: the flood goes on until it has been, five times."""
    over = threading.Event()
    with style.serving() as echo, Raw.of(echo) as raw, client(echo) as other:
        raw.head()
        flood = threading.Thread(target=_flood, args=(raw, over))
        flood.start()
        try:
            for _ in range(5):
                other.send("hello")
                assert other.recv(timeout=PATIENCE) == "hello"
        finally:
            over.set()
            flood.join()


def _flood(raw: Raw, over: threading.Event) -> None:
    """Send and read; while some messages are read more are on their way."""
    messages = frame(TEXT) * 500
    raw.send(messages)
    while not over.is_set():
        raw.send(messages)
        raw.take(2 * 500)
    raw.take(2 * 500)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_what_grows_when_it_is_decompressed_is_bounded(style) -> None:  # type: ignore[no-untyped-def]
    """A thousandfold, of one message after the other, by a client that does not read."""
    squeeze = zlib.compressobj(level=9, wbits=-15)
    bomb = (squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
    with (
        style.serving() as echo,
        Raw.of(echo, Sec_WebSocket_Extensions="permessage-deflate") as raw,
    ):
        raw.head()
        memory = _resident()
        raw.sock.settimeout(0.2 * UNIT)
        with contextlib.suppress(OSError):
            for _ in range(200):
                raw.send(frame(BINARY, bomb, rsv=4))
        assert _resident() - memory < 48 << 20


def test_messages_that_are_begun_have_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all of them take together; who asks for more is told to try later."""
    from tlshttp.websocket import _room

    monkeypatch.setattr(_room.ROOM, "left", 1 << 20)
    with STYLES[0].serving() as echo, contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Raw.of(echo)) for _ in range(4)]
        kept = []
        for raw in connections:
            raw.head()
            with contextlib.suppress(OSError):
                raw.send(frame(BINARY, bytes(400_000), fin=False) + frame(PING))
            opcode, data = raw.frame()
            if opcode == PONG:
                kept.append(raw)
            else:
                assert int.from_bytes(data[:2], "big") == 1013
        assert len(kept) == 3
        for raw in kept:
            raw.send(frame(0))
            assert raw.frame() == (BINARY, bytes(400_000))
    assert wait_until(lambda: _room.ROOM.left == 1 << 20)


FRAGMENTS = {
    "two bytes of text": (TEXT, b"ab", 10_000),
    "a letter of two bytes": (TEXT, "\u00fc".encode(), 10_000),
    "two bytes": (BINARY, b"ab", 10_000),
    "a byte of text": (TEXT, b"a", 20_000),
    "no text": (TEXT, b"", 20_000),
    "nothing": (BINARY, b"", 20_000),
}


@pytest.mark.parametrize("kind", FRAGMENTS)
@pytest.mark.parametrize("compression", [False, True])
def test_a_message_in_small_fragments_takes_no_more_than_its_bytes(
    kind: str, compression: bool
) -> None:
    """However many there are, it takes twice its bytes, and its last part makes it whole."""
    opcode, data, count = FRAGMENTS[kind]
    agreed = PerMessageDeflate(True, True, 12, 12) if compression else None
    conversation = Conversation(1 << 20, agreed)
    some = frame(0, data, fin=False) * 1_000
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        conversation.feed(frame(opcode, data, fin=False))
        for _ in range(count // 1_000):
            conversation.feed(some)
            assert conversation.next() is None
        assert tracemalloc.get_traced_memory()[0] - before < 2 * len(data) * count + 20_000
    finally:
        tracemalloc.stop()
    conversation.feed(frame(0, data))
    whole = data * (count + 2)
    assert conversation.next() == (whole.decode() if opcode == TEXT else whole)
