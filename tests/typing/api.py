"""What a user would write, for the type checkers; never run.

The session ``types`` checks it, and the programs beside it, with mypy and pyright for each Python
from 3.11 to 3.14. A line that must be refused says so with a ``type: ignore[code]``, which both
report when it is not needed.
"""

from __future__ import annotations

import functools
import ssl
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import assert_type

from cryptography import x509

import tlshttp
from tlshttp import certs, context, errors, logs, metrics, pyopenssl, service, testing
from tlshttp.testing import plugin

assert_type(tlshttp.__version__, str)


def errors_tell_what_they_know(error: Exception) -> None:
    """Findings and reasons are typed."""
    match error:
        case errors.ConfigurationError():
            assert_type(error.findings, tuple[str, ...])
        case errors.PeerError():
            assert_type(error.reason, str)
            assert_type(error.server_name, str | None)
        case _:
            pass


def hooks_sort_errors_by_their_base(error: errors.HandshakeError) -> str:
    """One base class is all that a hook for handshakes needs."""
    if isinstance(error, TimeoutError):
        return "slow"
    return error.reason


def stores_tell_what_they_keep(certificate: certs.Certificate, path: str) -> None:
    """Both kinds of stores have the same methods, each for its own kind of thing."""
    store, lists = certs.CertificateStore(path), certs.CRLStore(path, poll_interval=60)
    store.require(lambda new: ["too short"] if new.ends_within(timedelta(days=3)) else [])
    store.current.check(purpose=certs.Purpose.AUTHORITY)
    assert_type(store.current, certs.Certificate)
    assert_type(store.last_error, errors.CertificateError | None)
    assert_type(lists.current, tuple[x509.CertificateRevocationList, ...])
    assert_type(lists.last_error, errors.ConfigurationError | None)
    lists.subscribe(lambda crls: crls[0].issuer, lambda error: error.findings)
    store.subscribe(lambda new: new.names, lambda error: error.findings)
    context.create_server_context(certificate, crls=[lists, path, *lists.current], verify_depth=1)
    context.create_server_context(certificate, crls=[certificate])  # type: ignore[list-item]
    second = pyopenssl.create_server_context(certificate, ocsp_staple=path)
    assert_type(second, pyopenssl.ServerContext)
    pyopenssl.create_server_context(certificate, ocsp_staple=lambda shown: shown.to_pem())
    pyopenssl.create_server_context(certificate, ocsp_staple=7)  # type: ignore[arg-type]
    context.audit(second)


def findings_may_come_from_any_iterable() -> None:
    """``raise_if`` takes what yields strings, and returns nothing."""
    errors.CertificateError.raise_if(str(number) for number in range(2))
    errors.CertificateError.raise_if([1, 2])  # type: ignore[list-item]
    errors.HandshakeError("positional", "server.example")  # type: ignore[call-arg]


def servers_of_tests_take_whatever_answers(handler: type[BaseHTTPRequestHandler]) -> None:
    """Handlers, partials of them, server classes, applications and mappings, but no coroutines."""
    testing.serve(handler, names=["api.example.test"], timeout=1, engine="pyopenssl").close()
    testing.serve(functools.partial(SimpleHTTPRequestHandler, directory="."))
    testing.serve(HTTPServer, server_class=tlshttp.TLSHTTPServer)
    testing.serve({"/": "text", "/bytes": b"", "/json": testing.Response.json([1], status=201)})
    testing.serve({"/": lambda request: request.body})
    testing.serve(lambda environ, start_response: [b""])
    testing.serve(3)  # type: ignore[arg-type]


def test_servers_tell_what_happened(tls_server: testing.RunningServer) -> None:
    """Requests, what is waited for, and what was answered are typed."""
    assert_type(tls_server.requests[0].tls, tlshttp.TLSInfo)
    assert_type(tls_server.requests[0].body, bytes)
    assert_type(tls_server.wait_for(2), list[testing.RecordedRequest])
    assert_type(tls_server.wait_for_peer_error(errors.PeerRejected), errors.PeerRejected)
    tls_server.wait_for_peer_error(ValueError)  # type: ignore[type-var]
    assert_type(tls_server.get("/").status, int)
    assert_type(tls_server.client_certificate("alice").keyfile, Path)
    assert_type(tls_server.client_context(), ssl.SSLContext)
    tls_server.responses["/"] = 3  # type: ignore[assignment]


def test_fixtures(tls_server_factory: plugin.ServerFactory, tls_ca: testing.Authority) -> None:
    """The fixtures have types to be annotated with."""
    assert_type(tls_server_factory({"/": ""}), testing.RunningServer)
    assert_type(tls_ca.ca_pem, str)


def test_bad_servers(bad_tls_server: plugin.BadServerFactory) -> None:
    """Faults are named or made of typed deeds, and strings are names only."""
    assert_type(bad_tls_server("expired", honest=True), testing.BadServer)
    reset = testing.Reset(testing.At.BODY, 100, request=2)
    with testing.bad_server("wrong-host", reset, testing.FAULTS["silent"]) as server:
        assert_type(server.wait_for(1), list[testing.SeenRequest])
        assert_type(server.crl_pem, str | None)
        assert_type(server.client_context(), ssl.SSLContext)
    testing.Reset("body")  # type: ignore[arg-type]
    testing.bad_server(3)  # type: ignore[arg-type]


def services(server: tlshttp.TLSHTTPServer) -> None:
    """What services need is typed, and a factory is no server."""
    service.run(lambda: server, workers=2, drain_timeout=None)
    service.run(server)  # type: ignore[arg-type]
    inherited = service.inherited_sockets()
    assert_type(inherited, list[service.InheritedSocket])
    tlshttp.TLSHTTPServer(
        None, BaseHTTPRequestHandler, listening_socket=inherited[0], trusted_proxies=["::1"]
    )
    assert_type(server.drain(), None)
    assert_type(server.draining, bool)
    assert_type(service.Notifier().watchdog_seconds, float | None)


def numbers(server: tlshttp.TLSHTTPServer) -> None:
    """Expositions are text, and numbers are records."""
    assert_type(metrics.exposition(server, server, openmetrics=True), str)
    assert_type(server.latencies().handler.counts, tuple[int, ...])
    metrics.exposition([server])  # type: ignore[arg-type]
    logs.JSONFormatter()


class Proxied(tlshttp.ForwardedMixIn, tlshttp.TLSRequestHandler):
    """A handler behind a proxy."""

    def do_GET(self) -> None:
        """Look at what the proxies say."""
        assert_type(self.forwarded, tlshttp.ForwardedRequest | None)
        assert_type(self.proxy, tlshttp.ProxyInfo | None)
