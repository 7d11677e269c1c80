"""Applications in this process, on either server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.applications.support import Browser
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, context, wsgi

Visit = Callable[[Any], Browser]


@pytest.fixture(scope="session")
def certificate() -> certs.Certificate:
    """Make a certificate for this machine."""
    return certs.self_signed("localhost", "127.0.0.1")


@pytest.fixture(params=[TLSHTTPServer, ThreadingTLSHTTPServer], ids=lambda it: it.__name__)
def visit(request: pytest.FixtureRequest, certificate: certs.Certificate) -> Iterator[Visit]:
    """Return what serves an application until the test ends, and visits it."""
    with contextlib.ExitStack() as stack:

        def visit(application: Any) -> Browser:
            made = type("Quiet", (wsgi.handler(application),), {"log_message": lambda *_: None})
            ssl_context = context.create_server_context(certificate)
            server = request.param(("localhost", 0), made, ssl_context=ssl_context)
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            browser = Browser(server.url)
            stack.callback(browser.close)
            return browser

        yield visit
