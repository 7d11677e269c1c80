"""The context for a server that pyOpenSSL does the work for.

See `tlshttp._engines.managed` for how it changes what it shows.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL

from tlshttp._engines.directory import Directory, Group, Shown
from tlshttp._engines.managed import ManagedContext
from tlshttp._engines.terms import Terms
from tlshttp.errors import ConfigurationError
from tlshttp.pyopenssl._bridge import Bridge
from tlshttp.pyopenssl._choice import best_way
from tlshttp.pyopenssl._settings import set_up
from tlshttp.pyopenssl._staples import Staples
from tlshttp.pyopenssl._way import Answers, Choice

if TYPE_CHECKING:
    from tlshttp._tls import IncomingBuffer, OutgoingBuffer, TLSObject
    from tlshttp.pyopenssl._way import Connection

__all__ = ["ServerContext"]

_STAPLES_SECONDS = 10.0
"""Between two looks whether an OCSP response is due."""


class ServerContext(ManagedContext):
    """What `create_server_context` returns: it reloads what it shows.

    Servers of this package use it as they use an `ssl.SSLContext`; others cannot. It is finished:
    all its settings are arguments of `create_server_context`.
    """

    def __init__(self, terms: Terms, staples: Staples | None) -> None:
        super().__init__(terms)
        self._terms = terms
        self._staples = staples
        self._next_staples = 0.0
        self._way = best_way()(
            Answers(
                choose=self._answer,
                alpn_protocols=terms.alpn_protocols,
                staple=None if staples is None else staples.find,
                log_key=None if terms.key_log is None else terms.key_log.write,
            )
        )
        self._rebuild()

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what would be a setting of an `ssl.SSLContext`, and have no effect here.

        Raises:
            ConfigurationError: It is one.
        """
        if not name.startswith("_"):
            raise ConfigurationError(
                f"{name}: this context is finished; give its settings to create_server_context()"
            )
        super().__setattr__(name, value)

    @property
    def options(self) -> ssl.Options:
        """What is set of OpenSSL's options."""
        return self._options

    @property
    def enforced(self) -> Mapping[str, bool]:
        """Whether each field of a profile is kept to that not every `ssl` module can set: all."""
        return {"ciphersuites": True, "groups": True, "signature_algorithms": True}

    # What servers call --------------------------------------------------------------------------

    def maintain(self, now: float | None = None) -> None:
        """Look for new certificates, revocation lists and OCSP responses.

        Renew ticket keys when it is time, and say once a day which certificates are about to run
        out, or have. It never raises, and never waits: OCSP responses come in a thread's own time.

        Args:
            now: The time in seconds, from `time.monotonic`; `None` means to ask for it.
        """
        now = time.monotonic() if now is None else now
        super().maintain(now)
        if self._staples is not None and now >= self._next_staples:
            self._next_staples = now + _STAPLES_SECONDS
            self._staples.refresh(self._material.certificates, now)

    def begin(self) -> tuple[IncomingBuffer, OutgoingBuffer, TLSObject]:
        """Return a new connection, and the buffers on either side of it."""
        connection = self._connect()
        return connection.incoming, connection.outgoing, connection

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        *,
        server_side: bool = True,  # noqa: ARG002  # there is no other side to it
    ) -> TLSObject:
        """Return a new connection between two buffers of the `ssl` module."""
        return Bridge(self._connect(), incoming, outgoing)

    def context_for(
        self,
        groups: Sequence[int] | None,  # noqa: ARG002  # OpenSSL has the profile's
        key_shares: Sequence[int] | None,  # noqa: ARG002
        address: str | None = None,
    ) -> Any:
        """Return what makes the connection of a client, by what its first bytes tell.

        Args:
            groups: The key-exchange groups in its ClientHello, `None` without any.
            key_shares: Those that it has sent a share for, `None` without that extension.
            address: The IP address that it has connected to; `None`: it need not be known.
        """
        return self if address is None else _ForAddress(self, address)

    def _connect(self) -> Connection:
        self.maintain()  # what has been revoked must not be resumed
        return self._way.connect(self._front)

    # Making contexts ----------------------------------------------------------------------------

    def _create_inner(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        set_up(context, self._terms)
        self._way.prepare(context, self._doorkeeper.asks_everybody)
        return context

    def _create_front(self) -> SSL.Context:
        context = self._create_inner()
        self._options = ssl.Options(context.set_options(0))  # later pyOpenSSL does not tell
        self._material.load_into(context, ())
        return context

    def _build_directory(self, previous: Mapping[Group, Shown]) -> Directory:
        self._next_staples = 0.0  # for what is new
        return super()._build_directory(previous)

    def _answer(self, connection: Any, name: str | None) -> Choice | None:
        """Choose what a connection shows and asks for, during its handshake; `None`: refuse."""
        shown = self._choose(connection, name)
        return None if shown is None else (shown.context, connection.client_auth())


class _ForAddress:
    """A context as a client without a name needs it.

    Args:
        ssl_context: The context.
        address: The IP address that the client has connected to.
    """

    def __init__(self, ssl_context: ServerContext, address: str) -> None:
        self._ssl_context = ssl_context
        self._address = address

    def begin(self) -> tuple[IncomingBuffer, OutgoingBuffer, TLSObject]:
        """Return a new connection, and the buffers on either side of it."""
        incoming, outgoing, connection = self._ssl_context.begin()
        connection.connected_address = self._address  # type: ignore[attr-defined]
        return incoming, outgoing, connection

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_side: bool = True
    ) -> TLSObject:
        """Return a new connection between two buffers of the `ssl` module."""
        made = self._ssl_context.wrap_bio(incoming, outgoing, server_side=server_side)
        made.connected_address = self._address  # type: ignore[attr-defined]
        return made
