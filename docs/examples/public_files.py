# public_files.py
import contextlib
import functools

from tlshttp import ThreadingTLSHTTPServer, TLSFileRequestHandler, certs

certificate = certs.self_signed("localhost")
certificate.write("localhost.pem", "localhost.key")

handler = functools.partial(TLSFileRequestHandler, directory="public")
with ThreadingTLSHTTPServer(("localhost", 8443), handler, certificate=certificate) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
