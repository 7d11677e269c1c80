"""The words for what a bad server does: deeds, and the moments at which it does them.

A deed is a frozen dataclass: what, at which moment of a connection, and for which request or
connection, counted from 1 over the whole server. "Second request: reset after 100 bytes" is
``Reset(At.BODY, 100, request=2)``.
"""

from __future__ import annotations

import enum
import ssl
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tlshttp.certs import Certificate

__all__ = [
    "HONEST_BODY",
    "At",
    "Close",
    "Deed",
    "Drip",
    "Refuse",
    "Reply",
    "Reset",
    "Send",
    "Show",
    "Stall",
    "Terms",
    "Timed",
    "Trait",
]

HONEST_BODY = b"0123456789abcde\n" * 64
"""The body of every response that nobody has asked to be another: 1024 bytes."""


class At(enum.Enum):
    """A moment in the life of a connection; they come in this order."""

    ACCEPT = "accept"
    """The connection has been accepted; nothing has been read."""
    HELLO = "hello"
    """The client's first message has been read; nothing has been sent."""
    HANDSHAKE = "handshake"
    """The server sends its part of the handshake; positions count these bytes, as on the wire."""
    REQUEST = "request"
    """A request has been read; nothing of its response has been sent."""
    HEAD = "head"
    """The response's head is sent; positions count its bytes before encryption."""
    BODY = "body"
    """The response's body is sent; positions count its bytes before encryption."""
    END = "end"
    """The response has been sent."""

    @property
    def is_of_a_request(self) -> bool:
        """Whether it comes for each request, and not only once for each connection."""
        return self in (At.REQUEST, At.HEAD, At.BODY, At.END)


@dataclass(frozen=True)
class Timed:
    """What is done at a moment. Without ``request`` and ``connection`` it is done every time.

    Args:
        at: The moment.
        after: How many bytes of handshake, head or body are sent before; where there are fewer, it
            is done after the last one. Other moments have none.
        request: The number of the only request, counted from 1 over the whole server; `None`: each.
        connection: The number of the only connection, counted from 1; `None`: each.
    """

    at: At
    after: int = 0
    _: KW_ONLY
    request: int | None = None
    connection: int | None = None

    def findings(self) -> Iterator[str]:
        """Say what can never come true."""
        yield from _count_findings(self)
        if self.after < 0:
            yield f"{self!r}: after counts bytes and cannot be negative"
        if self.after and self.at not in (At.HANDSHAKE, At.HEAD, At.BODY):
            yield f"{self!r}: nothing is sent at {self.at}, so after must be 0"
        if self.request is not None and not self.at.is_of_a_request:
            yield f"{self!r}: {self.at} comes before any request: name the connection instead"


@dataclass(frozen=True)
class Reset(Timed):
    """Reset the TCP connection."""


@dataclass(frozen=True)
class Close(Timed):
    """Close the connection, with a ``close_notify`` before where TLS is established.

    Args:
        notify: Whether the ``close_notify`` is sent (RFC 8446, section 6.1).
    """

    _: KW_ONLY
    notify: bool = True


@dataclass(frozen=True)
class Stall(Timed):
    """Do nothing for a while, with the connection open.

    Args:
        seconds: How long; `None`: until the client leaves or the server is closed.
    """

    _: KW_ONLY
    seconds: float | None = None

    def findings(self) -> Iterator[str]:
        """Say what can never come true."""
        yield from super().findings()
        if self.seconds is not None and not self.seconds >= 0:
            yield f"{self!r}: seconds cannot be negative"


@dataclass(frozen=True)
class Send(Timed):
    """Send something that does not belong there.

    Args:
        data: What.
        times: How often.
        sealed: Whether it is encrypted; otherwise it goes on the wire as it is.
    """

    _: KW_ONLY
    data: bytes
    times: int = 1
    sealed: bool = True

    def findings(self) -> Iterator[str]:
        """Say what can never come true."""
        yield from super().findings()
        if self.times < 1:
            yield f"{self!r}: times counts from 1"
        if self.sealed and not self.at.is_of_a_request:
            yield f"{self!r}: nothing can be encrypted at {self.at}: give sealed=False"


@dataclass(frozen=True)
class Refuse:
    """Answer the client's hello with a fatal alert.

    Args:
        alert: Which one (RFC 8446, section 6).
        connection: The number of the only connection, counted from 1; `None`: each.
    """

    alert: ssl.AlertDescription
    _: KW_ONLY
    connection: int | None = None

    def findings(self) -> Iterator[str]:
        """Say what can never come true."""
        yield from _count_findings(self)
        if not 0 <= self.alert <= 255:
            yield f"{self!r}: an alert is a number from 0 to 255 (RFC 8446, section 6)"


@dataclass(frozen=True)
class Drip:
    """Send responses in small pieces.

    Args:
        size: The bytes of a piece, each a TLS record of its own.
        pause: Seconds between two pieces.
        request: The number of the only request, counted from 1; `None`: each.
        connection: The number of the only connection, counted from 1; `None`: each.
    """

    size: int
    pause: float = 0.0
    _: KW_ONLY
    request: int | None = None
    connection: int | None = None

    def findings(self) -> Iterator[str]:
        """Say what can never come true."""
        yield from _count_findings(self)
        if self.size < 1 or not self.pause >= 0:
            yield f"{self!r}: a piece has at least one byte, and a pause is not negative"


@dataclass(frozen=True)
class Reply:
    """Give this response.

    Args:
        status: The status code.
        headers: The header fields, in this order and in any number.
        body: The body, sent to every method but HEAD.
        framed: Whether a Content-Length is added where the fields say nothing about the length.
        request: The number of the only request, counted from 1; `None`: each.
        connection: The number of the only connection, counted from 1; `None`: each.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = HONEST_BODY
    _: KW_ONLY
    framed: bool = True
    request: int | None = None
    connection: int | None = None

    def findings(self) -> Iterator[str]:
        """Say what can never come true."""
        yield from _count_findings(self)
        if not 200 <= self.status <= 999:
            yield f"{self!r}: the status is that of a final response; an interim one is a Send"


@dataclass(frozen=True)
class Show:
    """Show another certificate.

    Args:
        certificate: The name of a fault, for its certificate; ``"honest"`` for a good one, made
            anew; or a certificate of yours.
        connection: The first connection that sees it, counted from 1; it stays until the next
            `Show`.
    """

    certificate: str | Certificate
    _: KW_ONLY
    connection: int = 1

    def findings(self) -> Iterator[str]:
        """Say what can never come true."""
        if self.connection < 1:
            yield f"{self!r}: connections are counted from 1"


@dataclass(frozen=True)
class Terms:
    """Negotiate TLS by these terms.

    Args:
        minimum_version: The oldest version.
        maximum_version: The newest version.
        ciphers: The ciphers up to TLS 1.2, in OpenSSL's words; `None`: OpenSSL's default.
        group: The only group for the key exchange; `None`: OpenSSL's default.
        alpn: The only application protocol that the server accepts of those a client offers;
            `None`: ``http/1.1``, or none.
        forced_alpn: The application protocol that the server claims to have chosen, whatever the
            client offers; `None`: it is honest.
        client_certificate: Whether the client has to show one.
        staple: Whether an OCSP response of the certificate is stapled.
    """

    _: KW_ONLY
    minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: str | None = None
    group: str | None = None
    alpn: str | None = None
    forced_alpn: str | None = None
    client_certificate: bool = False
    staple: bool = False

    def findings(self) -> Iterator[str]:
        """Say what can never come true."""
        if self.minimum_version > self.maximum_version:
            yield f"{self!r}: minimum_version is above maximum_version"


Deed: TypeAlias = Reset | Close | Stall | Send | Refuse | Drip | Reply
"""What is done to a connection or to a request."""

Trait: TypeAlias = Deed | Show | Terms
"""Everything that a bad server can be made of."""


def _count_findings(trait: Timed | Refuse | Drip | Reply) -> Iterator[str]:
    for word in ("request", "connection"):
        number = getattr(trait, word, None)
        if number is not None and number < 1:
            yield f"{trait!r}: {word} counts from 1"
