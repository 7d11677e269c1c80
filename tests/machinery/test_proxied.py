"""Behind a proxy that sends PROXY protocol headers each connection is its client's."""

from __future__ import annotations

import json
import ssl
import time
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from tests.machinery.conftest import Recording, RecordingThreading, Serve, serving
from tests.machinery.peers import client_hello, closing_all, connect, read_to_end, request
from tests.machinery.proxy_headers import (
    BAD,
    CLIENT,
    CLIENT6,
    SERVER,
    addresses,
    addresses6,
    binary,
    line,
    tls_vector,
    vector,
)
from tests.support import UNIT, wait_until
from tlshttp import Limits, certs, context, errors
from tlshttp._machinery.first_bytes import FirstBytes

LOCALHOST = ["127.0.0.1"]


class Tells(BaseHTTPRequestHandler):
    """Answers with what it knows of its client."""

    called: ClassVar[int] = 0

    def do_GET(self) -> None:
        """Answer."""
        Tells.called += 1
        proxy = self.proxy  # type: ignore[attr-defined]
        known = {
            "client": self.client_address,
            "local": proxy and proxy.local,
            "destination": proxy and proxy.destination,
            "server_name": proxy and proxy.server_name,
            "common_name": proxy and proxy.tls and proxy.tls.common_name,
        }
        body = json.dumps(known).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def ask(server: Recording, client: ssl.SSLContext, header: bytes) -> dict[str, Any]:
    """Ask through a proxy that sends this header; return what the handler knows."""
    with connect(server.server_address) as sock:
        sock.sendall(header)
        with client.wrap_socket(sock, server_hostname="localhost") as tls:
            tls.sendall(request(close=True))
            told: dict[str, Any] = json.loads(read_to_end(tls).partition(b"\r\n\r\n")[2])
            return told


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (line(), CLIENT),
        (binary(), CLIENT),
        (binary(addresses6(), family=0x21), CLIENT6),
    ],
    ids=["version 1", "version 2", "IPv6"],
)
def test_a_handler_sees_the_client(
    serve: Serve, any_client: ssl.SSLContext, header: bytes, address: Any
) -> None:
    """Its address is the one in the header, of either version."""
    with serve(Tells, trusted_proxies=LOCALHOST) as server:
        told = ask(server, any_client, header)
    assert tuple(told["client"]) == address
    assert told["destination"][1] == SERVER[1]
    assert not server.events


def test_what_the_proxy_knows_of_tls_is_beside(serve: Serve, any_client: ssl.SSLContext) -> None:
    """Server name and common name of the client's certificate come with version 2."""
    header = binary(addresses() + vector(2, b"www.example.org") + tls_vector())
    with serve(Tells, trusted_proxies=LOCALHOST) as server:
        told = ask(server, any_client, header)
    assert (told["server_name"], told["common_name"]) == ("www.example.org", "alice")


def test_without_trust_there_is_no_proxy(serve: Serve, any_client: ssl.SSLContext) -> None:
    """A peer outside the networks is a client by itself."""
    with serve(Tells, trusted_proxies=["192.0.2.0/24"]) as server:
        told = ask(server, any_client, b"")
    assert told["client"][0] == "127.0.0.1"
    assert told["local"] is None


@pytest.mark.parametrize("header", [line(), binary(), line("UNKNOWN")])
def test_a_spoofed_header_is_no_tls(
    serve: Serve, any_client: ssl.SSLContext, header: bytes
) -> None:
    """Whoever is not trusted and sends a header is one event, under the peer's own address."""
    Tells.called = 0
    with serve(Tells, trusted_proxies=["192.0.2.0/24"]) as server:
        with connect(server.server_address) as sock:
            sock.sendall(header + client_hello(any_client))
            address = sock.getsockname()
            assert read_to_end(sock) == b""
        assert wait_until(lambda: len(server.events) == 1)
    assert isinstance(server.events[0][0], errors.NotTLSError)
    assert server.events[0][1] == address
    assert not Tells.called


def test_each_bad_header_is_one_event_and_a_closed_connection(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """No handler, no answer, one typed event under the proxy's address; honest clients go on."""
    Tells.called = 0
    with serve(Tells, trusted_proxies=LOCALHOST) as server:
        for number, data in enumerate(BAD.values(), 1):
            with connect(server.server_address) as sock:
                sock.sendall(data)
                assert read_to_end(sock) == b""
                assert wait_until(lambda n=number: len(server.events) == n)  # type: ignore[misc]
                assert server.events[-1][1] == sock.getsockname()
        assert {type(error) for error, _ in server.events} == {errors.ProxyHeaderError}
        assert wait_until(lambda: server.stats().handshake_failures == {"proxy-header": len(BAD)})
        assert not Tells.called
        assert tuple(ask(server, any_client, binary())["client"]) == CLIENT


@pytest.mark.parametrize("header", [line(), binary(addresses() + vector(4, bytes(50)))])
def test_a_header_may_come_in_pieces(
    serve: Serve, any_client: ssl.SSLContext, header: bytes
) -> None:
    """Byte by byte, and with the hello in the same segment as its end."""
    with serve(Tells, trusted_proxies=LOCALHOST) as server, connect(server.server_address) as sock:
        for byte in header[:-1]:
            sock.sendall(bytes([byte]))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = any_client.wrap_bio(incoming, outgoing, server_hostname="localhost")
        first = header[-1:]
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(first + outgoing.read())
                first = b""
                incoming.write(sock.recv(65_536))
        tls.write(request(close=True))
        sock.sendall(outgoing.read())
        incoming.write(read_to_end(sock))
        assert json.dumps(CLIENT).encode() in tls.read(65_536)


def test_a_header_is_part_of_the_handshakes_time(serve: Serve) -> None:
    """Who drips a header, or sends none, is cut when the handshake's time is over."""
    limits = Limits(handshake_timeout=0.5 * UNIT)
    with serve(Tells, limits, trusted_proxies=LOCALHOST) as server, closing_all([]) as held:
        held.extend(connect(server.server_address) for _ in range(2))
        began = time.monotonic()
        try:
            for byte in binary(addresses() + vector(4, bytes(2000))):
                held[0].sendall(bytes([byte]))
                held[0].settimeout(0.02 * UNIT)
                try:
                    if not held[0].recv(1):
                        break
                except TimeoutError:
                    pass
        except OSError:
            pass
        assert time.monotonic() - began < 30 * UNIT
        assert wait_until(lambda: len(server.events) == 2)
        assert {type(error) for error, _ in server.events} == {errors.HandshakeTimeout}


def test_a_proxy_that_looks_whether_we_are_there_is_no_event(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """A LOCAL header and the end is a health check; with TLS after it, the client is the proxy."""
    local = binary(b"", kind=0x20, family=0)
    with serve(Tells, trusted_proxies=LOCALHOST) as server:
        with connect(server.server_address) as sock:
            sock.sendall(local)
        told = ask(server, any_client, local)
        assert told["local"] is True
        assert told["client"][0] == "127.0.0.1"
        assert wait_until(lambda: not any(server.stats().parked.values()))
    assert not server.events


def test_events_carry_the_clients_address(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong after the header is the client's, in the hook and in the log."""
    with serve(Tells, trusted_proxies=LOCALHOST) as server:
        with connect(server.server_address) as sock:
            sock.sendall(binary() + b"\x16\3\1 no TLS")
            read_to_end(sock)
        assert wait_until(lambda: len(server.events) == 1)
    assert server.events[0][1] == CLIENT
    assert f"{CLIENT[0]}:{CLIENT[1]}: handshake failed" in caplog.text


@pytest.mark.parametrize("base", [Recording, RecordingThreading])
def test_the_server_is_asked_when_it_is_known_whose_it_is(
    base: type[Recording], server_context: ssl.SSLContext, any_client: ssl.SSLContext
) -> None:
    """verify_request() gets the client's address, and what it refuses is closed and counted."""
    asked: list[Any] = []

    class Choosy(base):  # type: ignore[misc, valid-type]
        def verify_request(self, request: Any, client_address: Any) -> bool:
            asked.append(client_address)
            return bool(client_address[0] != "192.0.2.66")

    server = Choosy(("127.0.0.1", 0), Tells, ssl_context=server_context, trusted_proxies=LOCALHOST)
    with serving(server):
        assert tuple(ask(server, any_client, line())["client"]) == CLIENT
        with connect(server.server_address) as sock:
            sock.sendall(line("TCP4", "192.0.2.66", SERVER[0], 1, 443))
            assert read_to_end(sock) == b""
        assert wait_until(lambda: server.stats().refused == 1)
        assert asked == [CLIENT, ("192.0.2.66", 1)]
        assert wait_until(lambda: not any(server.stats().parked.values()))
    assert not server.events


def test_who_holds_most_is_told_by_the_client(
    serve: Serve, any_client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At max_connections the client with most connections gives way, not the proxy's others."""
    monkeypatch.setattr("tlshttp._machinery.eviction._YOUNG_SECONDS", 0.0)
    limits = Limits(max_connections=12)
    greedy, modest = "192.0.2.200", "192.0.2.100"
    with serve(Tells, limits, trusted_proxies=LOCALHOST) as server, closing_all([]) as held:
        for host in [modest] * 2 + [greedy] * 10:
            sock = connect(server.server_address)
            sock.sendall(line("TCP4", host, SERVER[0], 1000, 443) + b"\x16\3\1")
            held.append(sock)
        assert wait_until(lambda: server.stats().parked["hello"] == 12)
        loop = server._TLSHTTPServer__loop  # type: ignore[attr-defined]
        assert wait_until(lambda: all(c.proxy is not None for c in loop.registry))
        for _ in range(5):
            ask(server, any_client, line("TCP4", "192.0.2.50", SERVER[0], 1000, 443))
        assert {address[0] for _, address in server.events} == {greedy}
        assert wait_until(
            lambda: server.stats().handshake_failures["crowded-out"] == len(server.events)
        )


def test_the_certificate_is_chosen_by_the_address_that_the_client_meant() -> None:
    """Without a server name the header's destination counts, not the proxy's way to us."""
    one, two = certs.self_signed("localhost", SERVER[0]), certs.self_signed("two.test", "127.0.0.1")
    ssl_context = context.create_server_context(two, one)
    server = RecordingThreading(
        ("127.0.0.1", 0), Tells, ssl_context=ssl_context, trusted_proxies=LOCALHOST
    )
    client = ssl.create_default_context(cadata=one.to_pem().decode())
    with serving(server), connect(server.server_address) as sock:
        sock.sendall(line())
        with client.wrap_socket(sock, server_hostname=SERVER[0]) as tls:
            assert tls.getpeercert()
            tls.sendall(request(close=True))
            assert read_to_end(tls)


def test_dripped_headers_delay_nobody(
    serve: Serve, any_client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 300 headers begun and never ended, honest clients are served as before."""
    reads: list[int] = []
    receive = FirstBytes._receive

    def counted(self: FirstBytes, size: int) -> bytes:
        reads.append(size)
        return receive(self, size)

    monkeypatch.setattr(FirstBytes, "_receive", counted)
    limits = Limits(handshake_timeout=60 * UNIT)
    with serve(Tells, limits, trusted_proxies=LOCALHOST) as server:

        def serve_ten() -> int:
            """Serve ten honest clients; return how often first bytes are read meanwhile."""
            before, began = len(reads), time.monotonic()
            for _ in range(10):
                assert tuple(ask(server, any_client, line())["client"]) == CLIENT
            assert time.monotonic() - began < 30 * UNIT  # who waits for one of them takes 60 s
            return len(reads) - before

        with closing_all([]) as held:
            for number in range(300):
                sock = connect(server.server_address)
                sock.sendall((line() if number % 2 else binary())[:9])
                held.append(sock)
            assert wait_until(lambda: server.stats().parked["hello"] == 300)
            for number in range(20):
                for sock in held[number::20]:
                    sock.sendall((line() if held.index(sock) % 2 else binary())[9:10])
                assert tuple(ask(server, any_client, line())["client"]) == CLIENT
            assert wait_until(lambda: server.stats().parked["hello"] == 300)
            assert serve_ten() <= 50  # two or three each, as it comes
