"""How sessions are resumed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tlshttp._members import require_instance

__all__ = ["Tickets"]

OPENSSL_LIFETIME = timedelta(hours=2)
"""OpenSSL's own limit on the age of a session, which the `ssl` module cannot change."""

_MOST = 255
"""Session tickets that a client can ask for at most: RFC 9149, section 3."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tickets:
    """How clients resume sessions instead of making a full handshake."""

    number: int = 1
    """Session tickets for each TLS 1.3 connection, at most 255; 0: no session is resumed, of any
    version. Go's ``crypto/tls`` sends 1, OpenSSL by itself 2, since a client that uses a ticket
    once (RFC 8446, appendix C.4) can resume as many connections side by side as it has tickets. To
    make a ticket costs 13 us of CPU. One that is used saves 25 of the 165 us that a full handshake
    takes (2026-11, OpenSSL 3.0, P-256). So more of them pay only if most of them are used.

    TLS 1.2 resumes sessions without tickets, too, from a cache that the `ssl` module cannot turn
    off. So with 0, unless the profile has TLS 1.3 only, each connection has a context of its own
    behind the one that you hold: 0.2 to 0.6 ms of CPU and 12 to 24 KiB (2026-11, OpenSSL 3.0 and
    3.6; the more with client certificates)."""
    lifetime: timedelta = OPENSSL_LIFETIME
    """How long a session can be resumed at most. The `ssl` module allows two hours at most; a
    shorter time is kept by renewing the keys that often."""
    rotation: timedelta = timedelta(days=7)
    """The age at which the keys that encrypt tickets are renewed, which ends all sessions: weekly
    by default (RFC 9325, section 3.4). Open connections stay."""

    def __post_init__(self) -> None:
        """Refuse what is of another kind.

        Raises:
            TypeError: It is.
        """
        require_instance("Tickets.number", self.number, int, "a number")
        for name in ("lifetime", "rotation"):
            value = getattr(self, name)
            require_instance(f"Tickets.{name}", value, timedelta, "a datetime.timedelta")

    def findings(self) -> list[str]:
        """Say what cannot be done as asked."""
        found = []
        if self.number < 0:
            found.append(f"Tickets.number must be 0 or more, not {self.number}")
        if self.number > _MOST:
            found.append(f"Tickets.number must be at most {_MOST}")
        if not timedelta() < self.lifetime <= OPENSSL_LIFETIME:
            found.append(f"Tickets.lifetime must be more than 0 and at most 2 h: {self.lifetime}")
        if self.rotation <= timedelta():
            found.append(f"Tickets.rotation must be more than 0: {self.rotation}")
        return found

    @property
    def renewal_seconds(self) -> float:
        """Seconds between two renewals of the keys."""
        shortened = self.lifetime < OPENSSL_LIFETIME
        return (min(self.rotation, self.lifetime) if shortened else self.rotation).total_seconds()
