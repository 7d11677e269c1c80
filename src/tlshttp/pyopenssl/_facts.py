"""What both ways of having a connection know of it, in the words of `ssl`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, overload

from cryptography import x509

from tlshttp._engines.client_auth import ClientAuth
from tlshttp.pyopenssl._parsed import parsed

__all__ = ["Facts"]

# OpenSSL lets the standards name a group once it is negotiated, and has names of its own for
# settings. A profile has the latter.
_GROUPS = {
    "secp256r1": "prime256v1",
    "secp192r1": "prime192v1",
    "x25519": "X25519",
    "x448": "X448",
}


class Facts:
    """What an `ssl.SSLObject` tells of a connection, on a server's end.

    Whoever derives from it has what is told by calls of OpenSSL.
    """

    server_side = True
    server_hostname: str | None = None
    """What a client would have asked for."""
    session_reused: bool | None = False
    """Whether an earlier session was resumed, once the handshake is over; `None`: not known."""
    protocol_chosen: bytes | None = None
    """What was agreed on by ALPN."""
    asked: ClientAuth = ClientAuth.NONE
    """Whether the client is asked for a certificate."""

    @abstractmethod
    def peer_certificate(self) -> bytes | None:
        """Return the client's own certificate in DER; `None` where it showed none."""

    @abstractmethod
    def group_name(self) -> str | None:
        """Return the key-exchange group by the name that the standards have for it."""

    # As `ssl.SSLObject` has it ------------------------------------------------------------------

    def selected_alpn_protocol(self) -> str | None:
        """Return the application protocol agreed on, `None` without ALPN."""
        return None if self.protocol_chosen is None else self.protocol_chosen.decode("ascii")

    def selected_npn_protocol(self) -> None:
        """Return `None`: NPN is gone."""

    def compression(self) -> None:
        """Return `None`: TLS does not compress here."""

    def group(self) -> str | None:
        """Return the key-exchange group by the name that profiles have for it."""
        name = self.group_name()
        return None if name is None else _GROUPS.get(name, name)

    @overload
    def getpeercert(self, binary_form: Literal[True], /) -> bytes | None: ...
    @overload
    def getpeercert(self, binary_form: Literal[False] = ..., /) -> dict[str, Any] | None: ...
    def getpeercert(self, binary_form: bool = False, /) -> bytes | dict[str, Any] | None:  # noqa: FBT001, FBT002
        """Return the client's own certificate, in DER or parsed; `None` where it showed none."""
        certificate = self.peer_certificate() if self.asked is not ClientAuth.NONE else None
        if certificate is None:
            return None
        return certificate if binary_form else parsed(x509.load_der_x509_certificate(certificate))
