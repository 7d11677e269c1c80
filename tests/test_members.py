"""Settings of an enumeration: what only looks like a member is refused, never taken for less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tlshttp import certs, testing
from tlshttp.context import create_server_context
from tlshttp.handler import TLSFileRequestHandler

CA = testing.authority()
CERTIFICATE = CA.server_certificate("localhost")
ANCHORS = [CA.certificate.leaf]
KEY = ec.generate_private_key(ec.SECP256R1())
REQUEST = (
    x509.CertificateSigningRequestBuilder(x509.Name([]))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    .sign(KEY, hashes.SHA256())
)
AUTHORITY = certs.CertificateAuthority.generate("Test authority")


def context(**settings: Any) -> Callable[[Any], object]:
    """Return what makes a context, with the setting's value where ``...`` stands."""

    def make(value: Any) -> object:
        filled: Any = {
            name: dict.fromkeys(given, value) if isinstance(given, dict) else value
            for name, given in settings.items()
        }
        return create_server_context(CERTIFICATE, client_cas=ANCHORS, **filled)

    return make


def static_handler(value: Any) -> object:
    """Make a class that follows links by a rule."""
    return type("Handler", (TLSFileRequestHandler,), {"follow_symlinks": value})


SETTINGS: dict[str, Callable[[Any], object]] = {
    "client_auth": context(client_auth=...),
    "client_auth_by_name['a.example']": context(client_auth_by_name={"a.example": ...}),
    "unknown_names": context(unknown_names=...),
    "profile": context(profile=...),
    "follow_symlinks": static_handler,
    "key_type": lambda value: certs.self_signed("localhost", key_type=value),
    "purpose": lambda value: CERTIFICATE.check(purpose=value),
    "purpose in issuing": lambda value: AUTHORITY.issue_for_request(REQUEST, purpose=value),
    "purpose in verify": lambda value: CERTIFICATE.verify(ANCHORS, "wrong.example", purpose=value),
}


@pytest.mark.parametrize("value", ["required", "server", "never", "NONE", True, 1, b"none", object])
@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_no_member_is_refused(setting: str, value: object) -> None:
    """Text, numbers and ``True`` are refused by a sentence that names the setting."""
    with pytest.raises(TypeError) as caught:
        SETTINGS[setting](value)
    assert str(caught.value).startswith(setting.partition(" ")[0])
    assert "must be" in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("setting", ["client_auth", "purpose in verify", "follow_symlinks"])
def test_none_is_no_member(setting: str) -> None:
    """`None` is not the default there, and not "no"."""
    with pytest.raises(TypeError, match="must be one of"):
        SETTINGS[setting](None)


def test_the_members_are_named() -> None:
    """Who has written text sees what to write."""
    with pytest.raises(TypeError, match=r"one of ClientAuth\.NONE, ClientAuth\.OPTIONAL, ClientAu"):
        SETTINGS["client_auth"]("required")


def test_a_test_server_refuses_it_too() -> None:
    """A kit that serves without the certificate that was asked for would have tests lie."""
    with pytest.raises(TypeError, match="client_auth must be one of"):
        testing.serve({}, client_auth="required")  # type: ignore[arg-type]
