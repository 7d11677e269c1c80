"""Whether a thread that has not got on was kept by something, or had no processor.

A thread that shares its processor with other programs (of this machine, or of others on the same
host) stands still for milliseconds without having waited for anything. By the clock and by its own
processor time it looks like one that sleeps.
"""

from __future__ import annotations

import os
import time

__all__ = ["Starving"]

_MOST = 1024
"""How many threads are remembered; workers end, and their numbers with them."""


_OF_THREAD = 6
"""CPUCLOCK_PERTHREAD_MASK and CPUCLOCK_SCHED of Linux (``include/linux/posix-timers_types.h``)."""


class Starving:
    """How long threads of this process were ready to run and did not, from one look to the next."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}

    def look(self, thread: int) -> float:
        """Return how many seconds since the last look at a thread, or since it has begun.

        Zero where the system does not tell: it is Linux that does, where it keeps such statistics
        (``man 5 proc``, ``/proc/PID/schedstat``, the second number).

        Args:
            thread: Its number, as `threading.get_native_id` returns it.
        """
        total = _waited_for_processor(thread)
        if len(self._seen) >= _MOST:
            self._seen.clear()
        before, self._seen[thread] = self._seen.get(thread, 0.0), total
        return max(0.0, total - before)

    def starves_now(self, thread: int) -> bool:
        """Return whether a thread is ready at this moment and has no processor.

        `look` knows of that only when it is over: then the system counts it.
        """
        return _is_ready(thread) and _processor_time(thread) == _processor_time(thread)


def _is_ready(thread: int) -> bool:
    try:
        with open(f"/proc/self/task/{thread}/stat", "rb") as file:  # noqa: PTH123 (half the time)
            return file.read().rpartition(b")")[2][:2] == b" R"
    except OSError:
        return False


def _processor_time(thread: int) -> int:
    """Return a thread's time in nanoseconds, by the clock of its own that Linux has."""
    try:
        return time.clock_gettime_ns((~thread << 3) | _OF_THREAD)
    except OSError:  # it has just ended
        return 0


def _waited_for_processor(thread: int) -> float:
    try:
        # By system calls, of which `open` makes eight in place of three: whoever shares its cores
        # looks at every fourth connection.
        file = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
        try:
            return int(os.read(file, 100).split()[1]) / 1e9
        finally:
            os.close(file)
    except (OSError, ValueError, IndexError):
        return 0.0
