"""The servers that have no command line of their own: ``python -m tests.benchmarks.servers NAME``.

It serves until SIGTERM or SIGINT.
"""

from __future__ import annotations

import http.server
import importlib
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Final

from tests.benchmarks import apps

HOST: Final = "127.0.0.1"


def serve_tlshttp(port: int, certfile: str, keyfile: str) -> None:
    """Serve with ThreadingTLSHTTPServer."""
    _serve_ours("ThreadingTLSHTTPServer", port, certfile, keyfile)


def serve_tlshttp_single(port: int, certfile: str, keyfile: str) -> None:
    """Serve with TLSHTTPServer."""
    _serve_ours("TLSHTTPServer", port, certfile, keyfile)


def _serve_ours(name: str, port: int, certfile: str, keyfile: str) -> None:
    import logging

    import tlshttp

    logging.disable()
    server_class = getattr(tlshttp, name)
    # Two thousand idle connections are measured, and the default would end half of them for others.
    limits = tlshttp.Limits(max_connections=5000)
    with server_class(
        (HOST, port), apps.Handler, certfile=certfile, keyfile=keyfile, limits=limits
    ) as server:
        server.serve_forever()


def serve_stdlib(port: int, certfile: str, keyfile: str) -> None:
    """Serve as Python 3.14's ThreadingHTTPSServer does, on any Python."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    context.set_alpn_protocols(["http/1.1"])
    with http.server.ThreadingHTTPServer((HOST, port), apps.Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # tracebacks of peers
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.serve_forever()


def serve_cheroot(port: int, certfile: str, keyfile: str) -> None:
    """Serve with cheroot and its adapter for the standard library's ssl."""
    wsgi = importlib.import_module("cheroot.wsgi")
    adapter = importlib.import_module("cheroot.ssl.builtin").BuiltinSSLAdapter
    server = wsgi.Server((HOST, port), apps.wsgi, timeout=75, request_queue_size=1024)
    server.ssl_adapter = adapter(certfile, keyfile)
    server.error_log = lambda *_args, **_options: None
    server.start()


def serve_werkzeug(port: int, certfile: str, keyfile: str) -> None:
    """Serve with werkzeug's threaded server."""
    serving = importlib.import_module("werkzeug.serving")
    quiet = type("Quiet", (serving.WSGIRequestHandler,), {"log": lambda *_: None})
    serving.make_server(
        HOST, port, apps.wsgi,
        threaded=True, ssl_context=(certfile, keyfile), request_handler=quiet,
    ).serve_forever()  # fmt: skip


_STUNNEL: Final = """\
foreground = yes
syslog = no
debug = emerg
pid =
[https]
accept = {host}:{port}
connect = {host}:{inner}
cert = {certfile}
key = {keyfile}
sslVersionMin = TLSv1.2
"""


def serve_waitress(port: int, certfile: str, keyfile: str) -> None:
    """Serve with waitress, which knows no TLS, behind stunnel on the same core."""
    waitress = importlib.import_module("waitress")
    server = waitress.create_server(
        apps.wsgi, host=HOST, port=0,
        connection_limit=5000, channel_timeout=75, asyncore_use_poll=True,
    )  # fmt: skip
    settings = _STUNNEL.format(
        host=HOST, port=port, inner=server.effective_port, certfile=certfile, keyfile=keyfile
    )
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(settings)
        file.flush()
        with subprocess.Popen(["stunnel4", file.name]) as stunnel:
            try:
                server.run()
            finally:
                stunnel.terminate()


SERVERS: Final[dict[str, Callable[[int, str, str], None]]] = {
    "tlshttp": serve_tlshttp,
    "tlshttp-single": serve_tlshttp_single,
    "stdlib": serve_stdlib,
    "cheroot": serve_cheroot,
    "waitress": serve_waitress,
    "werkzeug": serve_werkzeug,
}


def main(name: str, port: str, certfile: str, keyfile: str) -> None:
    """Serve until a signal ends it, orderly enough for a profiler to write what it has."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        SERVERS[name](int(port), certfile, keyfile)
    except KeyboardInterrupt:
        sys.exit()


if __name__ == "__main__":
    main(*sys.argv[1:])
