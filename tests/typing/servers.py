"""Servers as users write them, for the type checkers; never run."""

from __future__ import annotations

import functools
import logging
import socketserver
import ssl
import threading
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler
from typing import Any, assert_type
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import tlshttp
from tlshttp import (
    CertificateInUse,
    Limits,
    Stats,
    ThreadingTLSHTTPServer,
    TLSHTTPServer,
    certs,
    errors,
)

_log = logging.getLogger(__name__)


class Watched(ThreadingTLSHTTPServer):
    """A server whose hooks are overridden."""

    request_queue_size = 64
    daemon_threads = False

    def handle_handshake_error(self, exc: errors.HandshakeError, client_address: Any) -> None:
        """Sort failed handshakes by their class."""
        match exc:
            case errors.HandshakeTimeout() | errors.HandshakeDisconnected():
                level = logging.DEBUG
            case errors.HandshakeCrowdedOut() | errors.PlainHTTPError() | errors.NotTLSError():
                level = logging.INFO
            case errors.MalformedHandshake() | errors.NoSharedProtocol() | errors.NoSharedCipher():
                level = logging.WARNING
            case errors.ClientCertificateError() | errors.UnrecognizedName():
                level = logging.ERROR
            case errors.PeerRejected():
                level = logging.CRITICAL
            case _:
                level = logging.NOTSET
        _log.log(level, "%s: %s (%s)", client_address, exc.reason, exc.server_name)
        super().handle_handshake_error(exc, client_address)

    def handle_connection_cut(self, exc: errors.ConnectionCut, client_address: Any) -> None:
        """Sort cut connections, and refused requests with them."""
        match exc:
            case errors.RequestRefused():
                assert_type(exc.status, HTTPStatus)
            case (
                errors.RequestTimeout()
                | errors.BodyTimeout()
                | errors.WriteTimeout()
                | errors.TunnelTimeout()
            ):
                assert_type(exc.reason, str)
            case (
                errors.RequestCrowdedOut()
                | errors.PeerDisconnected()
                | errors.ResponseBacklog()
                | errors.ResponseAborted()
                | errors.ProtocolViolation()
            ):
                pass
            case _:
                super().handle_connection_cut(exc, client_address)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Let everybody in."""
        return True


class Forking(socketserver.ForkingMixIn, TLSHTTPServer):
    """One of socketserver's mix-ins."""


class Application(ThreadingTLSHTTPServer, WSGIServer):
    """The standard library's WSGI server as second base."""


def servers_are_made(handler: type[BaseHTTPRequestHandler], ssl_context: ssl.SSLContext) -> None:
    """Both take files or a context, handlers and what makes them, an address or a path."""
    TLSHTTPServer(("", 0), handler, certfile="chain.pem", keyfile="key.pem", password="secret")
    TLSHTTPServer("service.sock", handler, True, ssl_context=ssl_context)
    certificate = certs.self_signed("localhost")
    TLSHTTPServer(("", 0), handler, certificate=certificate, alpn_protocols=["http/1.1"])
    store = certs.CertificateStore.from_certificate(certificate)
    ThreadingTLSHTTPServer(("", 0), handler, certificate=store, engine="pyopenssl")
    TLSHTTPServer(("", 0), handler, certificate=certificate, engine="openssl")  # type: ignore[arg-type]
    TLSHTTPServer(("", 0), handler, certificate="cert.pem")  # type: ignore[arg-type]
    partial = functools.partial(SimpleHTTPRequestHandler, directory="public")
    limits = Limits(handshake_timeout=5, max_connections=None, max_body_bytes=1_000_000)
    server = Watched(
        ("::1", 8443), partial, ssl_context=ssl_context, max_workers=8, limits=limits,
        redirect_plain_http=True,
    )  # fmt: skip
    assert_type(server.url, str)
    assert_type(server.limits, Limits)
    assert_type(limits.handshake_timeout, float | None)
    assert_type(limits.connections(), int)
    plain: HTTPServer = server
    Application(("localhost", 0), WSGIRequestHandler, ssl_context=ssl_context).set_app(
        lambda environ, start_response: [plain.server_name.encode()]
    )
    Limits(10)  # type: ignore[call-arg]
    TLSHTTPServer(("", 0), handler, limits=10)  # type: ignore[arg-type]


def a_server_runs(server: TLSHTTPServer) -> Stats:
    """The context manager gives the server itself; counters are typed."""
    with server as running:
        assert_type(running, TLSHTTPServer)
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        running.shutdown()
        thread.join()
    return server.stats()


def counters_are_typed(stats: Stats) -> datetime | None:
    """Numbers by reason, and the certificates in use."""
    assert_type(stats.handshake_failures, Mapping[str, int])
    assert_type(stats.accepted + stats.bytes_out, int)
    assert_type(stats.certificates, tuple[CertificateInUse, ...])
    return min((one.not_valid_after for one in stats.certificates), default=None)


def the_version_is_text() -> str:
    """Sort the errors of a start."""
    try:
        TLSHTTPServer(("", 0), certfile="chain.pem")
    except errors.CertificateError as error:
        assert_type(error.findings, tuple[str, ...])
    except errors.ConfigurationError as error:
        value_error: ValueError = error
        return str(value_error)
    except errors.TLSHTTPError as error:
        return type(error).__name__
    return tlshttp.__version__


def peers_errors_are_os_errors(error: errors.PeerError) -> OSError:
    """What a peer did can be caught as what the standard library raises."""
    return error
