"""A client that says exactly what a test wants said."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import UNIT
from tlshttp import testing


@contextmanager
def connected(server: testing.Endpoint) -> Iterator[ssl.SSLSocket]:
    """Connect to a server, with TLS."""
    address = (server.host, server.port)
    with (
        socket.create_connection(address, timeout=30 * UNIT) as sock,
        server.client_context().wrap_socket(sock, server_hostname=server.host) as tls,
    ):
        yield tls


def exchange(server: testing.Endpoint, request: bytes) -> bytes:
    """Send bytes and return all that comes until the server ends the connection."""
    with connected(server) as tls:
        tls.sendall(request)
        with tls.makefile("rb") as answer:
            return answer.read()
