# unix_socket.py
import contextlib
from http.server import BaseHTTPRequestHandler

from tlshttp import ThreadingTLSHTTPServer, certs


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"Hello {self.client_address}\n".encode())


certificate = certs.self_signed("localhost")
certificate.write("localhost.pem", "localhost.key")

with ThreadingTLSHTTPServer("service.sock", Hello, certificate=certificate) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
