"""The servers that are compared, as data: how each is started and what it needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.ground import Ground

Command = Callable[[Ground, int], list[str]]

_NGINX = """\
daemon off;
pid {folder}/nginx.pid;
error_log /dev/null emerg;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  sendfile off;
  default_type text/plain;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certfile};
    ssl_certificate_key {keyfile};
    ssl_protocols TLSv1.2 TLSv1.3;
    root {folder};
    location = / {{ return 200 "Hello, world!"; }}
    location = /upload {{ return 200 "Hello, world!"; }}
  }}
}}
"""


@dataclass(frozen=True)
class Peer:
    """One server of the comparison."""

    name: str
    title: str
    command: Command
    """How to start it on a ground and a port."""
    module: str | None = None
    """What must be installed for it."""
    program: str | None = None
    """The program it needs, and the Debian package that has it."""
    asks_version: str = "-v"
    """What has the program print its version."""
    ours: bool = False

    def missing(self) -> str | None:
        """Say what is missing to run it and how to get it; `None`: nothing."""
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"{self.module} is not installed: pip install --group bench"
        if self.program and shutil.which(self.program) is None:
            return f"{self.program} is not installed: apt-get install {self.program}"
        return None

    def version(self) -> str:
        """Return which version is measured."""
        if self.module is None and self.program is None:
            return f"Python {platform.python_version()}"
        return ", ".join(self._versions())

    def _versions(self) -> Iterator[str]:
        if self.module is not None:
            name = "tlshttp-server" if self.module == "tlshttp" else self.module
            yield importlib.metadata.version(name)
        if self.program is not None:
            asked = [self.program, self.asks_version]
            done = subprocess.run(asked, capture_output=True, text=True, check=True)
            found = re.search(r"\d+(\.\d+)+", done.stderr + done.stdout)
            version = found[0] if found else "unknown"
            yield version if self.module is None else f"{self.program} {version}"


def _own_program(name: str) -> Command:
    def command(ground: Ground, port: int) -> list[str]:
        files = str(ground.certfile), str(ground.keyfile)
        return [sys.executable, "-m", "tests.benchmarks.servers", name, str(port), *files]

    return command


def _uvicorn(ground: Ground, port: int) -> list[str]:
    return [
        sys.executable, "-m", "uvicorn", "tests.benchmarks.apps:asgi", f"--port={port}",
        f"--ssl-certfile={ground.certfile}", f"--ssl-keyfile={ground.keyfile}",
        "--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=critical",
        "--timeout-keep-alive=75",
    ]  # fmt: skip


def _hypercorn(ground: Ground, port: int) -> list[str]:
    file = ground.folder / "hypercorn.toml"
    file.write_text('alpn_protocols = ["http/1.1"]\n')  # its other protocol is another comparison
    return [
        sys.executable, "-m", "hypercorn", "tests.benchmarks.apps:asgi", f"--config={file}",
        f"--bind=127.0.0.1:{port}", f"--certfile={ground.certfile}", f"--keyfile={ground.keyfile}",
        "--worker-class=uvloop", "--workers=1", "--log-level=critical", "--keep-alive=75",
    ]  # fmt: skip


def _granian(ground: Ground, port: int) -> list[str]:
    return [
        sys.executable, "-m", "granian", "tests.benchmarks.apps:asgi", "--interface=asgi",
        "--host=127.0.0.1", f"--port={port}", "--workers=1", "--loop=uvloop", "--http=1",
        f"--ssl-certificate={ground.certfile}", f"--ssl-keyfile={ground.keyfile}",
        "--no-access-log", "--log-level=critical",
    ]  # fmt: skip


def _gunicorn(ground: Ground, port: int) -> list[str]:
    return [
        sys.executable, "-m", "gunicorn", "tests.benchmarks.apps:wsgi",
        f"--bind=127.0.0.1:{port}", f"--certfile={ground.certfile}", f"--keyfile={ground.keyfile}",
        "--worker-class=gthread", "--workers=1", "--threads=32", "--worker-connections=5000",
        "--log-level=critical", "--keep-alive=75", "--no-control-socket",
    ]  # fmt: skip


def _nginx(ground: Ground, port: int) -> list[str]:
    file = ground.folder / "nginx.conf"
    file.write_text(
        _NGINX.format(
            folder=ground.folder, port=port, certfile=ground.certfile, keyfile=ground.keyfile
        )
    )
    return ["nginx", "-e", "/dev/null", "-p", str(Path(ground.folder)), "-c", str(file)]


OURS: Final = "tlshttp"
OURS_SINGLE: Final = "tlshttp-single"

PEERS: Final = (
    Peer(OURS, "ThreadingTLSHTTPServer", _own_program(OURS), module="tlshttp", ours=True),
    Peer(OURS_SINGLE, "TLSHTTPServer", _own_program(OURS_SINGLE), module="tlshttp", ours=True),
    Peer("stdlib", "ThreadingHTTPServer, listening socket wrapped", _own_program("stdlib")),
    Peer("cheroot", "cheroot", _own_program("cheroot"), module="cheroot"),
    Peer("gunicorn", "gunicorn, gthread, 32 threads", _gunicorn, module="gunicorn"),
    Peer("werkzeug", "werkzeug, threaded", _own_program("werkzeug"), module="werkzeug"),
    Peer(
        "waitress", "waitress behind stunnel", _own_program("waitress"),
        module="waitress", program="stunnel4", asks_version="-version",
    ),
    Peer("hypercorn", "hypercorn, uvloop, HTTP/1.1", _hypercorn, module="hypercorn"),
    Peer("uvicorn", "uvicorn, uvloop and httptools", _uvicorn, module="uvicorn"),
    Peer("granian", "granian, ASGI, uvloop", _granian, module="granian"),
    Peer("nginx", "nginx, one worker, without sendfile", _nginx, program="nginx"),
)  # fmt: skip
