from __future__ import annotations

import socket
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.front.conftest import VERSIONS
from tests.front.peers import client_context, client_hello
from tests.front.test_failures import OPENSSL
from tests.support import UNIT
from tlshttp._front.hello import (
    LARGEST_HELLO,
    MOST_RECORDS,
    FirstBytes,
    assemble,
    classify,
    parse,
    record_size,
)

NAME = "www.example.org"


def server_name(data: bytes) -> str | None:
    """Return the name in a hello, as far as `data` has it."""
    return parse(assemble(data)[1]).server_name


def hello_size(data: bytes) -> int:
    """Return how many bytes it takes, as far as `data` tells."""
    return assemble(data)[0]


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
    record = b"\x01" + len(body).to_bytes(3) + body
    return hello[:3] + struct.pack("!H", len(record)) + record


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
                connection.settimeout(10 * UNIT)
                data = connection.recv(LARGEST_HELLO)
                while len(data) < record_size(data):
                    data += connection.recv(LARGEST_HELLO)
            process.wait()
    return data


HELLOS = {
    **{version.name: client_hello(client_context(version), NAME) for version in VERSIONS},
    "padded": padded(client_hello(client_context(), NAME), 1800),
    "largest": padded(client_hello(client_context(), NAME), LARGEST_HELLO),
}


@pytest.fixture(scope="session")
def hellos() -> dict[str, bytes]:
    """Return real ClientHellos that ask for the same name."""
    return {**HELLOS, **({"openssl": from_openssl()} if OPENSSL else {})}


def test_a_hello_is_known_as_soon_as_it_is_whole(hellos: dict[str, bytes]) -> None:
    """Every beginning of a hello is a partial one, and only the whole is a hello."""
    for hello in hellos.values():
        assert {classify(hello[:size]) for size in range(1, len(hello))} == {
            FirstBytes.PARTIAL_HELLO
        }
        assert classify(hello) is classify(hello + b"more") is FirstBytes.CLIENT_HELLO


def test_the_size_to_wait_for_is_never_more_than_the_hello(hellos: dict[str, bytes]) -> None:
    """Whoever waits for the size that is told waits twice at most, and never for too much."""
    for hello in hellos.values():
        assert record_size(hello[:1]) == 5
        assert record_size(hello[:5]) == record_size(hello) == len(hello)


def test_the_server_name_is_read_from_real_hellos(hellos: dict[str, bytes]) -> None:
    """The name is found in hellos of several clients, versions and sizes."""
    for name, hello in hellos.items():
        assert (name, server_name(hello)) == (name, NAME)


def test_a_server_name_is_never_cut_short(hellos: dict[str, bytes]) -> None:
    """The beginning of a hello tells no name rather than the beginning of one."""
    for hello in hellos.values():
        assert {server_name(hello[:size]) for size in range(len(hello))} == {None}


def test_a_hello_in_several_records_tells_its_name() -> None:
    """A record header in the middle of the name is not taken for a part of it; half tells none."""
    hello = HELLOS["TLSv1_3"]
    middle = hello.index(NAME.encode()) + 4
    parts = hello[5:middle], hello[middle:]
    records = b"".join(hello[:3] + struct.pack("!H", len(part)) + part for part in parts)
    assert classify(records) is FirstBytes.CLIENT_HELLO
    assert server_name(records) == NAME
    assert server_name(records[: len(parts[0]) + 5]) is None


def in_records(hello: bytes, size: int) -> bytes:
    """Return a hello in records with no more than `size` bytes of content each."""
    parts = [hello[begin : begin + size] for begin in range(5, len(hello), size)]
    return b"".join(hello[:3] + struct.pack("!H", len(part)) + part for part in parts)


@pytest.mark.parametrize("size", [40, 100, 250, 1000])
def test_the_size_of_a_hello_in_records_is_never_told_too_large(
    hellos: dict[str, bytes], size: int
) -> None:
    """From every beginning more is asked for, never more than there is, and the whole is whole."""
    for name, hello in hellos.items():
        records = in_records(hello, size)
        if len(records) > LARGEST_HELLO or len(hello) > size * (MOST_RECORDS - 1):
            assert hello_size(records) == LARGEST_HELLO + 1, name
            continue
        for end in range(1, len(records)):
            assert end < hello_size(records[:end]) <= len(records), name
        assert hello_size(records) == hello_size(records + b"more") == len(records), name


def test_a_name_is_told_in_lower_case() -> None:
    """Host names are the same in either case, and users compare them with ``==``."""
    hello = client_hello(client_context(), "WWW.Example.ORG")
    assert server_name(hello) == NAME


def test_no_name_is_none() -> None:
    """A hello without the extension, and one with bytes that are in no host name, tell none."""
    assert server_name(client_hello(client_context(), None)) is None
    assert server_name(HELLOS["TLSv1_3"].replace(NAME.encode(), b"www.exam\nle.org")) is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"G", FirstBytes.TEXT),
        (b"ssh", FirstBytes.TEXT),
        (b"\0", FirstBytes.OTHER),
        (b"\x80\x2e\x01\x00\x02", FirstBytes.OTHER),
        (b"\x15\x03\x01\x00\x02\x02\x28", FirstBytes.OTHER),
        (b"\x16\x02", FirstBytes.OTHER),
        (b"\x16\x03\x01\x00\x30\x02", FirstBytes.OTHER),
        (b"\x16\x03\x01\x40\x01", FirstBytes.OTHER),
        (b"\x16\x03\x01\x40\x00", FirstBytes.PARTIAL_HELLO),
        (b"\x16\x03\x01\x00\x00", FirstBytes.PARTIAL_HELLO),
        (b"\x16\x03\x01\x00\x01\x01", FirstBytes.CLIENT_HELLO),
    ],
)
def test_first_bytes(data: bytes, kind: FirstBytes) -> None:
    """What cannot become a ClientHello is told by the first byte that shows it."""
    assert classify(data) is kind


@given(st.binary(min_size=1, max_size=400))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    """Whatever a peer sends has a kind, and while it is partial more is to come."""
    kind = classify(data)
    assert (kind is FirstBytes.PARTIAL_HELLO) <= (len(data) < record_size(data) <= LARGEST_HELLO)


@given(st.integers(0), st.binary(max_size=8), st.data())
def test_a_damaged_hello_never_raises(position: int, damage: bytes, data: st.DataObject) -> None:
    """A hello with other bytes in it, and cut anywhere, tells a host name or none."""
    hello = HELLOS["TLSv1_2"]
    position %= len(hello)
    damaged = hello[:position] + damage + hello[position + len(damage) :]
    name = server_name(damaged[: data.draw(st.integers(0, len(damaged)))])
    assert name is None or name.replace("-", "").replace(".", "").replace("_", "").isalnum()
