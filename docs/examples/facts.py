# facts.py
import contextlib

from tlshttp import ThreadingTLSHTTPServer, TLSRequestHandler, certs


class Facts(TLSRequestHandler):
    def do_GET(self) -> None:
        tls = self.tls
        facts = f"{tls.version} {tls.cipher} for {tls.server_name}, resumed: {tls.resumed}\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(facts.encode())


certificate = certs.self_signed("localhost")
certificate.write("localhost.pem", "localhost.key")

with ThreadingTLSHTTPServer(("localhost", 8443), Facts, certificate=certificate) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
