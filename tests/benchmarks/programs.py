"""Programs that time themselves: an import, and all until a server listens."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from tests.benchmarks.ground import Ground, on_core
from tests.benchmarks.peers import OURS, Peer

_TIMED = """\
import sys, time
begin = time.perf_counter()
{body}
print((time.perf_counter() - begin) * 1000)
"""

_KEEPS_NOTHING_COMPILED: Final = "PYTHONDONTWRITEBYTECODE"

IMPORT: Final = {OURS: "import tlshttp", "stdlib": "import http.server, ssl"}

IMPORT_SERVER: Final = {
    OURS: "from tlshttp import ThreadingTLSHTTPServer, TLSRequestHandler",
    "stdlib": "import http.server, ssl",
}

LISTEN: Final = {
    OURS: """\
import tlshttp
from http.server import BaseHTTPRequestHandler
certfile, keyfile = sys.argv[1:]
server = tlshttp.ThreadingTLSHTTPServer(
    ("127.0.0.1", 0), BaseHTTPRequestHandler, certfile=certfile, keyfile=keyfile)
""",
    "stdlib": """\
import http.server, ssl
certfile, keyfile = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certfile, keyfile)
server = http.server.ThreadingHTTPServer(
    ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
""",
}


def load(peer: Peer, ground: Ground) -> float:
    """Return how many milliseconds its import takes in a new interpreter."""
    return _time(IMPORT[peer.name], ground)


def load_server(peer: Peer, ground: Ground) -> float:
    """Return the same, with the classes that a server needs."""
    return _time(IMPORT_SERVER[peer.name], ground)


def listen(peer: Peer, ground: Ground) -> float:
    """Return how many milliseconds pass from before its import until it listens."""
    return _time(LISTEN[peer.name], ground)


def _time(body: str, ground: Ground) -> float:
    program = _TIMED.format(body=body)
    files = str(ground.certfile), str(ground.keyfile)
    # Modules are compiled once, by a first run that is not counted, as they are when installed.
    environment = {key: os.environ[key] for key in os.environ if key != _KEEPS_NOTHING_COMPILED}
    with on_core(ground.server_core):
        done = subprocess.run(
            [sys.executable, "-c", program, *files],
            capture_output=True, text=True, check=True, timeout=30,
            env=environment,
        )  # fmt: skip
    return float(done.stdout)
