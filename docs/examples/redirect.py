# redirect.py
import contextlib
from http.server import BaseHTTPRequestHandler

from tlshttp import ThreadingTLSHTTPServer, certs


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Hello over TLS\n")


certificate = certs.self_signed("localhost")
certificate.write("localhost.pem", "localhost.key")

with ThreadingTLSHTTPServer(
    ("localhost", 8443), Hello, certificate=certificate, redirect_plain_http=True
) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
