# two_names.py
import contextlib
from http.server import BaseHTTPRequestHandler

from tlshttp import ThreadingTLSHTTPServer, certs, context


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"This is {self.headers['Host']}\n".encode())


ssl_context = context.create_server_context(
    certs.CertificateStore("www.pem", "www-key.pem"),
    certs.CertificateStore("wiki.pem", "wiki-key.pem"),
)
with ThreadingTLSHTTPServer(("localhost", 8443), Hello, ssl_context=ssl_context) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
