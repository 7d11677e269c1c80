"""The rows of the catalogue about what a server does on a connection."""

from __future__ import annotations

from tlshttp.testing._bad.fault import Fault, FaultKind
from tlshttp.testing._bad.vocabulary import (
    HONEST_BODY,
    At,
    Close,
    Drip,
    Reply,
    Reset,
    Send,
    Stall,
    Trait,
)

__all__ = ["BEHAVIOUR_FAULTS"]

_STATUS_LINE = len(b"HTTP/1.1 200 OK\r\n")

_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 26\r\n"
    b"Connection: close\r\n\r\nThis port speaks no TLS.\r\n"
)

_CHUNKED = ("Transfer-Encoding", "chunked")


def _fault(name: str, does: str, report: str, *traits: Trait) -> Fault:
    return Fault(name, FaultKind.BEHAVIOUR, does, report, traits)


def _length(text: str) -> tuple[str, str]:
    return "Content-Length", text


_CONNECTING = (
    _fault("silent", "accepts, and says nothing", "a timeout", Stall(At.ACCEPT)),
    _fault("silent-after-hello", "reads the hello, and says nothing", "a timeout", Stall(At.HELLO)),
    _fault(
        "stalled-handshake",
        "sends the first 60 bytes of its handshake and no more",
        "a timeout",
        Stall(At.HANDSHAKE, 60),
    ),
    _fault(
        "slow-accept",
        "lets each connection wait for a second",
        "success, where the client has so much time",
        Stall(At.ACCEPT, seconds=1.0),
    ),
    _fault("reset-at-accept", "resets each connection at once", "a reset", Reset(At.ACCEPT)),
    _fault("reset-at-hello", "resets when the hello has come", "a reset", Reset(At.HELLO)),
    _fault(
        "reset-in-handshake",
        "resets after 60 bytes of its handshake",
        "a reset",
        Reset(At.HANDSHAKE, 60),
    ),
    _fault(
        "closed-at-hello",
        "closes when the hello has come",
        "an unexpected end of the connection",
        Close(At.HELLO),
    ),
    _fault(
        "http",
        "answers in plain text on the port for TLS",
        "not TLS: wrong version number",
        Send(At.HELLO, data=_PLAIN, sealed=False),
        Close(At.HELLO),
    ),
)

_RESPONDING = (
    _fault("no-response", "reads the request, and says nothing", "a timeout", Stall(At.REQUEST)),
    _fault("reset-at-request", "resets when a request has come", "a reset", Reset(At.REQUEST)),
    _fault(
        "closed-at-request",
        "closes when a request has come, in good order",
        "the end of the connection without a response",
        Close(At.REQUEST),
    ),
    _fault("reset-in-head", "resets within the response's head", "a reset", Reset(At.HEAD, 20)),
    _fault(
        "truncated-head",
        "closes within the response's head",
        "an incomplete response",
        Close(At.HEAD, 20),
    ),
    _fault(
        "reset-in-body",
        "resets after 100 bytes of 1024 of the body",
        "a reset",
        Reset(At.BODY, 100),
    ),
    _fault(
        "stalled-body",
        "sends 100 bytes of 1024 of the body and no more",
        "a timeout",
        Stall(At.BODY, 100),
    ),
    _fault(
        "truncated-body",
        "closes after 100 bytes of 1024 of the body, in good order",
        "an incomplete body",
        Close(At.BODY, 100),
    ),
    _fault(
        "truncated-body-without-close-notify",
        "closes after 100 bytes of 1024 of the body, without close_notify",
        "an incomplete body, or a truncation",
        Close(At.BODY, 100, notify=False),
    ),
    _fault(
        "truncated-chunks",
        "closes after the first of the chunks, in good order",
        "an incomplete body",
        Reply(headers=(_CHUNKED,), body=b"5\r\nhello\r\n"),
        Close(At.END),
    ),
    _fault(
        "unframed-body-without-close-notify",
        "ends a body by the end of the connection, without close_notify",
        "a truncation: nobody can tell whether the body is whole (RFC 9112, section 9.8)",
        Reply(headers=(("Connection", "close"),), framed=False),
        Close(At.END, notify=False),
    ),
    _fault(
        "dripped-body",
        "sends the response in pieces of 64 bytes, 20 ms apart",
        "success, in half a second",
        Drip(64, 0.02),
    ),
    _fault(
        "one-byte-records",
        "sends each byte of the response as a TLS record",
        "success",
        Drip(1),
    ),
    _fault(
        "garbage-records",
        "sends bytes that are no TLS in the midst of the body",
        "a broken record",
        Send(At.BODY, 100, data=b"\x00garbage, " * 16, sealed=False),
    ),
    _fault(
        "forged-record",
        "sends a record that was encrypted with no key of this connection",
        "a bad record MAC",
        Send(At.BODY, 100, data=b"\x17\x03\x03\x00\x40" + bytes(64), sealed=False),
    ),
)

_FRAMING = (
    _fault(
        "two-content-lengths",
        "sends two different Content-Length fields",
        "an invalid response (RFC 9112, section 6.3)",
        Reply(headers=(_length("1024"), _length("5"))),
    ),
    _fault(
        "same-content-length-twice",
        "sends the right Content-Length twice",
        "success, or an invalid response: both are allowed (RFC 9110, section 8.6)",
        Reply(headers=(_length("1024"), _length("1024"))),
    ),
    _fault(
        "length-and-chunks",
        "sends Content-Length and Transfer-Encoding, and chunks",
        "the chunks, and then no further use of the connection (RFC 9112, section 6.3)",
        Reply(headers=(_length("5"), _CHUNKED), body=b"4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n"),
    ),
    _fault(
        "invalid-content-length",
        "sends a Content-Length that is no number",
        "an invalid response",
        Reply(headers=(_length("lots"),)),
        Close(At.END),
    ),
    _fault(
        "negative-content-length",
        "sends a Content-Length below zero",
        "an invalid response",
        Reply(headers=(_length("-1"),)),
        Close(At.END),
    ),
    _fault(
        "invalid-chunk-size",
        "sends a chunk whose size is no number",
        "an invalid body",
        Reply(headers=(_CHUNKED,), body=b"xyz\r\nhello\r\n0\r\n\r\n"),
        Close(At.END),
    ),
    _fault(
        "not-http",
        "answers with text that is no HTTP",
        "an invalid response",
        Send(At.REQUEST, data=b"220 mail.example ESMTP\r\n"),
        Close(At.REQUEST),
    ),
    _fault(
        "endless-headers",
        "sends up to a million header fields",
        "too many header fields",
        Send(At.HEAD, _STATUS_LINE, data=b"X-Again: and again and again\r\n", times=1_000_000),
    ),
    _fault(
        "endless-header",
        "sends a header field of up to 64 MiB",
        "a header field that is too long",
        Send(At.HEAD, _STATUS_LINE, data=b"X-Long: "),
        Send(At.HEAD, _STATUS_LINE, data=b"again and again " * 1024, times=4096),
    ),
    _fault(
        "body-after-204",
        "sends a body after 204 (No Content)",
        "success without a body, and no further use of the connection",
        Reply(204, headers=(_length("11"),), body=b"unexpected\n"),
    ),
    _fault(
        "second-response",
        "sends two responses to one request",
        "the first one, and no further use of the connection",
        Send(At.END, data=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    ),
)

_KEEPING = (
    _fault(
        "continue-flood",
        "sends a thousand times 100 (Continue) before the response",
        "success, or too many interim responses",
        Send(At.REQUEST, data=b"HTTP/1.1 100 Continue\r\n\r\n", times=1000),
    ),
    _fault(
        "early-hints",
        "sends 103 (Early Hints) before the response",
        "success: interim responses are passed over (RFC 9110, section 15.2)",
        Send(At.REQUEST, data=b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"),
    ),
    _fault(
        "closes-kept-connection",
        "closes after each response, without having announced it",
        "success, on a new connection for each request",
        Close(At.END),
    ),
    _fault(
        "resets-kept-connection",
        "resets after each response, without having announced it",
        "success, on a new connection for each request",
        Reset(At.END),
    ),
    _fault(
        "reset-on-second-request",
        "resets when the second request has come",
        "success, then a reset, or a retry where the method allows it",
        Reset(At.REQUEST, request=2),
    ),
    _fault(
        "close-announced",
        "says Connection: close with the first response, and closes",
        "success, on a new connection for the second request",
        Reply(headers=(("Connection", "close"),), request=1),
        Close(At.END, request=1),
    ),
    _fault(
        "close-announced-and-kept",
        "says Connection: close, sends no length, and does not close",
        "a timeout: the body ends where the connection does",
        Reply(headers=(("Connection", "close"),), framed=False),
        Stall(At.END),
    ),
    _fault(
        "unavailable-then-success",
        "answers 503 with Retry-After: 1 to the first request only",
        "a retry after a second, and success",
        Reply(503, headers=(("Retry-After", "1"),), body=b"later\n", request=1),
    ),
    _fault(
        "rate-limited-then-success",
        "answers 429 with Retry-After: 1 to the first request only",
        "a retry after a second, and success",
        Reply(429, headers=(("Retry-After", "1"),), body=b"later\n", request=1),
    ),
    _fault(
        "redirect-loop",
        "redirects each request to the path it has asked for",
        "too many redirects",
        Reply(302, headers=(("Location", "/"),), body=b""),
    ),
    _fault(
        "broken-gzip",
        "says Content-Encoding: gzip, and sends what is none",
        "an error in decoding, or the body as it is where nothing is decoded",
        Reply(headers=(("Content-Encoding", "gzip"),), body=HONEST_BODY),
    ),
)

BEHAVIOUR_FAULTS = (*_CONNECTING, *_RESPONDING, *_FRAMING, *_KEEPING)
"""In the order of the documentation."""
