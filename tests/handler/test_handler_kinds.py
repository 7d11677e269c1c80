"""peers 16, certificates F9: everything http.server accepts as a handler class."""

from __future__ import annotations

import abc
import functools
import socketserver
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from typing import Any, Generic, TypeVar

import pytest

from tests.handler.http_support import Quiet, connect, read_to_end, serving
from tlshttp import (
    AccessLogMixIn,
    StrictTransportSecurityMixIn,
    ThreadingTLSHTTPServer,
    TLSHTTPServer,
    TLSRequestHandler,
)

T = TypeVar("T")


class Answer(Quiet):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()


class Mark:
    """A mix-in that knows no handlers."""


class Behind(Answer, Mark):
    pass


class Before(Mark, Answer):
    pass


class Direct(BaseHTTPRequestHandler, Mark):
    do_GET = Answer.do_GET
    log_message: Any = Answer.log_message


class OursFirst(TLSRequestHandler, SimpleHTTPRequestHandler):
    do_GET = Answer.do_GET
    log_message: Any = Answer.log_message


class OursLast(SimpleHTTPRequestHandler, TLSRequestHandler):
    do_GET = Answer.do_GET
    log_message: Any = Answer.log_message


class Stream(socketserver.StreamRequestHandler):
    pass


class WithStream(Answer, Stream):
    pass


class Of(Answer, Generic[T]):
    pass


class OfFirst(Generic[T], Answer):  # noqa: PYI059 (that is what it is about)
    pass


class Abstract(Answer, abc.ABC):
    pass


class Wilful(Answer):
    def __init_subclass__(cls, *, needed: str) -> None:
        """Refuse to be composed without an argument."""
        super().__init_subclass__()


class Slots(Answer):
    __slots__ = ("own",)


class Logged(AccessLogMixIn, StrictTransportSecurityMixIn, Answer):
    pass


def function(*arguments: Any) -> Answer:
    """Return a handler."""
    return Answer(*arguments)


class Raw(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")


class RawStream(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.0 204 No Content\r\n\r\n")


HANDLERS = [
    (BaseHTTPRequestHandler, 501),
    (functools.partial(BaseHTTPRequestHandler), 501),
    (TLSRequestHandler, 501),
    (functools.partial(functools.partial(Answer)), 204),
    (AccessLogMixIn, 501),
    (SimpleHTTPRequestHandler, 404),
    *((kind, 204) for kind in (
        Answer, Behind, Before, Direct, OursFirst, OursLast, WithStream, Of, OfFirst, Of[int],
        Abstract, Wilful, Slots, Logged, function, Raw, RawStream,
    )),
]  # fmt: skip


@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
@pytest.mark.parametrize(("handler", "status"), HANDLERS, ids=lambda it: str(it).split(" at ")[0])
def test_peers_16_certificates_f09_whatever_http_server_accepts(
    handler: Any, status: int, server_class: Any
) -> None:
    """Peers 16: it is composed whatever it is made of, and answers as on `http.server`."""
    with serving(handler, server_class=server_class) as server, connect(server) as client:
        client.sendall(b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert int(read_to_end(client)[9:12]) == status


@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
@pytest.mark.parametrize(
    "kind", [socketserver.BaseRequestHandler, socketserver.StreamRequestHandler]
)
def test_peers_16_what_does_nothing_ends_the_connection(kind: Any, server_class: Any) -> None:
    """Peers 16: the bases of `socketserver` are accepted as well, and answer nothing."""
    with serving(kind, server_class=server_class) as server, connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_to_end(client) == b""
