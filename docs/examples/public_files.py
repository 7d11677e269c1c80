# public_files.py
import contextlib
import functools

from tlshttp import ThreadingTLSHTTPServer, TLSFileRequestHandler, certs, context

certificate = certs.self_signed("localhost")
certificate.write("localhost.pem", "localhost.key")

handler = functools.partial(TLSFileRequestHandler, directory="public")
ssl_context = context.create_server_context(certificate)
with ThreadingTLSHTTPServer(("localhost", 8443), handler, ssl_context=ssl_context) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
