"""What services are watched by, as users write it, for the type checkers; never run."""

from __future__ import annotations

import logging
import logging.config
from http.server import BaseHTTPRequestHandler
from typing import assert_type

import tlshttp
from tlshttp import errors, logs, metrics


class Watched(metrics.MetricsMixIn, metrics.HealthMixIn, BaseHTTPRequestHandler):
    """Paths for who watches, with a reason of its own."""

    metrics_path = "/internal/metrics"

    def unready_reasons(self) -> list[str]:
        """Be ready when there is a database."""
        return [*super().unready_reasons(), "there is no database"]


def latencies_are_histograms(server: tlshttp.TLSHTTPServer) -> float:
    """Classes and sums of handlers and handshakes."""
    latencies: tlshttp.Latencies = server.latencies()
    handshake: tlshttp.Histogram = latencies.handshake
    assert_type(latencies.handler.sum, float)
    return handshake.sum / max(1, sum(handshake.counts))


def expositions_have_media_types(server: tlshttp.TLSHTTPServer, accept: str) -> tuple[str, str]:
    """Text for most, OpenMetrics for who asks for it."""
    openmetrics = metrics.OPENMETRICS_TYPE.partition(";")[0] in accept
    kind = metrics.OPENMETRICS_TYPE if openmetrics else metrics.TEXT_TYPE
    return kind, metrics.exposition(server, openmetrics=openmetrics)


def proxies_tell_of_clients(proxy: tlshttp.ProxyInfo) -> str | None:
    """What came before TLS is typed."""
    assert_type(proxy.server_name, str | None)
    ended: tlshttp.ProxyTLS | None = proxy.tls
    return None if ended is None else ended.version


def a_bad_header_is_a_failed_handshake(error: errors.HandshakeError) -> bool:
    """It has a class of its own."""
    return isinstance(error, errors.ProxyHeaderError)


def logs_are_configured() -> None:
    """A dictionary for the standard library."""
    configuration = logs.json_config(level="WARNING", stream="ext://sys.stdout")
    logging.config.dictConfig(configuration)
    formatter: logging.Formatter = logs.JSONFormatter()
    logging.StreamHandler().setFormatter(formatter)


class Traced(tlshttp.RequestIdMixIn, BaseHTTPRequestHandler):
    """A handler whose requests have ids."""

    request_id_header = "X-Correlation-Id"

    def do_GET(self) -> None:
        """Look at them."""
        assert_type(self.request_id, str | None)
        assert_type(self.trace_id, str | None)
        assert_type(self.trace_fields, dict[str, str])
