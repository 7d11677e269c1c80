"""The handler that every other is composed with."""

from __future__ import annotations

import contextlib
import math
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from tlshttp._seam import Transport
from tlshttp.errors import PeerDisconnected
from tlshttp.handler._files import RequestReader, ResponseWriter
from tlshttp.handler._ready import head_end
from tlshttp.limits import Limits

if TYPE_CHECKING:
    from tlshttp._tls import TLSInfo

__all__ = ["TLSRequestHandler"]


class TLSRequestHandler(BaseHTTPRequestHandler):
    """`~http.server.BaseHTTPRequestHandler` as this package's servers run it.

    A handler class that knows nothing of this package is composed with it: for
    ``class Mine(BaseHTTPRequestHandler)`` the server makes
    ``type("Mine", (Mine, TLSRequestHandler), {})``, so that what ``Mine`` overrides wins and its
    ``super()`` lands here. Derive from this class directly to have `tls` known to editors and type
    checkers.

    Making a handler sets it up and no more; the server then calls it for each request that is ready
    and finishes it when the connection ends. Only where the class overrides ``handle()``, or the
    server's ``process_request()`` or ``finish_request()`` is replaced, it runs as in the standard
    library: everything within the constructor, blocking, under the same limits.
    """

    connection: Any  # a Transport
    command = ""
    request_version = ""
    requestline = ""

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        self._expected_body: float = 0
        self._body_start = 0
        if not getattr(request, "driven", False):
            super().__init__(request, client_address, server)
            return
        self.request = request
        self.client_address = client_address
        self.server = server
        self.setup()
        request.handler = self

    @property
    def tls(self) -> TLSInfo:
        """What the TLS handshake of this connection agreed on."""
        return self._transport.tls

    @property
    def _transport(self) -> Transport:
        transport: Transport = self.connection
        return transport

    @property
    def _limits(self) -> Limits:
        return getattr(self.server, "limits", None) or Limits()

    def setup(self) -> None:
        """Make ``rfile`` and ``wfile`` for the connection."""
        self.connection = self.request
        if self.timeout is not None:
            self.connection.settimeout(self.timeout)
        self.rfile = RequestReader(self._transport)
        if self.wbufsize == 0:
            self.wfile = ResponseWriter(self._transport)
        else:
            self.wfile = self.connection.makefile("wb", self.wbufsize)

    def handle(self) -> None:
        """Serve one request after the other until the connection ends."""
        while self.serve_ready_request():
            pass

    def serve_ready_request(self) -> bool:
        """Serve one request; tell whether the connection may be kept for another.

        The server calls it. An exception passes through, after the client has been told with a
        500 if nothing had been sent.
        """
        transport = self._transport
        transport.silent = True
        transport.input_complete = False
        self.close_connection = True
        self._expected_body = math.inf
        try:
            self.handle_one_request()
        except Exception:
            self._apologise()
            raise
        transport.input_complete = self._has_read_body()
        return transport.input_complete and not self.close_connection

    def handle_one_request(self) -> None:
        """Read a request, refuse it if its head is over the limits, else call its ``do_*``."""
        status = self._transport.examine(self._over_limit)
        if status is not None:
            self._refuse(status)
            return
        before = self._taken()
        try:
            super().handle_one_request()
        except PeerDisconnected:
            if not self._nothing_came(before):
                raise
        if self._nothing_came(before):
            # In blocking mode the handler itself waits for the next request. That a client leaves,
            # or is left, instead of beginning one is no event.
            self._transport.failure = None
            self.close_connection = True

    def _nothing_came(self, before: int) -> bool:
        reader = self.rfile
        return (
            isinstance(reader, RequestReader)
            and reader.taken == before
            and not self._transport.buffered
        )

    def parse_request(self) -> bool:
        """Parse the head; see `~http.server.BaseHTTPRequestHandler.parse_request`."""
        if not super().parse_request():
            return False
        self._body_start = self._taken()
        self._expected_body = _announced_body(self.headers)
        limit = self._limits.max_body_bytes
        if limit is not None and limit < self._expected_body < math.inf:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return False
        return True

    def address_string(self) -> str:
        """Return the client's address; ``"unix:"`` on an ``AF_UNIX`` socket, where it has none."""
        return str(self.client_address[0])

    def _over_limit(self, buffer: bytes, start: int) -> HTTPStatus | None:
        """Return the status to refuse a head with, or `None` if it is within the limits."""
        limits = self._limits
        end = head_end(buffer, start)
        if end < 0 or end - start > limits.max_header_bytes:
            if len(buffer) - start <= limits.max_header_bytes:
                return None  # not there yet: this handler reads it by itself
            if buffer.find(b"\n", start, start + limits.max_header_bytes) < 0:
                return HTTPStatus.REQUEST_URI_TOO_LONG
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if buffer.count(b"\n", start, end) - 2 > limits.max_header_count:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return None

    def _refuse(self, status: HTTPStatus) -> None:
        self.requestline = self.request_version = self.command = ""
        self.send_error(status)

    def _taken(self) -> int:
        return self.rfile.taken if isinstance(self.rfile, RequestReader) else 0

    def _has_read_body(self) -> bool:
        """Return whether the request has been read to its end; take what is left if it is here.

        Whatever is left of a body would be taken for the next request.
        """
        left = self._expected_body - (self._taken() - self._body_start)
        if 0 < left <= self._transport.buffered:
            self.rfile.read(int(left))
            left = 0
        return left <= 0

    def _apologise(self) -> None:
        """Tell the client of a handler's failure, if it has been told nothing else."""
        with contextlib.suppress(Exception):
            self.wfile.flush()  # what waits in a buffer of the handler's own cannot be taken back
        if not self._transport.silent or self._transport.failure is not None:
            return
        self._headers_buffer: list[bytes] = []
        self.close_connection = True
        # The handler is broken already; whatever it does about send_error() must not hide that.
        with contextlib.suppress(Exception):
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
        self.close_connection = True


def _announced_body(headers: Any) -> float:
    """Return how many bytes of body a request announces; infinity where that is not known."""
    if headers.get("Transfer-Encoding") is not None:
        return math.inf
    length = headers.get("Content-Length")
    if length is None:
        return 0
    return int(length) if length.isascii() and length.isdigit() else math.inf
