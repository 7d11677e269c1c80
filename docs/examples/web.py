# web.py
from http.server import BaseHTTPRequestHandler

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


store = certs.CertificateStore("cert.pem", "key.pem")
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
