"""A context that stays while what it shows changes.

Theory of operation. Three things have different lives, and OpenSSL keeps them in one object, the
``SSL_CTX``, which must not be changed once it has served:

*   What is shown (certificates) and what clients are verified against (authorities, revocation
    lists) changes when files change.
*   The keys of session tickets live as long as the ``SSL_CTX`` that a connection began with.
    Replacing it loses every session.
*   What a server holds, its ``ssl_context``, does not change at all.

So there are three kinds of contexts. `ServerContext` is what a server holds. It makes connections
from a *front context*, which has no certificate, only a callback that chooses an *inner context*
by the name in the ClientHello (``sni_callback`` is also called without one). Certificates and lists
are in inner contexts; new ones are made when something has changed, and sessions stay. A new front
context is made to renew the ticket keys, and when something has been revoked, since a resumed
session is not verified again. All of them are set up by the same steps, because OpenSSL takes
some settings from the one (versions, ``verify_mode``) and some from the other (ciphers, ALPN,
the authorities).

Rule: a front or inner context is finished when it is first used, and never changed after.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tlshttp.certs._chain import needed
from tlshttp.certs._expiry import first_end
from tlshttp.context._client_auth import Doorkeeper
from tlshttp.context._connection import CheckedObject, CheckedSocket
from tlshttp.context._directory import (
    Directory,
    Group,
    Shown,
    UnknownNames,
    build_directory,
    parse_address,
)
from tlshttp.context._expiry import ExpiryWatch
from tlshttp.context._for_client import ForClient
from tlshttp.context._groups import Groups
from tlshttp.context._material import EVERYTHING, NOTHING, Material
from tlshttp.context._tuning import Step, TunableContext
from tlshttp.errors import (
    ConfigurationError,
    HandshakeError,
    MalformedHandshake,
    NoSharedCipher,
    NoSharedProtocol,
)
from tlshttp.stats import CertificateInUse

__all__ = ["ServerContext"]

_log = logging.getLogger("tlshttp.context")

_RETRY_SECONDS = 5.0  # after something unforeseen, which is logged each time

_HANDSHAKE_FAILURE, _ILLEGAL_PARAMETER = 40, 47  # RFC 8446, section 6
_NO_APPLICATION_PROTOCOL = 120  # RFC 7301, section 3.2


class ServerContext(TunableContext):
    """What `create_server_context` returns: an `ssl.SSLContext` that reloads what it shows.

    Any server can use it. Those of this package also refuse connections by their first bytes, and
    have it look for new certificates in the background; elsewhere it looks during handshakes.

    It may still be tuned as an `ssl.SSLContext` before its first connection; afterwards that raises
    `~tlshttp.errors.ConfigurationError`.
    """

    def __init__(
        self,
        material: Material,
        doorkeeper: Doorkeeper,
        steps: Sequence[Step],
        *,
        unknown_names: UnknownNames,
        alpn_protocols: Sequence[str],
        groups: Groups | None,
        resumes: bool,
        renewal_seconds: float,
        hsts_max_age: int,
    ) -> None:
        self._material = material
        self._doorkeeper = doorkeeper
        self._unknown_names = unknown_names
        self._alpn = frozenset(name.encode("ascii") for name in alpn_protocols)
        self._groups = groups
        self._resumes = resumes
        self._renewal_seconds = renewal_seconds
        self._hsts_max_age = hsts_max_age
        self._expiry = ExpiryWatch()
        self._lock = threading.Lock()
        self._next_renewal = self._next_look = 0.0
        self._due = NOTHING
        """What a look has found and not been done, since it failed."""
        self._narrowed: dict[str, ssl.SSLContext] = {}
        self._renewals = 0
        self._apply(steps)
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
    def tells_hosts_apart(self) -> bool:
        """Whether some hosts may not be asked for on every connection (``client_auth_by_name``)."""
        return bool(self._doorkeeper.by_name)

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
        if server_name is not None and not _is_host_name(server_name):
            return MalformedHandshake("the peer asked for an impossible name"), _ILLEGAL_PARAMETER
        if not self._agrees(alpn_protocols):
            offered = ", ".join(ascii(name.decode("latin-1")) for name in alpn_protocols[:5])
            return (
                NoSharedProtocol(f"no application protocol (ALPN) in common: offered {offered}"),
                _NO_APPLICATION_PROTOCOL,
            )
        if self._groups is not None and self._groups.are_foreign(groups):
            return NoSharedCipher("no key-exchange group in common"), _HANDSHAKE_FAILURE
        return None

    def _agrees(self, offered: Sequence[bytes]) -> bool:
        """Tell whether there is an application protocol in common, or need not be.

        An empty one OpenSSL answers with its own alert (RFC 7301, section 3.1).
        """
        return not (offered and self._alpn and self._alpn.isdisjoint(offered)) or b"" in offered

    def maintain(self, now: float | None = None) -> None:
        """Look for new certificates and revocation lists; renew ticket keys when it is time.

        Say once a day which certificates are about to run out, or have.

        It costs less than a microsecond for each store until there is something to do, never
        raises, and never waits for another thread.

        Args:
            now: The time in seconds, from `time.monotonic`; `None` means to ask for it.
        """
        now = time.monotonic() if now is None else now
        if now < self._next_look or not self._lock.acquire(blocking=False):
            return
        try:
            self._look(now)
            next_look = min(self._next_renewal, self._expiry.due)
            self._next_look = 0.0 if self._material.may_change else next_look
        except Exception:  # noqa: BLE001
            self._due = EVERYTHING  # nothing that was to be done, such as to revoke, is forgotten
            self._next_look = now + _RETRY_SECONDS
            _log.exception("looking for new certificates failed")
        finally:
            self._lock.release()

    def certificates_in_use(self) -> tuple[CertificateInUse, ...]:
        """Tell which certificates are shown now, and when each of them ends."""
        now = datetime.now(UTC)
        return tuple(
            CertificateInUse(
                names=certificate.names,
                not_valid_after=first_end(needed(certificate.leaf, certificate.chain, now)),
                fingerprint=certificate.fingerprint(),
            )
            for certificate in self._material.certificates
        )

    def reload(self) -> None:
        """Load certificates and revocation lists now, rather than when a look is due.

        Raises:
            ConfigurationError: Some cannot be used, and the old ones stay; all are named. The
                others have been taken.
        """
        with self._lock:
            findings = self._material.reload()
            self._look(time.monotonic())
        ConfigurationError.raise_if(findings)

    # What processes share that were forked from one -----------------------------------------------

    @property
    def renewals(self) -> int:
        """How often the ticket keys have been renewed, which ends all sessions."""
        return self._renewals

    def prepare_to_fork(self) -> None:
        """Make all that connections begin from, so that children have the ticket keys in common."""
        if self._groups is not None and self._resumes:
            for group in self._groups.single:
                self._front_of_now(group)

    def leave_renewal(self) -> None:
        """Have ticket keys renewed by the process that forked this one, for all its children.

        What is revoked still ends the sessions here, at once.
        """
        self._renewal_seconds = self._next_renewal = float("inf")

    def renew_tickets(self) -> None:
        """End all sessions, by new keys for session tickets. Open connections stay."""
        with self._lock:
            self._renew_front(time.monotonic())

    def _look(self, now: float) -> None:
        change = self._due | self._material.poll(now)
        if self._due is EVERYTHING:
            self._material.refresh()
        if change.trust:
            self._directory = self._build_directory({})
        elif change.certificates:
            self._directory = self._build_directory(self._directory.groups)
        if change.revoked or now >= self._next_renewal:
            self._renew_front(now)
        self._due = NOTHING
        if change.certificates or now >= self._expiry.due:
            self._expiry.look(self._material.certificates, now)

    def set_ecdh_curve(self, *arguments: Any, **named: Any) -> None:
        """Do what `ssl.SSLContext.set_ecdh_curve` does, before the first connection."""
        super().set_ecdh_curve(*arguments, **named)
        if self._ready:
            self._groups = None  # they are not the profile's any more

    # Making contexts ----------------------------------------------------------------------------

    def _rebuild(self) -> None:
        self._directory = self._build_directory({})
        self._front = self._build_front()

    def _build_directory(self, previous: Mapping[Group, Shown]) -> Directory:
        return build_directory(self._material.certificates, self._build_inner, previous)

    def _build_inner(self, group: Group) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for step in self._steps:
            step(context)
        self._material.load_into(context, group)
        return context

    def _front_of_now(self, group: str | None = None) -> ssl.SSLContext:
        """Return the context of a new connection, in which it finds all sessions it may resume.

        Args:
            group: The only group that it may negotiate; `None`: as OpenSSL likes.
        """
        if not self._served:
            self._served = True
        self.maintain()  # what has been revoked must not be resumed
        if not self._resumes and self.minimum_version < ssl.TLSVersion.TLSv1_3:
            return self._make_front(group)
        if group is None:
            return self._front
        narrowed = self._narrowed  # of now: what is made meanwhile must not outlive a renewal
        if group not in narrowed:
            narrowed[group] = self._make_front(group)
        return narrowed[group]

    def _build_front(self) -> ssl.SSLContext:
        self._next_renewal = time.monotonic() + self._renewal_seconds
        self._narrowed = {}
        return self._make_front()

    def _make_front(self, group: str | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for step in self._steps:
            step(context)
        if group is not None:
            context.set_ecdh_curve(group)
        self._material.load_into(context, ())
        context.sslsocket_class = CheckedSocket
        context.sslobject_class = CheckedObject
        context.sni_callback = self._choose
        return context

    def _renew_front(self, now: float) -> None:
        self._renewals += 1
        self._front = self._build_front()
        self._next_renewal = now + self._renewal_seconds

    def _choose(self, connection: Any, name: str | None, _front: ssl.SSLContext) -> int | None:
        """Choose the certificate for a name, during the handshake."""
        self.maintain()
        directory = self._directory
        if parse_address(name) is not None:
            name = None  # an address is no name, and is ignored (RFC 6066, section 3)
        shown = directory.find(name, connection.local_address)
        if shown is None and self._unknown_names is UnknownNames.REFUSE:
            connection.refused_name = name
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        shown = shown or directory.default
        connection.context = shown.context
        connection.admit(self._doorkeeper, name, None if shown.self_signed else self._hsts_max_age)
        return None


def _is_host_name(name: bytes) -> bool:
    """Tell whether the `ssl` module can pass a name on: its labels have 1 to 63 characters."""
    labels = name.removesuffix(b".").split(b".")
    return name.isascii() and all(0 < len(label) < 64 for label in labels)
