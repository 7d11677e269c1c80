"""The same handler on `http.server` over `ssl.SSLSocket`, and on ours, asked by a strict client.

Nothing here imports a private module: what is compared is what a handler and its client see.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Self

import h11

from tests.engines import create_with_ssl
from tests.support import UNIT
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, certs, context

PATIENCE: Final = 30 * UNIT
"""Seconds a client waits for anything."""

OURS: Final = (TLSHTTPServer, ThreadingTLSHTTPServer)

FRAMING: Final = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})
"""Fields that are compared by what they mean: where the body ends, and whether more may follow."""

TRACEBACK: Final = "Traceback (most recent call last)"


class Quiet(BaseHTTPRequestHandler):
    """A handler that says nothing on standard error."""

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


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
def client_context(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return a context that trusts that certificate, for one version of TLS or for all."""
    trusting = ssl.create_default_context(cadata=certificate().to_pem().decode())
    if version is not None:
        trusting.minimum_version = trusting.maximum_version = version
    return trusting


class Reference(http.server.ThreadingHTTPServer):
    """`http.server`, each accepted connection wrapped; the handshake is in the handler's thread."""

    daemon_threads = False

    def __init__(self, address: Any, handler: Any, *, ssl_context: ssl.SSLContext) -> None:
        self.ssl_context = ssl_context
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind, and ask no DNS server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def get_request(self) -> tuple[Any, Any]:
        """Accept, and wrap."""
        accepted, address = super().get_request()
        accepted.settimeout(PATIENCE)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped = _server_context(create_with_ssl).wrap_socket(
            accepted, server_side=True, do_handshake_on_connect=False
        )
        return wrapped, address


@dataclass
class Served:
    """A server that runs, and what it has said."""

    server: Any
    stderr: io.StringIO

    @property
    def tracebacks(self) -> int:
        """How many tracebacks stand on standard error."""
        return self.stderr.getvalue().count(TRACEBACK)


@contextlib.contextmanager
def serving(
    server_class: type, handler: Any, *, attributes: dict[str, Any] | None = None, **options: Any
) -> Iterator[Served]:
    """Serve on a free port of the loopback interface, in another thread.

    Args:
        server_class: `Reference` or one of `OURS`.
        handler: What makes the handlers.
        attributes: What the handler expects of its server's class.
        options: For the server's constructor; a reference has none.
    """
    kind: Any = type("Serving", (server_class,), dict(attributes or {}))
    if server_class is Reference:
        options = {}
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        server = kind(("127.0.0.1", 0), handler, **{"ssl_context": server_context(), **options})
        thread = threading.Thread(target=server.serve_forever, args=(0.002,), name="server")
        thread.start()
        try:
            yield Served(server, said)
        finally:
            server.shutdown()
            thread.join(PATIENCE)
            server.server_close()


# Clients -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Response:
    """A response whose framing was right, and whether another request may follow."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    kept: bool
    interim: tuple[int, ...] = ()
    """The statuses 1xx before it."""

    def values(self, name: str) -> list[str]:
        """Return the values of a field, by its name in any case."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    @property
    def meaning(self) -> tuple[int, str, tuple[tuple[str, str], ...], bytes]:
        """All that has to be the same on both servers."""
        ignored = FRAMING | {"date"}
        fields = tuple(each for each in self.fields if each[0].lower() not in ignored)
        return self.status, self.reason, fields, self.body


@dataclass(frozen=True)
class Ask:
    """A request; a `body` that is a tuple is sent in so many chunks."""

    method: str = "GET"
    target: str = "/"
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes | tuple[bytes, ...] | None = None

    def all_fields(self) -> list[tuple[str, str]]:
        """Return the fields, those for host and framing included."""
        fields = [("Host", "localhost"), *self.fields]
        if isinstance(self.body, tuple):
            return [*fields, ("Transfer-Encoding", "chunked")]
        return fields if self.body is None else [*fields, ("Content-Length", str(len(self.body)))]


class Lost(AssertionError):
    """A request was not answered although nothing had announced the connection's end."""


@dataclass
class Peer:
    """A strict HTTP/1.1 client on one TLS connection; what breaks the framing raises."""

    sock: ssl.SSLSocket
    _http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))
    _ended: bool = False

    @classmethod
    def of(cls, served: Served, version: ssl.TLSVersion | None = None) -> Self:
        """Connect."""
        return cls(connect(served, version))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def ask(self, ask: Ask = Ask()) -> Response:  # frozen
        """Send a request and return the response."""
        self.send(ask)
        return self.response()

    def send(self, ask: Ask) -> None:
        """Send a request, all at once."""
        http = self._http
        data = http.send(
            h11.Request(method=ask.method, target=ask.target, headers=ask.all_fields())
        )
        pieces = ask.body if isinstance(ask.body, tuple) else (ask.body or b"",)
        for piece in filter(None, pieces):
            data += http.send(h11.Data(data=piece)) or b""
        data += http.send(h11.EndOfMessage()) or b""
        with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
            self.sock.sendall(data)  # the answer may have come before all was sent

    def begin(self, ask: Ask) -> None:
        """Send a head whose body follows by `data`; its framing is among its fields."""
        head = h11.Request(method=ask.method, target=ask.target, headers=ask.all_fields())
        self.sock.sendall(self._http.send(head) or b"")

    def data(self, piece: bytes) -> None:
        """Send a piece of a body."""
        self.sock.sendall(self._http.send(h11.Data(data=piece)) or b"")

    def response(self) -> Response:
        """Receive one response.

        Raises:
            Lost: The connection ended before it began.
            h11.RemoteProtocolError: It is not framed as it says.
        """
        if self._http.our_state is h11.SEND_BODY:
            self._http.send(h11.EndOfMessage())
        interim: list[int] = []
        event = self._event(first=True)
        while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
            interim.append(event.status_code)
            event = self._event()
        if not isinstance(event, (h11.Response, h11.InformationalResponse)):
            raise Lost(f"no response: {event!r}")
        fields = [(name.decode(), value.decode("latin-1")) for name, value in _raw(event)]
        body = b""
        while isinstance(event, (h11.Response, h11.Data)):
            event = self._event()
            body += bytes(event.data) if isinstance(event, h11.Data) else b""
        states = {self._http.our_state, self._http.their_state}
        kept = states == {h11.DONE} and not self._ended
        if kept:
            self._http.start_next_cycle()
        status, reason = self._first
        return Response(status, reason, tuple(fields), body, kept, tuple(interim))

    def _event(self, *, first: bool = False) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = receive(self.sock)
            self._ended = not data
            if first and not data and not self._http.trailing_data[0]:
                raise Lost("the connection ended without an answer, and nothing had announced it")
            self._http.receive_data(data)
        if isinstance(event, (h11.Response, h11.InformationalResponse)):
            self._first = event.status_code, event.reason.decode("latin-1")
        return event


def _raw(event: Any) -> Iterable[tuple[bytes, bytes]]:
    raw: Iterable[tuple[bytes, bytes]] = event.headers.raw_items()
    return raw


def connect(served: Served, version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
    """Open a TLS connection; the certificate is verified."""
    raw = socket.create_connection(served.server.server_address[:2], timeout=PATIENCE)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return client_context(version).wrap_socket(raw, server_hostname="localhost")
    except BaseException:
        raw.close()
        raise


def receive(sock: ssl.SSLSocket) -> bytes:
    """Receive a piece; nothing stands for an end of any kind."""
    try:
        return sock.recv(65_536)
    except (ConnectionError, ssl.SSLEOFError):
        return b""


def read_to_end(sock: ssl.SSLSocket) -> bytes:
    """Receive everything up to the server's end, of whatever kind."""
    return b"".join(iter(lambda: receive(sock), b""))


def converse(served: Served, asks: Sequence[Ask], *, forgiving: bool = False) -> list[Response]:
    """Ask one after the other on a kept connection; on another where the end was announced.

    Args:
        served: Whom to ask.
        asks: What.
        forgiving: Whether to ask once more where a connection has ended that had not said so:
            `http.server` does that.

    Raises:
        Lost: A connection ended that had not said so.
    """
    responses: list[Response] = []
    with contextlib.ExitStack() as stack:
        peer: Peer | None = None
        for ask in asks:
            fresh = peer is None
            peer = peer or stack.enter_context(Peer.of(served))
            try:
                responses.append(peer.ask(ask))
            except Lost:
                if fresh or not forgiving:
                    raise
                peer = stack.enter_context(Peer.of(served))
                responses.append(peer.ask(ask))
            if not responses[-1].kept:
                peer.sock.close()
                peer = None
    return responses


@dataclass(frozen=True)
class Outcome:
    """What came of a conversation with one server."""

    responses: tuple[Response, ...]
    tracebacks: int

    @property
    def meaning(self) -> list[Any]:
        """All that has to be the same."""
        return [response.meaning for response in self.responses]


def outcome(server_class: type, handler: Any, asks: Sequence[Ask], **options: Any) -> Outcome:
    """Serve with a handler, ask, and return what came of it."""
    with serving(server_class, handler, **options) as served:
        responses = converse(served, asks, forgiving=server_class is Reference)
    return Outcome(tuple(responses), served.tracebacks)


def by_both(
    server_class: type, handler: Callable[..., Any], *asks: Ask, **options: Any
) -> tuple[Outcome, Outcome]:
    """Return what comes of a conversation with the reference, and with one of ours."""
    return (
        outcome(Reference, handler, asks, **options),
        outcome(server_class, handler, asks, **options),
    )


# Handlers --------------------------------------------------------------------------------------


def answering(do_get: Callable[[Any], None], *bases: type, **attributes: Any) -> Any:
    """Return a handler class whose GET and POST do this."""
    return type("Handler", (*bases, Quiet), {"do_GET": do_get, "do_POST": do_get, **attributes})


def page(handler: Any, body: bytes = b"page", *fields: tuple[str, str]) -> None:
    """Answer 200 with a body and its length."""
    handler.send_response(200)
    for name, value in (*fields, ("Content-Length", str(len(body)))):
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def framed_once(response: Response) -> bool:
    """Return whether a response says in one way, once, where it ends."""
    lengths, codings = response.values("Content-Length"), response.values("Transfer-Encoding")
    return len(lengths) + len(codings) <= 1 and len(response.values("Connection")) <= 1
