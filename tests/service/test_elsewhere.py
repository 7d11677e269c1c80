"""What does not need Unix is there without it."""

from __future__ import annotations

import subprocess
import sys

from tests.support import UNIT

_WITHOUT_UNIX = """
import sys, signal, os
for name in ("fcntl", "resource", "grp", "pwd"):
    sys.modules[name] = None
for name in ("SIGHUP", "SIGUSR2", "SIGCHLD"):
    delattr(signal, name)
del os.fork
import threading
from http.server import BaseHTTPRequestHandler
from tlshttp import ThreadingTLSHTTPServer, certs, context, service
ssl_context = context.create_server_context(certs.self_signed("localhost"))

class Server(ThreadingTLSHTTPServer):
    def service_actions(self):
        signal.raise_signal(signal.SIGINT)

service.run(lambda: Server(("127.0.0.1", 0), BaseHTTPRequestHandler, ssl_context=ssl_context))
print("ended", service.inherited_sockets())
"""


def test_one_process_needs_neither_fork_nor_its_signals() -> None:
    """Without fcntl, fork() and the signals of Unix a service runs, and ends by SIGINT."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_UNIX],
        capture_output=True,
        text=True,
        timeout=120 * UNIT,
        check=False,
    )
    assert done.stdout == "ended []\n", done.stderr
