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
from tests.support import NoOwner
from tlshttp import Limits, certs, context
from tlshttp._interfaces import READY
from tlshttp._machinery.stream import Stream
from tlshttp.handler._compose import compose
from tlshttp.handler._exchange import HTTPExchange
from tlshttp.handler._head import parse_head
from tlshttp.profiles import INTERMEDIATE

pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")

Benchmark = Callable[..., Any]

_COMPOSITION = compose(Handler)
_LIMITS = Limits()
_SERVER = types.SimpleNamespace(limits=_LIMITS)

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
    """A channel without TLS: the same request again and again, and nobody who reads answers."""

    # What a stream asks of a channel while nothing goes wrong.
    unsent = b""
    by_record = False
    at_once = 65_536
    has_input = False
    tls = types.SimpleNamespace()

    def __init__(self, request: bytes) -> None:
        self.request = request

    def recv(self, _size: int) -> bytes:
        """Give the request once more."""
        return self.request

    def send(self, data: Any, *, hold: bool = False) -> int:
        """Take everything."""
        return len(data)

    def fileno(self) -> int:
        """Have no descriptor."""
        return -1

    def sendall(self, data: bytes) -> None:
        """Take everything from a handler of the standard library."""

    def makefile(self, *_: object) -> io.BytesIO:
        """Give the request to a handler of the standard library."""
        return io.BytesIO(self.request)


class Driven:
    """A connection in memory with a handler on it, as the server drives it."""

    def __init__(self) -> None:
        channel: Any = Tape(KEEP)
        stream: Any = Stream(channel, _LIMITS, NoOwner())
        self.stream = stream
        self.exchange = HTTPExchange(self.stream, _LIMITS, _COMPOSITION, collects_all=False)
        self.stream.exchange = self.exchange
        self.receive()
        self.exchange.begin_handler()
        self.stream.driven, self.exchange.blocking = True, False
        _COMPOSITION.factory(self.stream, ("127.0.0.1", 50000), _SERVER)

    def receive(self) -> None:
        """Receive a request."""
        self.stream.fill()
        assert self.exchange.receive() == READY

    def serve(self) -> bool:
        """Have the handler serve it; tell whether the connection is kept."""
        return bool(self.exchange.run(self.stream.handler))

    def serve_next(self) -> bool:
        """Do both."""
        self.receive()
        return self.serve()


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
    driven = Driven()
    assert driven.serve()
    driven.receive()
    handler = driven.exchange.handler = driven.stream.handler
    assert driven.exchange.begin()

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
    driven = Driven()
    assert driven.serve()
    assert benchmark(driven.serve_next)


@pytest.mark.benchmark(group="request and response, without a network")
def test_connection(benchmark: Benchmark) -> None:
    """Serve the only request of a connection, the handler being made for it."""

    def serve() -> bool:
        driven = Driven()
        kept = driven.serve()
        driven.stream.handler.finish()
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


def _standard_handler() -> BaseHTTPRequestHandler:
    """Return a handler of the standard library that has served one request from memory."""
    tape: Any = Tape(KEEP)
    server: Any = types.SimpleNamespace()
    return Handler(tape, ("127.0.0.1", 50000), server)
