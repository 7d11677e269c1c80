"""What stands between a connection and the TLS engine, and what is known of a session.

Two engines fit behind these protocols: the standard library's `ssl` as it is, and pyOpenSSL. Of
either, what is encrypted stands in two buffers in memory, which `tlshttp._front.channel` empties
and fills: those of `ssl` (`ssl.MemoryBIO`), or the engine's own. Where the engine needs more from
the peer it raises `ssl.SSLWantReadError`; its other exceptions are those of `ssl`, too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import ssl

    from cryptography import x509
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
    "TLSInfo",
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


class TLSInfo:
    """What the handshake of a connection agreed on: ``self.tls`` in a handler.

    It stays as it is when the connection is closed.
    """

    def __init__(self, tls: TLSObject, server_name: str | None) -> None:
        cipher = tls.cipher()
        self.version: str = tls.version() or ""
        """The protocol version, such as ``"TLSv1.3"``."""
        self.cipher: str = cipher[0] if cipher else ""
        """The cipher suite as OpenSSL names it, such as ``"TLS_AES_128_GCM_SHA256"``."""
        self.alpn_protocol: str | None = tls.selected_alpn_protocol()
        """The application protocol agreed on by ALPN (RFC 7301), or `None` without ALPN."""
        self.server_name: str | None = server_name
        """The host name the client asked for (SNI, RFC 6066, section 3), in lower case; `None`
        where it sent none, as clients do that connect to an IP address."""
        self.resumed: bool = bool(tls.session_reused)
        """Whether an earlier session was resumed."""
        self.group: str | None = _group(tls)
        """The key-exchange group, such as ``"X25519MLKEM768"``; `None` where the engine does not
        tell (the `ssl` module before Python 3.15; that of `tlshttp.pyopenssl` does)."""
        self.hsts_max_age: int | None = getattr(tls, "hsts_max_age", None)
        """Seconds for Strict-Transport-Security (RFC 6797, section 6.1.1); `None` where the
        certificate is self-signed, and with a context that is not of `tlshttp.context`."""
        self._chain_der: tuple[bytes, ...] = peer_chain_in_der(tls)
        self._may_serve: Callable[[str], bool] | None = getattr(tls, "may_serve", None)

    def may_serve(self, host: str) -> bool:
        """Tell whether a request for a host may be served on this connection.

        It may not where that host needs a client certificate and the connection, made for another
        name, has none (RFC 9110, section 7.4).
        """
        return self._may_serve is None or self._may_serve(host)

    def __repr__(self) -> str:
        """Show what a log line would."""
        return (
            f"<TLSInfo {self.version} {self.cipher} server_name={self.server_name!r}"
            f" alpn_protocol={self.alpn_protocol!r} resumed={self.resumed}>"
        )

    @functools.cached_property
    def peer_chain(self) -> Sequence[x509.Certificate]:
        """The client's certificates, its own first; empty where it showed none.

        Before Python 3.13 the `ssl` module tells of no more than the client's own.

        Raises:
            ValueError: OpenSSL has taken a certificate that `cryptography` cannot read. Contexts of
                `tlshttp.context` and `tlshttp.pyopenssl` refuse it during the handshake.
        """
        from cryptography import x509

        try:
            return tuple(x509.load_der_x509_certificate(der) for der in self._chain_der)
        except x509.InvalidVersion as error:  # which is no ValueError
            raise ValueError(f"a certificate of the client cannot be read: {error}") from None

    @property
    def peer_certificate(self) -> x509.Certificate | None:
        """The client's own certificate, verified by the context; `None` where it showed none."""
        return self.peer_chain[0] if self._chain_der else None

    @functools.cached_property
    def peer_names(self) -> tuple[str, ...]:
        """The names in the client certificate's subjectAltName, as text; empty without any."""
        from cryptography import x509

        if self.peer_certificate is None:
            return ()
        try:
            names = self.peer_certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
        except x509.ExtensionNotFound:
            return ()
        return tuple(str(name.value) for name in names if _is_textual(name.value))


def _is_textual(value: object) -> bool:
    import ipaddress

    return isinstance(value, (str, ipaddress.IPv4Address, ipaddress.IPv6Address))


def _group(tls: TLSObject) -> str | None:
    group = getattr(tls, "group", None)
    return group() if group is not None else None


def peer_chain_in_der(tls: TLSObject) -> tuple[bytes, ...]:
    """Return the client's certificates, its own first; empty where it showed none."""
    own = tls.getpeercert(True)
    if not own:
        return ()
    verified = getattr(tls, "get_verified_chain", None)
    # A context with CERT_NONE has verified nothing; then the chain is what the client sent.
    chain = tuple(verified()) if verified is not None else ()
    return chain or (own,)
