"""Authorities and certificates that many tests look at and none changes."""

from __future__ import annotations

import pytest

from tests.engines import engine
from tests.looks import looks_end
from tlshttp import certs

__all__ = ["engine", "looks_end"]


@pytest.fixture(scope="session")
def authority() -> certs.CertificateAuthority:
    """Return the authority of servers."""
    return certs.CertificateAuthority.generate("servers")


@pytest.fixture(scope="session")
def clients() -> certs.CertificateAuthority:
    """Return the authority of clients."""
    return certs.CertificateAuthority.generate("clients")


@pytest.fixture(scope="session")
def certificate(authority: certs.CertificateAuthority) -> certs.Certificate:
    """Return a server's certificate for localhost."""
    return authority.issue_server("localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def alice(clients: certs.CertificateAuthority) -> certs.Certificate:
    """Return a client's certificate."""
    return clients.issue_client("alice@example.org")
