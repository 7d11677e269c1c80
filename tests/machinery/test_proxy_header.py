"""PROXY protocol headers are read as they are written, and nothing else is."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machinery.proxy_headers import (
    BAD,
    CLIENT,
    CLIENT6,
    SERVER,
    SERVER6,
    addresses,
    addresses6,
    binary,
    line,
    tls_vector,
    vector,
)
from tlshttp import ProxyTLS
from tlshttp._machinery.proxy_header import LONGEST, Malformed, _crc32c, parse
from tlshttp._trusted_proxies import TrustedProxies
from tlshttp.errors import ConfigurationError

PROXY = ("127.0.0.1", 1)


def read(data: bytes) -> Any:
    """Return what a whole header says; what follows it is not looked at."""
    header = parse(data + b"\x16\3\1", PROXY)
    assert header is not None
    assert header.size == len(data)
    assert header.info.address == PROXY
    return header.info


def mapped() -> bytes:
    """Return addresses and ports of IPv4 as IPv6 has them."""
    hosts = [ipaddress.ip_address(f"::ffff:192.0.2.{number}").packed for number in (7, 1)]
    return b"".join(hosts) + struct.pack(">HH", 5000, 443)


@pytest.mark.parametrize(
    ("data", "source", "destination"),
    [
        (line(), CLIENT, SERVER),
        (line("TCP6", CLIENT6[0], SERVER6[0], CLIENT6[1], 443), CLIENT6, SERVER6),
        (line("TCP6", "2001:DB8:0::7", SERVER6[0], CLIENT6[1], 443), CLIENT6, SERVER6),
        (line("TCP6", "::ffff:192.0.2.7", SERVER6[0], 5000, 443), ("192.0.2.7", 5000), SERVER6),
        (line("TCP6", "::ffff:c000:207", SERVER6[0], 5000, 443), ("192.0.2.7", 5000), SERVER6),
        (
            line("TCP6", CLIENT6[0], "::FFFF:192.0.2.1", CLIENT6[1], 443),
            CLIENT6,
            ("192.0.2.1", 443),
        ),
        (binary(mapped(), family=0x21), ("192.0.2.7", 5000), ("192.0.2.1", 443)),
        (line("UNKNOWN"), None, None),
        (b"PROXY UNKNOWN\r\n", None, None),
        (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", None, None),
        (binary(), CLIENT, SERVER),
        (binary(addresses6(), family=0x21), CLIENT6, SERVER6),
        (binary(bytes(216), family=0x31), ("unix:", 0), ("unix:", 0)),
        (binary(b"whatever", family=0x00), None, None),
        (binary(b"", kind=0x20, family=0x00), None, None),
        (binary(b"whatever", kind=0x20, family=0xFF), None, None),
        (binary(addresses() + vector(4, bytes(LONGEST - 31))), CLIENT, SERVER),
    ],
)
def test_a_header_says_whose_the_connection_is(data: bytes, source: Any, destination: Any) -> None:
    """Versions 1 and 2, IPv4 and IPv6, a path, unknown, and local ones."""
    info = read(data)
    assert (info.source, info.destination) == (source, destination)
    assert info.local == (data[12:13] == b"\x20")
    assert info.version == (1 if data.startswith(b"PROXY") else 2)


@pytest.mark.parametrize("data", [line(), line("UNKNOWN"), binary(), binary(b"", kind=0x20)])
def test_every_beginning_waits_for_more(data: bytes) -> None:
    """Nothing is decided before all of it is there."""
    assert all(parse(data[:end], PROXY) is None for end in range(1, len(data)))


def test_vectors_are_read() -> None:
    """ALPN, the server's name, an identifier, and the facts of TLS; padding is left out."""
    content = (
        addresses()
        + vector(1, b"http/1.1")
        + vector(2, "bücher.example".encode())
        + vector(5, b"\0id")
        + vector(4, bytes(9))
        + vector(0xE0, b"own")
        + tls_vector()
    )
    info = read(binary(content))
    assert info.alpn_protocol == "http/1.1"
    assert info.server_name == "bücher.example"
    assert info.unique_id == b"\0id"
    assert info.tlvs[0xE0] == b"own"
    assert 4 not in info.tlvs
    assert info.tls == ProxyTLS(
        version="TLSv1.3", cipher="AES128", common_name="alice", client_certificate_verified=True
    )


@pytest.mark.parametrize(
    ("client", "verify", "verified"),
    [(7, 0, True), (3, 0, True), (5, 0, True), (7, 1, False), (1, 0, False), (1, 1, False)],
)
def test_a_certificate_is_verified_only_if_one_was_shown(
    client: int, verify: int, verified: bool
) -> None:
    """The field for the outcome is 0 where no certificate was shown, too."""
    tls = read(binary(addresses() + tls_vector(client, verify))).tls
    assert tls.client_certificate_verified is verified
    assert read(binary(addresses() + tls_vector(6))).tls is None


def test_a_checksum_counts() -> None:
    """The right one is accepted, wherever it stands; the table of bad ones has a wrong one."""
    assert _crc32c(b"123456789") == 0xE3069283  # RFC 3720's algorithm, the usual check value
    content = addresses() + vector(1, b"\3\0\4") + vector(3, bytes(4)) + vector(4, b"x")
    total = _crc32c(binary(content)).to_bytes(4)
    whole = binary(addresses() + vector(1, b"\3\0\4") + vector(3, total) + vector(4, b"x"))
    assert read(whole).tlvs[3] == total
    with pytest.raises(Malformed, match="checksum is wrong"):
        parse(whole[:-1] + b"y", PROXY)


@pytest.mark.parametrize("name", BAD)
def test_what_is_malformed_is_refused(name: str) -> None:
    """All of it is refused, and no beginning of it is taken for a header."""
    data = BAD[name]
    with pytest.raises(Malformed):
        parse(data, PROXY)
    for end in range(1, len(data)):
        try:
            assert parse(data[:end], PROXY) is None
        except Malformed:
            break


def test_there_are_at_least_forty_bad_ones() -> None:
    """The table is not to shrink."""
    assert len(BAD) >= 40


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    """Whatever comes is a header, the beginning of one, or malformed."""
    for prefix in (b"", b"PROXY ", binary()[:12], binary(b"")[:13], binary(addresses())[:16]):
        try:
            header = parse(prefix + data, PROXY)
        except Malformed:
            continue
        if header is None:
            assert len(prefix + data) < LONGEST
        else:
            assert header.size <= len(prefix + data)


@given(st.ip_addresses(), st.integers(0, 65_535), st.lists(st.tuples(st.just(0xEE), st.binary())))
def test_what_is_written_is_read(host: Any, port: int, vectors: list[tuple[int, bytes]]) -> None:
    """Any address, port and vectors, in both versions."""
    size = 4 if host.version == 4 else 16
    mapped = host.ipv4_mapped if size == 16 else None
    end = host.packed + bytes(size)
    ports = port.to_bytes(2) + b"\1\xbb"
    content = end + ports + b"".join(vector(*one) for one in vectors)
    info = read(binary(content, family=0x11 if size == 4 else 0x21))
    assert info.source[:2] == (str(mapped or host), port)
    assert all(info.tlvs[kind] == vectors[-1][1] for kind, _ in vectors)
    other = ipaddress.ip_address(bytes(size))
    info = read(line(f"TCP{host.version}", host, other, port, 443))
    assert info.source[:2] == (str(mapped or host), port)


def test_networks_are_trusted_in_either_family() -> None:
    """Single addresses, networks, IPv4 in IPv6's clothes, zones, and paths."""
    trusted = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "fe80::/10", "unix:"])
    assert trusted
    assert trusted.trusts(("127.0.0.1", 5))
    assert trusted.trusts(("::ffff:10.1.2.3", 5, 0, 0))
    assert trusted.trusts(("fe80::1%eth0", 5, 0, 2))
    assert trusted.trusts(("unix:", 0))
    assert not trusted.trusts(("127.0.0.2", 5))
    assert not trusted.trusts(("::1", 5, 0, 0))
    assert not trusted.trusts("")
    assert not TrustedProxies(["127.0.0.1"]).trusts(("unix:", 0))
    assert not TrustedProxies(())


def test_networks_of_ipv4_may_be_given_as_ipv6_has_them() -> None:
    """Addresses are compared in one form, so networks are."""
    trusted = TrustedProxies(["::ffff:127.0.0.1", "::ffff:10.0.0.0/104", "::ffff:c0a8:0/112"])
    for host in ("127.0.0.1", "::ffff:127.0.0.1", "10.200.0.1", "192.168.255.1"):
        assert trusted.trusts((host, 5)), host
    for host in ("127.0.0.2", "11.0.0.1", "192.169.0.1", "::1"):
        assert not trusted.trusts((host, 5)), host
    assert TrustedProxies(["::ffff:0:0/96"]).trusts(("198.51.100.1", 5))
    assert not TrustedProxies(["::/0"]).trusts(("198.51.100.1", 5))


def test_what_is_no_network_is_named() -> None:
    """All wrong ones are in one error; one text is a TypeError."""
    with pytest.raises(ConfigurationError) as caught:
        TrustedProxies(["proxy.example.org", "10.0.0.1/8", "::1"])
    assert len(caught.value.findings) == 2
    with pytest.raises(TypeError):
        TrustedProxies("127.0.0.1")
