"""One request and its response, then the next: what stands between a connection and its handler.

Theory of operation. The connection gives the exchange what arrives (`HTTPExchange.receive`). It
finds the head, judges it and collects the body; nobody has been called so far. When it says
`READY`, a handler is called (`HTTPExchange.run`), reads from ``rfile`` what is there and writes to
``wfile`` what is to be sent. A handler is a black box: whichever methods it inherits, overrides or
calls by the name of their class, it is these two files that count. `HTTPExchange.end` ends the
response and tells whether the connection may be kept.

Rules:

1.  What is refused is refused when its head is there, before any body is waited for. The handler is
    called to say so, since what an error looks like is its to decide.
2.  A body is collected unless the handler wants it as it comes (``stream_request``), decides on
    100 (Continue) by itself, or can wait for what is large. What has been collected arrives with a
    Content-Length, whatever framing it came in.
3.  When in doubt the connection is closed after the response, and the response says so.
4.  A handler in blocking mode asks for its next request itself (`HTTPExchange.next_request`).
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import stat
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from tlshttp._seam import (
    BODY_MISSING,
    HEAD_MISSING,
    OTHERS_FIRST,
    READY,
    ROOM_MISSING,
    DrivenHandler,
    Transport,
)
from tlshttp._spool import NoRoom, Spool
from tlshttp.errors import PeerDisconnected, RequestRefused, ResponseAborted
from tlshttp.handler._framing import Body, ChunkedBody, SizedBody
from tlshttp.handler._head import CHUNKED, RequestHeaders
from tlshttp.handler._hosts import agreed_host, refuse_foreign_host
from tlshttp.handler._log_failures import bear_log_failure
from tlshttp.handler._reader import RequestReader
from tlshttp.handler._requests import HeadFinder, Requests
from tlshttp.handler._response import ResponseHead
from tlshttp.handler._writer import ResponseWriter, buffered
from tlshttp.limits import Limits

if TYPE_CHECKING:
    from tlshttp.handler._compose import Composition

__all__ = ["HTTPExchange"]

_log = logging.getLogger("tlshttp.handler")

_AT_ONCE = 65_536

_LONGEST_PLAIN = 2_048
"""Bytes of a head that is remembered whole."""

_NONE, _COLLECTING, _READY, _AT_WORK = range(4)

_INSUFFICIENT_STORAGE = HTTPStatus.INSUFFICIENT_STORAGE


class HTTPExchange:
    """The requests and responses of one connection.

    Args:
        stream: The connection.
        limits: Sizes and deadlines.
        composition: How handlers are made; `None`: not known.
        collects_all: Whether every body is collected, however large.
    """

    __slots__ = (
        "_body",
        "_continued",
        "_find_head",
        "_kept_back",
        "_limits",
        "_most",
        "_plain",
        "_spool",
        "_state",
        "_stream",
        "asks_handler_for_100",
        "blocking",
        "composition",
        "fields",
        "fresh",
        "handler",
        "one_shot",
        "refused",
        "request",
        "rfile",
        "says_keep_alive",
        "streams",
        "wfile",
    )  # fmt: skip

    def __init__(
        self,
        stream: Transport,
        limits: Limits,
        composition: Composition | None,
        *,
        collects_all: bool,
    ) -> None:
        self._stream = stream
        self._limits = limits
        self._most = None if collects_all else limits.max_collected_body
        self.composition = composition
        self.request = Requests(limits)
        """What the head says."""
        self._find_head = HeadFinder(limits.max_header_bytes)
        self._state = _NONE
        self._body: Body | None = None
        self._spool: Spool | None = None
        self._kept_back = self._plain = b""
        self._continued = False
        self.fresh = False
        """Whether a request has been begun that its handler has not asked for yet."""
        self.fields: list[tuple[str, str]] = []
        """The header fields, as the handler is to see them."""
        self.refused: RequestRefused | None = None
        """What is wrong with the request."""
        self.streams = False
        """Whether its body is read by the handler as it comes."""
        self.asks_handler_for_100 = False
        """Whether the handler decides on 100 (Continue) by a method of its own."""
        self.handler: Any = None
        """Who is at work on it, as far as that is known."""
        self.one_shot = False
        """Whether a handler is made for this request alone."""
        self.blocking = False
        """Whether the handler asks for its next request itself."""
        self.says_keep_alive = False
        """Whether a response that keeps the connection has to say so: to HTTP/1.0."""
        self.rfile = RequestReader(self, stream)
        self.wfile = ResponseWriter(self, stream)

    # What there is to know --------------------------------------------------------------------

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.request.command

    @property
    def minor_version(self) -> int:
        """The version of HTTP/1 of the request."""
        return self.request.minor_version

    @property
    def version(self) -> str:
        """The version of the request, as its handler is to have it."""
        version = self.request.version
        if version == "HTTP/0.9":  # it names none
            return str(getattr(self._policy(), "default_request_version", version))
        return version

    @property
    def request_line(self) -> str:
        """The first line of the request."""
        return self.request.line

    @property
    def begun(self) -> bool:
        """Whether something of a request is there that has not been answered."""
        return self._state == _COLLECTING or self._stream.buffered > 0

    # Receiving --------------------------------------------------------------------------------

    def receive(self) -> int:
        """Take in what the stream has received; tell what is missing, or `READY`."""
        if self._state == _COLLECTING:
            return self._collect()
        if self._state == _READY:
            return READY
        stream = self._stream
        size: int = stream.look(self._find_head)
        if size < 0:
            return HEAD_MISSING
        self.refused = None
        self._continued = self.streams = self.asks_handler_for_100 = False
        self._body = None
        if not size:
            self.refused = self.request.refuse_size(stream.peek())
            return self._ready()
        raw: bytes = stream.take(size)
        if raw == self._plain and not (stream.restricted or self._has_policy()):
            self._state = _READY  # the same once more, and nothing was wrong with it
            return READY
        self._plain = b""
        try:
            return self._read_head(raw)
        except RequestRefused as refused:
            if self._speaks_otherwise(self.request.line):
                return self._hand_over(raw)
            self.refused = refused
            return self._ready()

    def _read_head(self, raw: bytes) -> int:
        """Parse a head, judge it, and go on with the body.

        Raises:
            RequestRefused: It must be refused.
        """
        request = self.request
        request.read(raw)
        head = request.head
        self.fields = head.fields
        is_plain = request.path[:1] == "/" and not head.body_size
        if not is_plain or self._stream.restricted or self._has_policy():
            return self._judge()
        if not self._has_method():
            return self._ready()
        if request.minor_version and head.host is None:
            raise RequestRefused("Missing Host")
        if len(raw) <= _LONGEST_PLAIN:
            self._plain = raw
        return self._ready()

    def _speaks_otherwise(self, line: str) -> bool:
        """Return whether this may be a protocol of the handler's own, of which nothing is known.

        Not what `http.server` would serve as HTTP/0.9, whatever blanks are in it; nor where a host
        must be named, since then nobody has seen which.
        """
        if self._policy() is not None or self._stream.restricted or self.request.command:
            return False
        return "HTTP/" not in line and line.split()[:1] != ["GET"]

    def _hand_over(self, raw: bytes) -> int:
        """Give the handler the connection as it is."""
        self.take_over()
        self._stream.give_back(raw)
        return self._ready()

    def _policy(self) -> Any:
        """Return what has the attributes of the handler: itself, or its class."""
        if self._stream.handler is not None:
            return self._stream.handler
        return None if self.composition is None else self.composition.handler_class

    def _has_policy(self) -> bool:
        policy = self._policy()
        return policy is not None and (
            policy.allowed_hosts is not None or policy.refuse_misdirected
        )

    def _has_method(self) -> bool:
        """Return whether the handler has a method for the request, as far as that is known."""
        policy = self._policy()
        return (
            policy is None
            or hasattr(policy, "do_" + self.request.command)
            or hasattr(policy, "__getattr__")
            or self.composition is None
            or self.composition.dispatches
        )

    def _ready(self) -> int:
        self._state = _READY
        return READY

    def _judge(self) -> int:
        """Refuse what must be refused; else see to the body.

        Raises:
            RequestRefused: It must be refused.
        """
        head, policy = self.request.head, self._policy()
        host, has_method = self._agree_on_host(), self._has_method()
        if has_method and head.host is None and self.request.minor_version:
            raise RequestRefused("Missing Host")
        self._refuse_foreign_host(host, policy)
        if not (has_method or (head.body_size and isinstance(policy, type))):
            self._body = self._framing(head.body_size) if head.body_size else None
            return self._ready()  # for its 501, which may lack a Host, as in http.server
        size, limit = head.body_size, self._limits.max_body_bytes
        if limit is not None and size > limit:
            raise RequestRefused("Body too large", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not size:
            return self._ready()
        self._body = self._framing(size)
        own_100 = head.expects_continue and _decides_on_100(policy)
        # A handler that is still to be made may make itself the method that its class lacks. If it
        # does not, its 501 must not wait for the body; if it does, it waits for that by itself.
        if own_100 or not has_method or getattr(policy, "stream_request", False):
            self.streams = True
            self.asks_handler_for_100 = own_100
            self._forget_coding(None)
            return self._ready()
        if self._most is not None and size > self._most:
            return self._ready()  # the handler starts with what is there
        if self._expects_100() and self._stream.buffered < max(size, 1):
            self.send_continue()
        self._state = _COLLECTING
        return self._collect()

    def _agree_on_host(self) -> str | None:
        """Return the one host of target and Host field, and have the handler see it, too."""
        request = self.request
        field = request.head.host
        if request.path[:1] == "/":
            return field
        host = agreed_host(request.command, request.path, field)
        if field is None and host is not None:
            self.fields = [*request.head.fields, ("Host", host)]
        return host

    def judge_host(self, handler: Any) -> None:
        """Judge the host of the request once more, by what the handler itself says of hosts.

        It may have said so in its constructor or ``setup()``, or be made by a function.

        Raises:
            RequestRefused: It is for another.
        """
        try:
            self._refuse_foreign_host(self._agree_on_host(), handler)
        except RequestRefused as refused:
            self.refused = refused
            raise

    def _refuse_foreign_host(self, host: str | None, policy: Any) -> None:
        """Refuse what is for a host this server does not answer for, where it was told of hosts."""
        stream = self._stream
        allowed = getattr(policy, "allowed_hosts", None)
        misdirected = getattr(policy, "refuse_misdirected", False)
        if isinstance(policy, type):  # what only the handler itself can tell, it is asked later
            allowed = None if hasattr(allowed, "__get__") else allowed
            misdirected = False if hasattr(misdirected, "__get__") else misdirected
        if allowed is None and not misdirected and not stream.restricted:
            return
        refuse_foreign_host(
            host,
            stream.tls.server_name,
            allowed=allowed,
            refuse_misdirected=misdirected,
            may_serve=stream.tls.may_serve if stream.restricted else None,
        )

    def _framing(self, size: int) -> Body:
        if size == CHUNKED:
            return ChunkedBody(self._limits.max_body_bytes)
        return SizedBody(size)

    def _expects_100(self) -> bool:
        """Return whether the client waits for 100 (Continue), and is to get it from us."""
        return (
            self.request.head.expects_continue
            and not (self._continued or self.asks_handler_for_100)
            and getattr(self._policy(), "protocol_version", "HTTP/1.1") >= "HTTP/1.1"
        )

    def _collect(self) -> int:
        """Take in what has come of the body."""
        body, stream = self._body, self._stream
        if body is None:
            return self._ready()
        before, data = stream.buffered, b""
        try:
            data = self._kept_back or body.take(stream, _AT_ONCE)
            self._kept_back = b""
            if data:
                self._keep(data)
        except RequestRefused as refused:
            self.refused = refused
            return self._ready()
        except NoRoom:
            self._kept_back = data
            return ROOM_MISSING
        except OSError as error:
            self.warn("a request body cannot be kept: %s", error)
            self.refuse_for_room()
            return READY
        if body.done:
            size = self._spool.size if self._spool is not None else 0
            self._forget_coding(size)
            return self._ready()
        if stream.buffered and stream.buffered != before:
            return OTHERS_FIRST
        return BODY_MISSING

    def refuse_for_room(self) -> None:
        """Have the request refused because there is no room for its body."""
        self._kept_back = b""
        self.refused = RequestRefused("No room for this body", status=_INSUFFICIENT_STORAGE)
        self._ready()

    def _keep(self, data: bytes) -> None:
        if self._spool is None:
            self._spool = Spool(self._stream.budget, self._limits.max_buffer_memory)
        self._spool.append(data)

    def _forget_coding(self, size: int | None) -> None:
        """Have the handler see a body without framing, and its size where that is known."""
        if self.request.head.body_size != CHUNKED:
            return
        self.fields = [field for field in self.fields if field[0].lower() != "transfer-encoding"]
        if size is not None:
            self.fields.append(("Content-Length", str(size)))

    # The handler reads --------------------------------------------------------------------------

    def begin_handler(self) -> None:
        """Take note that a handler is to be made, by whatever hook: it may be one that blocks."""
        self.blocking, self.one_shot = True, False
        self._begin_now()

    def _begin_now(self) -> None:
        """Begin before the handler asks for its request: it may answer without."""
        if self._state == _READY and self.refused is None:
            self.fresh = self.begin()

    def begin(self) -> bool:
        """Begin with the request that is ready; tell if there is one.

        Raises:
            RequestRefused: It has to be refused.
        """
        if self._state != _READY:
            return False
        self._state = _AT_WORK
        stream, wfile = self._stream, self.wfile
        stream.begin_exchange()
        wfile.begin()
        if not self.request.minor_version and self.version == "HTTP/0.9" and self.refused is None:
            wfile.begin_without_head()
        body = self._body
        if body is None and self._spool is None and self.refused is None:
            stream.input_complete = True
            self.rfile.begin_empty()
            return True
        if body is None or body.done:
            stream.input_complete = self.refused is None
            data, spool = b"", self._spool
            if spool is not None and spool.size <= _AT_ONCE:
                data, spool = spool.read_all(), None
            self.rfile.begin(data, spool, None, owes_100=False)
        else:
            stream.input_complete = False
            self.rfile.begin(b"", self._spool, body, owes_100=self._expects_100())
        self._spool = None
        if self.refused is not None:
            raise self.refused
        return True

    def head_bytes(self) -> bytes:
        """Return the head as a handler is to read it that reads it line by line."""
        request = self.request
        if request.version == "HTTP/0.9":
            return request.raw
        unchanged = self.fields is request.head.fields
        if unchanged and not (self._continued and request.head.expects_continue):
            return request.raw
        lines = [f"{name}: {value}\r\n" for name, value in self.fields if name.lower() != "expect"]
        return "".join([request.line, "\r\n", *lines, "\r\n"]).encode("iso-8859-1")

    def send_continue(self) -> None:
        """Tell a waiting client to send its body, unless it has been answered already."""
        self._continued = True
        if not self.wfile.started or self._state != _AT_WORK:
            self._stream.transmit(b"HTTP/1.1 100 Continue\r\n\r\n")

    def before_wait(self) -> None:
        """Send what is held back: the handler is going to wait for its peer."""
        self.wfile.flush()

    def next_request(self) -> None:
        """End this exchange and wait for the next request, for a handler in blocking mode."""
        if not self.blocking or not (self.wfile.head_ended or self.wfile.started):
            return
        if not self.end() or not self._await_request():
            self.rfile.end()

    def await_request(self) -> bool:
        """Begin with the request that is ready, or wait for one in blocking mode.

        Raises:
            RequestRefused: It has to be refused.
        """
        if self._state == _AT_WORK and self.blocking and not self.end():
            return False
        if self._state != _READY and not (self.blocking and self._await_request()):
            return False
        return self.begin()

    def _await_request(self) -> bool:
        """Wait for a request in this thread; tell if there is one."""
        stream, limits = self._stream, self._limits
        if stream.failure is not None:
            return False
        stream.await_taken()
        if not stream.buffered:
            stream.begin_exchange()
            if not stream.wait_for_request():
                return False
        timeout = limits.header_timeout
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while (missing := self.receive()) != READY:
            if missing == ROOM_MISSING:
                self.refuse_for_room()
                break
            if missing == OTHERS_FIRST:
                continue
            more = (
                stream.wait_for_head(deadline) if missing == HEAD_MISSING else stream.fill_waiting()
            )
            if not more:
                if not self.begun:
                    return False
                stream.fail(PeerDisconnected("the peer left in the middle of a request"))
        return True

    # The handler writes -------------------------------------------------------------------------

    def must_close(self, head: ResponseHead) -> bool:
        """Return whether the connection has to end after the response with this head."""
        request, handler = self.request, self.handler
        keeps = head.asks()
        if keeps is None:  # RFC 9112, section 9.3
            keeps = head.minor_version > 0
        if keeps and handler is not None:
            keeps = not handler.close_connection
        elif keeps and head.connection is None:
            keeps = request.wants_to_keep
        self.says_keep_alive = head.connection is None and not request.minor_version
        # A client that is still sending its body is not told later.
        return not keeps or self.refused is not None or not self.rfile.is_received()

    def keeps_plainly(self) -> bool:
        """Return whether the connection is kept after a response that says nothing about it."""
        handler = self.handler
        return (
            handler is not None
            and not handler.close_connection
            and self.request.minor_version > 0
            and self.refused is None
            and self.rfile.is_received()
        )

    def send_interim(self, head: ResponseHead) -> None:
        """Send a head that another one follows (RFC 9110, section 15.2)."""
        if head.status == HTTPStatus.CONTINUE:
            if self._continued:
                return
            self._continued = True
            self.rfile.told_to_continue()
        if self.request.minor_version:
            self._stream.transmit(head.data)

    def takes_over(self, head: ResponseHead) -> bool:
        """Return whether the connection is the handler's after that head, and no longer HTTP.

        So it is after 101, and after CONNECT (RFC 9110, sections 15.2.2 and 9.3.6).
        """
        return head.switches_protocols or (self.method == "CONNECT" and 200 <= head.status < 300)

    def take_over(self) -> None:
        """Let the handler have the connection as it is."""
        self.rfile.take_over()
        self._stream.take_over()

    def makefile(self, mode: str, buffering: int | None) -> Any:
        """Return ``rfile`` (``"rb"``) or ``wfile`` (``"wb"``)."""
        if mode == "rb":
            return self.rfile
        return self.wfile if buffering == 0 else buffered(self.wfile, buffering or -1)

    def send_file(self, file: Any, count: int | None) -> int | None:
        """Queue a file as a file; `None` where it is none that can be.

        Args:
            file: What is to be sent, from where it stands.
            count: How many bytes; `None`: to its end.
        """
        found = _regular_file(file)
        if found is None:
            return None
        fd, position, left = found
        size = self.wfile.bounds(left if count is None else min(left, count))
        if size <= 0 or not self.wfile.send_file(fd, position, size):
            return None
        file.seek(position + size)
        return size

    # Running ------------------------------------------------------------------------------------

    def run(self, handler: DrivenHandler) -> bool:
        """Have a handler serve the request; tell whether the connection may be kept.

        An exception passes through, after the client has been told with a 500 if nothing had been
        sent.
        """
        self.handler = handler
        was_unknown = self._state == _AT_WORK
        if self._state == _READY and self.refused is None:
            self.fresh = self.begin()
        try:
            if was_unknown:
                self.judge_host(handler)
            handler.handle_one_request()
        except RequestRefused as refused:
            if refused is not self.refused:
                raise
            self.refuse(refused)
        except Exception:
            self.apologise()
            raise
        return self.end()

    def end(self) -> bool:
        """End the response, and let go of the request; tell whether the connection may be kept."""
        stream, rfile = self._stream, self.rfile
        self.fresh = False
        if self._state != _AT_WORK:
            self.handler = None
            return False
        self._state = _NONE
        if stream.failure is not None or stream.tunnel:
            rfile.end()
            return False
        wfile, handler = self.wfile, self.handler
        if handler is not None and handler.wfile is not wfile:
            with contextlib.suppress(ValueError):  # it may have been closed
                handler.wfile.flush()
        wrong = None if wfile.is_over else wfile.end()
        if wrong is not None:
            self.warn("the response to %r has %s", self.request_line, wrong)
        keep = not (
            wrong
            or wfile.closes
            or not wfile.head_ended
            or (handler is not None and handler.close_connection)
        )
        # Whatever is left of a body would be taken for the next request.
        complete = self.refused is None and (rfile.is_received() or rfile.drain())
        if self.refused is not None and stream.fault is None:
            stream.fault = self.refused  # the handler may have borne it
        stream.input_complete = complete
        rfile.end()
        if len(self.request.raw) > _LONGEST_PLAIN:
            self._forget()
        self.handler = None
        return keep and complete

    def _forget(self) -> None:
        """Let go of a large head: while it is idle a connection is to be small."""
        self.request.forget()
        self.fields = []
        handler = self.handler
        for name in ("requestline", "raw_requestline", "path", "headers"):
            if handler is not None and name in vars(handler):
                setattr(handler, name, _NOTHING[name])

    def refuse(self, refused: RequestRefused) -> None:
        """Answer what is wrong with a request, if it has not been answered."""
        self._stream.fault = refused
        self._say_error(refused.status, str(refused))

    def apologise(self) -> None:
        """Tell the client of a handler's failure, if it can still be told, and spoil the rest."""
        if self._state == _AT_WORK:
            self._say_error(HTTPStatus.INTERNAL_SERVER_ERROR, None)

    def bear(self, error: Exception) -> bool:
        """Answer what a handler has raised; tell if that is only what the peer did wrong."""
        if error is self.refused and self.refused is not None:
            self.refuse(self.refused)
            return True
        self.apologise()
        return False

    def _say_error(self, status: HTTPStatus, message: str | None) -> None:
        wfile, stream = self.wfile, self._stream
        if not wfile.started and stream.failure is None:
            # What went wrong is reported before the client sees the end.
            stream.goodbye_with_response = False
            self._drop_response()
            wfile.begin()
            if not self._have_handler_say(status, message):
                wfile.begin()
                wfile.write(_plain_error(status, self.method))
            with contextlib.suppress(OSError):
                wfile.end()
        self._drop_response()
        wfile.closes = True
        if self.handler is not None:
            self.handler.close_connection = True

    def _have_handler_say(self, status: HTTPStatus, message: str | None) -> bool:
        """Have the handler's own ``send_error()`` say it; tell if it did."""
        handler = self.handler
        if handler is None:
            return False
        if handler.request_version == "HTTP/0.9":
            handler.request_version = "HTTP/1.0"  # the answer has a head
        handler.close_connection = True
        try:
            handler.send_error(status, message)
            if handler.wfile is not self.wfile:
                handler.wfile.flush()
        except Exception:  # noqa: BLE001  # its mistake must hide nothing, nor be hidden
            if self._stream.failure is None:
                self._stream.owner.report_exception()
            return self.wfile.started
        return self.wfile.head_ended or self.wfile.started

    def _drop_response(self) -> None:
        """Have nothing more sent of the response, not even what is in a buffer."""
        self.wfile.mute()
        handler = self.handler
        if handler is not None and handler.wfile is not self.wfile:
            with contextlib.suppress(Exception):  # it may be anything of the user's
                handler.wfile.flush()

    def abort_response(self, why: str) -> None:
        """Cut the connection because the rest of a response is not to be had."""
        with contextlib.suppress(ResponseAborted):
            self._stream.fail(ResponseAborted(why))

    def warn(self, message: str, *arguments: object) -> None:
        """Write a line in the log, if that is possible."""
        try:
            _log.warning(message, *arguments)
        except Exception:  # noqa: BLE001 (whatever it is)
            if self.handler is not None:
                bear_log_failure(self.handler)

    def let_go(self) -> None:
        """Give back what is collected: the connection is over."""
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.clear()
        self.rfile.end()
        self.handler = None


_NOTHING = {"requestline": "", "raw_requestline": b"", "path": "", "headers": RequestHeaders.of([])}


def _decides_on_100(policy: Any) -> bool:
    """Return whether a handler has a ``handle_expect_100()`` of its own."""
    own = getattr(policy, "handle_expect_100", None)
    return getattr(own, "__func__", own) not in (None, BaseHTTPRequestHandler.handle_expect_100)


def _plain_error(status: HTTPStatus, method: str) -> bytes:
    """Return a whole response, for where no handler can make one."""
    body = f"{status.value} {status.phrase}\n".encode("ascii")
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if method == "HEAD" else body)


def _regular_file(file: Any) -> tuple[int, int, int] | None:
    """Return descriptor, position and bytes left of a file on disk; `None` where it is none."""
    if not hasattr(os, "pread") or type(file) not in (io.FileIO, io.BufferedReader):
        return None
    try:
        fd, position = file.fileno(), file.tell()
        status = os.fstat(fd)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return fd, position, max(0, status.st_size - position)
