"""Start a server on its core, wait until it serves, and end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import client
from tests.benchmarks.ground import Ground, NotServed, on_core
from tests.benchmarks.peers import Peer
from tests.support import free_port

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_WARM_UP_REQUESTS = 20


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Where it is; no slash at the end."""
        return f"https://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(
    peer: Peer,
    ground: Ground,
    *,
    prefix: Sequence[str] = (),
    ask: Callable[[int], None] = client.get_once,
) -> Iterator[Server]:
    """Run a server for as long as the block lasts.

    Args:
        peer: Which one.
        ground: Where.
        prefix: What to put in front of its command's arguments, after the interpreter.
        ask: Asks the server on a port for something; an `OSError` or `NotServed` until it serves.

    Raises:
        NotServed: It did not come up.
    """
    port = free_port()
    program, *arguments = peer.command(ground, port)
    with tempfile.TemporaryFile() as log, on_core(ground.server_core):
        process = subprocess.Popen(
            [program, *prefix, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"BENCH_FOLDER": str(ground.folder)},
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        try:
            os.sched_setaffinity(0, {ground.load_core})
            try:
                _wait_until_it_serves(process, port, ask)
            except NotServed as error:
                raise NotServed(f"{error}: {_last_line(log.fileno())}") from error
            yield Server(port, process.pid)
        finally:
            _stop(process)


def _wait_until_it_serves(
    process: subprocess.Popen[bytes], port: int, ask: Callable[[int], None]
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            for _ in range(_WARM_UP_REQUESTS):
                ask(port)
        except (OSError, NotServed) as error:
            if process.poll() is not None:
                raise NotServed(f"ended with {process.returncode}") from error
            if time.monotonic() > deadline:
                raise NotServed("does not start") from error
            time.sleep(0.02)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and whatever it has started, which is a session of its own."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: int) -> str:
    """Return the last that the server has printed."""
    size = os.fstat(log).st_size
    text = os.pread(log, 2000, max(0, size - 2000)).decode(errors="replace")
    return (text.strip().splitlines() or ["it printed nothing"])[-1]
