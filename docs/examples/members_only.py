# members_only.py
import contextlib

from tlshttp import ThreadingTLSHTTPServer, TLSRequestHandler, certs, context


class Greeting(TLSRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"Hello {', '.join(self.tls.peer_names)}\n".encode())


ssl_context = context.create_server_context(
    certs.CertificateStore("localhost.pem", "localhost-key.pem"),
    client_auth=context.ClientAuth.REQUIRED,
    client_cas=certs.load_trust_anchors("ca.pem"),
)
with ThreadingTLSHTTPServer(("localhost", 8443), Greeting, ssl_context=ssl_context) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
