"""Servers that record what they report, for the tests of the loop."""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import trustme

from tests.engines import engine
from tests.machinery.handlers import Gate, new_gate
from tests.machinery.office import office
from tests.machinery.peers import client_context
from tests.support import serving
from tlshttp import Limits, ThreadingTLSHTTPServer, TLSHTTPServer, certs, context
from tlshttp.errors import ConnectionCut, HandshakeError, PeerError

__all__ = ["engine", "office", "serving"]

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Recording(TLSHTTPServer):
    """A server that keeps everything its hooks were told."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.events: list[tuple[PeerError, Any]] = []
        super().__init__(*arguments, **options)

    def handle_handshake_error(self, exc: HandshakeError, client_address: Any) -> None:
        """Keep it."""
        self.events.append((exc, client_address))
        super().handle_handshake_error(exc, client_address)

    def handle_connection_cut(self, exc: ConnectionCut, client_address: Any) -> None:
        """Keep it."""
        self.events.append((exc, client_address))
        super().handle_connection_cut(exc, client_address)


class RecordingThreading(Recording, ThreadingTLSHTTPServer):
    """The same with a pool of threads."""


def change_limits(server: Any, **changes: Any) -> None:
    """Have what begins from now on be limited otherwise.

    So peers may take the time they need, on a slow machine, to come as far as a short limit counts.
    """
    loop = server._TLSHTTPServer__loop
    loop.limits = dataclasses.replace(loop.limits, **changes)
    loop.registry.in_order = False


Serve = Callable[..., AbstractContextManager[Recording]]


@pytest.fixture(params=[Recording, RecordingThreading], ids=["TLSHTTPServer", "Threading"])
def server_class(request: pytest.FixtureRequest) -> type[Recording]:
    """Return either of the two servers."""
    chosen: type[Recording] = request.param
    return chosen


@pytest.fixture(params=VERSIONS, ids=["TLSv1.2", "TLSv1.3"])
def tls_version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    """Return either TLS version."""
    chosen: ssl.TLSVersion = request.param
    return chosen


@pytest.fixture(scope="session")
def certificate() -> certs.Certificate:
    """Return the server's certificate."""
    return certs.self_signed("localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def certificate_authority() -> trustme.CA:
    """Return an authority that issues client certificates."""
    return trustme.CA()


@pytest.fixture
def server_context(certificate: certs.Certificate) -> ssl.SSLContext:
    """Return a new server context, which a test may still change."""
    return context.create_server_context(certificate)


@pytest.fixture
def any_client() -> ssl.SSLContext:
    """Return the context of a client that trusts anybody."""
    return client_context()


@pytest.fixture
def serve(server_class: type[Recording], server_context: ssl.SSLContext) -> Serve:
    """Return a function that makes either server and serves as long as the block runs."""

    def start(
        handler: Any, limits: Limits | None = None, **options: Any
    ) -> AbstractContextManager[Recording]:
        address = options.pop("address", ("127.0.0.1", 0))
        options.setdefault("ssl_context", server_context)
        return serving(server_class(address, handler, limits=limits or Limits(), **options))

    return start


@pytest.fixture
def gate() -> Iterator[type[Gate]]:
    """Return a handler class that waits, and let it go in the end."""
    handler = new_gate()
    try:
        yield handler
    finally:
        handler.opened.set()
