"""Heads after which the connection is no longer HTTP say nothing of it but what the handler says.

A ``Connection: close`` beside ``Connection: Upgrade`` is no upgrade to strict clients.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.handler.side_by_side import OURS, Quiet, connect, receive, serving
from tlshttp import ConnectionDriver

UPGRADE = [("Upgrade", "bytes"), ("Connection", "Upgrade")]


class _Echo(ConnectionDriver):
    def received(self, data: bytes) -> None:
        self.connection.write(data)


def _by_hand(handler: Any) -> None:
    handler.wfile.write(handler.rfile.read1(4))


def _keeping(handler: Any) -> None:
    handler.close_connection = False
    _by_hand(handler)


def _in_hand(handler: Any) -> None:
    connection = handler.take_over()
    connection.sendall(connection.recv(4))


def _driven(handler: Any) -> None:
    handler.take_over(_Echo())


GOES_ON = [_by_hand, _keeping, _in_hand, _driven]

HEADS: dict[str, tuple[str, int, list[tuple[str, str]]]] = {
    "101": ("GET / HTTP/1.1", 101, UPGRADE),
    "101 that says no more": ("GET / HTTP/1.1", 101, UPGRADE[:1]),
    "101 with a second token": ("GET / HTTP/1.1", 101, [("Connection", "upgrade, x-own")]),
    "200 to CONNECT": ("CONNECT localhost:1 HTTP/1.1", 200, []),
    "204 to CONNECT": ("CONNECT localhost:1 HTTP/1.1", 204, []),
    "200 to CONNECT of old": ("CONNECT localhost:1 HTTP/1.0", 200, []),
}
"""The request, the status, and the fields that the handler sends."""


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("goes_on", GOES_ON)
@pytest.mark.parametrize("server_class", OURS)
def test_no_field_of_the_servers_own(server_class: type, goes_on: Any, kind: str) -> None:
    """Whatever the client asks for; and the other protocol follows."""
    line, status, fields = HEADS[kind]

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response_only(status)
            for name, value in fields:
                self.send_header(name, value)
            self.end_headers()
            goes_on(self)

        do_CONNECT = do_GET

    with serving(server_class, Handler) as served:
        for asks in ("", "Connection: keep-alive\r\n", "Connection: close\r\n"):
            with connect(served) as client:
                client.sendall(f"{line}\r\nHost: localhost\r\n{asks}\r\n".encode())
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += receive(client)
                lines = head.decode().split("\r\n")
                assert lines[0].split()[1] == str(status)
                assert lines[1:-2] == [f"{name}: {value}" for name, value in fields]
                client.sendall(b"echo")
                assert receive(client) == b"echo"


@pytest.mark.parametrize("server_class", OURS)
def test_a_refusal_to_connect_still_says_close(server_class: type) -> None:
    """What stays HTTP has the server's field as ever."""

    class Handler(Quiet):
        def do_CONNECT(self) -> None:
            self.send_response_only(403)
            self.end_headers()

    with serving(server_class, Handler) as served, connect(served) as client:
        fields = b"Host: localhost:1\r\nConnection: close\r\n"
        client.sendall(b"CONNECT localhost:1 HTTP/1.1\r\n" + fields + b"\r\n")
        data = b""
        while piece := receive(client):
            data += piece
        assert data.startswith(b"HTTP/1.1 403")
        assert b"\r\nConnection: close\r\n" in data


def _own_refusal(handler: Any) -> None:
    handler.send_response(403)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize("methods", [{}, {"do_CONNECT": _own_refusal}], ids=["501", "403"])
@pytest.mark.parametrize("server_class", OURS)
def test_what_follows_a_refused_connect_is_no_request(
    server_class: type, methods: dict[str, Any]
) -> None:
    """A client sends ahead what is for the tunnel; it may be a request of somebody else's."""
    asked: list[str] = []

    def do_get(handler: Any) -> None:
        asked.append(handler.path)
        _own_refusal(handler)

    handler_class = type("Refusing", (Quiet,), {"do_GET": do_get, **methods})
    with serving(server_class, handler_class) as served, connect(served) as client:
        client.sendall(
            b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n"
            b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        data = b""
        while piece := receive(client):
            data += piece
    assert data.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in data
    assert asked == []
