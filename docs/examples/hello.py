# hello.py
import contextlib
from http.server import BaseHTTPRequestHandler

from tlshttp import TLSHTTPServer, certs


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"Hello over TLS\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


certificate = certs.self_signed("localhost", "127.0.0.1", "::1")
certificate.write("localhost.pem", "localhost.key")

with TLSHTTPServer(("localhost", 8443), Hello, certificate=certificate) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
