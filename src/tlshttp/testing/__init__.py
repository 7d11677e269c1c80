"""HTTPS servers for tests: started in one line, trusted by one call, closed without a trace.

>>> from tlshttp import testing
>>> with testing.serve({"/": "hello"}) as server:
...     server.get("/").text
'hello'
>>> server.requests[0].method, server.requests[0].tls.version
('GET', 'TLSv1.3')

With pytest the fixtures ``tls_server``, ``tls_server_factory`` and ``tls_ca`` do this; with
`unittest` it is `TLSServerMixIn`. Each name is imported when it is first asked for.

.. warning::
    Everything here is for tests. The authority's key is in the memory of the test's process and
    nowhere else, and its certificate ends after a week; never have a system trust it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlshttp._on_demand import on_demand

if TYPE_CHECKING:
    from tlshttp.testing._authority import Authority, ClientCertificate, authority
    from tlshttp.testing._endpoint import Answer, Endpoint
    from tlshttp.testing._recorded import RecordedRequest
    from tlshttp.testing._responses import Respond, Response, Responses
    from tlshttp.testing._running import RunningServer
    from tlshttp.testing._serve import Served, serve
    from tlshttp.testing._unittest import TLSServerMixIn

__all__ = [
    "Answer",
    "Authority",
    "ClientCertificate",
    "Endpoint",
    "RecordedRequest",
    "Respond",
    "Response",
    "Responses",
    "RunningServer",
    "Served",
    "TLSServerMixIn",
    "authority",
    "serve",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "Answer": "tlshttp.testing._endpoint",
            "Authority": "tlshttp.testing._authority",
            "ClientCertificate": "tlshttp.testing._authority",
            "Endpoint": "tlshttp.testing._endpoint",
            "RecordedRequest": "tlshttp.testing._recorded",
            "Respond": "tlshttp.testing._responses",
            "Response": "tlshttp.testing._responses",
            "Responses": "tlshttp.testing._responses",
            "RunningServer": "tlshttp.testing._running",
            "Served": "tlshttp.testing._serve",
            "TLSServerMixIn": "tlshttp.testing._unittest",
            "authority": "tlshttp.testing._authority",
            "serve": "tlshttp.testing._serve",
        },
    )
