"""What stands between a connection and the TLS engine.

Two engines fit behind these protocols: the standard library's `ssl` as it is, and pyOpenSSL. Of
either, what is encrypted stands in two buffers in memory, which `tlshttp._machinery.tls_channel`
empties and fills: those of `ssl` (`ssl.MemoryBIO`), or the engine's own. Where the engine needs
more from the peer it raises `ssl.SSLWantReadError`; its other exceptions are those of `ssl`, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Buffer

    from tlshttp.errors import HandshakeError
    from tlshttp.stats import CertificateInUse

__all__ = [
    "HasBuffers",
    "IncomingBuffer",
    "ManagedContext",
    "OutgoingBuffer",
    "ShowsCertificates",
    "TLSContext",
    "TLSObject",
]


class TLSObject(Protocol):
    """The TLS of one connection, between two buffers in memory."""

    def do_handshake(self) -> None: ...
    def read(self, size: int, /) -> bytes: ...
    def write(self, data: Buffer, /) -> int: ...
    def unwrap(self) -> object: ...
    def pending(self) -> int: ...
    def version(self) -> str | None: ...
    def cipher(self) -> tuple[str, str, int] | None: ...
    def selected_alpn_protocol(self) -> str | None: ...
    def getpeercert(self, binary_form: Literal[True], /) -> bytes | None: ...
    @property
    def session_reused(self) -> bool | None: ...


class TLSContext(Protocol):
    """What makes these: an `ssl.SSLContext`, or the second engine's context."""

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_side: bool
    ) -> TLSObject: ...


class IncomingBuffer(Protocol):
    """What has come from the peer and the engine has not read: an `ssl.MemoryBIO`, for one."""

    def write(self, data: Buffer, /) -> int: ...
    def write_eof(self) -> None: ...
    @property
    def pending(self) -> int: ...


class OutgoingBuffer(Protocol):
    """What the engine has written for the peer."""

    def read(self) -> bytes: ...
    @property
    def pending(self) -> int: ...


class HasBuffers(Protocol):
    """A context whose connections have buffers of their own, which saves copying.

    It is known by its ``begin``: to check the whole protocol would cost microseconds a connection.
    """

    def begin(self) -> tuple[IncomingBuffer, OutgoingBuffer, TLSObject]:
        """Return a new connection, and what stands on either side of it."""


@runtime_checkable
class ManagedContext(Protocol):
    """What a context may offer besides. Those of `tlshttp.context` do; others need not.

    Everything else such a context does (choosing a certificate by name, client authentication by
    name) happens in the ``do_handshake()`` of what it makes, which may raise a
    `~tlshttp.errors.HandshakeError` itself.
    """

    @property
    def tells_addresses_apart(self) -> bool:
        """Whether `context_for` must know the address of a client whose hello has no name."""

    def refusal(
        self,
        server_name: bytes | None,
        alpn_protocols: Sequence[bytes],
        groups: Sequence[int] | None = None,
    ) -> tuple[HandshakeError, int] | None:
        """Say why a ClientHello is to be refused, and with which TLS alert; `None` to go on.

        Args:
            server_name: The host name in it as it was sent, `None` without one.
            alpn_protocols: The application protocols in it, empty without any.
            groups: The key-exchange groups in it, `None` without any.
        """

    def context_for(
        self,
        groups: Sequence[int] | None,
        key_shares: Sequence[int] | None,
        address: str | None = None,
    ) -> TLSContext:
        """Return what makes the connection of a client.

        Args:
            groups: The key-exchange groups in its hello, `None` without any.
            key_shares: Those that it has sent a share for, `None` without that extension.
            address: The IP address that it has connected to, where its hello has no name.
        """

    def maintain(self, now: float) -> None:
        """Renew what is due; called on the loop's tick, never raises, never waits.

        Args:
            now: The time in seconds, from `time.monotonic`.
        """


@runtime_checkable
class ShowsCertificates(Protocol):
    """What a context may offer that can tell which certificates it shows."""

    def certificates_in_use(self) -> tuple[CertificateInUse, ...]:
        """Tell which certificates are shown now, and when each of them ends."""
