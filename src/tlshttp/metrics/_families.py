"""What is measured of a server, under which names: a table that the exposition is written from.

Names follow Prometheus's conventions (https://prometheus.io/docs/practices/naming/): a prefix, the
base unit (seconds, bytes), ``_total`` for what only grows. All known reasons are there from the
start, with 0, so that a rate begins with the first event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlshttp._shared_counters import Counted, SharedCounters, total
from tlshttp._version import __version__
from tlshttp.errors import ConnectionCut, HandshakeError, PeerError
from tlshttp.stats import Histogram, Stats

if TYPE_CHECKING:
    from tlshttp.server import TLSHTTPServer

__all__ = ["FAMILIES", "Family", "Labels", "Observed", "observe"]

Labels = Mapping[str, str]
Values = Iterable[tuple[Labels, float]]


@dataclass(frozen=True)
class Observed:
    """One server, with all processes that serve the same."""

    server: TLSHTTPServer
    counted: Counted
    processes: int


@dataclass(frozen=True)
class Family:
    """Measurements of one name."""

    name: str
    """Without ``_total``."""
    kind: str
    """``counter``, ``gauge``, ``histogram`` or ``info``."""
    text: str
    values: Callable[[Observed], Values]
    unit: str = ""
    histogram: Callable[[Observed], Histogram] | None = None


def observe(server: TLSHTTPServer) -> Observed:
    """Take the numbers of a server, and of those that share its socket."""
    shared: SharedCounters | None = server.shared_counters
    if shared is None:
        return Observed(server, Counted(server.stats(), server.latencies()), 1)
    own = shared.publish(server)  # what is told must outlive this process
    others, ended = shared.others()
    return Observed(server, total([own, *others, *ended]), 1 + len(others))


def _one(value: Callable[[Stats], float]) -> Callable[[Observed], Values]:
    return lambda one: [({}, value(one.counted.stats))]


def _by_reason(
    base: type[PeerError], counts: Callable[[Stats], Mapping[str, int]]
) -> Callable[[Observed], Values]:
    def values(one: Observed) -> Values:
        found = {**dict.fromkeys(_reasons(base), 0), **counts(one.counted.stats)}
        return [({"reason": reason}, found[reason]) for reason in sorted(found)]

    return values


def _reasons(base: type[PeerError]) -> Iterator[str]:
    """Yield the reasons of all that are raised: the classes that have none below them."""
    if not base.__subclasses__():
        yield base.reason
    for derived in base.__subclasses__():
        yield from _reasons(derived)


def _states(one: Observed) -> Values:
    stats = one.counted.stats
    states = {"active": stats.active, **stats.parked}
    return [({"state": state}, count) for state, count in states.items()]


def _handshakes(one: Observed) -> Values:
    stats = one.counted.stats
    return [
        ({"resumed": "false"}, stats.handshakes - stats.resumed),
        ({"resumed": "true"}, stats.resumed),
    ]


def _certificates(one: Observed) -> Values:
    return [
        (
            {"name": (*found.names, "")[0], "fingerprint": found.fingerprint},
            found.not_valid_after.timestamp(),
        )
        for found in one.counted.stats.certificates
    ]


def _draining(one: Observed) -> Values:
    return [({}, 1 if one.server.draining else 0)]


def _nothing(_one: Observed) -> Values:
    return ()


FAMILIES = (
    Family("tlshttp", "info", "The version of tlshttp.", lambda _: [({"version": __version__}, 1)]),
    Family("tlshttp_workers", "gauge", "Processes that serve.", lambda one: [({}, one.processes)]),
    Family(
        "tlshttp_draining",
        "gauge",
        "Whether the server is coming to its end.",
        _draining,
    ),
    Family(
        "tlshttp_connections_accepted",
        "counter",
        "Connections accepted.",
        _one(lambda stats: stats.accepted),
    ),
    Family(
        "tlshttp_connections_refused",
        "counter",
        "Connections that verify_request() turned away.",
        _one(lambda stats: stats.refused),
    ),
    Family(
        "tlshttp_connections_evicted",
        "counter",
        "Idle connections and unfinished requests closed to admit newer ones.",
        _one(lambda stats: stats.evicted),
    ),
    Family(
        "tlshttp_connections_cut",
        "counter",
        "Connections cut after their handshake, and requests refused.",
        _by_reason(ConnectionCut, lambda stats: stats.cut),
    ),
    Family(
        "tlshttp_connections",
        "gauge",
        "Connections open now: in a handler (active), or waiting for their peers.",
        _states,
    ),
    Family(
        "tlshttp_handshakes",
        "counter",
        "Handshakes finished.",
        _handshakes,
    ),
    Family(
        "tlshttp_handshake_failures",
        "counter",
        "Connections that did not become TLS connections.",
        _by_reason(HandshakeError, lambda stats: stats.handshake_failures),
    ),
    Family(
        "tlshttp_handshake_duration_seconds",
        "histogram",
        "From accepting a connection to the end of its handshake.",
        _nothing,
        "seconds",
        lambda one: one.counted.latencies.handshake,
    ),
    Family(
        "tlshttp_requests",
        "counter",
        "Requests handed to handlers.",
        _one(lambda stats: stats.requests),
    ),
    Family(
        "tlshttp_handler_duration_seconds",
        "histogram",
        "From a request's being ready to the end of its handler.",
        _nothing,
        "seconds",
        lambda one: one.counted.latencies.handler,
    ),
    Family(
        "tlshttp_requests_waiting",
        "gauge",
        "Requests that wait for a handler's place.",
        _one(lambda stats: stats.waiting),
    ),
    Family(
        "tlshttp_overloads",
        "counter",
        "How often requests have had to wait a second for a handler's place.",
        _one(lambda stats: stats.full),
    ),
    Family(
        "tlshttp_received_bytes",
        "counter",
        "Bytes of requests received, without TLS's own.",
        _one(lambda stats: stats.bytes_in),
        "bytes",
    ),
    Family(
        "tlshttp_sent_bytes",
        "counter",
        "Bytes of responses sent, without TLS's own.",
        _one(lambda stats: stats.bytes_out),
        "bytes",
    ),
    Family(
        "tlshttp_certificate_not_after_timestamp_seconds",
        "gauge",
        "When a certificate that is shown, or one of its chain, runs out.",
        _certificates,
        "seconds",
    ),
)
"""In the order in which they are written."""
