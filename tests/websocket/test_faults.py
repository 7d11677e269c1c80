"""Every fault of a client's closes with its code, and is one event."""

from __future__ import annotations

import zlib

import pytest

from tests.support import wait_until
from tests.websocket.support import BINARY, CLOSE, PING, PONG, STYLES, TEXT, Raw, Style, frame


def _squeezed(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


FAULTS = {
    "a reserved bit": (frame(TEXT, b"x", rsv=4), 1002),
    "another one": (frame(TEXT, b"x", rsv=2), 1002),
    "opcode 3": (frame(3, b"x"), 1002),
    "opcode 7": (frame(7), 1002),
    "opcode 11": (frame(11, b"x"), 1002),
    "opcode 15": (frame(15), 1002),
    "a ping in fragments": (frame(PING, b"x", fin=False), 1002),
    "a pong in fragments": (frame(PONG, b"x", fin=False), 1002),
    "a close in fragments": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "a large ping": (frame(PING, bytes(126)), 1002),
    "a large close": (frame(CLOSE, b"\x03\xe8" + bytes(124)), 1002),
    "nothing to continue": (frame(0, b"x"), 1002),
    "a message in a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    "bytes in a message": (frame(TEXT, b"x", fin=False) + frame(BINARY, b"y"), 1002),
    "no mask": (b"\x81\x01x", 1002),
    "half a code": (frame(CLOSE, b"\x03"), 1002),
    "code 999": (frame(CLOSE, b"\x03\xe7"), 1002),
    "code 1004": (frame(CLOSE, b"\x03\xec"), 1002),
    "code 1005": (frame(CLOSE, b"\x03\xed"), 1002),
    "code 1006": (frame(CLOSE, b"\x03\xee"), 1002),
    "code 1015": (frame(CLOSE, b"\x03\xf7"), 1002),
    "code 2999": (frame(CLOSE, b"\x0b\xb7"), 1002),
    "code 5000": (frame(CLOSE, b"\x13\x88"), 1002),
    "a reason that is no text": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "text that is none": (frame(TEXT, b"\xff"), 1007),
    "half a letter": (frame(TEXT, b"\xc3"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "too far a letter": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "no text in the first fragment": (frame(TEXT, b"\xff", fin=False), 1007),
    "no text over two": (frame(TEXT, b"\xc3", fin=False) + frame(0, b"x"), 1007),
    "half a letter at the end": (frame(TEXT, b"x", fin=False) + frame(0, b"\xc3"), 1007),
    "no text, then a close": (frame(TEXT, b"\xff") + frame(CLOSE, b"\x03\xe8"), 1007),
    "too large": (frame(BINARY, bytes(1001))[:20], 1009),
    "too large over two": (frame(BINARY, bytes(600), fin=False) + frame(0, bytes(600)), 1009),
}
"""What is sent, and the code it closes with; messages may have 1000 bytes."""

COMPRESSED = {
    "too large in the end": (frame(TEXT, _squeezed(bytes(1_000_000)), rsv=4), 1009),
    "nothing compressed": (frame(TEXT, b"\xff\xff\xff", rsv=4), 1002),
    "a bit where none is": (
        frame(TEXT, _squeezed(b"xy")[:2], fin=False, rsv=4) + frame(0, b"x", rsv=4), 1002,
    ),
    "a compressed ping": (frame(PING, b"x", rsv=4), 1002),
}  # fmt: skip
"""The same where compression was agreed on."""

WELL = {
    "a close": (frame(CLOSE, b"\x03\xe8"), 1000),
    "a close without a code": (frame(CLOSE), 0),
    "a close with a reason": (frame(CLOSE, b"\x03\xe9" + "ü".encode() * 61), 1001),
    "a code of one's own": (frame(CLOSE, b"\x0f\xa0"), 4000),
    "code 1014": (frame(CLOSE, b"\x03\xf6"), 1014),
    "a close after all": (frame(PONG, b"nobody has asked") + frame(CLOSE, b"\x03\xe8"), 1000),
    "a close in a message": (frame(TEXT, b"x", fin=False) + frame(CLOSE, b"\x03\xe8"), 1000),
    "one without a code there": (frame(TEXT, b"x", fin=False) + frame(CLOSE), 0),
    "a close before what is wrong": (frame(CLOSE, b"\x03\xe8") + frame(3), 1000),
}
"""What is right: the code comes back."""


STYLES_HERE = pytest.mark.parametrize(
    "style",
    [STYLES[0], pytest.param(STYLES[1], marks=pytest.mark.thorough), STYLES[2]],
    ids=lambda style: style.name,
)


@STYLES_HERE
@pytest.mark.parametrize("fault", [*FAULTS, *COMPRESSED])
def test_a_fault_closes_with_its_code(
    style: Style, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A message before it is still answered, the code comes, and there is one event."""
    data, code = FAULTS.get(fault) or COMPRESSED[fault]
    offer = "permessage-deflate" if fault in COMPRESSED else None
    with (
        style.serving(max_size=1000) as echo,
        Raw.of(echo, Sec_WebSocket_Extensions=offer) as raw,
    ):
        raw.head()
        raw.send(frame(TEXT, b"before") + data)
        assert raw.frame() == (TEXT, b"before")
        assert raw.close_code() == code
        assert raw.sock.recv(1) == b""
        end = echo.end()[0]
        assert end == code
        assert type(end) is int
        stats = echo.served.server.stats
        assert wait_until(lambda: stats().cut == {"protocol-violation": 1})
        says = "more bytes than max_size, which is 1000" if code == 1009 else ""
        assert wait_until(lambda: says in caplog.text)
    assert echo.served.tracebacks == 0


@STYLES_HERE
@pytest.mark.parametrize("kind", WELL)
def test_a_close_is_answered(style: Style, kind: str) -> None:
    """With the same code, after what came before; that is no event."""
    data, code = WELL[kind]
    with style.serving() as echo, Raw.of(echo) as raw:
        raw.head()
        raw.send(frame(TEXT, b"before") + data)
        assert raw.frame() == (TEXT, b"before")
        assert raw.close_code() == code
        assert raw.sock.recv(1) == b""
        assert echo.end()[0] == (code or 1005)
    assert echo.served.server.stats().cut == {}
