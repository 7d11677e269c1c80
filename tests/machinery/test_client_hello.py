from __future__ import annotations

import socket
import struct
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machinery.conftest import VERSIONS
from tests.machinery.peers import client_context, client_hello
from tests.machinery.test_failures import OPENSSL
from tests.support import UNIT
from tlshttp._machinery.client_hello import parse
from tlshttp._machinery.records import AT_ONCE, LARGEST_HELLO, BeganWith, NoHello, Records
from tlshttp.errors import (
    HandshakeDisconnected,
    HandshakeError,
    MalformedHandshake,
    NotTLSError,
    PeerRejected,
)

NAME = "www.example.org"


def read(data: bytes, step: int | None = None) -> tuple[BeganWith, Records]:
    """Take in bytes, all at once or so many at a time, and tell what they are."""
    records = Records()
    kind = BeganWith.PARTIAL_HELLO
    for begin in range(0, len(data), step or len(data)):
        piece = data[begin : begin + (step or len(data))]
        if kind is not BeganWith.PARTIAL_HELLO:
            records.data += piece  # the engine's
            continue
        assert records.awaited > 0
        kind = records.take(piece)
    return kind, records


def server_name(data: bytes) -> str | None:
    """Return the name in a hello, as far as `data` has it."""
    kind, records = read(data) if data else (BeganWith.PARTIAL_HELLO, Records())
    whole = kind is BeganWith.CLIENT_HELLO
    return parse(bytes(records.content)).server_name if whole else None


def content_of(hello: bytes) -> bytes:
    """Return a hello without the headers of its records, which are full."""
    return b"".join(hello[at + 5 : at + AT_ONCE] for at in range(0, len(hello), AT_ONCE))


def in_records(hello: bytes, size: int) -> bytes:
    """Return a hello in records with no more than `size` bytes of content each."""
    parts = [hello[begin : begin + size] for begin in range(5, len(hello), size)]
    return b"".join(hello[:3] + struct.pack("!H", len(part)) + part for part in parts)


def padded(hello: bytes, size: int) -> bytes:
    """Return a ClientHello grown to `size` bytes by a padding extension (RFC 7685).

    A post-quantum key share makes a hello as long.
    """
    padding = size - len(hello) - 4
    extension = struct.pack("!HH", 21, padding) + bytes(padding)
    position = 9 + 34
    position += 1 + hello[position]
    position += 2 + int.from_bytes(hello[position : position + 2])
    position += 1 + hello[position]
    extensions = hello[position + 2 :] + extension
    body = hello[9:position] + struct.pack("!H", len(extensions)) + extensions
    return in_records(hello[:5] + b"\x01" + len(body).to_bytes(3) + body, 1 << 14)


def from_openssl() -> bytes:
    """Return the ClientHello of ``openssl s_client``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "{}:{}".format(*listener.getsockname())
        with subprocess.Popen(
            [OPENSSL or "openssl", "s_client", "-connect", address, "-servername", NAME],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(60 * UNIT)
                data = connection.recv(AT_ONCE)
                while len(data) < 5 + int.from_bytes(data[3:5]):
                    data += connection.recv(AT_ONCE)
            process.wait()
    return data


HELLOS = {
    **{version.name: client_hello(client_context(version), NAME) for version in VERSIONS},
    "padded": padded(client_hello(client_context(), NAME), 1800),
    "largest": padded(client_hello(client_context(), NAME), 60_000),
}


@pytest.fixture(scope="session")
def hellos() -> dict[str, bytes]:
    """Return real ClientHellos that ask for the same name."""
    return {**HELLOS, **({"openssl": from_openssl()} if OPENSSL else {})}


def test_a_hello_is_known_as_soon_as_it_is_whole(hellos: dict[str, bytes]) -> None:
    """Every beginning of a hello is a partial one, and only the whole is a hello."""
    for hello in hellos.values():
        kinds = {read(hello[:size])[0] for size in range(1, len(hello), 1 + len(hello) // 500)}
        assert kinds == {BeganWith.PARTIAL_HELLO}
        for more in (b"", b"more"):
            kind, records = read(hello + more)
            assert kind is BeganWith.CLIENT_HELLO
            assert records.data == hello + more


def test_the_server_name_is_read_from_real_hellos(hellos: dict[str, bytes]) -> None:
    """The name is found in hellos of several clients, versions and sizes."""
    for name, hello in hellos.items():
        assert (name, server_name(hello)) == (name, NAME)


def test_a_server_name_is_never_cut_short(hellos: dict[str, bytes]) -> None:
    """The beginning of a hello tells no name rather than the beginning of one."""
    for hello in hellos.values():
        sizes = range(0, len(hello), 1 + len(hello) // 500)
        assert {server_name(hello[:size]) for size in sizes} == {None}


def test_a_hello_in_several_records_tells_its_name() -> None:
    """A record header in the middle of the name is not taken for a part of it; half tells none."""
    hello = HELLOS["TLSv1_3"]
    middle = hello.index(NAME.encode()) + 4
    parts = hello[5:middle], hello[middle:]
    records = b"".join(hello[:3] + struct.pack("!H", len(part)) + part for part in parts)
    assert server_name(records) == NAME
    assert server_name(records[: len(parts[0]) + 5]) is None


@pytest.mark.parametrize("size", [1, 2, 3, 40, 250, 1000, 1 << 14])
@pytest.mark.parametrize("step", [1, 5, 17, 1500, None])
def test_clients_d06_a_hello_may_be_in_any_records(
    hellos: dict[str, bytes], size: int, step: int | None
) -> None:
    """However it is cut, and however it arrives, it tells the same, and the engine gets all of it.

    In no more bytes than came: records of any size become records that are full.
    """
    after = b"\x14\3\3\0\1\1"
    for name, hello in hellos.items():
        if len(hello) > 3000 and (step or 9999) < 17:
            continue
        content = content_of(hello)
        cut = in_records(hello[:5] + content, size)
        kind, records = read(cut + after, step)
        assert kind is BeganWith.CLIENT_HELLO, name
        assert records.content == content, name
        assert records.data.endswith(after), name
        assert content_of(records.data[: -len(after)]) == content, name
        assert len(records.data) <= len(cut + after)


def test_clients_d06_limits() -> None:
    """What OpenSSL takes is taken, and one byte more is not, told by its first four bytes."""
    begin = b"\x16\3\1\0\4\1"
    assert read(begin + LARGEST_HELLO.to_bytes(3))[0] is BeganWith.PARTIAL_HELLO
    with pytest.raises(NoHello, match="more than 131396 bytes") as caught:
        read(begin + (LARGEST_HELLO + 1).to_bytes(3))
    assert caught.value.alert == 47
    empty = b"\x16\3\1\0\0"
    assert read(empty * 32 + HELLOS["TLSv1_3"])[0] is BeganWith.CLIENT_HELLO
    with pytest.raises(NoHello, match="without content"):
        read(empty * 33)


def test_clients_d06_time_grows_with_the_bytes_only() -> None:
    """The largest hello in records of one byte costs no more, byte by byte, than a quarter of it.

    What grows with the square of the bytes would take sixteen times as long.
    """
    body = bytes(LARGEST_HELLO)
    cut = in_records(b"\x16\3\1\0\0\1" + len(body).to_bytes(3) + body, 1)

    def seconds(part: float) -> float:
        began = time.thread_time()
        read(cut[: int(len(cut) * part)], AT_ONCE)
        return time.thread_time() - began

    quarter, whole = zip(*((seconds(0.25), seconds(1)) for _ in range(4)), strict=True)
    assert min(whole) < 8 * min(quarter) + 0.1 * UNIT


@pytest.mark.parametrize("size", [1, 40, 1 << 14])
def test_clients_d08_nothing_is_awaited_that_may_not_come(size: int) -> None:
    """From anywhere in a hello it is the rest of a record, or the header of the next."""
    cut = in_records(HELLOS["padded"], size)
    records = Records()
    for end in range(1, len(cut)):
        records.take(cut[end - 1 : end])
        used = end % (5 + size)
        assert records.awaited in (5 - used, 5 + size - used, len(cut) - end)


def test_a_name_is_told_in_lower_case() -> None:
    """Host names are the same in either case, and users compare them with ``==``."""
    hello = client_hello(client_context(), "WWW.Example.ORG")
    assert server_name(hello) == NAME


def test_no_name_is_none() -> None:
    """A hello without the extension, and one with bytes that are in no host name, tell none."""
    assert server_name(client_hello(client_context(), None)) is None
    assert server_name(HELLOS["TLSv1_3"].replace(NAME.encode(), b"www.exam\nle.org")) is None


PARTIAL, TEXT, WHOLE = BeganWith.PARTIAL_HELLO, BeganWith.TEXT, BeganWith.CLIENT_HELLO


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"G", TEXT),
        (b"ssh", TEXT),
        (b"\x16", PARTIAL),
        (b"\x15", PARTIAL),
        (b"\x80", PARTIAL),
        (b"\x80\x2e\x01", PARTIAL),
        (b"\x15\3\1\0\2\2", PARTIAL),
        (b"\x16\x03\x01\x40\x00", PARTIAL),
        (b"\x16\x03\x01\x00\x00", PARTIAL),
        (b"\x16\x03\x01\x00\x01\x01", PARTIAL),
        (b"\x16\x03\x01\x00\x04\x01\0\0\0", WHOLE),
    ],
)
def test_first_bytes(data: bytes, kind: BeganWith) -> None:
    """What can become a ClientHello, or be told better when there is more, is waited for."""
    assert read(data)[0] is kind
    assert read(data, 1)[0] is kind


HALF = b"\x16\3\1\0\5\1\0\0\x30\3"


@pytest.mark.parametrize(
    ("data", "alert", "error"),
    [
        (b"\0", None, NotTLSError),
        (b"\x13", None, NotTLSError),
        (b"\x80\x2e\x02", None, NotTLSError),
        (b"\x16\x02", None, NotTLSError),
        (b"\x15\x02", None, NotTLSError),
        (b"\x80\x2e\x01\x00\x02", 70, NotTLSError),
        (b"\x80\x2e\x01\x03\x03", 70, NotTLSError),
        (b"\x16\x03\x01\x00\x30\x02", 10, NotTLSError),
        (b"\x16\x03\x01\x00\x00\x16\x03\x01\x00\x30\x10", 10, NotTLSError),
        (b"\x14\x03\x03\x00\x01", 10, NotTLSError),
        (b"\x17\x03\x03\x00\x00", 10, NotTLSError),
        (b"\x18\x03\x03\x00\x09", 10, NotTLSError),
        (b"\x15\x03\x01\x00\x02\x02\x28", 10, NotTLSError),
        (b"\x15\x03\x01\x00\x02\x01\x00", 10, NotTLSError),
        (b"\x15\x03\x01\x00\x02\x01\x29", 10, NotTLSError),
        (b"\x15\x03\x01\x00\x03", 10, NotTLSError),
        (b"\x16\x03\x01\x40\x01", 22, NotTLSError),
        (b"\x16\x03\x01\xff\xff", 22, NotTLSError),
        (HALF + b"\x17\3\3\0\0", 10, MalformedHandshake),
        (HALF + b"\x14\3\3\0\1", 10, MalformedHandshake),
        (HALF + b"\x15\3\1\0\2\1\x5a", 10, HandshakeDisconnected),
        (HALF + b"\x15\3\1\0\2\2\x50", 10, PeerRejected),
        (HALF + b"\x16\2\1\0\2", 70, MalformedHandshake),
        (HALF + b"GET /", 10, MalformedHandshake),
    ],
)
def test_clients_d07_what_is_no_hello_is_told_by_the_first_byte_that_shows_it(
    data: bytes, alert: int | None, error: type[HandshakeError]
) -> None:
    """It gets the alert of RFC 8446, section 6, where it speaks TLS; byte by byte, too."""
    for step in (None, 1):
        with pytest.raises(NoHello) as caught:
            read(data, step)
        assert caught.value.alert == alert
        assert type(caught.value.error) is error
    if len(data) > 1:
        assert read(data[:-1])[0] is PARTIAL


@given(st.binary(min_size=1, max_size=400), st.integers(1, 400))
def test_no_bytes_are_too_strange(data: bytes, step: int) -> None:
    """Whatever a peer sends has a kind, the same however it arrives."""

    def outcome(step: int | None) -> object:
        try:
            return read(data, step)[0]
        except NoHello as end:
            return end.alert, type(end.error)

    assert outcome(None) == outcome(step)


@given(st.integers(0), st.binary(max_size=8), st.data())
def test_a_damaged_hello_never_raises(position: int, damage: bytes, data: st.DataObject) -> None:
    """A hello with other bytes in it, and cut anywhere, tells a host name or none."""
    hello = HELLOS["TLSv1_2"]
    position %= len(hello)
    damaged = hello[:position] + damage + hello[position + len(damage) :]
    try:
        name = server_name(damaged[: data.draw(st.integers(0, len(damaged)))])
    except NoHello:
        name = None
    assert name is None or name.replace("-", "").replace(".", "").replace("_", "").isalnum()
