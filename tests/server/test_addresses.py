"""Peers' addresses: one form in handlers, hooks and logs, whatever the socket is for."""

from __future__ import annotations

import contextlib
import functools
import http.client
import logging
import socket
import ssl
import threading
from typing import Any

import pytest

from tests.support import UNIT, wait_until
from tlshttp import AccessLogMixIn, ThreadingTLSHTTPServer, TLSRequestHandler, certs, context
from tlshttp._binding import accept, plain_address


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (("::ffff:192.0.2.1", 5, 0, 0), ("192.0.2.1", 5)),
        (("192.0.2.1", 5), ("192.0.2.1", 5)),
        (("2001:db8::ffff:1", 5, 0, 0), ("2001:db8::ffff:1", 5, 0, 0)),
        (("::ffff:0:0:1", 5, 0, 0), ("::ffff:0:0:1", 5, 0, 0)),
        (("fe80::1%eth0", 5, 0, 2), ("fe80::1%eth0", 5, 0, 2)),
        ("", ("unix:", 0)),
        ("/a/path", ("/a/path", 0)),
    ],
)
def test_people_u8_addresses_have_one_form(given: Any, plain: Any) -> None:
    """IPv4 is IPv4, and nothing else is changed."""
    assert plain_address(given) == plain


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no socket for IPv4 and IPv6 here")
def test_people_u8_ipv4_reads_as_ipv4_everywhere(caplog: pytest.LogCaptureFixture) -> None:
    """Handler, access log and the line of a failed handshake have the address people know."""
    seen: list[Any] = []

    class Handler(AccessLogMixIn, TLSRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.client_address[0], self.address_string()))
            self.send_response(204)
            self.end_headers()

    caplog.set_level(logging.INFO, "tlshttp")
    certificate = certs.self_signed("localhost")
    client = ssl.create_default_context(cadata=certificate.to_pem().decode())
    make = functools.partial(
        ThreadingTLSHTTPServer, ssl_context=context.create_server_context(certificate)
    )
    with make(("::", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            address = ("127.0.0.1", server.server_port)
            raw = socket.create_connection(address, 10 * UNIT)
            with client.wrap_socket(raw, server_hostname="localhost") as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                response = http.client.HTTPResponse(connection)
                response.begin()
                assert response.status == 204
            with socket.create_connection(address, 10 * UNIT) as raw:
                raw.sendall(b"\0" * 100)
                with contextlib.suppress(ConnectionError):
                    raw.recv(100)
            assert wait_until(lambda: "handshake failed" in caplog.text)
        finally:
            server.shutdown()
            thread.join()
    assert seen == [("127.0.0.1", "127.0.0.1")]
    assert "127.0.0.1" in next(
        record.getMessage() for record in caplog.records if record.name == "tlshttp.access"
    )
    assert "ffff" not in caplog.text


class _Own(socket.socket):
    """A listening socket of somebody's own."""

    def accept(self) -> Any:
        """Accept, and say so."""
        return super().accept(), "own"


def test_accept_is_that_of_the_standard_library() -> None:
    """The same socket and address, whichever way; and a subclass has its own way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        facts = []
        for way in (socket.socket.accept, accept):
            with socket.create_connection(listener.getsockname()) as peer:
                made, address = way(listener)
                with made:
                    assert address == peer.getsockname()
                    facts.append((type(made), made.family, made.type, made.proto, made.timeout))
        assert facts[0] == facts[1]
    with _Own() as own:
        own.bind(("127.0.0.1", 0))
        own.listen()
        with socket.create_connection(own.getsockname()):
            made, said = accept(own)
            made[0].close()  # type: ignore[index]
            assert said == "own"
