"""The formats in which Prometheus reads numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tlshttp.errors import ConfigurationError
from tlshttp.metrics._families import FAMILIES, Family, Labels, Observed, observe
from tlshttp.stats import LATENCY_BOUNDS, Histogram

if TYPE_CHECKING:
    from tlshttp.server import TLSHTTPServer

__all__ = ["OPENMETRICS_TYPE", "TEXT_TYPE", "exposition"]

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of Prometheus's text format."""

OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""The media type of OpenMetrics."""


def exposition(*servers: TLSHTTPServer, openmetrics: bool = False) -> str:
    """Write down the numbers of servers for Prometheus.

    Each has the label ``server``, its URL. Under `tlshttp.service.run` with several workers what
    is counted is the sum over all of them, at most a quarter of a second old; ``tlshttp_draining``
    is of the one that answers.

    Args:
        *servers: One or more, with different URLs.
        openmetrics: Whether to write OpenMetrics 1.0 instead of the text format 0.0.4.

    Raises:
        ConfigurationError: There is no server, or two have one URL.
    """
    if not servers:
        raise ConfigurationError("exposition() needs a server")
    observed = {server.url: observe(server) for server in servers}
    if len(observed) != len(servers):
        raise ConfigurationError("two servers have one URL, so their numbers have one name")
    lines = [line for family in FAMILIES for line in _family(family, observed, openmetrics)]
    return "\n".join([*lines, *(["# EOF"] if openmetrics else []), ""])


def _family(family: Family, observed: dict[str, Observed], openmetrics: bool) -> Iterator[str]:  # noqa: FBT001
    kind, named, sample = family.kind, family.name, family.name
    if kind == "counter":
        sample = f"{sample}_total"
    elif kind == "info":
        sample = f"{sample}_info"
    if not openmetrics:
        named = sample
        kind = "gauge" if kind == "info" else kind
    yield f"# HELP {named} {family.text}"
    yield f"# TYPE {named} {kind}"
    if openmetrics and family.unit:
        yield f"# UNIT {named} {family.unit}"
    for url, one in observed.items():
        label = {"server": url}
        if family.histogram is not None:
            yield from _histogram(sample, label, family.histogram(one))
        for labels, value in family.values(one):
            yield _sample(sample, {**label, **labels}, value)


def _histogram(name: str, label: Labels, found: Histogram) -> Iterator[str]:
    bounds: Sequence[str] = [*map(_number, LATENCY_BOUNDS), "+Inf"]
    counts = list(itertools.accumulate(found.counts))
    for bound, count in zip(bounds, counts, strict=True):
        yield _sample(f"{name}_bucket", {**label, "le": bound}, count)
    yield _sample(f"{name}_sum", label, found.sum)
    yield _sample(f"{name}_count", label, counts[-1])


def _sample(name: str, labels: Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return repr(value)  # all digits that tell it apart
