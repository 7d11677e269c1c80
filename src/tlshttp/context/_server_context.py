"""The context for a server that the `ssl` module does the work for.

See `tlshttp._engines.managed` for how it changes what it shows. All contexts behind it are set up
by the same steps, because OpenSSL takes some settings from the front context (versions,
``verify_mode``) and some from the inner one (ciphers, ALPN, the authorities).
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

from tlshttp._engines.client_auth import ClientAuth
from tlshttp._engines.managed import ManagedContext
from tlshttp._engines.terms import Terms
from tlshttp.context._connection import CheckedObject, CheckedSocket
from tlshttp.context._engine import apply_profile, enforcement
from tlshttp.context._for_client import ForClient
from tlshttp.context._groups import Groups
from tlshttp.context._tuning import TunableContext
from tlshttp.errors import HandshakeError, NoSharedCipher

__all__ = ["ServerContext"]

_HANDSHAKE_FAILURE = 40  # RFC 8446, section 6

_VERIFY_MODES = {
    ClientAuth.NONE: ssl.CERT_NONE,
    ClientAuth.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRED: ssl.CERT_REQUIRED,
}


class ServerContext(ManagedContext, TunableContext):
    """What `create_server_context` returns: an `ssl.SSLContext` that reloads what it shows.

    Any server can use it. Those of this package also refuse connections by their first bytes, and
    have it look for new certificates in the background; elsewhere it looks during handshakes.

    It may still be tuned as an `ssl.SSLContext` before its first connection; afterwards that raises
    `~tlshttp.errors.ConfigurationError`.
    """

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        profile = terms.profile
        self._groups = None if enforcement(profile).get("groups", True) else Groups(profile)
        self._resumes = terms.tickets.number > 0
        self._narrowed: dict[str, ssl.SSLContext] = {}
        self._apply([lambda context: _set_up(context, terms)])
        self._rebuild()
        self._ready = True

    # What servers call --------------------------------------------------------------------------

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """Do what `ssl.SSLContext.wrap_socket` does, with the certificate of now."""
        return self._front_of_now().wrap_socket(*arguments, **named)

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """Do what `ssl.SSLContext.wrap_bio` does, with the certificate of now."""
        return self._front_of_now().wrap_bio(*arguments, **named)

    @property
    def holds_groups(self) -> bool:
        """Whether it is the servers of this package that keep to the profile's groups."""
        return self._groups is not None

    def context_for(
        self,
        groups: Sequence[int] | None,
        key_shares: Sequence[int] | None,
        address: str | None = None,
    ) -> Any:
        """Return what makes the connection of a client, by what its first bytes tell.

        The profile's groups hold, and a client without a name gets the certificate of the address.

        The servers of this package ask for it; whoever uses `wrap_socket` or `wrap_bio` of this
        context itself has OpenSSL's groups before Python 3.15.

        Args:
            groups: The key-exchange groups in its ClientHello, `None` without any.
            key_shares: Those that it has sent a share for, `None` without that extension.
            address: The IP address that it has connected to; `None`: it need not be known.
        """
        group = None if self._groups is None else self._groups.narrow(groups, key_shares)
        if group is None and address is None:
            return self
        return ForClient(self._front_of_now, group, address)

    def refusal(
        self,
        server_name: bytes | None,
        alpn_protocols: Sequence[bytes],
        groups: Sequence[int] | None = None,
    ) -> tuple[HandshakeError, int] | None:
        """Say why a ClientHello is to be refused, before any TLS state is made for it.

        Args:
            server_name: The host name in it, `None` without one.
            alpn_protocols: The application protocols in it, empty without any.
            groups: The key-exchange groups in it, `None` without any.

        Returns:
            The error and the number of the TLS alert (RFC 8446, section 6); `None` to go on.
        """
        refused = super().refusal(server_name, alpn_protocols)
        if refused is None and self._groups is not None and self._groups.are_foreign(groups):
            return NoSharedCipher("no key-exchange group in common"), _HANDSHAKE_FAILURE
        return refused

    def prepare_to_fork(self) -> None:
        """Make all that connections begin from, so that children have the ticket keys in common."""
        if self._groups is not None and self._resumes:
            for group in self._groups.single:
                self._front_of_now(group)

    def set_ecdh_curve(self, *arguments: Any, **named: Any) -> None:
        """Do what `ssl.SSLContext.set_ecdh_curve` does, before the first connection."""
        super().set_ecdh_curve(*arguments, **named)
        if self._ready:
            self._groups = None  # they are not the profile's any more

    # Making contexts ----------------------------------------------------------------------------

    def _create_inner(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for step in self._steps:
            step(context)
        return context

    def _create_front(self) -> ssl.SSLContext:
        self._narrowed = {}
        return self._make_front()

    def _front_of_now(self, group: str | None = None) -> ssl.SSLContext:
        """Return the context of a new connection; all sessions that it may resume are there.

        Args:
            group: The only group that it may negotiate; `None`: as OpenSSL likes.
        """
        if not self._served:
            self._served = True
        self.maintain()  # what has been revoked must not be resumed
        if not self._resumes and self.minimum_version < ssl.TLSVersion.TLSv1_3:
            return self._make_front(group)
        if group is None:
            front: ssl.SSLContext = self._front
            return front
        narrowed = self._narrowed  # read now: what is made meanwhile must not outlive a renewal
        if group not in narrowed:
            narrowed[group] = self._make_front(group)
        return narrowed[group]

    def _make_front(self, group: str | None = None) -> ssl.SSLContext:
        context = self._create_inner()
        if group is not None:
            context.set_ecdh_curve(group)
        self._material.load_into(context, ())
        context.sslsocket_class = CheckedSocket
        context.sslobject_class = CheckedObject
        context.sni_callback = self._answer
        return context

    def _answer(self, connection: Any, name: str | None, _front: ssl.SSLContext) -> int | None:
        """Have a connection show the certificate for a name, during the handshake."""
        shown = self._choose(connection, name)
        if shown is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = shown.context
        return None


def _set_up(context: ssl.SSLContext, terms: Terms) -> None:
    """Make a context one of this kind."""
    apply_profile(context, terms.profile)
    context.verify_mode = _VERIFY_MODES[terms.doorkeeper.asks_everybody]
    context.num_tickets = terms.tickets.number
    if not terms.tickets.number:
        context.options |= ssl.OP_NO_TICKET
    if terms.alpn_protocols:
        context.set_alpn_protocols(list(terms.alpn_protocols))
    if terms.key_log is not None:
        context.keylog_filename = terms.key_log.path
