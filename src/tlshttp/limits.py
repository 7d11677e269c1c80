"""Every bound a server keeps, in one frozen record."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from tlshttp.errors import ConfigurationError

__all__ = ["Limits"]

_FILES_KEPT_BACK = 256
_MOST_CONNECTIONS = 1000
"""At about 60 KiB for one that has moved much in both directions, and with the other bounds of
memory, that is 256 MiB."""

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
    """Seconds a peer may take for a request body in all, besides what `body_min_rate` adds.

    Twenty seconds, with 500 bytes buying one second more, is the ``body=20,MinRate=500`` of
    Apache's mod_reqtimeout. `None`: no limit, at any rate.
    """

    body_min_rate: float | None = 500.0
    """Bytes of a request body that buy its sender another second, until it has `body_timeout`
    again. `None`: none do, and `body_timeout` bounds the waiting for the whole body."""

    write_timeout: float | None = 60.0
    """Seconds a peer may take to accept a response in all, besides what `write_min_rate` adds.

    Sixty seconds is nginx's ``send_timeout``. `None`: no limit, at any rate.
    """

    write_min_rate: float | None = 500.0
    """Bytes taken of a response that buy the peer another second, until it has `write_timeout`
    again. `None`: none do, and `write_timeout` bounds the waiting for the whole response."""

    linger_timeout: float | None = 5.0
    """Seconds for which a closed connection still takes in what the peer sends, so that no reset
    destroys the last response.

    Five seconds is nginx's ``lingering_timeout``. `None`: no limit.
    """

    max_connections: int | None = None
    """Connections open at once. To admit a further one another is closed: one that waits for its
    peer, of the address that holds most connections, in the phase in which most of those wait.
    While all of them are in handlers, new ones wait in the listen queue.

    `None`: 1000, or fewer if the process's soft limit on open files (``RLIMIT_NOFILE``) is low: 256
    of these, but never more than half, are kept back for everything else. On Windows 256, where
    ``select()`` takes 512 sockets. With these defaults a server stays below 256 MiB even if all its
    connections are in the worst state that their peers can bring about.
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

    max_collected_body: int | None = 1 << 20
    """Bytes of a request body that `~tlshttp.ThreadingTLSHTTPServer` collects before it calls a
    handler; with a larger one the handler is called at once, reads as it comes, and waits for its
    peer. (Bodies in chunks are always collected, and `~tlshttp.TLSHTTPServer` collects every body.)

    One mebibyte is what nginx accepts of a body unless told otherwise (``client_max_body_size``).
    `None`: collect all.
    """

    max_buffer_memory: int | None = 65_536
    """Bytes of a collected body that are kept in memory for one connection, and as many of a
    response that its peer has not taken. The rest goes to a temporary file without a name. (A
    handler waits while its peer takes 64 KiB in 20 ms on an average, or is no more than 0.2 s
    behind, and nobody else has to wait for that.) Pieces of `bytes` that a handler writes over
    and over may have as many besides, each kept once.

    It is four TLS records; nginx's ``client_body_buffer_size`` is 16 KiB. `None`: all.
    """

    max_total_memory: int | None = 48 << 20
    """Bytes of that kind in memory for all connections, besides the first 4 KiB of each; the rest
    goes to files. As far as there is room, a large response of `~tlshttp.TLSHTTPServer` stays here
    until it is in a file, most of it in blocks of 4 MiB. What handlers that wait for their peers
    are about to write counts, up to 64 KiB each. `None`: no limit (64 MiB of each connection for
    such responses)."""

    max_total_disk: int | None = 4 << 30
    """Bytes in temporary files for all connections. At the limit the address that has most gives
    way to others, if that is an eighth or more. Else further bodies are not read until there is
    room, for `body_timeout` at most (then they get 507), and responses wait in their handlers, or
    are cut where these cannot wait. So keep it at many times what one client may ask for: with
    less, an honest client that reads slowly may itself be the one that has most. Besides, one file
    that is no longer needed may be kept for the next one, for a second: a 64th of this, 64 MiB at
    most.

    It is four of the largest bodies. `None`: no limit.
    """

    max_response_backlog: int | None = 1 << 30
    """Bytes of a response that are kept until its peer takes them. Beyond that the handler has to
    wait for its peer; where it cannot wait, the connection is cut. (With a response of unknown
    length, such as a stream of events, a handler that can wait does so from 64 KiB on. Files that
    are sent as files, in pieces of more than 64 KiB, do not count where the length is known.)

    It is nginx's ``proxy_max_temp_file_size``. `None`: no limit.
    """

    tunnel_timeout: float | None = 3600.0
    """Seconds in which nothing moves on a connection that a handler has taken over, by 101
    (Switching Protocols) or in answer to CONNECT, while the handler waits for that, or the loop for
    a driver.

    An hour is what HAProxy's documentation proposes for ``timeout tunnel``. `None`: no limit.
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
            return _MOST_CONNECTIONS
        return min(_MOST_CONNECTIONS, max(1, files - min(_FILES_KEPT_BACK, files // 2)))


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
