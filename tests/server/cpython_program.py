"""Run CPython's own tests of `http.server` with one of our servers in the place of its own.

Started by ``test_cpython.py`` in a process of its own, because those tests change the environment
and the working directory::

    python cpython_program.py TLSHTTPServer report.json

Nothing of the tests is changed. In the name space of ``test.test_httpservers`` the server class is
ours, and ``http.client.HTTPConnection`` is `http.client.HTTPSConnection`. Some tests are left out,
see `DIFFERENT`.
"""

from __future__ import annotations

import http
import http.client
import importlib
import json
import os
import ssl
import sys
import types
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tlshttp
from tlshttp import certs, context, pyopenssl
from tlshttp.errors import ConfigurationError

DIFFERENT = frozenset(
    {
        # A CGI script is not started while its input is missing: a body that does not come is cut
        # at a deadline (docs/how-to/move-from-http-server.md).
        "CGIHTTPServerTestCase.test_large_content_length_truncated",
        # A request without a version ends with an empty line, too (docs/explanation/http.md).
        "HTTP09ServerTestCase.test_invalid_request",
        "HTTP09ServerTestCase.test_simple_get",
        "HTTP09ServerTestCase.test_single_request",
    }
)
"""What we mean to do otherwise, of tests that came with Python 3.14."""

_handshakes = 0


def import_tests() -> Any:
    """Import ``test.test_httpservers`` such that its CGI tests are there for root, too.

    They are skipped for root, decided at import, because the handler becomes the user ``nobody``
    in the process it forks for a script, who may not read root's files. Ours never forks: it runs
    scripts through pipes, as this user.
    """
    if not hasattr(os, "geteuid"):
        return importlib.import_module("test.test_httpservers")
    geteuid = os.geteuid
    os.geteuid = lambda: geteuid() or 1
    try:
        return importlib.import_module("test.test_httpservers")
    finally:
        os.geteuid = geteuid


def server_class(name: str, certificate: certs.Certificate) -> type:
    """Return our server class with the constructor of `http.server.HTTPServer`."""
    engine = context if os.environ.get("TLSHTTP_TEST_ENGINE", "ssl") == "ssl" else pyopenssl
    ssl_context: Any = engine.create_server_context(certificate)

    class Server(getattr(tlshttp, name)):  # type: ignore[misc]
        def __init__(self, server_address: Any, handler: Any, **options: Any) -> None:
            if "certfile" not in options:  # Python 3.14 tests its HTTPSServer with files
                options["ssl_context"] = ssl_context
            try:
                super().__init__(server_address, handler, **options)
            except ConfigurationError as error:
                # What cannot be used is refused, too, but by an error that lists all that is wrong.
                raise ssl.SSLError(str(error)) from error

        def server_close(self) -> None:
            global _handshakes  # noqa: PLW0603
            super().server_close()
            _handshakes += self.stats().handshakes

    return Server


def http_module(certificate: certs.Certificate) -> types.ModuleType:
    """Return a copy of `http` whose plain connections are TLS connections."""
    client_context = ssl.create_default_context(cadata=certificate.to_pem().decode())

    class Connection(http.client.HTTPSConnection):
        def __init__(self, host: str, port: int) -> None:
            super().__init__(host, port, context=client_context, timeout=20)

    def copy(module: types.ModuleType, **names: Any) -> types.ModuleType:
        double = types.ModuleType(module.__name__)
        vars(double).update(vars(module), **names)
        return double

    return copy(http, client=copy(http.client, HTTPConnection=Connection))


def say_the_version(tests: Any) -> None:
    """Have handlers that set no version say the one the tests expect of them.

    The standard library answers with HTTP/1.0 unless told otherwise, and some tests look at that.
    Ours answers with HTTP/1.1, and obeys a class that says what it wants.
    """
    for case in vars(tests).values():
        if isinstance(case, type) and issubclass(case, tests.BaseTestCase):
            handler = getattr(case, "request_handler", None)
            if handler is not None and "protocol_version" not in vars(handler):
                handler.protocol_version = "HTTP/1.0"


def discover(tests: Any) -> Iterator[unittest.TestCase]:
    """Yield every test that talks to a server over a socket."""
    waiting: list[Any] = [unittest.defaultTestLoader.loadTestsFromModule(tests)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, tests.BaseTestCase):
            if ".".join(item.id().split(".")[-2:]) not in DIFFERENT:
                yield item
        elif isinstance(item, unittest.TestSuite):
            waiting.extend(item)


class Result(unittest.TextTestResult):
    """A result that also remembers which tests were begun."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.begun: list[str] = []

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().startTest(test)
        self.begun.append(test.id())


def main(name: str, report: str) -> None:
    """Run the tests and write down what happened."""
    tests = import_tests()
    certificate = certs.self_signed("localhost", "127.0.0.1")
    tests.HTTPServer = server_class(name, certificate)
    if hasattr(tests, "HTTPSServer"):
        tests.HTTPSServer = tests.HTTPServer
    tests.http = http_module(certificate)
    say_the_version(tests)
    discovered = list(discover(tests))
    file = Path(report).absolute()
    ids = [test.id() for test in discovered]
    suite = unittest.TestSuite(discovered)
    result = unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=Result).run(suite)
    assert isinstance(result, Result)
    file.write_text(
        json.dumps(
            {
                "discovered": sorted(ids),
                "begun": sorted(result.begun),
                "failed": sorted(str(test) for test, _ in result.failures + result.errors),
                "skipped": {str(test): reason for test, reason in result.skipped},
                "handshakes": _handshakes,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
