"""Helpers that every test may use."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

UNIT: Final = float(os.environ.get("TLSHTTP_TEST_UNIT", "1"))
"""Seconds. Time limits in tests are multiples of it; a slow machine sets it higher."""

_S = TypeVar("_S", bound=socketserver.BaseServer)


PATIENCE: Final = 30 * UNIT
"""Seconds for what must happen: it costs nothing when it does, however slow the machine is."""


def wait_until(condition: Callable[[], bool], *, timeout: float = PATIENCE) -> bool:
    """Wait for a condition that nothing signals, and return whether it came true.

    Where there is an event, a join or a blocking read to wait on, wait on that instead.

    Args:
        condition: Called every ten milliseconds.
        timeout: Seconds after which waiting ends.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def serving(server: _S, poll_interval: float = 0.1) -> Iterator[_S]:
    """Run ``serve_forever()`` in a thread as long as the block lasts, then shut down and close.

    Args:
        server: One of ours or of the standard library's.
        poll_interval: Seconds; `shutdown()` of the standard library's takes up to that.
    """
    thread = threading.Thread(target=server.serve_forever, args=(poll_interval,), name="loop")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def at_some_pace(attempt: Callable[[float], None]) -> None:
    """Have a server bear a client that is slow by its limits, but not too slow.

    How soon the client gets to do what it means to is the machine's doing. So this is tried with
    limits of fractions of a second first, then with larger ones: of two and of ten seconds.

    Args:
        attempt: Called with what to multiply all seconds by, until it raises nothing.
    """
    for factor in (1, 5):
        with contextlib.suppress(AssertionError, OSError):
            attempt(factor * UNIT)
            return
    attempt(25 * UNIT)


def free_port() -> int:
    """Return a port of the loopback address that is free now, for a program that is told one.

    The system gives it to nobody else until the program has it: it is none of those for who asks
    for any port, or connects.
    """
    first, last = _given_out()
    others = [port for port in range(10_000, 65_536) if not first <= port <= last] or [0]
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", secrets.choice(others)))
            return int(probe.getsockname()[1])


def _given_out() -> tuple[int, int]:
    """Return the first and last port that the system gives out by itself."""
    try:
        words = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except OSError:
        return 49_152, 65_535  # as IANA has it, and most systems
    return int(words[0]), int(words[1])


class NoOwner:
    """Whoever owns a `tlshttp._machinery.stream.Stream`, where that is nobody."""

    group = b""

    def may_linger(self) -> bool:
        """Nobody waits here for a peer that keeps up."""
        return False

    def linger(self, seconds: float) -> bool:
        """Wait for none."""
        return seconds < 0

    def may_wait(self) -> bool:
        """Let handlers wait for their peers."""
        return True

    def before_wait(self) -> None:
        """Bear that a handler waits."""

    def after_wait(self) -> None:
        """Bear that it goes on."""

    def turn(self) -> AbstractContextManager[object]:
        """Let it, whoever else goes on."""
        return nullcontext()

    def watch(self) -> None:
        """Bear that something is left to be sent."""

    def watch_head(self) -> None:
        """Bear that a head is held back."""

    def unwatch(self) -> None:
        """Bear that somebody else sends it."""

    def lend(self) -> None:
        """Bear that a handler has taken the connection over."""

    def take_up(self) -> None:
        """Bear that something has been done to a connection that is driven."""

    def report_exception(self) -> None:
        """Have an exception of a handler's be seen."""
        raise  # noqa: PLE0704  # it is called in an except clause

    def begin_close(self) -> None:
        """Be told of the end."""

    def closed(self) -> None:
        """Be told of the end."""

    def let_go_by_borrower(self) -> None:
        """Be told that nobody holds it."""


@dataclass(frozen=True)
class Belongings:
    """What a process holds at one moment: its threads, open files and child processes."""

    threads: frozenset[threading.Thread] = field(
        default_factory=lambda: frozenset(threading.enumerate())
    )
    files: frozenset[tuple[int, str]] = field(default_factory=lambda: frozenset(_open_files()))
    children: frozenset[int] = field(default_factory=lambda: frozenset(_children()))

    def since(self, earlier: Belongings) -> list[str]:
        """Name what is there now and was not there earlier, one line each."""
        threads = sorted(thread.name for thread in self.threads - earlier.threads)
        files = sorted(self.files - earlier.files)
        children = sorted(self.children - earlier.children)
        return [
            *(f"thread {name!r}" for name in threads),
            *(f"file descriptor {number}: {_describe(target)}" for number, target in files),
            *(f"child process {pid}: {_command_line(pid)}" for pid in children),
        ]


@contextmanager
def nothing_left_behind(*, timeout: float = PATIENCE) -> Iterator[None]:
    """Fail when the block leaves threads, open files or child processes behind.

    Args:
        timeout: Seconds that what the block began has, after its end, to end by itself.

    Raises:
        AssertionError: Something is left; the message names it.
    """
    before = Belongings()
    yield
    deadline = time.monotonic() + timeout
    for thread in frozenset(threading.enumerate()) - before.threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if not Belongings().since(before):
        return
    gc.collect()  # a socket in a reference cycle is closed here, and its ResourceWarning raised
    remaining = max(0.0, deadline - time.monotonic())
    if not wait_until(lambda: not Belongings().since(before), timeout=remaining):
        left = Belongings().since(before)
        if left:
            message = f"left behind: {'; '.join(left)}"
            raise AssertionError(message)


def _open_files() -> Iterator[tuple[int, str]]:
    """Yield number and target of every open file descriptor, where ``/proc`` tells them."""
    for number in _names("/proc/self/fd"):
        try:
            yield int(number), os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the descriptor that lists the folder, for one
            continue


def _children() -> Iterator[int]:
    """Yield the process id of every child, also of one that ended and was not waited for."""
    for task in _names("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as file:
                yield from map(int, file.read().split())
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            continue


def _names(folder: str) -> list[str]:
    """Return the names in a folder of ``/proc``; none where there is no such folder."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _describe(target: str) -> str:
    """Say which addresses a socket has; return anything else as it is."""
    inode = target.removeprefix("socket:[").removesuffix("]")
    if inode == target:
        return target
    for table in ("tcp", "tcp6", "unix"):
        for line in _read(f"/proc/self/net/{table}").splitlines()[1:]:
            if inode in line.split():
                return f"{target} {table} {_addresses(table, line)}"
    return target


def _addresses(table: str, line: str) -> str:
    """Read the addresses off one line of ``/proc/net/tcp`` or ``/proc/net/unix``."""
    columns = line.split()
    if table == "unix":
        return columns[7] if len(columns) > 7 else "(unnamed)"
    local, remote = (int(columns[index].rpartition(":")[2], 16) for index in (1, 2))
    return f"port {local}, peer's port {remote}" if remote else f"listening on port {local}"


def _command_line(pid: int) -> str:
    """Return how a process was started, or that it ended and was not waited for."""
    words = _read(f"/proc/{pid}/cmdline").split("\0")
    return " ".join(words).strip() or "(ended, and nobody waited for it)"


def _read(path: str) -> str:
    """Return a file of ``/proc``, or nothing where it has gone."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
