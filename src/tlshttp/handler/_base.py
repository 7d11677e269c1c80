"""The handler that every other is composed with: `http.server`'s methods over an exchange."""

from __future__ import annotations

import io
import time
from collections.abc import Collection
from email.message import Message
from http import HTTPStatus
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler
from typing import TYPE_CHECKING, Any, overload

from tlshttp.errors import RequestRefused
from tlshttp.handler import _taking_over
from tlshttp.handler._awaited import answerer_of, has_to_be_awaited
from tlshttp.handler._head import RequestHeaders
from tlshttp.handler._log_failures import bear_log_failure
from tlshttp.handler._response import (
    format_date,
    header_fields,
    header_line,
    status_line,
    usual_lines,
)

if TYPE_CHECKING:
    from tlshttp._proxied import ProxyInfo
    from tlshttp._taken_over import ConnectionDriver, TakenOverConnection
    from tlshttp._tls_info import TLSInfo

__all__ = ["TLSRequestHandler"]


class _TLSOfConnection:
    """Gives a handler what is known of its connection, unless it has set that name itself."""

    def __get__(self, handler: Any, owner: type) -> Any:
        return self if handler is None else handler.request.tls


class _ProxyOfConnection:
    """Does the same for what a proxy has said of it."""

    def __get__(self, handler: Any, owner: type) -> Any:
        return self if handler is None else getattr(handler.request, "proxy", None)


_proxy_of_connection: Any = _ProxyOfConnection()

_tls_of_connection: Any = _TLSOfConnection()


class TLSRequestHandler(BaseHTTPRequestHandler):
    """`~http.server.BaseHTTPRequestHandler` as this package's servers run it.

    A handler class that knows nothing of this package is composed with it: for
    ``class Mine(BaseHTTPRequestHandler)`` the server makes
    ``type("Mine", (Mine, TLSRequestHandler), {})``, so that what ``Mine`` overrides wins and its
    ``super()`` lands here. Derive from this class directly to have `tls` known to editors and type
    checkers.

    Nothing depends on the methods of this class being called: a handler that calls
    `http.server`'s by the name of their class, or reads and writes by hand, works as well. What
    counts is what it reads from ``rfile`` and writes to ``wfile``.
    """

    # A user's class comes before this one in the method order, and its names hide ours. So ours are
    # few, and mangled (two underscores).

    protocol_version = "HTTP/1.1"
    """The version of HTTP to answer with. With ``"HTTP/1.1"``, which is also what a handler that
    sets none gets, connections are kept; ``"HTTP/1.0"`` closes each after its response."""

    MessageClass: type[HTTPMessage] = RequestHeaders

    stream_request = False
    """Whether the handler is called when the head of a request is there, and reads the body as it
    comes. It waits for its peer then, in a thread of its own. A client that expects 100 (Continue)
    gets it at the first read; a handler that answers without reading spares it the body. False: the
    body has been collected when the handler is called (in `~tlshttp.ThreadingTLSHTTPServer` up to
    ``Limits.max_collected_body``), and reading it never waits."""

    allowed_hosts: Collection[str] | None = None
    """Host names to answer for, without port; ``".example.org"`` stands for the name and all below.
    Requests for others get 421, so that no web page can reach this server under a name of its own
    (DNS rebinding). `None`: all."""

    refuse_misdirected = False
    """Whether a request whose Host is not the name the TLS handshake was for (SNI) gets 421 (RFC
    9110, section 7.4). Requests without SNI are not affected."""

    tls: TLSInfo = _tls_of_connection
    """What the TLS handshake of this connection agreed on. A handler that has something else of
    that name keeps it."""

    proxy: ProxyInfo | None = _proxy_of_connection
    """What a trusted proxy in front has said of this connection by the PROXY protocol; `None` where
    there is none (``trusted_proxies``). A handler that has something else of that name keeps it."""

    connection: Any
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
        request = getattr(request, "lent_stream", request)  # which handlers do not hold
        if not getattr(request, "driven", False):
            super().__init__(request, client_address, server, **arguments)
            return
        # socketserver's constructor would set up, handle and finish. The server does that itself,
        # a request at a time.
        if _next_constructor(type(self)) is BaseRequestHandler.__init__ and not arguments:
            self.request = request
            self.client_address = client_address
            self.server = server
        else:  # it belongs to somebody else: they may call all that, without effect
            for step in _STEPS:
                vars(self)[step] = _do_nothing
            super().__init__(request, client_address, server, **arguments)
            for step in _STEPS:
                del vars(self)[step]
        self.setup()
        request.handler = self

    # A connection -----------------------------------------------------------------------------

    def setup(self) -> None:
        """Make ``rfile`` and ``wfile`` for the connection."""
        exchange = getattr(self.request, "exchange", None)
        if exchange is None or self.wbufsize:
            super().setup()
            return
        self.connection = self.request
        if self.timeout is not None:
            self.connection.settimeout(self.timeout)
        # No defaults in the class: a name that both class and instance have takes longer to look
        # up.
        self.requestline = self.request_version = self.command = ""
        self.rfile = exchange.rfile
        self.wfile = exchange.wfile

    def handle(self) -> None:
        """Serve one request after the other until the connection ends."""
        exchange = getattr(self.request, "exchange", None)
        if exchange is None:
            super().handle()
            return
        self.close_connection = True
        self.handle_one_request()
        while not (self.close_connection or exchange.one_shot):
            self.handle_one_request()

    # A request --------------------------------------------------------------------------------

    def handle_one_request(self) -> None:
        """Take a request and call its ``do_*`` method, or refuse it."""
        exchange = getattr(self.request, "exchange", None)
        if exchange is None:
            super().handle_one_request()
            return
        try:
            self.__serve(exchange)
        except RequestRefused as refused:
            if refused is not exchange.refused:
                raise
            exchange.refuse(refused)
        except TimeoutError as error:
            if not self.request.raised(error):
                exchange.doubt()
                raise
            self.log_error("Request timed out: %r", error)
            self.close_connection = True
        except Exception:
            exchange.doubt()
            raise

    def __serve(self, exchange: Any) -> None:
        if exchange.fresh:  # as nearly always: it has been begun
            exchange.fresh = False
        elif not self.__await_request(exchange):
            return
        exchange.handler = self
        self.raw_requestline = exchange.request.raw_line
        has_own = type(self).parse_request is not TLSRequestHandler.parse_request
        if has_own:
            exchange.rfile.skip_line()
        if not self.parse_request():
            return
        if has_own:
            self.__judge_host(exchange)
        method = getattr(self, _METHODS.get(self.command) or "do_" + self.command, None)
        if method is None:
            message = f"Unsupported method ({self.command!r})"
            self.send_error(HTTPStatus.NOT_IMPLEMENTED, message)
            return
        answer = method()
        if answer is not None and has_to_be_awaited(self, answer):
            exchange.answer_later(answerer_of(self, answer))
            return
        if self.wfile is not exchange.wfile and not getattr(self.wfile, "closed", False):
            self.wfile.flush()

    def __await_request(self, exchange: Any) -> bool:
        """Have a request begin; false where none will."""
        exchange.handler = self
        try:
            if exchange.await_request():
                return True
            self.close_connection = True
            self.requestline = self.request_version = self.command = ""
            return False
        except RequestRefused:
            request = exchange.request
            self.close_connection = True
            exchange.handler = self
            self.requestline, self.command = request.line, request.command
            self.request_version, self.path = exchange.version, request.path
            self.headers = RequestHeaders.of([])
            raise

    def parse_request(self) -> bool:
        """Take over what the head says; see `~http.server.BaseHTTPRequestHandler.parse_request`.

        Returns:
            Whether the request is to be served; if not, it has been answered.
        """
        exchange = getattr(self.request, "exchange", None)
        if exchange is None:
            return super().parse_request()
        exchange.handler = self
        request = exchange.request
        if self.allowed_hosts is not None or self.refuse_misdirected:
            self.__judge_host(exchange)
        exchange.rfile.skip_head()
        self.requestline, self.command, self.path = request.line, request.command, request.path
        self.request_version = request.version if request.minor_version else exchange.version
        if self.MessageClass is RequestHeaders:
            make = RequestHeaders.of_message if request.head.holds_message else RequestHeaders.of
            self.headers = make(exchange.fields)
        else:
            self.headers = self.__own_message(exchange.fields)
        keep = request.head.keep_alive
        if keep is None:
            keep = request.minor_version > 0
        self.close_connection = not (keep and self.protocol_version >= "HTTP/1.1")
        if exchange.asks_handler_for_100 and self.protocol_version >= "HTTP/1.1":
            return self.handle_expect_100()
        return True

    def __judge_host(self, exchange: Any) -> None:
        """Refuse foreign hosts by what this handler itself says of them, not only its class."""
        if self.allowed_hosts is not None or self.refuse_misdirected:
            exchange.judge_host(self)

    def __own_message(self, fields: list[tuple[str, str]]) -> HTTPMessage:
        message = self.MessageClass()
        for name, value in fields:
            message.set_raw(name, value)
        return message

    # A response -------------------------------------------------------------------------------

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin a response head, with the fields Server and Date; and log the request."""
        try:
            self.log_request(code)
        except Exception:  # noqa: BLE001 (whatever it is)
            bear_log_failure(self)
        self.send_response_only(code, message)
        own = type(self)
        if (
            own.send_header is not TLSRequestHandler.send_header  # who has its own sees all fields
            or own.send_response_only is not TLSRequestHandler.send_response_only
            or self.request_version == "HTTP/0.9"
        ):
            self.send_header("Server", self.version_string())
            self.send_header("Date", self.date_time_string())
            return
        self._headers_buffer.append(usual_lines(self.version_string(), self.date_time_string()))

    def send_response_only(self, code: int, message: str | None = None) -> None:
        """Begin a response head with its status line; what was begun before is dropped."""
        if self.request_version == "HTTP/0.9":
            self._headers_buffer = []
            return
        if message is None:
            message, _ = self.responses.get(code) or _NO_PHRASES
        self._headers_buffer = [status_line(self.protocol_version, int(code), message)]

    def send_header(self, keyword: str, value: Any, *, _is_extra: bool = False) -> None:
        """Add a field to the response head.

        Raises:
            ValueError: There is a line break in it; nothing has been sent.
        """
        line = header_line(keyword, value)
        if len(keyword) != 10 and self.request_version != "HTTP/0.9":  # as nearly all
            try:
                self._headers_buffer.append(line)
            except AttributeError:  # there is none before the first response
                self._headers_buffer = [line]
            return
        is_connection = len(keyword) == 10 and keyword.lower() == "connection"
        if is_connection and getattr(self, "_TLSRequestHandler__keeps_errors", False):
            return
        if self.request_version != "HTTP/0.9":
            try:
                self._headers_buffer.append(line)
            except AttributeError:  # there is none before the first response
                self._headers_buffer = [line]
        if is_connection and not self.__head_ended():
            self.close_connection = {"close": True, "keep-alive": False}.get(
                str(value).lower(), self.close_connection
            )

    if TYPE_CHECKING:

        @overload
        def take_over(self, *, ends_with_server: bool = ...) -> TakenOverConnection: ...
        @overload
        def take_over(self, driver: ConnectionDriver, *, max_backlog: int = ...) -> None: ...
        def take_over(self, driver: Any = None, **options: Any) -> Any:
            """Take the connection over for another protocol."""
    else:
        take_over = _taking_over.take_over

    def __head_ended(self) -> bool:
        """Return whether the response has its head already, so that this is the head of a part."""
        exchange = getattr(self.request, "exchange", None)
        return exchange is not None and exchange.wfile.head_ended

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send and log an error page; the connection is kept where nothing speaks against it."""
        exchange = getattr(self.request, "exchange", None)
        may_keep = exchange is not None and exchange.refused is None and 400 <= int(code) < 600
        self.__keeps_errors = may_keep and not self.close_connection
        try:
            super().send_error(code, message, explain)
        finally:  # it may have come here again on its way
            vars(self).pop("_TLSRequestHandler__keeps_errors", None)

    @property
    def _default_response_headers(self) -> list[tuple[str, str]]:
        # SimpleHTTPRequestHandler of Python 3.15 asks for it, to send none of its
        # extra_response_headers twice, and calls send_header() with _is_extra.
        return header_fields(self._headers_buffer)

    @_default_response_headers.setter
    def _default_response_headers(self, _none: object) -> None:
        """Ignore what ``flush_headers()`` of Python 3.15 sets."""

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


# Python finds such a name in its cache; one put together now it looks for in base after base.
_METHODS = {"GET": "do_GET", "HEAD": "do_HEAD", "POST": "do_POST", "PUT": "do_PUT"}

_NO_PHRASES = ("", "")  # of a status code that nobody knows

_STEPS = ("setup", "handle", "finish")


def _next_constructor(handler: type[TLSRequestHandler]) -> object:
    """Return the constructor that `TLSRequestHandler` calls; a mix-in may have one of its own."""
    return super(TLSRequestHandler, handler).__init__


def _do_nothing() -> None:
    pass
