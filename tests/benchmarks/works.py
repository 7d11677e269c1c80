"""What is measured: every work with its metrics."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Final, Literal

from tests.benchmarks import client, h2load, measures, programs, wrk
from tests.benchmarks.ground import DOWNLOADS, UPLOAD
from tests.benchmarks.measures import Measure
from tests.benchmarks.peers import OURS


@dataclass(frozen=True)
class Metric:
    """What a work is measured in."""

    name: str
    unit: str
    better: Literal["more", "less"] = "less"


@dataclass(frozen=True)
class Work:
    """Something every server is made to do."""

    name: str
    title: str
    metrics: tuple[Metric, ...]
    measure: Measure
    tool: str | None = None
    """The program it needs."""
    only: frozenset[str] = frozenset()
    """The servers it is about; empty: all."""

    def missing(self) -> str | None:
        """Say what is missing to do it and how to get it; `None`: nothing."""
        if self.tool is None or shutil.which(self.tool):
            return None
        package = {"wrk": wrk.PACKAGE, "h2load": h2load.PACKAGE}[self.tool]
        return f"{self.tool} is not installed: apt-get install {package}"


_RATE: Final = Metric("rate", "requests/s", "more")
_UNDER_LOAD: Final = (_RATE, Metric("p50", "ms"), Metric("p99", "ms"), Metric("cpu", "us CPU"))
_PER_CONNECTION: Final = (Metric("cpu", "ms CPU"),)
_PER_GIB: Final = (Metric("cpu", "s CPU/GiB"), Metric("rate", "MiB/s", "more"))
_MEMORY: Final = (Metric("memory", "KiB"),)
_TIME: Final = (Metric("time", "ms"),)

_PACKAGES: Final = {"wrk": wrk.PACKAGE, "h2load": h2load.PACKAGE}


def _keep_alive(connections: int) -> Work:
    plural = "s" if connections > 1 else ""
    title = f"GET, keep-alive, {connections} connection{plural}"
    measure = measures.keep_alive(connections)
    return Work(f"keep-alive-{connections}", title, _UNDER_LOAD, measure, "wrk")


def _download(path: str, title: str, connections: int) -> Work:
    measure = measures.transfer(path, DOWNLOADS[path], connections)
    return Work(f"download-{path}", f"Download of {title}", _PER_GIB, measure, "h2load")


def _upload(path: str, title: str) -> Work:
    measure = measures.transfer("upload", UPLOAD[1], 1, upload=True)
    return Work(f"upload-{path}", f"Upload of {title}", _PER_GIB, measure, "h2load")


def _connect(name: str, title: str, *, resume: bool) -> Work:
    return Work(f"connect-{name}", title, _PER_CONNECTION, measures.connect(resume=resume))


def _idle(name: str, title: str, open_all: measures.OpenAll) -> Work:
    return Work(f"idle-{name}", title, _MEMORY, measures.idle(open_all))


def _program(name: str, title: str, run: measures.Run) -> Work:
    only = frozenset({OURS, "stdlib"})
    return Work(name, title, _TIME, measures.program(run), only=only)


WORKS: Final = (
    _keep_alive(1),
    _keep_alive(16),
    _keep_alive(256),
    Work("h2load-16", "The same at 16, h2load", (_RATE,), measures.keep_alive_h2load, "h2load"),
    _connect("full", "Connect, GET, close", resume=False),
    _connect("resumed", "The same, resumed", resume=True),
    _download("1m", "1 MiB", connections=4),
    _download("256m", "256 MiB", connections=1),
    _upload("64m", "64 MiB"),
    _idle("silent", "Idle: silent", client.open_silent),
    _idle("keep-alive", "Idle: keep-alive", client.open_idle),
    Work(
        "stalled",
        "Connect, GET, close while others stall",
        (Metric("p99", "ms"), Metric("unloaded", "ms")),
        measures.stalled,
    ),
    _program("listening", "From import to listening", programs.listen),
    _program("import", "Import", programs.load),
    _program("import-server", "Import of the server", programs.load_server),
)
