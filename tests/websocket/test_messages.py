"""Messages arrive whole, in order and unchanged, however they are sent."""

from __future__ import annotations

import threading
import zlib

import pytest

from tests.websocket.support import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Raw,
    Style,
    client,
    frame,
    random_bytes,
)

SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20]
"""Around the limits of RFC 6455, section 5.2, and the largest message."""

MANY = [2_000, pytest.param(100_000, marks=[pytest.mark.exhaustive, pytest.mark.timeout(300)])]


@pytest.mark.parametrize("count", MANY)
def test_many_messages_come_back_in_order(style: Style, count: int) -> None:
    """One thread sends, another reads."""
    with style.serving() as echo, client(echo) as connection:

        def send() -> None:
            for number in range(count):
                connection.send(str(number))

        sender = threading.Thread(target=send)
        sender.start()
        for number in range(count):
            assert connection.recv(timeout=30) == str(number)
        sender.join()
    assert echo.end() == (1000, "")
    assert echo.served.server.stats().cut == {}


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_sizes_around_the_limits_of_frames(style: Style, compression: str | None) -> None:
    """Text and bytes, compressible and not."""
    with style.serving() as echo, client(echo, compression=compression) as connection:
        for size in SIZES:
            for message in (random_bytes(size), bytes(size), "x" * size, "ü" * (size // 2)):
                connection.send(message)
                assert connection.recv(timeout=30) == message


def test_a_compressed_message_is_compressed(style: Style) -> None:
    """Both ways; a small one is not."""
    with (
        style.serving() as echo,
        Raw.of(echo, Sec_WebSocket_Extensions="permessage-deflate") as raw,
    ):
        head = raw.head()
        assert b"server_no_context_takeover; client_no_context_takeover" in head
        squeeze = zlib.compressobj(wbits=-15)
        data = (squeeze.compress(b"a" * 5000) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]
        raw.send(frame(TEXT, data, rsv=4))
        first, size = raw.take(2)
        assert first == 0xC1
        assert size < 100
        assert zlib.decompressobj(wbits=-15).decompress(raw.take(size)) == b"a" * 5000
        raw.send(frame(TEXT, b"small"))
        assert raw.frame() == (TEXT, b"small")


def test_no_compression_where_the_server_wants_none(style: Style) -> None:
    """Nothing is agreed on."""
    with (
        style.serving(compression=False) as echo,
        Raw.of(echo, Sec_WebSocket_Extensions="permessage-deflate") as raw,
    ):
        assert b"extensions" not in raw.head().lower()


@pytest.mark.parametrize("pieces", [2, 3, 50])
def test_fragments_with_pings_between(style: Style, pieces: int) -> None:
    """A message in fragments is one message; a ping between them is answered at once."""
    text = "größer" * 1000
    data = text.encode()
    step = -(-len(data) // pieces)
    with style.serving() as echo, Raw.of(echo) as raw:
        raw.head()
        for at in range(0, len(data), step):
            last = at + step >= len(data)
            raw.send(frame(TEXT if not at else 0, data[at : at + step], fin=last))
            if not last:
                raw.send(frame(PING, b"%d" % at))
                assert raw.frame() == (PONG, b"%d" % at)
        assert raw.frame() == (TEXT, data)


def test_every_split_of_a_few_frames(style: Style) -> None:
    """What matters is the bytes, not how they arrive."""
    data = frame(TEXT, b"one") + frame(PING, b"p") + frame(BINARY, bytes(200)) + frame(TEXT, b"")
    with style.serving() as echo, Raw.of(echo) as raw:
        raw.head()
        for at in range(1, len(data), 7):
            raw.send(data[:at])
            raw.send(data[at:])
            seen = [raw.frame() for _ in range(4)]
            assert [each for each in seen if each[0] != PONG] == [
                (TEXT, b"one"), (BINARY, bytes(200)), (TEXT, b""),
            ]  # fmt: skip
            assert (PONG, b"p") in seen


def test_frames_sent_with_the_request(style: Style) -> None:
    """A client may not wait for the answer's head."""
    with style.serving() as echo, Raw.of(echo) as raw:
        raw.send(frame(TEXT, b"early"))
        raw.head()
        assert raw.frame() == (TEXT, b"early")


@pytest.mark.parametrize("offer", [("b", "a"), ("x", "b"), ("x",), ()])
def test_subprotocols(style: Style, offer: tuple[str, ...]) -> None:
    """The server's order counts; none in common is none."""
    expected = next((each for each in ("a", "b") if each in offer), None)
    with (
        style.serving(subprotocols=("a", "b")) as echo,
        client(echo, subprotocols=list(offer) or None) as connection,
    ):
        assert connection.subprotocol == expected
