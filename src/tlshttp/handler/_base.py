"""The handler that every other is composed with."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import time
from collections.abc import Callable, Collection
from email.message import Message
from http import HTTPStatus
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler
from typing import TYPE_CHECKING, Any

from tlshttp._seam import Transport
from tlshttp.errors import RequestRefused
from tlshttp.handler._head import (
    Head,
    LastRequest,
    RequestHeaders,
    asks_for_other_version,
    parse_head,
    parse_request_line,
    parse_simple_request,
)
from tlshttp.handler._hosts import agreed_host, refuse_foreign_host
from tlshttp.handler._lines import HeadLines, section_too_large
from tlshttp.handler._log_failures import bear_log_failure
from tlshttp.handler._reader import RequestReader
from tlshttp.handler._response import (
    DECISIVE,
    ResponseHead,
    format_date,
    header_fields,
    header_line,
    status_line,
    usual_lines,
)
from tlshttp.handler._writer import (
    AS_IS,
    CHUNKED,
    CHUNKED_LINE,
    CLOSE_LINE,
    LENGTH,
    Framing,
    ResponseWriter,
    buffered,
)
from tlshttp.limits import Limits

if TYPE_CHECKING:
    from tlshttp._tls import TLSInfo

__all__ = ["TLSRequestHandler", "writes_interim_response"]

_log = logging.getLogger("tlshttp.handler")

_DRAINED_BODY = 262_144
"""Bytes of an unread body that are worth reading to keep a connection."""


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

    # A user's class comes before this one in the method order. So that no name of its own can
    # stand in for one of ours, ours are mangled (two underscores).

    protocol_version = "HTTP/1.1"
    """The version of HTTP to answer with. With ``"HTTP/1.1"``, which is also what a handler that
    sets none gets, connections are kept; ``"HTTP/1.0"`` closes each after its response."""

    MessageClass: type[HTTPMessage] = RequestHeaders

    allowed_hosts: Collection[str] | None = None
    """Host names to answer for, without port; ``".example.org"`` stands for the name and all below.
    Requests for others get 421, so that no web page can reach this server under a name of its own
    (DNS rebinding). `None`: all."""

    refuse_misdirected = False
    """Whether a request whose Host is not the name the TLS handshake was for (SNI) gets 421 (RFC
    9110, section 7.4). Requests without SNI are not affected."""

    connection: Any  # a Transport
    rfile: io.BufferedIOBase
    wfile: io.BufferedIOBase
    headers: Message
    path: str
    raw_requestline: bytes
    close_connection: bool
    command: str
    request_version: str
    requestline: str
    _headers_buffer: list[bytes]

    def __init__(self, request: Any, client_address: Any, server: Any, **arguments: Any) -> None:
        if not getattr(request, "driven", False):
            super().__init__(request, client_address, server, **arguments)
            return
        # socketserver's constructor would set up, handle and finish. This instance does nothing of
        # that yet, so that all constructors have been run when it does.
        if _next_constructor(type(self)) is BaseRequestHandler.__init__ and not arguments:
            self.request = request
            self.client_address = client_address
            self.server = server
        else:  # it is somebody else's: let it call all that, to no effect
            for step in _STEPS:
                vars(self)[step] = _do_nothing
            super().__init__(request, client_address, server, **arguments)
            for step in _STEPS:
                del vars(self)[step]
        self.setup()
        request.handler = self

    @property
    def tls(self) -> TLSInfo:
        """What the TLS handshake of this connection agreed on."""
        tls: TLSInfo = self.connection.tls
        return tls

    # A connection -----------------------------------------------------------------------------

    def setup(self) -> None:
        """Make ``rfile`` and ``wfile`` for the connection."""
        self.connection = self.request
        if self.timeout is not None:
            self.connection.settimeout(self.timeout)
        self.__transport: Transport = self.request
        self.__limits: Limits = getattr(self.server, "limits", None) or Limits()
        self.__restricted = self.__transport.restricted
        own = type(self)
        self.__parses = own.parse_request is TLSRequestHandler.parse_request
        self.__sends_headers = (
            own.send_header is TLSRequestHandler.send_header
            and own.send_response_only is TLSRequestHandler.send_response_only
        )
        # No defaults of the class: what class and instance have takes longer to look up.
        self.requestline = self.request_version = self.command = ""
        self.__serving = False
        self.__response = ResponseHead()
        self.__section: bytes | None = None
        self.__last = LastRequest()
        self.__writer = writer = ResponseWriter(self.__transport)
        self.__reader = RequestReader(self.__transport, self.__limits.max_body_bytes, writer.flush)
        self.rfile = self.__reader
        self.wfile = writer if self.wbufsize == 0 else buffered(writer, self.wbufsize)

    def handle(self) -> None:
        """Serve one request after the other until the connection ends."""
        while self.serve_ready_request():
            pass

    def finish(self) -> None:
        """End the last response, if that has not been done, and let go of the files."""
        if self.__transport.failure is None:
            self.__end_response()
        super().finish()

    def serve_ready_request(self) -> bool:
        """Serve one request; tell whether the connection may be kept for another.

        The server calls it. An exception passes through, after the client has been told with a
        500 if nothing had been sent.
        """
        return self.__serve(self.handle_one_request)

    def __serve(self, handle_one_request: Callable[[], None]) -> bool:
        self.__response.begin()
        self.__section = None
        self.__transport.input_complete = False
        self.close_connection = True
        self.__reader.begin_head()
        self.__writer.begin()
        self.__serving = True
        try:
            handle_one_request()
        except RequestRefused as refused:
            self.__refuse(refused)
        except Exception:
            self.__apologise()
            raise
        finally:
            self.__serving = False
        return self.__end_request()

    def __end_request(self) -> bool:
        """End the response, then the request; tell whether the connection may be kept."""
        transport, reader, writer = self.__transport, self.__reader, self.__writer
        if transport.failure is not None:
            self.close_connection = True
            return False
        self.__end_response()
        if not writer.head_ended or not writer.is_ours:
            self.close_connection = True  # the client cannot tell where the response ends
        # Whatever is left of a body would be taken for the next request.
        transport.input_complete = complete = reader.is_done() or reader.drain(_DRAINED_BODY)
        if not complete:
            self.close_connection = True
            if transport.fault is None:
                transport.fault = reader.refused  # the handler may have borne it
        return not self.close_connection

    def __end_response(self) -> None:
        if self.wfile is not self.__writer and not self.wfile.closed:
            self.wfile.flush()
        wrong = self.__writer.end()
        if wrong is not None:
            self.close_connection = True
            try:
                _log.warning("the response to %r has %s", self.requestline, wrong)
            except Exception:  # noqa: BLE001 (whatever it is)
                bear_log_failure(self)

    # A request --------------------------------------------------------------------------------

    def handle_one_request(self) -> None:
        """Read a request and call its ``do_*`` method, or refuse it."""
        if not self.__serving:  # a handle() of the user's own calls it
            self.__serve(functools.partial(TLSRequestHandler.handle_one_request, self))
            return
        self.requestline = self.request_version = self.command = ""
        try:
            self.raw_requestline = self.__take_head() or self.__lines().request_line(self.rfile)
            if not self.raw_requestline:
                self.close_connection = True
                return
            if not self.parse_request():
                return
            method = getattr(self, "do_" + self.command, None)
            if method is None:
                message = f"Unsupported method ({self.command!r})"
                self.send_error(HTTPStatus.NOT_IMPLEMENTED, message)
                return
            method()
            if self.wfile is not self.__writer:
                self.wfile.flush()
        except TimeoutError as error:
            if not self.__transport.raised(error):
                raise
            self.log_error("Request timed out: %r", error)
            self.close_connection = True

    def __take_head(self) -> bytes:
        """Take the whole head where it is there, as it is when the server calls; return its line.

        What is odd about it, and a ``parse_request()`` of the user's own, has it read line by line.
        """
        head = self.__transport.take_head() if self.__parses else b""
        if not head:
            return b""
        end = head.index(b"\n") + 1
        self.__section = head[end:]
        return head[:end]

    def parse_request(self) -> bool:
        """Parse the head; see `~http.server.BaseHTTPRequestHandler.parse_request`.

        Returns:
            Whether the request is to be served; if not, it has been answered.
        """
        self.close_connection = True
        try:
            if self.raw_requestline == self.__last.line:
                words = self.__last.words
            else:
                words = self.__parse_request_line()
            self.requestline, self.command, self.path, self.request_version, minor_version = words
            head = self.__parse_head(minor_version)
            if self.MessageClass is RequestHeaders:
                self.headers = RequestHeaders.of(head.fields)
            else:
                self.headers = self.__own_message(head)
            keep = minor_version > 0 if head.keep_alive is None else head.keep_alive
            self.close_connection = not (keep and self.protocol_version >= "HTTP/1.1")
            host = head.host
            if not self.path.startswith("/"):
                host = self.__agree_on_host(host)
            if self.allowed_hosts is not None or self.refuse_misdirected or self.__restricted:
                self.__refuse_foreign_host(host)
            if head.body_size or head.expects_continue:
                return self.__begin_body(head)
            self.__reader.begin_body(0, None)
            return True
        except RequestRefused as refused:
            self.__refuse(refused)
            return False

    def __parse_head(self, minor_version: int) -> Head:
        """Return what the header fields say."""
        section = self.__section
        if section is None:
            section = self.__lines().section(self.rfile, len(self.raw_requestline))
        last = self.__last
        if section != last.section or minor_version != last.minor_version:
            fields = section[:-2] if section.endswith(b"\r\n") else section[:-1]
            last.head = parse_head(fields, minor_version, needs_host=False)
            last.section, last.minor_version = section, minor_version
        head = last.head
        # What will be answered with 501 may lack a Host, as in http.server.
        if head.host is None and minor_version > 0 and hasattr(self, f"do_{self.command}"):
            raise RequestRefused("Missing Host")
        if len(head.fields) > self.__limits.max_header_count:
            raise section_too_large("Too many headers")
        return head

    def __lines(self) -> HeadLines:
        """Return what reads a head line by line."""
        return HeadLines(self.__transport, self.__limits.max_header_bytes)

    def __own_message(self, head: Head) -> HTTPMessage:
        message = self.MessageClass()
        for name, value in head.fields:
            message.set_raw(name, value)
        return message

    def __parse_request_line(self) -> tuple[str, str, str, str, int]:
        """Return line, method, path, version and minor version of HTTP/1."""
        self.command = ""
        self.request_version = self.default_request_version
        raw = bytes(self.raw_requestline)
        self.requestline = line = str(raw, "iso-8859-1").removesuffix("\n").removesuffix("\r")
        parsed = parse_request_line(line)
        if parsed is None:
            target = self.__parse_unusual_request_line(line)
            return line, "GET", target, self.request_version, 0
        method, target, minor = parsed
        # A target with two slashes would be a redirect to another host where a handler makes one
        # of it (cpython #87389).
        path = "/" + target.lstrip("/") if target.startswith("//") else target
        words = line, method, path, "HTTP/1." + minor, int(minor)
        self.__last.line, self.__last.words = raw, words
        return words

    def __parse_unusual_request_line(self, line: str) -> str:
        """Return the target of an HTTP/0.9 request."""
        target = parse_simple_request(line)
        if target is not None:
            return target
        if asks_for_other_version(line):
            raise RequestRefused(
                "Invalid HTTP version", status=HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
            )
        raise RequestRefused("Malformed request line")

    def __agree_on_host(self, field: str | None) -> str | None:
        """Return the one host of target and Host field, and have the handler see it, too."""
        host = agreed_host(self.command, self.path, field)
        if field is None and host is not None:
            self.headers["Host"] = host
        return host

    def __refuse_foreign_host(self, host: str | None) -> None:
        """Refuse what is for a host this server does not answer for, where it was told of hosts."""
        tls = self.tls
        refuse_foreign_host(
            host,
            tls.server_name,
            allowed=self.allowed_hosts,
            refuse_misdirected=self.refuse_misdirected,
            may_serve=tls.may_serve if self.__restricted else None,
        )

    def __begin_body(self, head: Head) -> bool:
        """Have ``rfile`` give the body; tell whether the client may send it."""
        limit = self.__limits.max_body_bytes
        if limit is not None and head.body_size > limit:
            raise RequestRefused("Body too large", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        asked = head.expects_continue and self.protocol_version >= "HTTP/1.1"
        own = type(self).handle_expect_100 is not BaseHTTPRequestHandler.handle_expect_100
        self.__reader.begin_body(
            head.body_size, self.__send_continue if asked and not own else None
        )
        return not (asked and own) or self.handle_expect_100()

    def __send_continue(self) -> None:
        """Tell a waiting client to send its body, unless it has been answered already."""
        if not self.__writer.started:
            self.__transport.transmit(b"HTTP/1.1 100 Continue\r\n\r\n")

    # A response -------------------------------------------------------------------------------

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin a response head, with the fields Server and Date; and log the request."""
        if not self.__sends_headers or self.request_version == "HTTP/0.9":
            super().send_response(code, message)
            return
        try:
            self.log_request(code)
        except Exception:  # noqa: BLE001 (whatever it is)
            bear_log_failure(self)
        self.send_response_only(code, message)
        self._headers_buffer.append(usual_lines(self.version_string(), self.date_time_string()))

    def send_response_only(self, code: int, message: str | None = None) -> None:
        """Begin a response head with its status line; what was begun before is dropped."""
        status = int(code)
        self.__response.begin(status)
        if self.request_version == "HTTP/0.9":
            self._headers_buffer = []
            return
        if message is None:
            message, _ = self.responses.get(code) or _NO_PHRASES
        self._headers_buffer = [status_line(self.protocol_version, status, message)]

    def send_header(self, keyword: str, value: Any, *, _is_extra: bool = False) -> None:
        """Add a field to the response head.

        Raises:
            ValueError: There is a line break in it; nothing has been sent.
        """
        line = header_line(keyword, value)
        if self.request_version != "HTTP/0.9":
            try:
                self._headers_buffer.append(line)
            except AttributeError:  # there is none before the first response
                self._headers_buffer = [line]
        name = keyword.lower()
        if name in DECISIVE:
            self.__response.take_note(name, str(value))
            if name == "connection":
                self.close_connection = {"close": True, "keep-alive": False}.get(
                    str(value).lower(), self.close_connection
                )

    @property
    def _default_response_headers(self) -> list[tuple[str, str]]:
        # SimpleHTTPRequestHandler of Python 3.15 asks for it, to send none of its
        # extra_response_headers twice, and calls send_header() with _is_extra.
        return header_fields(self._headers_buffer)

    @_default_response_headers.setter
    def _default_response_headers(self, _none: object) -> None:
        """Ignore what ``flush_headers()`` of Python 3.15 sets."""

    def end_headers(self) -> None:
        """End the response head; it is sent with the first bytes of the body."""
        if self.wfile is not self.__writer:
            self.wfile.flush()
        response = self.__response
        has_head = self.request_version != "HTTP/0.9"
        lines, self._headers_buffer = self._headers_buffer if has_head else [], []
        if response.status < 200 and response.is_interim:
            if self.request_version >= "HTTP/1.1":  # RFC 9110, section 15.2
                self.__transport.transmit(b"".join(lines) + b"\r\n")
            return
        framing = self.__end_head(response, lines) if has_head else AS_IS
        length = int(response.length or 0) if framing is LENGTH else 0
        self.__writer.begin_body(b"".join(lines), framing, length)
        self.__writer.is_last = self.close_connection and self.__reader.is_done()
        if response.streams or (framing is AS_IS and response.takes_over(self.command)):
            self.__writer.flush()

    def __end_head(self, response: ResponseHead, lines: list[bytes]) -> Framing:
        """Add to the head what the handler left to us."""
        framing = response.framing(self.command)
        if framing is CHUNKED:
            # Chunks are of HTTP/1.1, on both sides.
            if self.request_version >= "HTTP/1.1" and self.protocol_version >= "HTTP/1.1":
                lines.append(CHUNKED_LINE)
            else:
                framing = AS_IS
        if framing is AS_IS and not response.transfer_encoding:
            self.close_connection = True
        if not response.connection:
            if self.close_connection:
                lines.append(CLOSE_LINE)
            elif self.request_version < "HTTP/1.1":
                lines.append(b"Connection: keep-alive\r\n")
        lines.append(b"\r\n")
        return framing

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return a time, now without ``timestamp``, as HTTP has it (RFC 9110, section 5.6.7)."""
        return format_date(int(time.time() if timestamp is None else timestamp))

    def address_string(self) -> str:
        """Return the client's address; ``"unix:"`` on an ``AF_UNIX`` socket, where it has none."""
        return str(self.client_address[0])

    # Logging ----------------------------------------------------------------------------------

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's)
        """Write a line on standard error, if that is possible."""
        try:
            super().log_message(format, *args)
        except Exception:  # noqa: BLE001 (whatever it is)
            bear_log_failure(self)

    def log_error(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's)
        """Log an error by `log_message`, whatever that has been overridden with."""
        try:
            super().log_error(format, *args)
        except Exception:  # noqa: BLE001 (whatever it is)
            bear_log_failure(self)

    # Failures ---------------------------------------------------------------------------------

    def __refuse(self, refused: RequestRefused) -> None:
        """Answer what is wrong with a request, if it has not been answered."""
        self.__transport.fault = refused
        if self.request_version == "HTTP/0.9":
            self.request_version = "HTTP/1.0"  # the answer has a head
        self.__say_error(refused.status, str(refused))

    def __apologise(self) -> None:
        """Tell the client of a handler's failure, if it has been told nothing else."""
        self.__say_error(HTTPStatus.INTERNAL_SERVER_ERROR, None)

    def __say_error(self, status: HTTPStatus, message: str | None) -> None:
        if not self.__writer.started and self.__transport.failure is None:
            # What went wrong is reported before the client sees the end.
            self.__transport.goodbye_with_response = False
            self.__discard_body()
            self.__writer.begin()
            # Whatever a handler's own send_error() does must not hide what went wrong before.
            with contextlib.suppress(Exception):
                self.send_error(status, message)
                self.__end_response()
        self.__discard_body()
        self.close_connection = True

    def __discard_body(self) -> None:
        """Have nothing more sent of the response, not even what is in a buffer."""
        self.__writer.mute()
        if self.wfile is not self.__writer and not self.wfile.closed:
            with contextlib.suppress(Exception):  # it may be anything of the user's
                self.wfile.flush()


def writes_interim_response(handler: BaseHTTPRequestHandler) -> bool:
    """Return whether the response head that a handler is writing is that of an interim response."""
    response: ResponseHead | None = getattr(handler, "_TLSRequestHandler__response", None)
    return response is not None and response.is_interim


_NO_PHRASES = ("", "")  # of a status code that nobody knows

_STEPS = ("setup", "handle", "finish")


def _next_constructor(handler: type[TLSRequestHandler]) -> object:
    """Return the constructor that `TLSRequestHandler` calls, of which a mix-in may have its own."""
    return super(TLSRequestHandler, handler).__init__


def _do_nothing() -> None:
    pass
