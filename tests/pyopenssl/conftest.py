"""Authorities and certificates, and both ways of having a connection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engines import NEEDS_GROUPS, create_with_public_methods
from tlshttp import certs, pyopenssl

Create = Callable[..., pyopenssl.ServerContext]


@pytest.fixture(scope="session")
def authority() -> certs.CertificateAuthority:
    """Return the authority of servers."""
    return certs.CertificateAuthority.generate("servers")


@pytest.fixture(scope="session")
def certificate(authority: certs.CertificateAuthority) -> certs.Certificate:
    """Return a server's certificate for localhost."""
    return authority.issue_server("localhost", "127.0.0.1")


@pytest.fixture(
    params=[pytest.param(way, marks=NEEDS_GROUPS) for way in ("direct", "public")],
)
def create(request: pytest.FixtureRequest) -> Create:
    """Return what creates contexts, by OpenSSL's own functions or by public methods alone."""
    if request.param == "direct":
        return pyopenssl.create_server_context
    return create_with_public_methods
