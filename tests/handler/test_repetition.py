"""What is kept from one request to the next spares work and never shows; hooks are all called."""

from __future__ import annotations

import copy
import http.client
import io
import pickle
from collections.abc import Callable
from email.errors import MessageDefect
from http.client import HTTPMessage
from typing import Any

import pytest

from tests.handler.http_support import Quiet, converse, statuses
from tlshttp import TLSRequestHandler
from tlshttp.handler._head import RequestHeaders

FIELDS = [("Host", "a"), ("Content-Type", 'text/plain; charset="utf-8"'), ("X", "1"), ("x", "2")]

# The headers of a request ------------------------------------------------------------------------


def filled_one_by_one() -> HTTPMessage:
    """Return what `http.client` would make of the fields."""
    message = HTTPMessage()
    for name, value in FIELDS:
        message.set_raw(name, value)
    return message


def test_headers_have_all_that_a_message_has() -> None:
    """Each attribute that a parser gives is there, with a value as good as its own."""
    made = RequestHeaders.of(FIELDS)
    lines = "".join(f"{name}: {value}\r\n" for name, value in FIELDS)
    parsed = http.client.parse_headers(io.BytesIO(f"{lines}\r\n".encode()))
    for name, value in vars(parsed).items():
        assert getattr(made, name) == value, name


def test_what_messages_share_cannot_be_changed_in_place() -> None:
    """Of what a constructor gives, only the two lists are; each message has its own of these."""
    mutable = {name for name, value in vars(HTTPMessage()).items() if isinstance(value, list)}
    assert mutable == set(vars(RequestHeaders.of(FIELDS)))
    rest = [value for name, value in vars(HTTPMessage()).items() if name not in mutable]
    assert all(hash(value) is not None for value in rest)


def _replace(message: HTTPMessage) -> None:
    del message["X"]
    message["X"] = "3"
    message.replace_header("Host", "b")
    message.add_header("Y", "4", filename="f")


def _describe(message: HTTPMessage) -> None:
    message.set_type("text/html")
    message.set_param("charset", "ascii")
    message.set_default_type("message/rfc822")
    message.preamble = message.epilogue = "text"
    message.set_unixfrom("From somebody")
    message.set_payload("body", "utf-8")
    message.defects.append(MessageDefect("odd"))


@pytest.mark.parametrize("change", [_replace, _describe])
@pytest.mark.parametrize(
    "again",
    [lambda it: it, copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))],
    ids=["itself", "copy", "deepcopy", "pickle"],
)
def test_headers_change_as_a_message_does(
    change: Callable[[HTTPMessage], None], again: Callable[[Any], Any]
) -> None:
    """Changed, and copied before or not, they are what a message of the same fields becomes."""
    ours, theirs = again(RequestHeaders.of(FIELDS)), again(filled_one_by_one())
    change(ours)
    change(theirs)
    assert ours.as_string() == theirs.as_string()
    assert ours.get_unixfrom() == theirs.get_unixfrom()  # written, it may have the time of now
    assert ours.get_default_type() == theirs.get_default_type()
    assert [str(odd) for odd in ours.defects] == [str(odd) for odd in theirs.defects]
    assert vars(filled_one_by_one()).keys() >= vars(ours).keys()


@pytest.mark.parametrize("change", [_replace, _describe])
def test_changed_headers_are_nobody_elses(change: Callable[[HTTPMessage], None]) -> None:
    """What is done to the headers of one request is not done to those of another."""
    fields = list(FIELDS)
    change(RequestHeaders.of(fields))
    assert fields == FIELDS
    assert RequestHeaders.of(FIELDS).as_string() == filled_one_by_one().as_string()
    assert RequestHeaders.of(FIELDS).defects == []


# One request after the other ---------------------------------------------------------------------


class Meddler(Quiet):
    """Answers with all it was told of the request, then changes that."""

    def answer(self) -> None:
        told = repr(
            (self.command, self.path, self.request_version, self.requestline, self.headers.items())
        ).encode()
        self.command = self.path = self.requestline = "mine"
        self.headers["X-Mine"] = "mine"
        self.request_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = answer


ALIKE = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET //x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    b"PUT / HTTP/1.1\r\n\r\n",
]


class Undated(Meddler):
    """The same at all times."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "now"


@pytest.mark.parametrize("second", ALIKE)
@pytest.mark.parametrize("first", ALIKE[:8])
def test_request_is_served_as_if_it_were_the_first(
    first: bytes, second: bytes, ready_fd: int
) -> None:
    """Whatever the one before was, and its handler did to it, answer and end are the same."""
    before = converse(Undated, [first], ready_fd)
    assert before.kept
    alone = converse(Undated, [second], ready_fd)
    after = converse(Undated, [first, second], ready_fd)
    assert after.sent == before.sent + alone.sent
    assert after.kept == alone.kept
    assert str(after.fault) == str(alone.fault)


SAID = {
    "/length": (("Content-Length", "2"), b"ab"),
    "/chunks": (("Transfer-Encoding", "chunked"), b"0\r\n\r\n"),
    "/events": (("Content-Type", "text/event-stream"), b"c"),
    "/keep": (("Connection", "keep-alive"), b"c"),
}


class Sayer(Quiet):
    """Says of its responses what the path asks for."""

    def do_GET(self) -> None:
        self.send_response_only(200)
        field, body = SAID.get(self.path, (None, b"c"))
        if field is not None:
            self.send_header(*field)
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize("path", [*SAID])
def test_response_says_nothing_of_the_one_before(path: str, ready_fd: int) -> None:
    """Length, framing and connection of one response are forgotten in the next."""
    first, second = (
        f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for target in (path, "/none")
    )
    before = converse(Sayer, [first], ready_fd)
    after = converse(Sayer, [first, second], ready_fd)
    assert after.sends[len(before.sends) :] == [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n",
        b"0\r\n\r\n",
    ]


class Headless(Quiet):
    """Sends fields without a status line."""

    def do_GET(self) -> None:
        if self.path == "/field":
            self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"x")


def test_response_may_be_begun_with_a_field(ready_fd: int) -> None:
    """As in http.server, ``send_header()`` does not need a status line before it."""
    asked = b"GET /field HTTP/1.1\r\nHost: a\r\n\r\n"
    assert converse(Headless, [asked], ready_fd).sent == b"Content-Length: 1\r\n\r\nx"


def test_end_of_a_head_is_nothing_in_http_0_9(ready_fd: int) -> None:
    """A response of HTTP/0.9 is its body, also where the handler only ends a head."""
    assert converse(Headless, [b"GET /\r\n\r\n"], ready_fd).sent == b"x"


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_no_chunks_unless_both_sides_know_them(version: str, ready_fd: int) -> None:
    """Neither a client nor a handler of HTTP/1.0 has chunks; the connection's end is the body's."""

    class Old(Sayer):
        protocol_version = "HTTP/1.0" if version == "HTTP/1.1" else "HTTP/1.1"

    asked = f"GET /none {version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".encode()
    outcome = converse(Old, [asked], ready_fd)
    # A response of HTTP/1.0 need not say what it means anyway (RFC 9112, section 9.3).
    close = "Connection: close\r\n" if Old.protocol_version == "HTTP/1.1" else ""
    assert outcome.sent == f"{Old.protocol_version} 200 OK\r\n{close}\r\nc".encode()
    assert not outcome.kept


class Counting(Quiet):
    """Tells how many attributes it has."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        names = " ".join(vars(self)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(names)))
        self.end_headers()
        self.wfile.write(names)


def test_clients_d10_attributes_leave_room_for_the_handlers_own(ready_fd: int) -> None:
    """CPython is slower with an object that has more than thirty, whoever they belong to.

    Clients D10: what http.server keeps for itself (Python 3.15: ``_log_request_info``) is none of
    ours, and has a bound of its own.
    """
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    outcome = converse(Counting, [request, request], ready_fd)
    names = outcome.sent.rpartition(b"\r\n\r\n")[2].decode().split()
    theirs = [name for name in names if name[0] == "_" and "TLSRequestHandler__" not in name]
    assert "_headers_buffer" in theirs
    assert len(theirs) <= 3
    assert 8 < len(names) - len(theirs) <= 18


# Hooks -------------------------------------------------------------------------------------------

HOOKS = (
    "handle_one_request", "parse_request", "send_response", "log_request", "log_message",
    "version_string", "date_time_string", "end_headers",
)  # fmt: skip
CALLS = [
    "handle_one_request", "parse_request", "do_GET", "send_response", "log_request", "log_message",
    "version_string", "date_time_string", "end_headers",
]  # fmt: skip


class _Served(Quiet, TLSRequestHandler):
    """Says one word."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")


def listener(calls: list[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its calls recorded."""

    def record(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        return function(*arguments, **named)

    return record


@pytest.mark.parametrize("names", [(name,) for name in HOOKS] + [HOOKS])
def test_every_hook_of_the_class_is_called_once(names: tuple[str, ...], ready_fd: int) -> None:
    """For each request, in the order of http.server, whichever of them are overridden."""
    calls: list[str] = []
    own = {name: listener(calls, name, getattr(_Served, name)) for name in (*names, "do_GET")}
    outcome = converse(type("Listens", (_Served,), own), [ALIKE[0], ALIKE[0]], ready_fd)
    assert statuses(outcome.sent) == (200, 200)
    assert calls == [name for name in CALLS if name in own] * 2


@pytest.mark.parametrize("names", [("send_response_only",), ("send_header",)])
def test_every_part_of_a_head_is_the_handlers_to_change(
    names: tuple[str, ...], ready_fd: int
) -> None:
    """``send_header()`` of the handler's own is called for Server and Date, too."""
    calls: list[str] = []
    own = {name: listener(calls, name, getattr(_Served, name)) for name in names}
    outcome = converse(type("Listens", (_Served,), own), [ALIKE[0], ALIKE[0]], ready_fd)
    assert statuses(outcome.sent) == (200, 200)
    assert calls == list(names) * (6 if names == ("send_header",) else 2)


@pytest.mark.parametrize("name", [*HOOKS[1:], "send_response_only", "send_header"])
def test_every_hook_of_an_instance_is_called(name: str, ready_fd: int) -> None:
    """An attribute of the instance stands in for the method, from the next call on."""
    calls: list[str] = []

    class Listens(_Served):
        def setup(self) -> None:
            super().setup()
            vars(self)[name] = listener(calls, name, getattr(self, name))

    outcome = converse(Listens, [ALIKE[0], ALIKE[0]], ready_fd)
    assert statuses(outcome.sent) == (200, 200)
    assert calls == [name] * 2


def test_method_that_a_class_is_given_later_is_called_on_the_next_connection(
    monkeypatch: pytest.MonkeyPatch, ready_fd: int
) -> None:
    """What a class overrides is asked for each connection: a test may replace a method."""
    assert b"X-Late" not in converse(_Served, [ALIKE[0]], ready_fd).sent

    def send_header(self: Any, keyword: str, value: Any) -> None:
        original(self, keyword, value)
        original(self, "X-Late", keyword)

    original: Any = _Served.send_header
    monkeypatch.setattr(_Served, "send_header", send_header)
    sent = converse(_Served, [ALIKE[0]], ready_fd).sent
    assert all(b"X-Late: %b\r\n" % name in sent for name in (b"Server", b"Date", b"Content-Length"))
