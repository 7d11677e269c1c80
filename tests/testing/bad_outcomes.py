"""What `http.client` and httpx report of each fault, exactly.

A client makes two requests, on one connection where that is kept, with the server's own
``client_context()``. What it reports is one line for each: ``200 1024`` for status and length of
the body, or ``Type: message`` for an exception. Each row has a pattern for each line; where there
is one only, both lines match it.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from tests.support import UNIT
from tlshttp import testing

GOOD = "200 1024"
LONG = 30 * UNIT
SHORT = 0.3 * UNIT
"""Seconds: what a client waits that is to time out."""


@dataclass(frozen=True)
class Patience:
    """How many seconds a client waits for a connection, TLS included, and for an answer."""

    connect: float = LONG
    read: float = LONG


Client = Callable[[testing.BadServer, Patience], "list[str]"]


@dataclass(frozen=True)
class Row:
    """One fault and its reports, and what a client is to wait for in vain."""

    fault: str
    http_client: tuple[str, ...]
    httpx: tuple[str, ...]
    patience: Patience = Patience()


def by_http_client(server: testing.BadServer, patience: Patience) -> list[str]:
    """Make two requests with the standard library, which has one time for everything."""
    connection = http.client.HTTPSConnection(
        server.host,
        server.port,
        timeout=min(patience.connect, patience.read),
        context=server.client_context(),
    )

    def get() -> tuple[int, bytes]:
        connection.request("GET", "/")
        with connection.getresponse() as response:
            return response.status, response.read()

    try:
        return [report(get, connection.close) for _ in range(2)]
    finally:
        connection.close()


def by_httpx(server: testing.BadServer, patience: Patience) -> list[str]:
    """Make two requests with httpx."""
    timeout = httpx.Timeout(LONG, connect=patience.connect, read=patience.read)
    with httpx.Client(verify=server.client_context(), timeout=timeout, trust_env=False) as client:

        def get() -> tuple[int, bytes]:
            response = client.get(server.url)
            return response.status_code, response.content

        return [report(get) for _ in range(2)]


def report(get: Callable[[], tuple[int, bytes]], after: Callable[[], None] | None = None) -> str:
    """Say in one line what became of a request."""
    try:
        status, body = get()
    except (OSError, http.client.HTTPException, httpx.HTTPError) as error:
        if after is not None:
            after()
        return f"{type(error).__name__}: {error}"
    return f"{status} {len(body)}"


def _refused(fault: str, reason: str) -> Row:
    """Return the row of a certificate that both refuse."""
    return Row(
        fault,
        (f"SSLCertVerificationError: .*certificate verify failed: {reason}",),
        (f"ConnectError: .*certificate verify failed: {reason}",),
    )


def _failed(fault: str, reason: str) -> Row:
    """Return the row of a handshake that fails."""
    return Row(fault, (f"SSLError: .*{reason}",), (f"ConnectError: .*{reason}",))


def _accepted(fault: str) -> Row:
    return Row(fault, (GOOD,), (GOOD,))


def _timed_out(fault: str, error: str) -> Row:
    patience = Patience(connect=SHORT) if error == "ConnectTimeout" else Patience(read=SHORT)
    return Row(fault, ("TimeoutError: .*timed out",), (f"{error}: .*timed out",), patience)


def _broken(fault: str, http_client: str, by_httpx: str) -> Row:
    return Row(fault, (http_client,), (by_httpx,))


_NO_RESPONSE = (
    "RemoteDisconnected: .*closed|ConnectionResetError: .*",
    "RemoteProtocolError: Server disconnected|ReadError: .*",
)
"""A reset reaches Python as the end of the connection, or as what it is: both are reports."""

_INCOMPLETE = (
    r"IncompleteRead: IncompleteRead\(100 bytes read, 924 more expected\)",
    r"RemoteProtocolError: peer closed connection .*received 100 bytes, expected 1024",
)
_RESET = ("ConnectionResetError: ", "ConnectError: ")
_HANDSHAKE_FAILURE = "alert.handshake.failure|handshake.failure"

CERTIFICATES = [
    _refused("expired", "certificate has expired"),
    _refused("not-yet-valid", "certificate is not yet valid"),
    _accepted("expired-while-connected"),
    _refused("expired-intermediate", "certificate has expired"),
    _refused("wrong-host", "Hostname mismatch"),
    _refused("common-name-only", "Hostname mismatch"),
    _refused("no-names", "Subject name empty"),
    _refused("malformed-names", "Hostname mismatch"),
    _refused("nul-in-name", "Hostname mismatch"),
    _refused("address-as-name", "IP address mismatch"),
    _refused("bare-wildcard", "Hostname mismatch"),
    _refused("self-signed", "self.signed certificate"),
    _refused("untrusted-root", "self.signed certificate in certificate chain"),
    _refused("incomplete-chain", "unable to get local issuer certificate"),
    _accepted("reversed-chain"),
    _refused("wrong-signature", "certificate signature failure"),
    _refused("revoked", "certificate revoked"),
    _refused("revoked-stapled", "certificate revoked"),
    _refused("name-constraint-violated", "permitted subtree violation"),
    _refused("path-length-violated", "path length constraint exceeded"),
    _refused("issuer-not-an-authority", "invalid CA certificate"),
    _refused("client-usage-only", "unsuitable certificate purpose"),
    _refused("no-signature-usage", "unsuitable certificate purpose"),
    _refused("no-key-identifier", "Missing Authority Key Identifier"),
    _refused("sha1", "CA signature digest algorithm too weak"),
    _refused("rsa-1024", "EE certificate key too weak"),
    _accepted("lifetime-too-long"),
]

TLS = [
    _failed("tls-v1-0", "protocol.version|unsupported.protocol"),
    _failed("tls-v1-1", "protocol.version|unsupported.protocol"),
    _failed("cbc", _HANDSHAKE_FAILURE),
    _failed("null", _HANDSHAKE_FAILURE),
    _accepted("one-group"),
    (
        _accepted("post-quantum-only")
        if ssl.OPENSSL_VERSION_INFO >= (3, 5)
        else _failed("post-quantum-only", _HANDSHAKE_FAILURE)
    ),
    _failed("no-shared-alpn", "no.application.protocol"),
    _failed("wrong-alpn", "bad.extension"),
    _broken(
        "client-cert-missing",
        "SSLError: .*certificate.required",
        "ReadError: .*certificate.required",
    ),
    _failed("handshake-refused", _HANDSHAKE_FAILURE),
    _failed("unrecognized-name", "unrecognized.name"),
    _failed("internal-error", "internal.error"),
    _failed("insufficient-security", "insufficient.security"),
    _failed("access-denied", "access.denied"),
    _accepted("renewed-then-expired"),
    _failed("garbage-for-hello", "wrong.version.number|record.layer.failure"),
]

BEHAVIOUR = [
    _timed_out("silent", "ConnectTimeout"),
    _timed_out("silent-after-hello", "ConnectTimeout"),
    _timed_out("stalled-handshake", "ConnectTimeout"),
    _accepted("slow-accept"),
    _broken("reset-at-accept", *_RESET),
    _broken("reset-at-hello", *_RESET),
    _broken("reset-in-handshake", *_RESET),
    _broken("closed-at-hello", "SSLEOFError: .*EOF occurred", "ConnectError: .*EOF occurred"),
    _failed("http", "wrong.version.number|record.layer.failure"),
    _timed_out("no-response", "ReadTimeout"),
    _broken("reset-at-request", *_NO_RESPONSE),
    _broken("closed-at-request", *_NO_RESPONSE),
    # The standard library takes the end of the connection for the end of the head.
    _broken("reset-in-head", "200 0|ConnectionResetError: .*", _NO_RESPONSE[1]),
    _broken("truncated-head", "200 0", _NO_RESPONSE[1]),
    _broken(
        "reset-in-body",
        f"{_INCOMPLETE[0]}|ConnectionResetError: .*",
        f"{_INCOMPLETE[1]}|ReadError: .*",
    ),
    _timed_out("stalled-body", "ReadTimeout"),
    _broken("truncated-body", *_INCOMPLETE),
    _broken("truncated-body-without-close-notify", *_INCOMPLETE),
    _broken(
        "truncated-chunks",
        "IncompleteRead: ",
        "RemoteProtocolError: peer closed connection .*incomplete chunked read",
    ),
    _accepted("unframed-body-without-close-notify"),
    _accepted("dripped-body"),
    _accepted("one-byte-records"),
    _broken(
        "garbage-records",
        "SSLError: .*(wrong.version.number|record.layer.failure)",
        "ReadError: .*(wrong.version.number|record.layer.failure)",
    ),
    _broken("forged-record", "SSLError: .*bad.record.mac", "ReadError: .*bad.record.mac"),
    _broken("two-content-lengths", GOOD, "RemoteProtocolError: conflicting Content-Length"),
    _accepted("same-content-length-twice"),
    _broken("length-and-chunks", "200 7", "200 7"),
    _broken("invalid-content-length", GOOD, "RemoteProtocolError: bad Content-Length"),
    _broken("negative-content-length", GOOD, "RemoteProtocolError: bad Content-Length"),
    _broken("invalid-chunk-size", "IncompleteRead: ", "RemoteProtocolError: illegal chunk header"),
    _broken("not-http", "BadStatusLine: 220 mail", "RemoteProtocolError: "),
    _broken(
        "endless-headers",
        "HTTPException: got more than 100 headers",
        "RemoteProtocolError: Receive buffer too long",
    ),
    _broken(
        "endless-header",
        "LineTooLong: got more than 65536 bytes",
        "RemoteProtocolError: Receive buffer too long",
    ),
    # What has come too much is taken for the response to the next request; by httpx only where it
    # has not come together with the first one.
    Row(
        "body-after-204",
        ("204 0", "BadStatusLine: unexpected"),
        ("204 0", "204 0|RemoteProtocolError: illegal status line"),
    ),
    Row("second-response", (GOOD, "200 4"), (GOOD, f"200 4|{GOOD}")),
    _accepted("continue-flood"),
    Row("early-hints", ("103 0", ".*"), (GOOD, GOOD)),
    # Whether the end is seen before the next request is sent is a race, in life as here.
    Row(
        "closes-kept-connection",
        (GOOD, f"{_NO_RESPONSE[0]}|BrokenPipeError: .*"),
        (GOOD, f"{_NO_RESPONSE[1]}|WriteError: .*|{GOOD}"),
    ),
    Row(
        "resets-kept-connection",
        (GOOD, f"{_NO_RESPONSE[0]}|BrokenPipeError: .*"),
        (GOOD, f"{_NO_RESPONSE[1]}|WriteError: .*|{GOOD}"),
    ),
    Row("reset-on-second-request", (GOOD, _NO_RESPONSE[0]), (GOOD, _NO_RESPONSE[1])),
    _accepted("close-announced"),
    _timed_out("close-announced-and-kept", "ReadTimeout"),
    Row("unavailable-then-success", ("503 6", GOOD), ("503 6", GOOD)),
    Row("rate-limited-then-success", ("429 6", GOOD), ("429 6", GOOD)),
    _broken("redirect-loop", "302 0", "302 0"),
    _broken("broken-gzip", GOOD, "DecodingError: "),
]

ROWS = [*CERTIFICATES, *TLS, *BEHAVIOUR]
