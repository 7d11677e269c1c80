"""h2load: a certain number of requests over HTTP/1.1, with and without large bodies."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.ground import NotServed
from tests.benchmarks.wrk import milliseconds

PACKAGE: Final = "nghttp2-client"

_LONGEST_SECONDS = 120


@dataclass(frozen=True)
class Report:
    """What h2load has measured."""

    done: int
    bad: int
    """Requests that were cut off or answered with anything but success."""
    seconds: float


def run(url: str, *, requests: int, connections: int, body: Path | None = None) -> Report:
    """Send requests; POST where there is a body.

    Raises:
        NotServed: One of them failed.
    """
    command = ["h2load", "--h1", f"-n{requests}", f"-c{connections}", "-t1"]
    if body is not None:
        command.append(f"--data={body}")
    try:
        done = subprocess.run(
            [*command, url], capture_output=True, text=True, check=True, timeout=_LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NotServed("h2load does not come to its end") from error
    report = parse(done.stdout)
    if report.bad or report.done != requests:
        raise NotServed(f"{report.bad + requests - report.done} of {requests} requests failed")
    return report


def parse(text: str) -> Report:
    """Read what h2load prints.

    Raises:
        ValueError: It is not that.
    """
    finished = re.search(r"^finished in (\S+),", text, re.MULTILINE)
    counts = re.search(r" (\d+) done, .* (\d+) errored, (\d+) timeout", text)
    codes = re.search(
        r"^status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text, re.MULTILINE
    )
    if finished is None or counts is None or codes is None:
        raise ValueError(f"h2load printed something else: {text!r}")
    # What it counts as failed includes answers without a reason phrase, such as hypercorn's.
    return Report(
        done=int(counts[1]),
        bad=sum(map(int, (counts[2], counts[3], *codes.groups()))),
        seconds=milliseconds(finished[1]) / 1000,
    )
