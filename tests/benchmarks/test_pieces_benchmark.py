"""How long the pieces take inside one process; run with ``pytest tests/benchmarks``.

Each of ours stands in a group with what the standard library does for the same.
"""

from __future__ import annotations

import http.client
import io
import ssl
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.benchmarks.apps import BODY, Handler
from tests.benchmarks.client import KEEP
from tlshttp import Limits, certs, context
from tlshttp.handler._compose import compose
from tlshttp.handler._head import parse_head
from tlshttp.profiles import INTERMEDIATE

pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")

Benchmark = Callable[..., Any]

FIELDS = (
    b"Host: localhost:8443\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Connection: keep-alive\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n"
)
"""What a browser sends."""


class Tape:
    """A connection in memory: the same request again and again, and nobody who reads answers."""

    # What a handler of ours asks of a connection while nothing goes wrong.
    restricted = False
    driven = True
    failure = fault = None

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.handler: Any = None
        self.before_send: Any = None
        self.input_complete = False

    def take_head(self) -> bytes:
        """Give the request once more."""
        return self.request

    def transmit(self, data: bytes, *, is_last: bool = False) -> None:
        """Take everything."""

    def sendall(self, data: bytes) -> None:
        """Take everything from a handler of the standard library."""

    def makefile(self, *_: object) -> io.BytesIO:
        """Give the request to a handler of the standard library."""
        return io.BytesIO(self.request)


@pytest.fixture
def _frozen() -> Iterator[None]:
    """Keep the collector from what the tests before have left."""
    import gc

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


pytestmark = pytest.mark.usefixtures("_frozen")


@pytest.mark.benchmark(group="head of a browser's request")
def test_head(benchmark: Benchmark) -> None:
    """Parse a head, and what it says about framing."""
    assert len(benchmark(parse_head, FIELDS, 1, needs_host=True).fields) == 8


@pytest.mark.benchmark(group="head of a browser's request")
def test_head_of_the_standard_library(benchmark: Benchmark) -> None:
    """Parse a head with `http.client.parse_headers`."""
    section = FIELDS + b"\r\n"
    assert len(benchmark(lambda: http.client.parse_headers(io.BytesIO(section)))) == 8


@pytest.mark.benchmark(group="head of a response")
def test_response_head(benchmark: Benchmark) -> None:
    """Put a response head together and hand it to the connection with a body."""
    handler = _driven_handler()
    assert handler.serve_ready_request()

    def respond() -> None:
        handler.wfile.begin()
        handler._begin(len(BODY))
        handler.wfile.write(BODY)

    benchmark(respond)


@pytest.mark.benchmark(group="head of a response")
def test_response_head_of_the_standard_library(benchmark: Benchmark) -> None:
    """Put a response head together as `BaseHTTPRequestHandler` does."""
    handler: Any = _standard_handler()

    def respond() -> None:
        handler._begin(len(BODY))
        handler.wfile.write(BODY)

    benchmark(respond)


@pytest.mark.benchmark(group="request and response, without a network")
def test_request(benchmark: Benchmark) -> None:
    """Serve a whole request of a kept connection."""
    assert benchmark(_driven_handler().serve_ready_request)


@pytest.mark.benchmark(group="request and response, without a network")
def test_connection(benchmark: Benchmark) -> None:
    """Serve the only request of a connection, the handler being made for it."""

    def serve() -> bool:
        handler = _driven_handler()
        kept = bool(handler.serve_ready_request())
        handler.finish()
        return kept

    assert benchmark(serve)


@pytest.mark.benchmark(group="request and response, without a network")
def test_request_of_the_standard_library(benchmark: Benchmark) -> None:
    """Serve a whole request, the handler being made for it."""
    assert benchmark(_standard_handler).command == "GET"


@pytest.mark.benchmark(group="context")
def test_context(benchmark: Benchmark) -> None:
    """Build a context from a certificate."""
    certificate = certs.self_signed("localhost")
    benchmark(context.create_server_context, certificate, profile=INTERMEDIATE)


@pytest.mark.benchmark(group="context")
def test_context_of_the_standard_library(benchmark: Benchmark, tmp_path: Any) -> None:
    """Build a context from two files."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    certs.self_signed("localhost").write(*files)
    benchmark(lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files))


def _driven_handler() -> Any:
    """Return a handler as the server drives it, on a connection in memory."""
    tape = Tape(KEEP)
    _FACTORY(tape, ("127.0.0.1", 50000), _SERVER)
    return tape.handler


_FACTORY = compose(Handler).factory
_SERVER = types.SimpleNamespace(limits=Limits())


def _standard_handler() -> BaseHTTPRequestHandler:
    """Return a handler of the standard library that has served one request from memory."""
    tape: Any = Tape(KEEP)
    server: Any = types.SimpleNamespace()
    return Handler(tape, ("127.0.0.1", 50000), server)
