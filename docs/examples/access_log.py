# access_log.py
import contextlib
import logging

from tlshttp import (
    AccessLogMixIn,
    ThreadingTLSHTTPServer,
    TLSFileRequestHandler,
    certs,
)


class Handler(AccessLogMixIn, TLSFileRequestHandler):
    pass


log = logging.getLogger("tlshttp.access")
log.setLevel(logging.INFO)
log.propagate = False
log.addHandler(logging.FileHandler("access.log"))

certificate = certs.self_signed("localhost")
with ThreadingTLSHTTPServer(("localhost", 8443), Handler, certificate=certificate) as server:
    print(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
