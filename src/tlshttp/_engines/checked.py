"""Connections that are checked when their handshake is over.

The check is part of the connection, below whatever uses the context. So no server can forget it:
``do_handshake()`` itself raises, and whoever reads or writes before that has the handshake made
first.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import Any

from tlshttp._engines.client_auth import ClientAuth, Doorkeeper
from tlshttp._tls_info import peer_chain_in_der
from tlshttp.certs._serials import read_der
from tlshttp.errors import ClientCertificateError, UnrecognizedName

__all__ = ["Checked"]

_NO_CERTIFICATE = "PEER_DID_NOT_RETURN_A_CERTIFICATE"


class Checked:
    """What goes in front of an engine's class of connections."""

    refused_name: str | None = None
    """The name that was refused while the handshake went on."""
    hsts_max_age: int | None = None
    """Seconds for Strict-Transport-Security; `None` where the certificate is self-signed."""
    connected_address: str | None = None
    """The IP address that the client has connected to; `None` where it is not known."""
    may_serve: Callable[[str], bool] | None = None
    """Tells whether a request for a host may be served here; `None`: for any host. A client that
    asked for a name without client authentication could otherwise name one that has it."""

    _doorkeeper: Doorkeeper | None = None
    _name: str | None = None
    _is_refused = False
    _accepted = False

    def local_address(self) -> str | None:
        """Return the IP address that the client has connected to; `None` where it is not known."""
        return self.connected_address

    def admit(self, doorkeeper: Doorkeeper, name: str | None, hsts_max_age: int | None) -> None:
        """Take note of the name the client asks for, during the handshake."""
        self._doorkeeper, self._name = doorkeeper, name
        self.hsts_max_age = hsts_max_age

    def client_auth(self) -> ClientAuth:
        """Return what to ask of the client, now that `admit` has told the name it wants."""
        doorkeeper = self._doorkeeper
        return ClientAuth.NONE if doorkeeper is None else doorkeeper.asks_of(self._name)

    def do_handshake(self, *arguments: Any, **named: Any) -> None:
        """Make the handshake.

        Raises:
            ClientCertificateError: The client has no certificate, and the name it wants needs one;
                or it has one that cannot be read.
            UnrecognizedName: It wants a name that is not served.
        """
        if self._is_refused:  # an error of the engine's would say less than the first time
            raise self._without_certificate()
        connection: Any = super()
        try:
            connection.do_handshake(*arguments, **named)
        except ssl.SSLWantReadError:  # as after nearly every ClientHello
            raise
        except ssl.SSLError as error:
            self._raise_refusal(error)
            raise
        if self._doorkeeper is None:
            raise ClientCertificateError("the client was let in without a look at it")
        if self._doorkeeper.asks:
            self._look_at_client(self._doorkeeper)
        self._accept()

    def _raise_refusal(self, error: ssl.SSLError) -> None:
        """Raise what an error of the engine's means, where it is one that we have asked for."""
        if self.refused_name is not None:
            raise UnrecognizedName(
                "no certificate for the name that the peer asks for",
                server_name=self.refused_name,
            ) from error
        reason = getattr(error, "reason", None)  # those that only ask for more have none
        if reason == _NO_CERTIFICATE and self._doorkeeper and self._doorkeeper.by_name:
            self._is_refused = True
            raise self._without_certificate() from error

    def _without_certificate(self) -> ClientCertificateError:
        return ClientCertificateError(
            "the client showed no certificate, and one is required", server_name=self._name
        )

    def _look_at_client(self: Any, doorkeeper: Doorkeeper) -> None:
        certificate = self.getpeercert(True)
        verified = self.verified_chain() if certificate else ()
        self._require_readable(verified)
        doorkeeper.judge(self._name, certificate, resumed=self.session_reused is not False)
        if certificate:
            doorkeeper.chain_ends.note(verified)
        if doorkeeper.by_name and not certificate:
            self.may_serve = doorkeeper.may_serve_anybody

    def _require_readable(self: Any, verified: Iterable[bytes]) -> None:
        """Refuse what nobody could read afterwards, of what is told of a client and verified.

        OpenSSL takes certificates of version 2, and of versions that there are not.
        """
        try:
            for der in (*peer_chain_in_der(self), *verified):
                read_der(der)
        except ValueError as error:
            raise ClientCertificateError(
                f"a certificate of the client cannot be read: {error}", server_name=self._name
            ) from error

    def _accept(self) -> None:
        """Let the connection be used."""
        self._accepted = True

    def _originals(self, chain: Iterable[bytes]) -> list[bytes]:
        """Return a chain as the client's authorities issued it."""
        chain = list(chain)
        return chain if self._doorkeeper is None else self._doorkeeper.anchors.originals(chain)
