"""HTTPS servers for tests: started in one line, trusted by one call, closed without a trace.

>>> from tlshttp import testing
>>> with testing.serve({"/": "hello"}) as server:
...     server.get("/").text
'hello'
>>> server.requests[0].method, server.requests[0].tls.version
('GET', 'TLSv1.3')

`bad_server` starts servers that misbehave: `FAULTS` has them by name, and `Reset`, `Stall` and the
like are the words to make others.

>>> with testing.bad_server("expired") as server:
...     server.get("/")
Traceback (most recent call last):
ssl.SSLCertVerificationError: ... certificate has expired ...

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
    from tlshttp.testing._bad.catalogue import FAULTS
    from tlshttp.testing._bad.fault import Fault, FaultKind
    from tlshttp.testing._bad.requests import SeenRequest
    from tlshttp.testing._bad.server import BadServer, bad_server
    from tlshttp.testing._bad.vocabulary import (
        At,
        Close,
        Drip,
        Refuse,
        Reply,
        Reset,
        Send,
        Show,
        Stall,
        Terms,
        Trait,
    )
    from tlshttp.testing._endpoint import Answer, Endpoint
    from tlshttp.testing._recorded import RecordedRequest
    from tlshttp.testing._responses import Respond, Response, Responses
    from tlshttp.testing._running import RunningServer
    from tlshttp.testing._serve import Served, serve
    from tlshttp.testing._unittest import TLSServerMixIn

__all__ = [
    "FAULTS",
    "Answer",
    "At",
    "Authority",
    "BadServer",
    "ClientCertificate",
    "Close",
    "Drip",
    "Endpoint",
    "Fault",
    "FaultKind",
    "RecordedRequest",
    "Refuse",
    "Reply",
    "Reset",
    "Respond",
    "Response",
    "Responses",
    "RunningServer",
    "SeenRequest",
    "Send",
    "Served",
    "Show",
    "Stall",
    "TLSServerMixIn",
    "Terms",
    "Trait",
    "authority",
    "bad_server",
    "serve",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "FAULTS": "tlshttp.testing._bad.catalogue",
            "Answer": "tlshttp.testing._endpoint",
            "At": "tlshttp.testing._bad.vocabulary",
            "Authority": "tlshttp.testing._authority",
            "BadServer": "tlshttp.testing._bad.server",
            "ClientCertificate": "tlshttp.testing._authority",
            "Close": "tlshttp.testing._bad.vocabulary",
            "Drip": "tlshttp.testing._bad.vocabulary",
            "Endpoint": "tlshttp.testing._endpoint",
            "Fault": "tlshttp.testing._bad.fault",
            "FaultKind": "tlshttp.testing._bad.fault",
            "RecordedRequest": "tlshttp.testing._recorded",
            "Refuse": "tlshttp.testing._bad.vocabulary",
            "Reply": "tlshttp.testing._bad.vocabulary",
            "Reset": "tlshttp.testing._bad.vocabulary",
            "Respond": "tlshttp.testing._responses",
            "Response": "tlshttp.testing._responses",
            "Responses": "tlshttp.testing._responses",
            "RunningServer": "tlshttp.testing._running",
            "SeenRequest": "tlshttp.testing._bad.requests",
            "Send": "tlshttp.testing._bad.vocabulary",
            "Served": "tlshttp.testing._serve",
            "Show": "tlshttp.testing._bad.vocabulary",
            "Stall": "tlshttp.testing._bad.vocabulary",
            "TLSServerMixIn": "tlshttp.testing._unittest",
            "Terms": "tlshttp.testing._bad.vocabulary",
            "Trait": "tlshttp.testing._bad.vocabulary",
            "authority": "tlshttp.testing._authority",
            "bad_server": "tlshttp.testing._bad.server",
            "serve": "tlshttp.testing._serve",
        },
    )
