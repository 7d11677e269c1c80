"""Every exception that tlshttp raises or reports, sorted by who is to blame.

`ConfigurationError` and `CertificateError` are ours to mend: they are raised at start-up, and one
exception lists everything that was found wrong.

`PeerError` and all below it are the peer's doing. They never leave ``serve_forever()``. A
`HandshakeError` goes to ``server.handle_handshake_error()``, a `ConnectionCut` to
``server.handle_connection_cut()``; each carries a `reason <PeerError.reason>` that the log line and
the counters of ``server.stats()`` use, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import ClassVar

__all__ = [
    "BodyTimeout",
    "CertificateError",
    "ClientCertificateError",
    "ConfigurationError",
    "ConnectionCut",
    "HandshakeCrowdedOut",
    "HandshakeDisconnected",
    "HandshakeError",
    "HandshakeTimeout",
    "MalformedHandshake",
    "NoSharedCipher",
    "NoSharedProtocol",
    "NotTLSError",
    "PeerDisconnected",
    "PeerError",
    "PeerRejected",
    "PlainHTTPError",
    "ProtocolViolation",
    "ProxyHeaderError",
    "RequestCrowdedOut",
    "RequestRefused",
    "RequestTimeout",
    "ResponseAborted",
    "ResponseBacklog",
    "TLSHTTPError",
    "TunnelTimeout",
    "UnrecognizedName",
    "WebSocketClosed",
    "WriteTimeout",
]


class TLSHTTPError(Exception):
    """The base of every exception of this package."""


class ConfigurationError(TLSHTTPError, ValueError):
    """The server, context or certificate cannot be set up as asked.

    Args:
        findings: What is wrong, one sentence each; all of it, not only the first.
    """

    def __init__(self, *findings: str) -> None:
        super().__init__(*findings)
        self.findings: tuple[str, ...] = findings
        """What is wrong, one sentence each."""

    def __str__(self) -> str:
        return "; ".join(self.findings)

    @classmethod
    def raise_if(cls, findings: Iterable[str]) -> None:
        """Raise one exception that lists the findings; do nothing when there are none.

        Raises:
            ConfigurationError: There is at least one finding.
        """
        found = tuple(findings)
        if found:
            raise cls(*found)


class CertificateError(ConfigurationError):
    """A certificate, private key or trust anchor cannot be used as asked."""


class PeerError(TLSHTTPError, OSError):
    """Something a peer did, or failed to do.

    Args:
        message: One sentence for the log, without the peer's address.
        server_name: The host name the peer asked for in its ClientHello (RFC 6066, section 3), or
            `None` where it sent none or had not come so far.
    """

    reason: ClassVar[str] = "peer-error"
    """A short, stable word for this kind of failure, used in logs and counters."""

    def __init__(self, message: str, *, server_name: str | None = None) -> None:
        super().__init__(message)
        self.server_name = server_name
        """The host name of the ClientHello, or `None` where it is not known."""


class HandshakeError(PeerError):
    """The peer never got as far as an encrypted connection."""

    reason = "handshake-failed"


class HandshakeTimeout(HandshakeError, TimeoutError):
    """The handshake was not finished within ``Limits.handshake_timeout``."""

    reason = "handshake-timeout"


class HandshakeDisconnected(HandshakeError):
    """The peer closed or reset the connection before the handshake was finished."""

    reason = "disconnected"


class HandshakeCrowdedOut(HandshakeError):
    """An unfinished handshake was closed in favour of a newer one (``Limits.max_connections``)."""

    reason = "crowded-out"


class PlainHTTPError(HandshakeError):
    """The peer sent an HTTP request without TLS; it was answered in plain text."""

    reason = "plain-http"


class ProxyHeaderError(HandshakeError):
    """A trusted proxy began a connection without a PROXY protocol header, or with a bad one."""

    reason = "proxy-header"


class NotTLSError(HandshakeError):
    """The peer's first bytes are neither a TLS ClientHello nor an HTTP request."""

    reason = "not-tls"


class MalformedHandshake(HandshakeError):
    """The peer began as TLS does and then broke the protocol."""

    reason = "malformed"


class NoSharedProtocol(HandshakeError):
    """The peer offers no TLS version, or no application protocol, that this server accepts."""

    reason = "no-shared-protocol"


class NoSharedCipher(HandshakeError):
    """The peer offers no cipher, group or signature algorithm that this server accepts."""

    reason = "no-shared-cipher"


class ClientCertificateError(HandshakeError):
    """The peer showed no client certificate where one is required, or an unacceptable one."""

    reason = "client-certificate"


class UnrecognizedName(HandshakeError):
    """The peer asked for a host name that the context refuses to serve (RFC 6066, section 3)."""

    reason = "unrecognized-name"


class PeerRejected(HandshakeError):
    """The peer refused this server with a TLS alert, mostly for a certificate it does not trust."""

    reason = "rejected-by-peer"


class ConnectionCut(PeerError):
    """A connection ended after its handshake, but not as HTTP and TLS end connections."""

    reason = "cut"


class RequestTimeout(ConnectionCut, TimeoutError):
    """A request was begun and its head not finished in time."""

    reason = "request-timeout"


class RequestCrowdedOut(ConnectionCut):
    """An unfinished request gave way to a newer connection (``Limits.max_connections``)."""

    reason = "crowded-out"


class RequestRefused(ConnectionCut):
    """A request broke HTTP or a limit; it was answered with an error and the connection closed.

    Args:
        message: What is wrong with it, in a few words.
        status: The status of the answer.
        server_name: As for `PeerError`.
    """

    reason = "refused-request"

    def __init__(
        self,
        message: str,
        *,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        server_name: str | None = None,
    ) -> None:
        super().__init__(message, server_name=server_name)
        self.status = status
        """The status of the answer."""


class ProtocolViolation(ConnectionCut):
    """The peer broke the protocol that a handler had taken the connection over for: WebSocket."""

    reason = "protocol-violation"


class WebSocketClosed(TLSHTTPError, ConnectionError):
    """A WebSocket has come to its end.

    Args:
        code: Why, by RFC 6455, section 7.4; 1006 where the connection broke without a word.
        reason: The same in words, often none.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the WebSocket is closed: {code}" + (f" ({reason})" if reason else ""))
        self.code = code
        """Why, as a number."""
        self.reason = reason
        """The same in words."""


class BodyTimeout(ConnectionCut, TimeoutError):
    """The peer sent a request body more slowly than ``Limits.body_timeout`` allows."""

    reason = "body-timeout"


class WriteTimeout(ConnectionCut, TimeoutError):
    """The peer took the response more slowly than ``Limits.write_timeout`` allows."""

    reason = "write-timeout"


class TunnelTimeout(ConnectionCut, TimeoutError):
    """Nothing moved for ``Limits.tunnel_timeout`` on a connection that a handler had taken over."""

    reason = "tunnel-timeout"


class ResponseBacklog(ConnectionCut):
    """The peer left more of a response to be taken than ``Limits.max_response_backlog`` allows."""

    reason = "response-backlog"


class ResponseAborted(ConnectionCut):
    """The rest of a response could not be kept for its peer, or not be read.

    The disk was full, a file became shorter while it was sent, or the server was closed before the
    peer had taken all of it, or before a handler that answers later (`tlshttp.aio`) had answered.
    """

    reason = "response-aborted"


class PeerDisconnected(ConnectionCut, BrokenPipeError, ConnectionResetError):
    """The peer reset the connection, or left in the middle of a request or response.

    It is caught by ``except (BrokenPipeError, ConnectionResetError)``, as programs have it.
    """

    reason = "disconnected"
