"""Settings that hold several texts: one alone is refused, never taken for its letters."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from typing import Any

import pytest

from tlshttp import TLSHTTPServer, certs, profiles, testing
from tlshttp.context import create_server_context
from tlshttp.handler import TLSFileRequestHandler, TLSRequestHandler, authorize

CA = testing.authority()
CERTIFICATE = CA.server_certificate("localhost")
PEM = CERTIFICATE.key_to_pem() + CERTIFICATE.to_pem()


def with_attribute(base: type, name: str) -> Callable[[Any], object]:
    """Return what serves a handler class with an attribute."""

    def serve(value: Any) -> object:
        context = create_server_context(CERTIFICATE)
        handler = type("Handler", (base,), {name: value})
        server = TLSHTTPServer(("127.0.0.1", 0), handler, ssl_context=context)
        server.server_close()
        return server

    return serve


def from_files(value: Any) -> object:
    """Make a server by the arguments of `http.server.HTTPSServer`."""
    client = CA.client_certificate("alice")
    return TLSHTTPServer(
        ("127.0.0.1", 0),
        BaseHTTPRequestHandler,
        certfile=client.certfile,
        keyfile=client.keyfile,
        alpn_protocols=value,
    )


PROFILE_FIELDS = ["ciphersuites", "ciphers", "groups", "signature_algorithms", "certificate_keys"]


def profile(field: str) -> Callable[[Any], object]:
    """Return what changes a field of a profile."""
    return lambda value: profiles.INTERMEDIATE.replace(**{field: value})


SETTINGS: dict[str, Callable[[Any], object]] = {
    "allowed_hosts": with_attribute(BaseHTTPRequestHandler, "allowed_hosts"),
    "allowed_hosts of ours": with_attribute(TLSRequestHandler, "allowed_hosts"),
    "index_pages": with_attribute(SimpleHTTPRequestHandler, "index_pages"),
    "index_pages of ours": with_attribute(TLSFileRequestHandler, "index_pages"),
    "alpn_protocols": lambda value: create_server_context(CERTIFICATE, alpn_protocols=value),
    "alpn_protocols of a server": from_files,
    "crls": lambda value: create_server_context(
        CERTIFICATE, client_cas=[CA.certificate.leaf], crls=value
    ),
    "authorize(names=...)": lambda value: authorize(names=value),
    "authorize(fingerprints=...)": lambda value: authorize(fingerprints=value),
    "names": lambda value: testing.serve(names=value),
    "tolerate": lambda value: certs.load(PEM, tolerate=value),
    "tolerate of a store": lambda value: certs.CertificateStore("absent.pem", tolerate=value),
    "tolerate of an authority": lambda value: certs.CertificateAuthority.load(PEM, tolerate=value),
    **{field: profile(field) for field in PROFILE_FIELDS},
}


@pytest.mark.parametrize("value", ["http/1.1", "", b"http/1.1"], ids=repr)
@pytest.mark.parametrize("setting", SETTINGS)
def test_one_text_is_refused(setting: str, value: object) -> None:
    """The sentence names the setting, and shows what to write."""
    with pytest.raises(TypeError) as caught:
        SETTINGS[setting](value)
    assert str(caught.value).startswith(f"{setting.partition(' ')[0]} must be several")
    assert str(caught.value).endswith(f"not one {type(value).__name__}: write [{value!r}]")


def test_several_are_taken() -> None:
    """The twin: lists and tuples of the same are what they were."""
    for setting in ("allowed_hosts", "allowed_hosts of ours", "index_pages", "index_pages of ours"):
        for value in (["localhost"], ("localhost",), {"localhost"}):
            assert SETTINGS[setting](value)
    assert SETTINGS["alpn_protocols"](["http/1.1"])
    assert SETTINGS["tolerate"](["expired"])
    assert SETTINGS["groups"](("X25519",))


def test_an_attribute_of_that_name_may_be_anything_elsewhere() -> None:
    """A handler that serves no files may call what it likes its index pages."""
    assert with_attribute(BaseHTTPRequestHandler, "index_pages")("mine")
