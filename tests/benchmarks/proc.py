"""What a server has used, from ``/proc``: all its threads and all processes below it."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_CPUCLOCK_SCHED: Final = 2  # clock_getcpuclockid(3): the clock of all threads of a process


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its descendants, to a hundredth of a second."""
    return sum(cpu_ticks(_read(f"/proc/{each}/stat")) for each in family(pid)) / _TICKS_PER_SECOND


def cpu_clock(pid: int) -> float:
    """Return the CPU time of all threads of a process, ended ones too, to a nanosecond or so."""
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def resident_kib(pid: int) -> int:
    """Return how much memory a process and its descendants have resident, in KiB."""
    return sum(resident_of(_read(f"/proc/{each}/smaps_rollup")) for each in family(pid))


def family(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            for child in task.read_text().split():
                yield from family(int(child))


def cpu_ticks(stat: str) -> int:
    """Return user and system time, also of children that have ended (``man 5 proc``)."""
    fields = stat.rpartition(")")[2].split()  # the name may have blanks and parentheses
    return sum(int(field) for field in fields[11:15])


def resident_of(rollup: str) -> int:
    """Return the resident memory that ``smaps_rollup`` gives, in KiB."""
    match = re.search(r"^Rss:\s+(\d+) kB", rollup, re.MULTILINE)
    if match is None:
        raise ValueError(f"no Rss in {rollup!r}")
    return int(match[1])


def kernel_seconds(pid: int) -> tuple[float, float]:
    """Return the seconds of a process in the kernel and in all, to a hundredth of a second."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    user, kernel = int(fields[11]), int(fields[12])
    return kernel / _TICKS_PER_SECOND, (user + kernel) / _TICKS_PER_SECOND


def _read(path: str) -> str:
    return Path(path).read_text()
