"""Certificates that many tests look at and none changes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.looks import looks_end
from tlshttp import certs
from tlshttp.certs import _keys

__all__ = ["looks_end"]


@pytest.fixture(scope="session")
def certificate() -> certs.Certificate:
    """Return a self-signed certificate for localhost."""
    return certs.self_signed("localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def private_keys() -> dict[certs.KeyType, _keys.PrivateKey]:
    """Return one private key of every type; RSA keys take long to generate."""
    return {key_type: _keys.generate_key(key_type) for key_type in certs.KeyType}


@pytest.fixture
def cached_keys(
    private_keys: dict[certs.KeyType, _keys.PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Use the keys of the session for everything that is issued in a test."""
    monkeypatch.setattr("tlshttp.certs._issue.generate_key", private_keys.__getitem__)


@pytest.fixture(scope="session")
def small_rsa_key() -> rsa.RSAPrivateKey:
    """Return a key that is too small for today."""
    return rsa.generate_private_key(65537, 1024)
