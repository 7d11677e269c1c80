"""What arrives on a connection, up to a request that is ready for a handler.

The first half of an exchange: it finds the head, judges it and collects the body. No handler has
been called so far, and nobody waits.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from tlshttp._budget import NoRoom
from tlshttp._interfaces import (
    BODY_MISSING,
    HEAD_MISSING,
    OTHERS_FIRST,
    READY,
    ROOM_MISSING,
    Transport,
)
from tlshttp._spool import Spool
from tlshttp.errors import RequestRefused
from tlshttp.handler._blocks import comes_in_blocks, take_block
from tlshttp.handler._foreknowledge import decides_on_100, has_method, needs_thread
from tlshttp.handler._framing import Body, ChunkedBody, SizedBody
from tlshttp.handler._head import CHUNKED
from tlshttp.handler._hosts import agreed_host, refuse_by_policy
from tlshttp.handler._log_failures import bear_log_failure
from tlshttp.handler._requests import LONGEST_SUBJECT, HeadFinder, Requests
from tlshttp.limits import Limits

if TYPE_CHECKING:
    from tlshttp.handler._compose import Composition

__all__ = ["AT_ONCE", "AT_WORK", "LONGEST_PLAIN", "NONE", "STATE_READY", "Intake"]

_log = logging.getLogger("tlshttp.handler")

AT_ONCE: Final = 65_536
"""Bytes of a body that are taken at once."""

LONGEST_PLAIN: Final = 2_048
"""Bytes of a head that is remembered whole."""

_SPECIAL: Final = ("HEAD", "CONNECT")
"""Methods to which a response has no body, or is the beginning of another protocol."""

NONE, _COLLECTING, STATE_READY, AT_WORK = range(4)
"""The states of an exchange."""


class Intake:
    """The requests of one connection, until each is ready.

    Args:
        stream: The connection.
        limits: Sizes and deadlines.
        composition: How handlers are made; `None`: not known.
        collects_all: Whether every body is collected, however large.
    """

    __slots__ = (
        "_body", "_continued", "_find_head", "_kept_back", "_late", "_limits", "_most", "_plain",
        "_spool", "_state", "_stream", "asks_handler_for_100", "composition", "fields", "handler",
        "is_plain", "refused", "request", "streams",
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
        # A protocol of the handler's own gets all that comes.
        passes_over = composition is not None and composition.handler_class is not None
        self._find_head = HeadFinder(limits.max_header_bytes, passes_over=passes_over)
        self._state = NONE
        self._body: Body | None = None
        self._spool: Spool | None = None
        self._kept_back = self._plain = b""
        self._continued = self._late = False
        self.fields: list[tuple[str, str]] = []
        """The header fields, as the handler is to see them."""
        self.refused: RequestRefused | None = None
        """What is wrong with the request."""
        self.is_plain = False
        """Whether it is one of HTTP/1.1 for a path, without body, and its response may have one."""
        self.streams = False
        """Whether its body is read by the handler as it comes."""
        self.asks_handler_for_100 = False
        """Whether the handler decides on 100 (Continue) by a method of its own."""
        self.handler: Any = None
        """Who is at work on it, as far as that is known."""

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
    def subject(self) -> str:
        """What the request, or the last one, asks for: its method and path, without a query."""
        request = self.request
        return f"{request.command} {request.path.partition('?')[0][:LONGEST_SUBJECT]}"

    @property
    def begun(self) -> bool:
        """Whether something of a request is there that has not been answered."""
        return self._state == _COLLECTING or self._stream.buffered > 0

    # Receiving --------------------------------------------------------------------------------

    def receive(self) -> int:
        """Take in what the stream has received; tell what is missing, or `READY`."""
        if self._state == _COLLECTING:
            return self._collect()
        if self._state == STATE_READY:
            return READY
        stream, plain, finder = self._stream, self._plain, self._find_head
        policy: Any = stream.handler if stream.handler is not None else self._policy()
        # The same head once more, and nothing was wrong with it: it is neither looked for nor
        # parsed, which spares a kept GET nine calls.
        if plain and not (finder.has_begun or _asks_for_hosts(policy)) and stream.take_whole(plain):
            self.refused = None
            self._continued = False
            self._state = STATE_READY
            return READY
        size: int = stream.look(finder)
        while size < HEAD_MISSING:
            stream.take(HEAD_MISSING - size)  # empty lines
            size = stream.look(finder)
        if size < 0:
            return HEAD_MISSING
        self.refused = None
        self._continued = self.streams = self.asks_handler_for_100 = False
        self.is_plain = self._late = False
        self._body = None
        if not size:
            self.refused = self.request.refuse_size(stream.peek())
            return self._ready()
        raw: bytes = stream.take(size)
        self._plain = b""
        try:
            return self._read_head(raw, policy)
        except RequestRefused as refused:
            if self._speaks_otherwise(self.request.line):
                return self._hand_over(raw)
            self.refused = refused
            return self._ready()

    def _read_head(self, raw: bytes, policy: Any) -> int:
        """Parse a head, judge it, and go on with the body.

        Args:
            raw: The head.
            policy: What `_policy` returns.

        Raises:
            RequestRefused: It must be refused.
        """
        request = self.request
        request.read(raw)
        head = request.head
        self.fields = head.fields
        is_plain = request.path[:1] == "/" and not head.body_size
        if not is_plain or self._stream.restricted or _asks_for_hosts(policy):
            return self._judge()
        if not has_method(policy, self.request.command, self.composition):
            return self._ready()
        if request.minor_version and head.host is None:
            raise RequestRefused("Missing Host")
        if getattr(policy, "stream_request", False) and needs_thread(policy, self.request.command):
            return self._ready_for_thread()
        if len(raw) <= LONGEST_PLAIN:
            self._plain = raw
            self.is_plain = request.minor_version > 0 and request.command not in _SPECIAL
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
        self._stream.take_over()
        self._stream.give_back(raw)
        return self._ready()

    def _policy(self) -> Any:
        """Return what has the attributes of the handler: itself, or its class."""
        if self._stream.handler is not None:
            return self._stream.handler
        return None if self.composition is None else self.composition.handler_class

    def _ready(self) -> int:
        self._state = STATE_READY
        return READY

    def _ready_for_thread(self) -> int:
        """Have the handler be called where it may wait."""
        self.streams = True
        return self._ready()

    def _judge(self) -> int:
        """Refuse what must be refused; else see to the body.

        Raises:
            RequestRefused: It must be refused.
        """
        head, policy = self.request.head, self._policy()
        host = self._agree_on_host()
        is_served = has_method(policy, self.request.command, self.composition)
        if is_served and head.host is None and self.request.minor_version:
            raise RequestRefused("Missing Host")
        refuse_by_policy(host, policy, self._stream)
        if not (is_served or (head.body_size and isinstance(policy, type))):
            self._body = self._framing(head.body_size) if head.body_size else None
            return self._ready()  # for its 501, which may lack a Host, as in http.server
        size, limit = head.body_size, self._limits.max_body_bytes
        if limit is not None and size > limit:
            raise RequestRefused("Body too large", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not size:
            waits = needs_thread(policy, self.request.command)
            return self._ready_for_thread() if waits else self._ready()
        self._body = self._framing(size)
        own_100 = head.expects_continue and decides_on_100(policy)
        # A handler that has yet to be made may itself add the method that its class lacks. If it
        # does not, its 501 must not wait for the body; if it does, the method waits for the body
        # itself.
        if own_100 or not is_served or getattr(policy, "stream_request", False):
            self.streams = not hasattr(policy, "_create_answerer")  # else nobody waits in a thread
            self.asks_handler_for_100 = own_100
            self._forget_coding(None)
            return self._ready()
        if self._most is not None and size > self._most:
            return self._ready()  # the handler starts with what is there
        if self._expects_100() and self._stream.buffered < max(size, 1):
            self._tell_to_continue()
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
        if self.is_plain and not _asks_for_hosts(handler):  # nor did its class, before
            return
        try:
            refuse_by_policy(self._agree_on_host(), handler, self._stream)
        except RequestRefused as refused:
            self.refused = refused
            raise

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
        before = stream.buffered
        data: bytes | memoryview = b""
        try:
            if self._kept_back or before or not comes_in_blocks(body, self._spool, stream):
                data = self._kept_back or body.take(stream, AT_ONCE)
            else:
                data = take_block(body, stream)
            self._kept_back = b""
            if data:
                self._keep(data)
        except RequestRefused as refused:
            self.refused = refused
            return self._ready()
        except NoRoom:
            self._kept_back = bytes(data)
            return ROOM_MISSING
        except OSError as error:
            self.warn("a request body cannot be kept: %s", error)
            self.refuse_for_room()
            return READY
        if body.done:
            size = self._spool.size if self._spool is not None else 0
            self._forget_coding(size)
            return self._ready()
        if stream.buffered:
            return OTHERS_FIRST if stream.buffered != before else BODY_MISSING
        if len(data) > AT_ONCE or (before and comes_in_blocks(body, self._spool, stream)):
            return OTHERS_FIRST
        return BODY_MISSING

    def time_out(self) -> None:
        """Have a handler whose own ``timeout`` has passed begin: its read is told."""
        self._late = True
        self._forget_coding(None)
        self._ready()

    def refuse_for_room(self) -> None:
        """Have the request refused because there is no room for its body."""
        self._kept_back = b""
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.clear()
        self.refused = RequestRefused(
            "No room for this body", status=HTTPStatus.INSUFFICIENT_STORAGE
        )
        self._ready()

    def _keep(self, data: bytes | memoryview) -> None:
        if self._spool is None:
            stream = self._stream
            self._spool = Spool(stream.budget, self._limits.max_buffer_memory, stream.owner)
        self._spool.append(data)

    def _forget_coding(self, size: int | None) -> None:
        """Have the handler see a body without framing, and its size where that is known."""
        if self.request.head.body_size != CHUNKED:
            return
        self.fields = [field for field in self.fields if field[0].lower() != "transfer-encoding"]
        if size is not None:
            self.fields.append(("Content-Length", str(size)))

    def _tell_to_continue(self) -> None:
        """Have a client that waits send its body."""
        self._continued = True
        self._stream.transmit(b"HTTP/1.1 100 Continue\r\n\r\n")

    def warn(self, message: str, *arguments: object) -> None:
        """Write a line in the log, if that is possible."""
        try:
            _log.warning(message, *arguments)
        except Exception:  # noqa: BLE001 (whatever it is)
            if self.handler is not None:
                bear_log_failure(self.handler)


def _asks_for_hosts(policy: Any) -> bool:
    """Return whether a handler, or its class, says for which hosts it answers."""
    return policy is not None and (policy.allowed_hosts is not None or policy.refuse_misdirected)
