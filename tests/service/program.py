"""A service in a process of its own, for the tests; what it is to do is a JSON object.

It prints its URL when it is made. `Service` is its handle in the test's process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.machinery.peers import client_context, get
from tests.support import UNIT, wait_until
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, context, metrics, service
from tlshttp.service import _replacing

_log = logging.getLogger("tests.service")

_AT_WORK = "a handler is at work"

SERVERS = {"plain": TLSHTTPServer, "threading": ThreadingTLSHTTPServer}


class Handler(metrics.MetricsMixIn, metrics.HealthMixIn, BaseHTTPRequestHandler):
    """Answers with the number of its process; ``/slow`` after a second, ``/never`` never.

    Before these two it says so on standard output, where `Service.wait_for_work` hears it.
    """

    server: TLSHTTPServer

    def do_GET(self) -> None:
        """Answer."""
        if self.path in (self.metrics_path, self.ready_path):
            super().do_GET()
            return
        if self.path in ("/slow", "/never"):
            sys.stdout.write(f"{_AT_WORK}\n")
            sys.stdout.flush()
        if self.path == "/slow":
            time.sleep(1.0 * UNIT)  # work
        if self.path == "/never":
            threading.Event().wait()
        body = b"%d" % self._number()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _number(self) -> int:
        if self.path == "/passed-on":
            return passed_on()
        return self.server.processes if self.path == "/processes" else os.getpid()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def passed_on() -> int:
    """Return how much of what was meant for this process a program started from it would find.

    Besides descriptors and variables that is every signal that it would ignore.
    """
    inheritable = 0
    for number in range(3, 256):
        with contextlib.suppress(OSError):
            inheritable += os.get_inheritable(number)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
    ignored = sum(signal.getsignal(number) is signal.SIG_IGN for number in numbers)
    named = sum("READY_FD" in name or "LISTEN_" in name for name in os.environ)
    return inheritable + named + ignored


def go_wrong(how: str) -> None:
    """Start as badly as told."""
    while how == "hang":  # neither a lock nor pause() bears a signal at any moment
        time.sleep(0.05)
    if how == "leave a child":
        subprocess.Popen(["sleep", "60"], close_fds=False)
        os._exit(3)


def hurried(options: dict[str, Any]) -> type[_replacing.Replacement]:
    """Return what gives a process so many seconds to start, if its start is to go wrong."""

    class Hurried(_replacing.Replacement):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            if Path(options["wrong"]).exists():
                self._ready_by = time.monotonic() + options["seconds_to_start"]

    return Hurried


def main(options: dict[str, Any]) -> None:
    """Run a service as told."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    certificate: Any = certs.self_signed("localhost")
    if "certfile" in options:
        certificate = certs.CertificateStore(options["certfile"])
    ssl_context = context.create_server_context(certificate)

    if "seconds_to_start" in options:
        _replacing.Replacement = hurried(options)  # type: ignore[misc]

    def make_server() -> TLSHTTPServer:
        inherited = service.inherited_sockets()
        _log.info("inherited: %s", [one.name for one in inherited])
        if "name" in options and not inherited:
            inherited = [service.InheritedSocket()]
            inherited[0].bind(("127.0.0.1", 0))
            inherited[0].listen()
            inherited[0].name = options["name"]
        server = SERVERS[options.get("server", "threading")](
            ("127.0.0.1", 0),
            Handler,
            ssl_context=ssl_context,
            listening_socket=inherited[0] if inherited else None,
        )
        sys.stdout.write(f"{os.getpid()} {server.server_port}\n")
        sys.stdout.flush()
        if "wrong" in options and Path(options["wrong"]).exists():
            go_wrong(Path(options["wrong"]).read_text())
        if options.get("hanging_workers") and Path(options["hanging_workers"]).exists():
            server.after_fork_in_child = lambda: go_wrong("hang")  # type: ignore[method-assign]
        if options.get("dies"):
            server.after_fork_in_child = lambda: os._exit(7)  # type: ignore[method-assign]
        return server

    service.run(
        make_server,
        workers=options.get("workers", 1),
        drain_timeout=options.get("drain_timeout", 30 * UNIT),
    )


def children(pid: int) -> set[int]:
    """Return the children of a process."""
    found = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found |= set(map(int, (task / "children").read_text().split()))
    return found


class Service:
    """Such a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.client = client_context()
        self.pid, self.port = self.next_start()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def next_start(self) -> tuple[int, int]:
        """Return pid and port that the program, or its replacement, prints when it starts."""
        assert self.process.stdout is not None
        pid, port = self.process.stdout.readline().split()
        return int(pid), int(port)

    def ask(self, path: str = "/") -> int:
        """Return the number of the process that answers on a new connection."""
        return int(get(self.address, self.client, path).rpartition(b"\r\n")[2])

    def wait_for_work(self) -> None:
        """Wait until a handler has begun with ``/slow`` or ``/never``."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{_AT_WORK}\n"

    def workers(self) -> set[int]:
        """Return the children of the process."""
        return children(self.pid)

    def tell(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait_for_line(self, words: str) -> str:
        """Return the next line on standard error that has these words."""
        assert self.process.stderr is not None
        return next(line for line in self.process.stderr if words in line)

    def end(self) -> tuple[int, str]:
        """Return its exit status and what it wrote on standard error."""
        _, errors = self.process.communicate(timeout=50 * UNIT)
        return self.process.returncode, errors


@contextlib.contextmanager
def running(
    *prefix: str, environ: dict[str, str] | None = None, **options: Any
) -> Iterator[Service]:
    """Run a service as long as the block runs; it may have ended by then.

    Args:
        prefix: What starts the program.
        environ: Variables besides those there are.
        options: What `main` takes.
    """
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.service.program", json.dumps(options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environ or {})},
        start_new_session=True,
    )
    try:
        yield Service(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(ValueError):  # end() has read all
            process.communicate(timeout=30 * UNIT)


def serves(one: Service) -> bool:
    """Tell whether the service answers."""
    try:
        one.ask()
    except (OSError, ssl.SSLError):
        return False
    return True


def has_ended(pid: int) -> bool:
    """Tell whether a process is gone, or waits for nothing but its funeral."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def all_serve(one: Service, number: int) -> bool:
    """Wait until so many processes have answered."""
    seen: set[int] = set()

    def look() -> bool:
        seen.add(one.ask())
        return len(seen) == number

    return wait_until(look, timeout=30 * UNIT)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
