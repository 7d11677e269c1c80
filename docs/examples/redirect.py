# redirect.py
import contextlib
from http.server import BaseHTTPRequestHandler

from tlshttp import ThreadingTLSHTTPServer, certs, context


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Hello over TLS\n")


certificate = certs.self_signed("localhost")
certificate.write("localhost.pem", "localhost.key")

ssl_context = context.create_server_context(certificate)
with ThreadingTLSHTTPServer(
    ("localhost", 8443), Hello, ssl_context=ssl_context, redirect_plain_http=True
) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
