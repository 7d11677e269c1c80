"""The numbers of a server for Prometheus, and paths for probes.

Each name is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp.metrics._exposition import OPENMETRICS_TYPE, TEXT_TYPE, exposition
    from tlshttp.metrics._mixins import HealthMixIn, MetricsMixIn

__all__ = ["OPENMETRICS_TYPE", "TEXT_TYPE", "HealthMixIn", "MetricsMixIn", "exposition"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "HealthMixIn": "tlshttp.metrics._mixins",
            "MetricsMixIn": "tlshttp.metrics._mixins",
            "OPENMETRICS_TYPE": "tlshttp.metrics._exposition",
            "TEXT_TYPE": "tlshttp.metrics._exposition",
            "exposition": "tlshttp.metrics._exposition",
        },
    )
