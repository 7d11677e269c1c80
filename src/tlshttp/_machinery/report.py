"""One log line for each thing a peer did wrong, but never more than an operator can read."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import threading
import time
from collections.abc import Mapping

from tlshttp._forked import begin_anew_in_children
from tlshttp._log_fields import with_fields
from tlshttp.errors import (
    ConnectionCut,
    HandshakeDisconnected,
    HandshakeError,
    PeerDisconnected,
    PeerError,
    RequestRefused,
)

__all__ = ["Reports", "ThrottledLog", "event_fields", "peer_name"]


_SOURCES = 50
"""Sources that have an allowance of their own in a period; all others share one.

It bounds the memory, and what can be written in a period: to this many allowances and one.
"""


class ThrottledLog:
    """A logger that leaves lines out when there are too many, and says how many it left out.

    Each source, which is an address with a reason, has an allowance of its own: one noisy peer
    hides only itself, and of itself only what it does all the time. A line that would not be
    written anyway counts for nothing.

    Args:
        logger: Where the lines go.
        lines: How many lines of one source may be written within `seconds`.
        seconds: Length of that period.
    """

    def __init__(self, logger: logging.Logger, *, lines: int = 20, seconds: float = 10.0) -> None:
        self._logger = logger
        self._lines = lines
        self._seconds = seconds
        self._renew_lock()
        begin_anew_in_children(self, ThrottledLog._renew_lock)
        self._period_ends = 0.0
        self._written: dict[object, int] = {}
        self.left_out = 0
        """Lines of this period that have been left out."""

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    def log(
        self,
        level: int,
        message: str,
        *arguments: object,
        address: object = None,
        reason: str = "",
        fields: Mapping[str, object] | None = None,
    ) -> None:
        """Write the line, or count it as left out.

        Args:
            level: Of `logging`.
            message: The line, with places for the arguments.
            *arguments: What stands in it.
            address: The peer it is about; `None`: about none.
            reason: The kind of thing it says.
            fields: What it says, by name, for formatters that write fields.
        """
        if not self._logger.isEnabledFor(level):
            return
        self._begin_period_if_due()
        with self._lock:
            source = self._source(_host(address), reason)
            written = self._written.get(source, 0)
            if written >= self._lines:
                self.left_out += 1
                return
            self._written[source] = written + 1
        self._write(level, message, *arguments, fields=fields)

    def _source(self, host: object, reason: str) -> object:
        source = (host, reason)
        return source if source in self._written or len(self._written) < _SOURCES else None

    def flush(self, *, at_once: bool = False) -> None:
        """Say what has been left out, once the period is over (or at once)."""
        if self.left_out or at_once:
            self._begin_period_if_due(at_once=at_once)

    def _begin_period_if_due(self, *, at_once: bool = False) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._period_ends and not at_once:
                return
            left_out, self.left_out = self.left_out, 0
            self._written, self._period_ends = {}, now + self._seconds
        if left_out:
            self._write(
                logging.WARNING,
                "%d more such lines were left out in the last %g s",
                left_out, self._seconds,
            )  # fmt: skip

    def _write(
        self,
        level: int,
        message: str,
        *arguments: object,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        """Write a line; where it cannot be written, go on: it is about a peer, not about us."""
        with contextlib.suppress(Exception):
            self._logger.log(level, message, *arguments, extra=with_fields(fields))


class Reports:
    """What a server writes about its peers' mistakes: at INFO where one has just left."""

    def __init__(self) -> None:
        self._handshakes = ThrottledLog(logging.getLogger("tlshttp.handshake"))
        self._cuts = ThrottledLog(logging.getLogger("tlshttp.connection"))
        self.has_some = False
        """Whether lines have been written of late, or left out: `flush` has something to see to."""

    def failed_handshake(self, error: HandshakeError, address: object) -> None:
        """Write that a connection has not become a TLS connection."""
        level = logging.INFO if isinstance(error, HandshakeDisconnected) else logging.WARNING
        asked = f" (SNI {error.server_name})" if error.server_name else ""
        self._handshakes.log(
            level, "%s: handshake failed: %s%s [%s]",
            peer_name(address), error, asked, error.reason,
            address=address, reason=error.reason, fields=event_fields(error, address),
        )  # fmt: skip
        self.has_some = True  # last: until then another thread may find nothing to see to

    def cut_connection(self, error: ConnectionCut, address: object) -> None:
        """Write that a connection has ended in the middle of a request or response."""
        level = logging.INFO if isinstance(error, PeerDisconnected) else logging.WARNING
        what = "request refused" if isinstance(error, RequestRefused) else "connection cut"
        self._cuts.log(
            level, "%s: %s: %s [%s]",
            peer_name(address), what, error, error.reason,
            address=address, reason=error.reason, fields=event_fields(error, address),
        )  # fmt: skip
        self.has_some = True

    def flush(self, *, at_once: bool = False) -> None:
        """Say what has been left out; see `ThrottledLog.flush`."""
        self.has_some = False  # first: another thread may have written one
        for log in (self._handshakes, self._cuts):
            if log.left_out or at_once:
                log.flush(at_once=at_once)
            if log.left_out:  # its period is not over
                self.has_some = True


def _host(address: object) -> object:
    """Return what of an address one peer cannot change at will: of IPv6 the first 64 bits."""
    host = address[0] if isinstance(address, tuple) and address else address
    if not isinstance(host, str) or ":" not in host:
        return host
    try:
        found = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return str(found.ipv4_mapped) if found.ipv4_mapped else int(found) >> 64


def peer_name(address: object) -> str:
    """Return a client address as a log line shows it."""
    match address:
        case ("unix:", _):
            return "unix:"
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case _:
            return str(address) or "unix:"


def event_fields(error: PeerError, address: object) -> dict[str, object]:
    """Return what the line about a peer's mistake says, by name."""
    return {"client": peer_name(address), "reason": error.reason, "server_name": error.server_name}
