"""Every bound a server keeps, in one frozen record."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from tlshttp.errors import ConfigurationError

__all__ = ["Limits"]

_FILES_KEPT_BACK = 256
_CONNECTIONS_WITHOUT_A_FILE_LIMIT = 8192
_SOCKETS_OF_WINDOWS = 512  # what select() takes there: FD_SETSIZE of CPython's selectmodule.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How long a peer may take and how much it may send.

    A deadline is absolute: it runs from the beginning of its phase, and a byte now and then does
    not move it. While a handler reads or writes, only the time spent waiting for the peer counts,
    never the handler's own.

    Raises:
        ConfigurationError: A number is zero, negative or not a number; all such fields are named.
        TypeError: A field is not a number.
    """

    handshake_timeout: float | None = 10.0
    """Seconds from accepting a connection to the end of its TLS handshake.

    Ten seconds is what Go's ``http.DefaultTransport`` and the websockets library allow. `None`:
    no limit.
    """

    header_timeout: float | None = 20.0
    """Seconds from the first byte of a request (for the first one: from the end of the handshake)
    to the end of its head.

    Twenty seconds is the ``header=20`` of Apache's mod_reqtimeout. `None`: no limit.
    """

    keep_alive_timeout: float | None = 75.0
    """Seconds a connection may stay idle between two requests.

    75 seconds is nginx's ``keepalive_timeout``; an idle connection occupies no thread here, and
    load balancers that keep connections for 60 seconds want a server that keeps them longer.
    `None`: no limit.
    """

    body_timeout: float | None = 20.0
    """Seconds a handler may wait for a request body in all, besides what `body_min_rate` adds.

    Twenty seconds, with 500 bytes buying one second more, is the ``body=20,MinRate=500`` of
    Apache's mod_reqtimeout. `None`: no limit, at any rate.
    """

    body_min_rate: float | None = 500.0
    """Bytes of a request body that buy its sender another second, until it has `body_timeout`
    again. `None`: none do, and `body_timeout` bounds the waiting for the whole body."""

    write_timeout: float | None = 60.0
    """Seconds a handler may wait for the peer to take a response in all, besides what
    `write_min_rate` adds.

    Sixty seconds is nginx's ``send_timeout``. `None`: no limit, at any rate.
    """

    write_min_rate: float | None = 500.0
    """Bytes taken of a response that buy the peer another second, until it has `write_timeout`
    again. `None`: none do, and `write_timeout` bounds the waiting for the whole response."""

    linger_timeout: float | None = 5.0
    """Seconds a closed connection is kept to take in what the peer still sends, so that the last
    response is not destroyed by a reset.

    Five seconds is nginx's ``lingering_timeout``. `None`: no limit.
    """

    max_connections: int | None = None
    """Connections open at once. For a further one another is closed: the oldest unfinished
    handshake; without one, the oldest that only waits for its peer's end, then the oldest idle
    one, then the oldest unfinished request. While all are in handlers, new ones wait in the
    listen queue.

    `None`: as many as the process's soft limit on open files (``RLIMIT_NOFILE``) allows, with 256
    files, but never more than half, kept back for everything else; 8192 where there is no such
    limit, 256 on Windows, where ``select()`` takes 512 sockets.
    """

    max_header_bytes: int = 65_536
    """Bytes of a request head, request line and all headers together, before it is refused with
    414 or 431.

    65 536 bytes is what `http.server` allows a single line.
    """

    max_header_count: int = 100
    """Header lines in a request before it is refused with 431: the number `http.client` uses."""

    max_body_bytes: int | None = 1 << 30
    """Bytes of a request body that may be announced before the request is refused with 413.

    One gibibyte is far above what a handler could hold in memory and far below what fills a disk
    in one request. `None`: no limit.
    """

    def __post_init__(self) -> None:
        """Check every field."""
        ConfigurationError.raise_if(
            finding
            for field in dataclasses.fields(self)
            for finding in _findings(field.name, getattr(self, field.name))
        )

    def connections(self) -> int:
        """Return how many connections may be open: `max_connections`, or what `None` stands for."""
        if self.max_connections is not None:
            return self.max_connections
        files = _file_limit()
        if files is None:
            return _CONNECTIONS_WITHOUT_A_FILE_LIMIT
        return max(1, files - min(_FILES_KEPT_BACK, files // 2))


def _findings(name: str, value: object) -> list[str]:
    if value is None:
        return [] if _may_be_none(name) else [f"Limits.{name} must be a number, not None"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"Limits.{name} must be a number, not {type(value).__name__}")
    if name.startswith("max_") and not isinstance(value, int):
        raise TypeError(f"Limits.{name} must be an int, not float")
    if not value > 0 or math.isinf(value):
        return [f"Limits.{name} must be more than 0 and finite, not {value}"]
    return []


def _may_be_none(name: str) -> bool:
    return name not in ("max_header_bytes", "max_header_count")


def _file_limit() -> int | None:
    """Return the soft limit on open files, or `None` where there is none."""
    try:
        import resource
    except ImportError:  # Windows
        return _SOCKETS_OF_WINDOWS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
