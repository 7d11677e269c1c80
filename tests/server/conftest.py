"""Fixtures for the tests of the servers: each test runs for both of them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from tests.engines import engine
from tests.server.support import SERVERS, Client, combine, running
from tlshttp import TLSHTTPServer, certs, context

__all__ = ["engine"]


class Serve(Protocol):
    """Makes a server and runs it until the test ends."""

    def __call__(
        self,
        handler: Callable[..., Any],
        *hooks: type,
        address: Any = ("127.0.0.1", 0),
        **options: Any,
    ) -> TLSHTTPServer: ...


@pytest.fixture(scope="session")
def certificate() -> certs.Certificate:
    """Return a self-signed certificate for this machine."""
    return certs.self_signed("localhost", "127.0.0.1", "::1")


@pytest.fixture(scope="session")
def server_context(certificate: certs.Certificate, engine: str) -> ssl.SSLContext:
    """Return the context of every server that needs no special one."""
    return context.create_server_context(certificate)


@pytest.fixture(scope="session")
def client_context(certificate: certs.Certificate) -> ssl.SSLContext:
    """Return a client's context that trusts the certificate and nothing else."""
    return ssl.create_default_context(cadata=certificate.to_pem().decode())


@pytest.fixture
def client(client_context: ssl.SSLContext) -> Client:
    """Return a client that takes the newest version of TLS."""
    return Client(client_context)


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def versioned_client(request: pytest.FixtureRequest, certificate: certs.Certificate) -> Client:
    """Return a client that speaks one version of TLS only."""
    client_context = ssl.create_default_context(cadata=certificate.to_pem().decode())
    client_context.minimum_version = client_context.maximum_version = request.param
    return Client(client_context)


@pytest.fixture(params=SERVERS, ids=lambda server_class: server_class.__name__)
def server_class(request: pytest.FixtureRequest) -> type[TLSHTTPServer]:
    """Return the one and the other server class."""
    chosen: type[TLSHTTPServer] = request.param
    return chosen


@pytest.fixture
def serve(server_class: type[TLSHTTPServer], server_context: ssl.SSLContext) -> Iterator[Serve]:
    """Return what runs a server of either class, with `hooks` in front of it."""
    with ExitStack() as stack:

        def serve(
            handler: Callable[..., Any],
            *hooks: type,
            address: Any = ("127.0.0.1", 0),
            **options: Any,
        ) -> TLSHTTPServer:
            options = {"ssl_context": server_context, **options}
            server: TLSHTTPServer = combine(*hooks, server_class)(address, handler, **options)
            return stack.enter_context(running(server))

        yield serve
