"""A context that stays while what it shows changes, whatever the engine.

Theory of operation. Three things have different lives, and OpenSSL keeps them in one object, the
``SSL_CTX``, which must not be changed once it has served:

*   What is shown (certificates) and what clients are verified against (authorities, revocation
    lists) changes when files change.
*   The keys of session tickets live as long as the ``SSL_CTX`` that a connection began with.
    Replacing it loses every session.
*   What a server holds, its ``ssl_context``, does not change at all.

So there are three kinds of contexts. What is derived from `ManagedContext` is what a server holds.
It makes connections from a *front context*, which has no certificate, only a callback that chooses
an *inner context* by the name in the ClientHello (it is also called without one). Certificates and
lists are in inner contexts; new ones are made when something has changed, and sessions stay. A new
front context is made to renew the ticket keys, and when something has been revoked, since a resumed
session is not verified again. All of them are set up alike, because OpenSSL takes some settings
from the one (versions, who is asked for a certificate) and some from the other (ciphers, ALPN, the
authorities).

Rule: a front or inner context is finished when it is first used, and never changed after.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tlshttp._engines.directory import (
    Directory,
    Group,
    Shown,
    UnknownNames,
    build_directory,
    parse_address,
)
from tlshttp._engines.expiry import ExpiryWatch
from tlshttp._engines.material import EVERYTHING, NOTHING
from tlshttp._engines.terms import Terms
from tlshttp._forked import begin_anew_in_children
from tlshttp.certs._chain import needed
from tlshttp.certs._expiry import first_end
from tlshttp.errors import ConfigurationError, HandshakeError, MalformedHandshake, NoSharedProtocol
from tlshttp.stats import CertificateInUse

__all__ = ["ManagedContext"]

_log = logging.getLogger("tlshttp.context")

_RETRY_SECONDS = 5.0  # after something unforeseen, which is logged each time

_ILLEGAL_PARAMETER = 47  # RFC 8446, section 6
_NO_APPLICATION_PROTOCOL = 120  # RFC 7301, section 3.2


class ManagedContext:
    """What a server holds, and what makes new contexts behind it when something has changed.

    Args:
        terms: What it is to be like.
    """

    def __init__(self, terms: Terms) -> None:
        self._material = terms.material
        self._doorkeeper = terms.doorkeeper
        self._chain_ends = terms.doorkeeper.chain_ends
        self._unknown_names = terms.unknown_names
        self._alpn = frozenset(name.encode("ascii") for name in terms.alpn_protocols)
        self._renewal_seconds = terms.tickets.renewal_seconds
        self._hsts_max_age = terms.profile.hsts_max_age
        self._expiry = ExpiryWatch()
        self._lock = threading.Lock()
        self._next_renewal = self._next_look = 0.0
        self._renewals = 0
        self._due = NOTHING
        """What is to be done anew: everything, while a look has not come to its end."""
        begin_anew_in_children(self, ManagedContext._begin_anew)

    def _begin_anew(self) -> None:
        """Have, in a forked child, no lock of a thread's that only its parent has.

        What that thread was at is due. Whether it had the lock is nothing to go by: a lock may be
        taken by a thread that has not got round to saying so.
        """
        self._lock = threading.Lock()

    @abstractmethod
    def _create_inner(self) -> Any:
        """Return a context for certificates, set up but without any."""

    @abstractmethod
    def _create_front(self) -> Any:
        """Return a context for connections to begin with."""

    # What servers call --------------------------------------------------------------------------

    @property
    def tells_hosts_apart(self) -> bool:
        """Whether some connections may not ask for all hosts (``client_auth_by_name``)."""
        return bool(self._doorkeeper.by_name)

    @property
    def tells_addresses_apart(self) -> bool:
        """Whether it must know the address that a client connects to which asks for no name."""
        return self._directory.tells_addresses_apart

    def refusal(
        self,
        server_name: bytes | None,
        alpn_protocols: Sequence[bytes],
        groups: Sequence[int] | None = None,  # noqa: ARG002
    ) -> tuple[HandshakeError, int] | None:
        """Say why a ClientHello is to be refused, before any TLS state is made for it.

        Args:
            server_name: The host name in it, `None` without one.
            alpn_protocols: The application protocols in it, empty without any.
            groups: The key-exchange groups in it, `None` without any; those OpenSSL judges.

        Returns:
            The error and the number of the TLS alert (RFC 8446, section 6); `None` to go on.
        """
        if server_name is not None and not _is_host_name(server_name):
            return MalformedHandshake("the peer asked for an impossible name"), _ILLEGAL_PARAMETER
        if alpn_protocols and not self._agrees(alpn_protocols):
            offered = ", ".join(ascii(name.decode("latin-1")) for name in alpn_protocols[:5])
            return (
                NoSharedProtocol(f"no application protocol (ALPN) in common: offered {offered}"),
                _NO_APPLICATION_PROTOCOL,
            )
        return None

    def _agrees(self, offered: Sequence[bytes]) -> bool:
        """Tell whether there is an application protocol in common, where some are offered.

        An empty one OpenSSL answers with its own alert (RFC 7301, section 3.1).
        """
        return not (self._alpn and self._alpn.isdisjoint(offered)) or b"" in offered

    def maintain(self, now: float | None = None) -> None:
        """Look for new certificates and revocation lists; renew ticket keys when it is time.

        Say once a day which certificates are about to run out, or have.

        It costs less than a microsecond for each store until there is something to do, never
        raises, and never waits for another thread.

        Args:
            now: The time in seconds, from `time.monotonic`; `None` means to ask for it.
        """
        now = time.monotonic() if now is None else now
        if now < self._next_look and now < self._chain_ends.due:
            return
        lock = self._lock  # another one if a signal's handler forks meanwhile, in the child
        if not lock.acquire(blocking=False):
            return
        try:
            self._look(now)
            next_look = min(self._next_renewal, self._expiry.due)
            self._next_look = 0.0 if self._material.may_change else next_look
        except Exception:  # noqa: BLE001
            self._next_look = now + _RETRY_SECONDS
            _log.exception("looking for new certificates failed")
        finally:
            lock.release()

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
        self._next_look = 0.0
        due, self._due = self._due, EVERYTHING  # no step is forgotten if this is cut short
        change = due | self._material.poll(now)
        if due is EVERYTHING:
            self._material.refresh()
        if change.trust:
            self._directory = self._build_directory({})
        elif change.certificates:
            self._directory = self._build_directory(self._directory.groups)
        if self._chain_ends.have_come() or change.revoked or now >= self._next_renewal:
            self._renew_front(now)
        if change.certificates or now >= self._expiry.due:
            self._expiry.look(self._material.certificates, now)
        self._due = NOTHING

    # Making contexts ----------------------------------------------------------------------------

    def _rebuild(self) -> None:
        """Make the contexts behind this one anew."""
        self._directory = self._build_directory({})
        self._front = self._build_front()

    def _build_directory(self, previous: Mapping[Group, Shown]) -> Directory:
        return build_directory(self._material.certificates, self._build_inner, previous)

    def _build_inner(self, group: Group) -> Any:
        context = self._create_inner()
        self._material.load_into(context, group)
        return context

    def _build_front(self) -> Any:
        self._next_renewal = time.monotonic() + self._renewal_seconds
        return self._create_front()

    def _renew_front(self, now: float) -> None:
        self._renewals += 1
        self._front = self._build_front()
        self._next_renewal = now + self._renewal_seconds

    def _choose(self, connection: Any, name: str | None) -> Shown | None:
        """Choose what to show for a name, during the handshake; `None`: refuse.

        Args:
            connection: The connection, a `tlshttp._engines.checked.Checked`.
            name: The name that the client asks for, `None` where it asks for none.
        """
        self.maintain()
        directory = self._directory
        if parse_address(name) is not None:
            name = None  # an address is no name, and is ignored (RFC 6066, section 3)
        shown = directory.find(name, connection.local_address)
        if shown is None and self._unknown_names is UnknownNames.REFUSE:
            connection.refused_name = name
            return None
        shown = shown or directory.default
        connection.admit(self._doorkeeper, name, None if shown.self_signed else self._hsts_max_age)
        return shown


def _is_host_name(name: bytes) -> bool:
    """Tell whether the `ssl` module can pass a name on: its labels have 1 to 63 characters."""
    labels = name.removesuffix(b".").split(b".")
    return name.isascii() and all(0 < len(label) < 64 for label in labels)
