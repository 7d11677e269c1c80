"""Why a handshake failed, from what the TLS engine raised."""

from __future__ import annotations

import re
import ssl

from tlshttp.errors import (
    ClientCertificateError,
    HandshakeDisconnected,
    HandshakeError,
    MalformedHandshake,
    NoSharedCipher,
    NoSharedProtocol,
    PeerRejected,
)

__all__ = ["handshake_error"]

_PATH_LENGTH_EXCEEDED = 25  # include/openssl/x509_vfy.h

# OpenSSL's reasons (include/openssl/sslerr.h) by what they mean for the operator of a server. The
# first row that fits counts: an alert of the peer also carries the name of what it complains about.
_MEANINGS: tuple[tuple[re.Pattern[str], type[HandshakeError], str], ...] = tuple(
    (re.compile(pattern), kind, sentence)
    for pattern, kind, sentence in (
        (
            "UNEXPECTED_EOF_WHILE_READING",
            HandshakeDisconnected,
            "the peer left in the middle of the handshake",
        ),
        (
            "ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO|NO_PROTOCOLS|FALLBACK",
            NoSharedProtocol,
            "no TLS version in common",
        ),
        (
            "NO_APPLICATION_PROTOCOL",
            NoSharedProtocol,
            "no application protocol (ALPN) in common",
        ),
        (
            "ALERT|UNRECOGNIZED_NAME|BAD_CERTIFICATE_(STATUS|HASH)|CERTIFICATE_UNOBTAINABLE",
            PeerRejected,
            "the peer refused this server",
        ),
        (
            "NO_SHARED_CIPHER|NO_CIPHERS_(AVAILABLE|SPECIFIED)",
            NoSharedCipher,
            "no cipher in common, or none that fits the server's certificate",
        ),
        (
            "NO_SUITABLE_KEY_SHARE|NO_SUITABLE_GROUPS|NO_SHARED_GROUPS?|ELLIPTIC_CURVE|WRONG_CURVE",
            NoSharedCipher,
            "no key-exchange group in common",
        ),
        (
            "SIGNATURE_ALGORITHM|SIGALGS",
            NoSharedCipher,
            "no signature algorithm in common",
        ),
        (
            "DID_NOT_RETURN_A_CERTIFICATE|NO_CERTIFICATES?_RETURNED",
            ClientCertificateError,
            "the client showed no certificate, and one is required",
        ),
        (
            "CERTIFICATE_VERIFY|CERT_TYPE|KEY_TOO_SMALL|MD_TOO_WEAK|BAD_SIGNATURE",
            ClientCertificateError,
            "the client's certificate is not acceptable",
        ),
    )
)


def handshake_error(error: OSError, server_name: str | None) -> HandshakeError:
    """Return the typed exception for what a TLS engine raised from its handshake."""
    if isinstance(error, HandshakeError):
        return error  # of a context that looks at its connections itself
    if not isinstance(error, ssl.SSLError) or isinstance(
        error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    ):
        return HandshakeDisconnected(
            "the peer left in the middle of the handshake", server_name=server_name
        )
    reason = error.reason or ""
    if getattr(error, "verify_code", 0) == _PATH_LENGTH_EXCEEDED:
        return ClientCertificateError(
            "the client's certificate is further below its authority than allowed"
            f" ({_detail(error)})",
            server_name=server_name,
        )
    for pattern, kind, sentence in _MEANINGS:
        if pattern.search(reason):
            return kind(f"{sentence} ({_detail(error)})", server_name=server_name)
    return MalformedHandshake(
        f"the peer broke the TLS protocol ({_detail(error)})", server_name=server_name
    )


def _detail(error: ssl.SSLError) -> str:
    """Return OpenSSL's own words: of the verification where there was one, else of the reason."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return error.verify_message
    return (error.reason or "no reason given").lower().replace("_", " ")
