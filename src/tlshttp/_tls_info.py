"""What is known of the TLS session of a connection."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

    from tlshttp._tls import TLSObject

__all__ = ["TLSInfo", "peer_chain_in_der"]


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
