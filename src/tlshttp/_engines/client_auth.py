"""Client certificates: who has to show one, and what is checked after the handshake.

With the `ssl` module a context asks for client certificates before it knows which name the client
wants, and swapping the context afterwards does not change that (``sni_callback`` chooses a
certificate, no more). So where names differ, everybody is asked, and with pyOpenSSL, too, for the
same promise: a certificate counts for every name. OpenSSL verifies one that is shown. That there is
one where there has to be one is checked when the handshake is over: also after a resumed one, whose
certificate was verified when the session began. With pyOpenSSL OpenSSL is also told during the
handshake, so that it ends with the right alert.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tlshttp._engines.chain_ends import ChainEnds
from tlshttp._engines.names import Names, normalise
from tlshttp.certs._serials import read_der
from tlshttp.errors import ClientCertificateError

if TYPE_CHECKING:
    from tlshttp._engines.anchors import TrustAnchors
    from tlshttp._engines.pins import Pins

__all__ = ["ClientAuth", "Doorkeeper"]


class ClientAuth(enum.Enum):
    """Whether clients are asked for a certificate."""

    NONE = "none"
    """No."""
    OPTIONAL = "optional"
    """Yes, but they need not show one; one that is not acceptable ends the handshake."""
    REQUIRED = "required"
    """Yes, and without an acceptable one there is no connection."""


class Doorkeeper:
    """Decides which connections may go on, once their handshake is over."""

    def __init__(
        self,
        default: ClientAuth,
        by_name: Mapping[str, ClientAuth],
        anchors: TrustAnchors,
        pins: Pins,
    ) -> None:
        self.default = default
        self.by_name = by_name
        self.anchors = anchors
        self.pins = pins
        self.asks: bool = self.asks_everybody is not ClientAuth.NONE
        """Whether anybody is asked for a certificate."""
        self.chain_ends: ChainEnds = ChainEnds(anchors.certificates)
        """When sessions end with one of the authorities' certificates."""
        self._names = Names(by_name)

    @property
    def asks_everybody(self) -> ClientAuth:
        """What to ask of a client as long as its name is not known."""
        wanted = {self.default, *self.by_name.values()}
        return wanted.pop() if len(wanted) == 1 else ClientAuth.OPTIONAL

    def asks_of(self, name: str | None) -> ClientAuth:
        """Return what to ask of a client whose name is known; `None`: it named no host."""
        if not self.asks:
            return ClientAuth.NONE
        return ClientAuth.REQUIRED if self.requires_certificate(name) else self.asks_everybody

    def requires_certificate(self, name: str | None) -> bool:
        """Tell whether requests for a host need a client certificate; `None`: no host named."""
        found = None if name is None else self._names.find(normalise(name))
        return (found or self.default) is ClientAuth.REQUIRED

    def may_serve_anybody(self, host: str) -> bool:
        """Tell whether requests for a host may come from clients without a certificate."""
        return not self.requires_certificate(host)

    def judge(self, name: str | None, certificate: bytes | None, *, resumed: bool) -> None:
        """Look at a connection whose handshake is over.

        Args:
            name: The name the client asked for, `None` where it asked for none.
            certificate: Its verified certificate in DER, `None` without one.
            resumed: Whether the certificate was verified earlier.

        Raises:
            ClientCertificateError: The connection has to be closed.
        """
        if not certificate:
            if self.requires_certificate(name):
                raise ClientCertificateError(
                    "the client showed no certificate, and one is required", server_name=name
                )
            return
        if self.pins and not self.pins.admit(certificate):
            raise ClientCertificateError(
                "the client's certificate is none of client_certificates", server_name=name
            )
        if resumed and _has_expired(certificate):
            raise ClientCertificateError(
                "the client's certificate has expired since its session began", server_name=name
            )


def _has_expired(certificate: bytes) -> bool:
    return read_der(certificate).not_valid_after_utc < datetime.now(UTC)
