# web.py
import os
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tlshttp import ThreadingTLSHTTPServer, certs, context, metrics, service


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"hello\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Watched(metrics.HealthMixIn, Hello):
    """The same with /healthz and /readyz."""


# There systemd puts what the unit loads (LoadCredential=); else it is in this folder.
folder = Path(os.environ.get("CREDENTIALS_DIRECTORY", "."))
store = certs.CertificateStore(folder / "cert.pem", folder / "key.pem")
ssl_context = context.create_server_context(store)


def make_server() -> ThreadingTLSHTTPServer:
    inherited = service.inherited_sockets()
    server = ThreadingTLSHTTPServer(
        ("", 8443),
        Watched,
        ssl_context=ssl_context,
        listening_socket=inherited[0] if inherited else None,
    )
    print(server.url, flush=True)
    return server


if __name__ == "__main__":
    service.run(make_server, workers=2, drain_timeout=30)
