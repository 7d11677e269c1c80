"""A server in a process of its own, so that its memory, threads and time can be measured.

It is started with the name of the server class and a JSON object: its limits, and more (see
`main`). It prints its port, then answers each line on its standard input with a line of JSON: its
counters, or how many blocks of memory are in use. At the end of the input it shuts down.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tlshttp
from tests.engine_of_program import create_server_context
from tests.machinery.handlers import Plain
from tests.support import UNIT
from tlshttp import Limits, Stats, certs
from tlshttp._machinery import dispatcher
from tlshttp._machinery.poller import SelectorPoller

_COMMAND = (sys.executable, "-W", "error", "-m", "tests.machinery.program")
_TICKS = os.sysconf("SC_CLK_TCK")


class ServerProcess:
    """The handle of such a process, in the process that started it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.address: Any = json.loads(self._line())
        if isinstance(self.address, list):
            self.address = tuple(self.address)

    def stats(self) -> Stats:
        """Return the server's counters."""
        return Stats(**self._ask("stats"))

    def resident(self) -> int:
        """Return the bytes of memory that the process occupies, not counting what it has freed."""
        self.blocks()
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            name, *values = line.split()
            if name == "Rss:":
                return int(values[0]) * 1024
        raise LookupError("smaps_rollup without a line Rss")

    def blocks(self) -> int:
        """Return how many pieces of memory Python objects occupy, after a collection."""
        return int(self._ask("blocks"))

    def cpu_seconds(self) -> float:
        """Return the processor time the process has used."""
        after_name = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / _TICKS

    def threads(self) -> int:
        """Return how many threads the process has."""
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def files(self) -> int:
        """Return how many descriptors the process has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def _ask(self, question: str) -> Any:
        stdin = self.process.stdin
        if stdin is None:
            raise ValueError("the process was started without a pipe")
        stdin.write(question + "\n")
        stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        stdout = self.process.stdout
        if stdout is None:
            raise ValueError("the process was started without a pipe")
        return stdout.readline()


@contextlib.contextmanager
def server_process(server_class: str, **options: Any) -> Iterator[ServerProcess]:
    """Run a server in a process of its own as long as the block runs; its end must be clean."""
    with subprocess.Popen(
        [*_COMMAND, server_class, json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield ServerProcess(process)
            _, errors = process.communicate(timeout=20 * UNIT)
        except BaseException:
            process.kill()
            raise
    if process.returncode or "Traceback" in errors or "Warning" in errors:
        raise AssertionError(f"the server ended with {process.returncode}: {errors}")


def main(server_class: str, options: dict[str, Any]) -> None:
    """Serve as told, until the end of standard input."""
    if "files" in options:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options["files"],) * 2)
    if options.get("selector"):
        vars(dispatcher)["create_poller"] = SelectorPoller
    more = {"max_workers": options["max_workers"]} if "max_workers" in options else {}
    server = getattr(tlshttp, server_class)(
        options.get("address") or ("127.0.0.1", 0),
        Plain,
        ssl_context=create_server_context(certs.self_signed("localhost")),
        limits=Limits(**options.get("limits", {})),
        bind_and_activate=False,
        **more,
    )
    with server:
        server.server_bind()
        server.server_activate()
        threading.Thread(target=_answer, args=(server,), daemon=True).start()
        server.serve_forever()


def _answer(server: Any) -> None:
    _say(server.server_address)
    for line in sys.stdin:
        if line.strip() == "blocks":
            _give_back()
            _say(sys.getallocatedblocks())
            continue
        stats: Stats = server.stats()
        values = {f.name: getattr(stats, f.name) for f in dataclasses.fields(stats)}
        del values["certificates"]  # which is not for JSON
        _say(values)
    server.shutdown()


def _give_back() -> None:
    """Collect what is garbage, and return free memory to the system where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value, default=dict) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
