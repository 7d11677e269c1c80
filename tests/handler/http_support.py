"""What the tests of the HTTP layer share: a recording handler, two transports, and servers."""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from typing import Any

import pytest

from tests import support
from tests.support import UNIT, NoOwner
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, context
from tlshttp._interfaces import BODY_MISSING, HEAD_MISSING, OTHERS_FIRST, READY
from tlshttp._machinery.stream import Stream
from tlshttp.handler._compose import Composition, Mode, compose
from tlshttp.handler._exchange import HTTPExchange
from tlshttp.limits import Limits

# Servers -----------------------------------------------------------------------------------------


@functools.cache
def certificate() -> certs.Certificate:
    """Return the certificate that all servers of these tests show."""
    return certs.self_signed("localhost", "127.0.0.1")


def server_context() -> ssl.SSLContext:
    """Return the context of all servers of these tests, of the engine that they run for."""
    return _server_context(context.create_server_context)


@functools.cache
def _server_context(create: Callable[[certs.Certificate], ssl.SSLContext]) -> ssl.SSLContext:
    return create(certificate())


@functools.cache
def client_context() -> ssl.SSLContext:
    """Return a context that trusts that certificate and nothing else."""
    return ssl.create_default_context(cadata=certificate().to_pem().decode())


@contextlib.contextmanager
def serving(
    handler: Callable[..., Any],
    *,
    server_class: type[TLSHTTPServer] = ThreadingTLSHTTPServer,
    **options: Any,
) -> Iterator[Any]:
    """Serve with a handler on a free port of the loopback interface, in another thread."""
    options.setdefault("ssl_context", server_context())
    server: Any = server_class(("127.0.0.1", 0), handler, **options)
    server.handled = []
    with support.serving(server, 0.05):
        yield server


def connect(server: Any) -> ssl.SSLSocket:
    """Connect to a server of these tests; its certificate is verified."""
    raw = socket.create_connection(server.server_address, timeout=30 * UNIT)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client_context().wrap_socket(raw, server_hostname="localhost")


def read_to_end(client: ssl.SSLSocket) -> bytes:
    """Read until the server ends, in whatever way."""
    pieces = []
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := client.recv(65_536):
            pieces.append(data)
    return b"".join(pieces)


# The same without a network ----------------------------------------------------------------------


class MemoryEngine:
    """A channel without TLS: a peer that sends segments, and what it was sent.

    Between two segments a read has to wait once. After the last one a read that does not wait
    has to wait, and one that does sees the peer's end.
    """

    def __init__(self, segments: Sequence[bytes], fd: int) -> None:
        self._segments = [segment for segment in segments if segment]
        self._next = 1
        self._now = self._segments[0] if self._segments else b""
        self._fd = fd
        self.exhausted = False
        self.sent = bytearray()
        self.sends: list[bytes] = []
        self.unsent = b""
        self.by_record = False
        self.at_once = 65_536
        self.tls: Any = self
        self.socket: Any = self

    def recv(self, size: int, /) -> bytes:
        """Return a piece of the segment that has arrived."""
        if not self._now:
            if self.exhausted:
                return b""
            if self._next < len(self._segments):
                self._now = self._segments[self._next]
                self._next += 1
            else:
                self.exhausted = True
            raise ssl.SSLWantReadError
        data, self._now = self._now[:size], self._now[size:]
        return data

    def recv_more(self, pieces: list[bytes], size: int) -> None:
        """Append all of the segment that has arrived, or what is wanted of it."""
        pieces.append(self.recv(size))

    def send(self, data: Any, /, *, hold: bool = False) -> int:
        """Keep what is sent."""
        self.sends.append(bytes(data))
        self.sent += data
        return len(data)

    def fileno(self) -> int:
        """Return a descriptor that is always ready."""
        return self._fd

    @property
    def has_input(self) -> bool:
        """Whether something of the segment is left."""
        return bool(self._now)

    def flush(self) -> None:
        """Do nothing: all is sent at once."""

    def say_goodbye(self) -> None:
        """Do nothing."""

    session_reused = False

    def do_handshake(self) -> None:
        """Agree."""

    def version(self) -> str:
        """Return a version."""
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        """Return a cipher."""
        return "TLS_AES_128_GCM_SHA256", "TLSv1.3", 128

    def selected_alpn_protocol(self) -> str | None:
        """Return none."""
        return None

    def getpeercert(self, binary_form: bool) -> bytes | None:
        """Return none."""
        return None

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture(scope="session")
def ready_fd() -> Iterator[int]:
    """Return a descriptor that is always ready to be read."""
    near, far = socket.socketpair()
    with near, far:
        far.send(b"x")
        yield near.fileno()


@dataclass
class Outcome:
    """What came of a conversation."""

    sent: bytes
    """All that the peer was sent."""
    handled: list[Any]
    """What the handler took note of: mostly the requests that reached it."""
    kept: bool
    """Whether the server waits for more."""
    fault: Exception | None = None
    """What was wrong with the last request."""
    sends: list[bytes] = field(default_factory=list)
    """What was sent, call by call."""


def converse(
    handler: type[BaseHTTPRequestHandler],
    segments: Sequence[bytes],
    fd: int,
    *,
    limits: Limits = Limits(),
    server_name: str | None = None,
    threaded: bool = False,
    errors: list[Exception] | None = None,
) -> Outcome:
    """Have a handler converse with a peer in memory.

    All of the HTTP layer and the connection's `Stream` are the real ones, and requests are called
    as `ServingConnection` and the server do it; only the TLS engine is not.

    Args:
        handler: Who answers.
        segments: What the peer sends.
        fd: A descriptor that is always ready.
        limits: Of the server.
        server_name: What the client asks for in its handshake.
        threaded: Whether it is `ThreadingTLSHTTPServer` that serves.
        errors: Where goes what the handler raises; `None`: it passes through.
    """
    engine = MemoryEngine(segments, fd)
    kind: Any = handler  # a class is hashable, whatever mypy makes of it
    composition = _composed(kind)
    stream = Stream(engine, limits, NoOwner(), server_name)
    exchange = HTTPExchange(stream, limits, composition, collects_all=not threaded)
    stream.exchange = exchange
    server = SimpleNamespace(limits=limits, handled=[])
    mode = composition.threaded_mode if threaded else composition.mode
    make = functools.partial(composition.factory, stream, ("127.0.0.1", 4711), server)
    keep = True
    while keep and receive(exchange, stream, engine):
        try:
            keep = _serve(mode, make, stream, exchange)
        except Exception as error:
            if errors is None:
                raise
            errors.append(error)
            keep = False
    if stream.handler is not None and not keep:
        stream.handler.finish()
    return Outcome(bytes(engine.sent), server.handled, keep, stream.cut, engine.sends)


@functools.lru_cache(maxsize=32)
def _composed(handler: type[BaseHTTPRequestHandler]) -> Composition:
    return compose(handler)


def receive(exchange: HTTPExchange, stream: Stream, engine: MemoryEngine) -> bool:
    """Receive until a request is ready; false where the peer has no more to say."""
    while (missing := exchange.receive()) != READY:
        assert missing in (HEAD_MISSING, BODY_MISSING, OTHERS_FIRST)
        if missing == OTHERS_FIRST:
            continue
        try:
            if not stream.fill():
                return False
        except ssl.SSLWantReadError:
            if engine.exhausted:
                return False
    return True


def _serve(mode: Mode, make: Callable[[], Any], stream: Stream, exchange: HTTPExchange) -> bool:
    """Serve the request that is ready; tell whether the connection is kept.

    Whatever a handler raises passes through, unless it is the peer's fault.
    """
    keep: bool | None = False
    try:
        if stream.handler is None:
            keep = _begin(mode, make, stream, exchange)
        if stream.handler is not None:
            keep = exchange.run(stream.handler) is True
    except Exception as error:
        exchange.end()
        if error is not stream.failure:
            raise
    return bool(keep) and stream.cut is None


def _begin(mode: Mode, make: Callable[[], Any], stream: Any, exchange: HTTPExchange) -> bool:
    """Make a handler, which may have served its request then, or all of them."""
    exchange.begin_handler()
    stream.driven = mode is Mode.DRIVEN
    exchange.one_shot = mode is Mode.ONE_SHOT
    exchange.blocking = mode is Mode.CLASSIC
    try:
        make()
    except Exception as error:
        if not exchange.bear(error):
            raise
    finally:
        stream.driven = False
    if stream.handler is not None:
        return True
    keep = exchange.end()
    return keep and mode is Mode.ONE_SHOT


class _AsItComes(BaseHTTPRequestHandler):
    """Wants its bodies as they come."""

    stream_request = True

    def do_POST(self) -> None:
        """Never called."""


def streamed(stream: Stream, head: bytes, *, limits: Limits = Limits()) -> HTTPExchange:
    """Return an exchange that has begun with a request whose body its handler reads as it comes.

    Args:
        stream: Where the body comes from.
        head: Header lines, which say how long that is.
        limits: Of the server.
    """
    exchange = HTTPExchange(stream, limits, _composed(_AsItComes), collects_all=False)
    stream.exchange = exchange
    stream.give_back(b"POST / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n")
    assert exchange.receive() == READY
    exchange.begin_handler()
    exchange.rfile.skip_head()
    return exchange


# What is sent and what comes back ----------------------------------------------------------------

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) [^\r\n]*")


def statuses(data: bytes, methods: Sequence[str] = ()) -> tuple[int, ...]:
    """Return the status of each response in `data`, split as strictly as RFC 9112 has it.

    Args:
        data: All that a server has sent on a connection.
        methods: Of the requests; where there are fewer, GET.

    Returns:
        The codes in order; 0 stands for bytes without a head (HTTP/0.9).
    """
    found: list[int] = []
    final = 0
    while data:
        if not data.startswith(b"HTTP/"):
            return (*found, 0)
        head, separator, data = data.partition(b"\r\n\r\n")
        assert separator, f"half a head: {head!r}"
        first, *lines = head.split(b"\r\n")
        match = _STATUS_LINE.fullmatch(first)
        assert match, first
        status = int(match[1])
        found.append(status)
        if status < 200:
            continue
        method = methods[final] if final < len(methods) else "GET"
        final += 1
        if method != "HEAD" and status not in (204, 304):
            data = _without_body(data, [line.lower() for line in lines])
    return tuple(found)


def _without_body(data: bytes, lines: list[bytes]) -> bytes:
    lengths = [line for line in lines if line.startswith(b"content-length:")]
    if b"transfer-encoding: chunked" in lines:
        assert not lengths, "Content-Length with Transfer-Encoding"
        while True:
            line, _, data = data.partition(b"\r\n")
            assert re.fullmatch(rb"[0-9a-f]+", line), f"not a chunk: {line!r}"
            size = int(line, 16)
            assert data[size:].startswith(b"\r\n"), "chunk without end"
            data = data[size + 2 :]
            if not size:
                return data
    if lengths:
        (length,) = lengths
        size = int(length.partition(b":")[2])
        assert len(data) >= size, "less than its Content-Length"
        return data[size:]
    assert b"connection: close" in lines, "no end to this body"
    return b""


class Quiet(BaseHTTPRequestHandler):
    """A handler that says nothing on standard error."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Recorder(Quiet):
    """Takes note of each request and its body, and answers 200.

    It does not read the body of what is sent to a path beginning with ``/unread``, answers 404 to
    what is sent to ``/missing``, and leaves no body unread where reading fails.
    """

    server: Any
    methods = ("GET", "HEAD", "POST", "PUT", "OPTIONS")

    def answer(self) -> None:
        """Record the request, then the body, then answer."""
        handled = self.server.handled
        handled.append(f"{self.command} {self.path}")
        if not self.path.startswith("/unread"):
            body = self.rfile.read()
            if body:
                text = body.decode("latin-1")
                handled[-1] += f" {text if len(text) < 100 else len(text)}"
            handled[-1] += "."
        if self.path == "/missing":
            self.send_error(404)
            return
        body = b"seen\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = answer
