"""The mix-in for `unittest`, run by `unittest`."""

from __future__ import annotations

import asyncio
import ssl
import unittest
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tlshttp import testing


class Boom(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        raise ValueError("boom in a handler")


def run(case: type[unittest.TestCase]) -> unittest.TestResult:
    """Run all tests of a class."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


def test_each_test_has_a_server() -> None:
    """It serves what the class says, is trusted, and is closed after the test."""
    servers = []

    class Case(testing.TLSServerMixIn, unittest.TestCase):
        tls_served = {"/": "hello"}  # noqa: RUF012 (as users write it)
        tls_options = {"names": ["api.example.test"]}  # noqa: RUF012

        def test_first(self) -> None:
            servers.append(self.tls_server)
            self.assertEqual(self.tls_server.get("/").text, "hello")  # noqa: PT009
            assert self.tls_ca.ca_pem == self.tls_server.ca_pem

        def test_second(self) -> None:
            servers.append(self.tls_server)
            other = self.serve_tls({"/": "other"})
            servers.append(other)
            assert other.get("/").text == "other"

    result = run(Case)
    assert (result.testsRun, result.errors, result.failures) == (2, [], [])
    assert len(servers) == 3
    assert all(repr(server).endswith("closed>") for server in servers)


def test_a_handler_s_exception_is_an_error_of_the_test() -> None:
    """With the traceback of the handler, beside the test's own failure."""

    class Case(testing.TLSServerMixIn, unittest.TestCase):
        tls_served = Boom

        def test_passes(self) -> None:
            self.tls_server.get("/")

        def test_fails(self) -> None:
            assert self.tls_server.get("/").status == 200

        def test_forgives(self) -> None:
            self.tls_server.get("/")
            self.tls_server.handler_errors.clear()

    result = run(Case)
    assert sorted(test.id().rpartition(".")[2] for test, _ in result.errors) == [
        "test_fails",
        "test_passes",
    ]
    assert all("boom in a handler" in text and "in do_GET" in text for _, text in result.errors)
    assert len(result.failures) == 1


def test_asynchronous_tests_have_one_too() -> None:
    """`unittest.IsolatedAsyncioTestCase` is served beside its event loop."""

    async def fetch(server: testing.RunningServer, context: ssl.SSLContext) -> bytes:
        reader, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    class Case(testing.TLSServerMixIn, unittest.IsolatedAsyncioTestCase):
        tls_served = {"/": "hello"}  # noqa: RUF012 (as users write it)

        async def test_it(self) -> None:
            answer = await fetch(self.tls_server, self.tls_server.client_context())
            assert answer.endswith(b"hello")

    result = run(Case)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_a_function_is_served_as_it_is() -> None:
    """A WSGI application that is an attribute of the class is no method of the test."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [b"hello"]

    class Case(testing.TLSServerMixIn, unittest.TestCase):
        tls_served = application

        def test_it(self) -> None:
            assert self.tls_server.get("/").text == "hello"

    result = run(Case)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_answers_of_the_class_are_each_test_s_own() -> None:
    """What one test adds is gone for the next; a server beside it serves the very dictionary."""
    answers = {"/": "hello"}

    class Case(testing.TLSServerMixIn, unittest.TestCase):
        tls_served = answers

        def test_first(self) -> None:
            self.add()

        def test_second(self) -> None:
            self.add()

        def add(self) -> None:
            assert list(self.tls_server.responses) == ["/"]
            self.tls_server.responses["/mine"] = ""
            assert self.serve_tls(answers).responses is answers

    result = run(Case)
    assert (result.testsRun, result.errors, result.failures) == (2, [], [])
    assert answers == {"/": "hello"}


def test_who_has_no_server_is_told_why() -> None:
    """A ``setUp()`` without ``super()``, and bases in the wrong order, are named."""

    class Forgetful(testing.TLSServerMixIn, unittest.TestCase):
        def setUp(self) -> None:
            self.mine = 1

        def test_it(self) -> None:
            self.tls_server.get("/")

    class Last(unittest.TestCase, testing.TLSServerMixIn):  # type: ignore[misc]
        def test_it(self) -> None:
            self.tls_server.get("/")  # type: ignore[attr-defined]

    cases: tuple[Any, ...] = (Forgetful, Last)
    for case in cases:
        ((_, text),) = run(case).errors
        assert f"{case.__name__} has no tls_server: setUp() of TLSServerMixIn has not" in text
        assert "super().setUp()" in text
        assert "TLSServerMixIn before TestCase" in text


def test_other_attributes_are_missing_as_ever() -> None:
    """Neither names nor a ``__getattr__()`` of another base are in the way."""

    class Invents:
        def __getattr__(self, name: str) -> str:
            return f"invented {name}"

    class Case(testing.TLSServerMixIn, Invents, unittest.TestCase):
        def test_it(self) -> None:
            """Do nothing."""

    class Plain(testing.TLSServerMixIn, unittest.TestCase):
        test_it = Case.test_it

    assert Case("test_it").anything == "invented anything"
    with pytest.raises(AttributeError, match="'Plain' object has no attribute 'anything'"):
        Plain("test_it").anything  # type: ignore[attr-defined]  # noqa: B018
