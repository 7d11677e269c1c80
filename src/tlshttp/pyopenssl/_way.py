"""The two ways of having a connection: by public methods, and by OpenSSL's own functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from OpenSSL import SSL

from tlshttp._engines.client_auth import ClientAuth
from tlshttp._tls import IncomingBuffer, OutgoingBuffer, TLSObject

__all__ = [
    "Answers",
    "Choice",
    "Choose",
    "Connection",
    "MakesWays",
    "Staple",
    "Way",
    "as_name",
    "verify_mode",
]

Choice: TypeAlias = tuple[SSL.Context, ClientAuth]
"""The context whose certificate is shown, and what is asked of the client."""

Choose: TypeAlias = Callable[[Any, "str | None"], "Choice | None"]
"""Chooses for a connection and the name that it asks for; `None`: refuse."""

Staple: TypeAlias = Callable[[bytes], "bytes | None"]
"""Returns the OCSP response that goes with a certificate in DER, `None` without one."""


class Connection(TLSObject, Protocol):
    """A server's end of a connection, with the buffers on either side of it."""

    connected_address: str | None

    @property
    def incoming(self) -> IncomingBuffer: ...
    @property
    def outgoing(self) -> OutgoingBuffer: ...


class Way(Protocol):
    """One of the two. It belongs to one server's context, and to all contexts behind that."""

    def prepare(self, context: SSL.Context, asks: ClientAuth) -> None:
        """Have a context that has not served call back.

        Args:
            context: The context.
            asks: What it asks of everybody.
        """

    def connect(self, front: SSL.Context) -> Connection:
        """Return a new connection that begins with a context."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a way asks for, when OpenSSL calls back."""

    choose: Choose
    alpn_protocols: Sequence[str] = ()
    """In order of preference; empty: no ALPN."""
    staple: Staple | None = None
    """`None`: there are no OCSP responses."""
    log_key: Callable[[bytes], object] | None = None
    """Takes a line for a key log; `None`: there is none."""


MakesWays: TypeAlias = Callable[[Answers], Way]
"""What makes one."""


_VERIFY_MODES = {
    ClientAuth.NONE: SSL.VERIFY_NONE,
    ClientAuth.OPTIONAL: SSL.VERIFY_PEER,
    ClientAuth.REQUIRED: SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


def verify_mode(client_auth: ClientAuth) -> int:
    """Return what pyOpenSSL calls it."""
    return _VERIFY_MODES[client_auth]


def as_name(name: bytes) -> str:
    """Return the name that a client asks for.

    Raises:
        UnicodeDecodeError: It is none: names are ASCII (RFC 6066, section 3).
    """
    return name.decode("ascii")
