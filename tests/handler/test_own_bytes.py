"""What a handler sends past `wfile`: nothing of ours comes behind it."""

from __future__ import annotations

import pytest

from tests.handler.side_by_side import OURS, Quiet, connect, receive, serving

BYTES = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Failing(Quiet):
    """Sends by the connection itself, and fails."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.connection.sendall(BYTES)
        raise ValueError("meant to fail")


@pytest.mark.parametrize("server_class", OURS)
def test_people_u5_no_error_page_follows_bytes_of_the_handlers_own(server_class: type) -> None:
    """A handler that fails after ``connection.sendall()``: the client sees that something lacks."""
    with serving(server_class, Failing) as served, connect(served) as client:
        client.sendall(GET)
        received = b""
        while piece := receive(client):
            received += piece
    assert received == BYTES
