"""A server in a process of its own, and its handle: what an attack does to it can be measured.

It is started with the name of a server class and a JSON object: the name of a handler, limits, and
more. It prints its port, then answers each line on its standard input with a line of JSON, and
shuts down at the end of the input. It uses public names only.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import tlshttp
from tests.engine_of_program import create_server_context
from tests.support import UNIT
from tlshttp import Limits, certs

HELLO: Final = b"hello"
LARGE: Final = 50_000_000
"""Bytes of the responses to ``/large``, one piece over and over, to ``/large-new``, a new one each
time, and to ``/large-whole``, one object."""

_PIECE = bytes(1 << 16)


class Plain(BaseHTTPRequestHandler):
    """Answers GET with five bytes, with very much, late, or with events; POST with a size."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer as the path says."""
        if self.path == "/large":
            self._send_large()
        elif self.path == "/large-new":
            self._send_large_anew()
        elif self.path == "/large-whole":
            self.reply(bytes(LARGE))
        elif self.path.startswith("/sleep/"):
            time.sleep(float(self.path[7:]))  # a handler that is at work
            self.reply(HELLO)
        elif self.path.startswith("/events/"):
            self._send_events(int(self.path[8:]))
        else:
            self.reply(HELLO)

    def do_POST(self) -> None:
        """Answer with the size of the body, whatever its framing."""
        if "Content-Length" in self.headers:
            size = len(self.rfile.read(int(self.headers["Content-Length"])))
        else:
            size = len(self.rfile.read())
        self.reply(b"%d" % size)

    def reply(self, body: bytes) -> None:
        """Answer with a body and its length."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def _send_large(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(LARGE))
        self.end_headers()
        for at in range(0, LARGE, len(_PIECE)):
            self.wfile.write(_PIECE[: LARGE - at])

    def _send_large_anew(self) -> None:
        """Do the same by pieces that nobody has in memory, as one does that reads a file."""
        self.send_response(200)
        self.send_header("Content-Length", str(LARGE))
        self.end_headers()
        for at in range(0, LARGE, len(_PIECE)):
            piece = at.to_bytes(8, "big") + _PIECE[8:]
            self.wfile.write(piece[: LARGE - at])

    def _send_events(self, count: int) -> None:
        """Send when each event was sent, by the clock that all processes share."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for _ in range(count):
            time.sleep(0.005)  # something to tell now and then
            self.wfile.write(b"data: %d\n\n" % time.monotonic_ns())
            self.wfile.flush()


class Streaming(Plain):
    """Reads bodies as they come, and answers each five bytes with what they were."""

    stream_request = True

    def do_PUT(self) -> None:
        """Answer each piece at once."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        while piece := self.rfile.read(5):
            self.wfile.write(b"got " + piece + b"\n")


class OwnHandle(Plain):
    """Has a ``handle()`` of its own."""

    def handle(self) -> None:
        """Do what would be done anyway."""
        BaseHTTPRequestHandler.handle(self)


def function(*arguments: Any) -> Plain:
    """Make a handler, as functions do."""
    return Plain(*arguments)


HANDLERS: Final[dict[str, Any]] = {
    "plain": Plain, "streaming": Streaming, "own-handle": OwnHandle, "function": function,
}  # fmt: skip


class ServerProcess:
    """The handle of such a process, in the process that started it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = int(self._line())

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def stats(self) -> dict[str, Any]:
        """Return the server's counters."""
        counters: dict[str, Any] = self._ask("stats")
        return counters

    def cpu_seconds(self) -> float:
        """Return the processor time that the process itself says it has used."""
        return float(self._ask("cpu"))

    def spool_bytes(self) -> int:
        """Return how much disk the files hold that have no name and that the process has open."""
        total = 0
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(link.readlink())
                if target.startswith(tempfile.gettempdir()) and target.endswith(" (deleted)"):
                    total += link.stat().st_blocks * 512
        return total

    def threads(self) -> int:
        """Return how many threads the process has."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/task").iterdir())

    def resident(self) -> int:
        """Return the bytes of memory that the process occupies, not counting what it has freed."""
        self._ask("trim")
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
        raise LookupError("smaps_rollup without a line Rss")

    def _ask(self, question: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@contextlib.contextmanager
def server_process(
    server_class: str, *, source: Path | None = None, **options: Any
) -> Iterator[ServerProcess]:
    """Run a server in a process of its own as long as the block runs.

    Args:
        server_class: Its name.
        source: The folder ``src`` of another checkout, whose tlshttp is to be run; `None`: this.
        options: What `main` takes.

    Raises:
        AssertionError: It wrote a traceback, or ended otherwise than it should.
    """
    command = (sys.executable, "-m", "tests.server.program", server_class, json.dumps(options))
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ({"PYTHONPATH": str(source)} if source else {}),
    ) as process:
        try:
            yield ServerProcess(process)
            _, errors = process.communicate(timeout=40 * UNIT)
        except BaseException:
            process.kill()
            raise
    if process.returncode or "Traceback" in errors:
        raise AssertionError(f"the server ended with {process.returncode}: {errors[-4000:]}")


def main(server_class: str, options: dict[str, Any]) -> None:
    """Serve as told, until the end of standard input."""
    logging.getLogger("tlshttp").setLevel(logging.CRITICAL)  # attacks make many lines
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (options.pop("files", hard), hard))
    handler = HANDLERS[options.pop("handler", "plain")]
    limits = Limits(**options.pop("limits", {}))
    certificate = certs.self_signed("localhost", "127.0.0.1")
    with getattr(tlshttp, server_class)(
        ("127.0.0.1", 0),
        handler,
        ssl_context=create_server_context(certificate),
        limits=limits,
        **options,
    ) as server:
        threading.Thread(target=_answer, args=(server,), daemon=True).start()
        server.serve_forever()


def _answer(server: Any) -> None:
    _say(server.server_port)
    for line in sys.stdin:
        match line.strip():
            case "stats":
                stats = server.stats()
                _say({f.name: getattr(stats, f.name) for f in dataclasses.fields(stats)})
            case "cpu":
                used = resource.getrusage(resource.RUSAGE_SELF)
                _say(used.ru_utime + used.ru_stime)
            case "trim":
                gc.collect()
                getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
                _say(None)
    server.shutdown()


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value, default=_as_plain) + "\n")
    sys.stdout.flush()


def _as_plain(value: Any) -> Any:
    """Return what JSON knows: a mapping as a dictionary, a certificate in use as text."""
    return dict(value) if isinstance(value, Mapping) else str(value)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
