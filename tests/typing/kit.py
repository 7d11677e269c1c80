"""The kit for tests as users use it, for the type checkers; never run."""

from __future__ import annotations

import ssl
import unittest
from collections.abc import Mapping
from http.server import SimpleHTTPRequestHandler
from typing import assert_type

from tlshttp import TLSInfo, certs, testing


def greet(request: testing.RecordedRequest) -> testing.Response:
    """Answer a request by a function."""
    assert_type(request.tls, TLSInfo)
    assert_type(request.text, str)
    return testing.Response(f"Hello {request.path}", headers={"Cache-Control": "no-store"})


class Served(testing.TLSServerMixIn, unittest.TestCase):
    """The mix-in for unittest."""

    tls_served = {"/": greet}

    def test_hello(self) -> None:
        """Ask."""
        assert_type(self.tls_server, testing.RunningServer)
        answer = self.tls_server.get("/", headers={"X-Name": "you"})
        assert_type(answer, testing.Answer)
        assert_type(answer.text, str)
        assert_type(self.serve_tls(SimpleHTTPRequestHandler), testing.RunningServer)


def what_is_served_has_types() -> None:
    """The unions that `serve` takes are there for annotations."""
    responses: testing.Responses = {"/": greet, "POST /items": testing.Response(status=201)}
    one: testing.Respond = "text"
    responses["/other"] = one
    served: testing.Served = responses
    with testing.serve(served, ca=testing.authority(), timeout=2) as server:
        endpoint: testing.Endpoint = server
        assert_type(endpoint.url, str)
        assert_type(endpoint.client_context(), ssl.SSLContext)
        alice = server.client_certificate("alice")
        assert_type(alice, testing.ClientCertificate)
        as_certificate: certs.Certificate = alice
        server.get("/", certificate=as_certificate)


def the_authority_is_one(authority: testing.Authority) -> certs.CertificateAuthority:
    """It can do what any authority can."""
    assert_type(authority.server_context("localhost"), ssl.SSLContext)
    return authority


def faults_have_names() -> list[str]:
    """The catalogue is a mapping of typed rows."""
    assert_type(testing.FAULTS, Mapping[str, testing.Fault])
    return [name for name, one in testing.FAULTS.items() if one.kind is testing.FaultKind.TLS]


def deeds_are_typed(certificate: certs.Certificate) -> None:
    """Every deed, and a server that does them all."""
    deeds: list[testing.Trait] = [
        testing.Reset(testing.At.BODY, 100, request=2),
        testing.Close(testing.At.HEAD, notify=False),
        testing.Stall(testing.At.HELLO, seconds=1.5, connection=3),
        testing.Send(testing.At.END, data=b"more", times=2, sealed=False),
        testing.Drip(256, 0.01),
        testing.Reply(503, headers=(("Retry-After", "1"),), body=b"later"),
        testing.Refuse(ssl.AlertDescription.ALERT_DESCRIPTION_HANDSHAKE_FAILURE),
        testing.Show(certificate, connection=2),
        testing.Terms(maximum_version=ssl.TLSVersion.TLSv1_2, alpn="h2"),
    ]
    with testing.bad_server("expired", *deeds, honest=True) as server:
        assert_type(server, testing.BadServer)
        for request in server.requests:
            assert_type(request, testing.SeenRequest)
