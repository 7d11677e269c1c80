"""What a server has done so far, as one frozen snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

__all__ = ["LATENCY_BOUNDS", "CertificateInUse", "Histogram", "Latencies", "Stats"]

LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds that end each class of latencies, the last one being open: those of Prometheus's client
libraries (``DefBuckets``), and two more for what is quick here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateInUse:
    """A certificate that a server shows now."""

    names: tuple[str, ...]
    """Every name in it, as text."""

    not_valid_after: datetime
    """The last second in which it, and each certificate of its chain, is valid; aware and UTC."""

    fingerprint: str
    """The SHA-256 fingerprint of the leaf as browsers show it: ``AB:CD:...``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """How many things have taken how long."""

    counts: tuple[int, ...]
    """How many are in each class: up to the bounds 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1, 2.5, 5 and 10 seconds, each included, and above."""

    sum: float
    """Seconds of all together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Latencies:
    """How long handlers and handshakes have taken; see ``server.latencies()``."""

    handler: Histogram
    """From the moment a request was ready to the end of its handler, without the time that its
    client takes to send it or to take the response. Handlers that wait for their next request
    themselves (an own ``handle()``) are not in it."""

    handshake: Histogram
    """From accepting a connection to the end of its TLS handshake, the client's time included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """The counters of a server, all taken at one moment; see ``server.stats()``."""

    accepted: int
    """TCP (or ``AF_UNIX``) connections accepted since the server was made."""

    refused: int
    """Connections that ``verify_request()`` turned away."""

    active: int
    """Connections in a handler now."""

    parked: Mapping[str, int]
    """Connections that wait for their peer now, by phase: ``"hello"`` (nothing usable sent yet),
    ``"handshake"``, ``"request"`` (head or body not complete), ``"response"`` (the handler is done,
    its response not all taken), ``"idle"`` (between two requests), ``"taken-over"`` (no
    longer HTTP, and driven by the loop), ``"closing"`` (response sent, waiting for the peer's
    end)."""

    waiting: int
    """Requests that wait for a handler's place now: ``max_workers`` are at work."""

    full: int
    """How often requests have had to wait for a place for a second. The log ``tlshttp.server`` has
    a line about it, once a minute at most."""

    handshakes: int
    """Handshakes finished."""

    resumed: int
    """Of these, how many resumed an earlier session."""

    handshake_failures: Mapping[str, int]
    """Handshakes failed, by the ``reason`` of their `~tlshttp.errors.HandshakeError`."""

    cut: Mapping[str, int]
    """Connections cut after their handshake, by the ``reason`` of their
    `~tlshttp.errors.ConnectionCut`."""

    evicted: int
    """Idle connections and unfinished requests that were closed to make room for newer ones; an
    unfinished request is counted in `cut`, too."""

    requests: int
    """Requests handed to handlers."""

    bytes_in: int
    """Bytes of request heads and bodies received, without those of TLS itself. They are counted
    when the request has been answered."""

    bytes_out: int
    """Bytes of responses sent, likewise."""

    certificates: tuple[CertificateInUse, ...] = ()
    """The certificates shown now, with their ends; empty for a context that is not of
    `tlshttp.context`."""
