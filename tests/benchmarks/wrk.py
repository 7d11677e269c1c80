"""wrk: many keep-alive connections."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.ground import NotServed

PACKAGE: Final = "wrk"

_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
_LARGEST_SHARE_OF_ERRORS = 0.01


@dataclass(frozen=True)
class Report:
    """What wrk has measured; latencies in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float
    errors: int


def run(url: str, connections: int, seconds: float) -> Report:
    """Send requests for some time, in whole seconds, over one thread.

    Raises:
        NotServed: None succeeded, or for a hundred more than one failed.
    """
    duration = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "--latency", f"{url}/"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=duration + 30
        )
    except subprocess.TimeoutExpired as error:
        raise NotServed("wrk does not come to its end") from error
    report = parse(done.stdout)
    if not report.requests:
        raise NotServed("serves nothing")
    if report.errors > _LARGEST_SHARE_OF_ERRORS * report.requests:
        raise NotServed(f"{report.errors} errors in {report.requests} requests")
    return report


def parse(text: str) -> Report:
    """Read what wrk prints.

    Raises:
        ValueError: It is not that.
    """
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    return Report(
        requests=int(_find(r"^\s*(\d+) requests in ", text)),
        rate=float(_find(r"^Requests/sec:\s+([\d.]+)", text)),
        p50=milliseconds(_find(r"^\s+50%\s+(\S+)", text)),
        p99=milliseconds(_find(r"^\s+99%\s+(\S+)", text)),
        errors=sum(int(count) for match in (failed, broken) if match for count in match.groups()),
    )


def milliseconds(text: str) -> float:
    """Return a duration as wrk and h2load print it: ``"310.00us"``, ``"1.20ms"``, ``"1.5s"``."""
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text)
    if match is None:
        raise ValueError(f"not a duration: {text!r}")
    return float(match[1]) * _MILLISECONDS[match[2]]


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise ValueError(f"wrk printed no {pattern!r}: {text!r}")
    return match[1]
