"""Heads are found where the last search ended, parsed once, and forgotten when they are large."""

from __future__ import annotations

import gc
import sys
from http import HTTPStatus
from types import ModuleType
from typing import Any

import pytest

from tests.handler.http_support import MemoryEngine, Quiet, converse, receive, statuses
from tests.support import NoOwner
from tlshttp._machinery.stream import Stream
from tlshttp.errors import RequestRefused
from tlshttp.handler import _requests
from tlshttp.handler._compose import compose
from tlshttp.handler._exchange import HTTPExchange
from tlshttp.handler._requests import HeadFinder, Requests, head_end
from tlshttp.limits import Limits

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

HEADS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.1\r\nHost: a\n\r\n",
    b"GET / HTTP/1.1\nHost: a\r\n\n",
    b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: \r\r\n\r\n",
]

# Finding -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("before", [b"", b"what has been read already\r\n\r\n"])
@pytest.mark.parametrize("after", [b"", b"\n\n", b"\r\n\r\n", NEXT])
def test_head_ends_at_its_first_empty_line(head: bytes, before: bytes, after: bytes) -> None:
    """However it arrives: in one piece, in two, or byte by byte."""
    data = before + head + after
    start = len(before)
    for step in (1, 2, 3, 5, len(data)):
        find = HeadFinder(1000, passes_over=False)
        found = -1
        for end in [*range(start, len(data), step), len(data)]:
            found = find(data[:end], start)
            assert (found >= 0) == (end >= start + len(head))
            if found >= 0:
                break
        assert found == len(head)
        assert head_end(data, start) == start + len(head)


def test_finder_is_ready_for_the_next_head() -> None:
    """Where a search ended belongs to that head alone."""
    find = HeadFinder(1000, passes_over=False)
    buffer = HEADS[0] + NEXT
    assert find(buffer[:20], 0) < 0
    assert find(buffer, 0) == len(HEADS[0])
    assert find(buffer, len(HEADS[0])) == len(NEXT)
    assert find(NEXT, 0) == len(NEXT)


class Watched(bytes):
    """Bytes that take note of how many of them are searched."""

    searched = 0

    def find(self, what: Any, start: Any = None, end: Any = None, /) -> int:
        """Search, and count."""
        stop = len(self) if end is None else min(end, len(self))
        Watched.searched += max(0, stop - (start or 0))
        return super().find(what, start, end)


def test_search_goes_on_where_it_stopped() -> None:
    """Peers 11: a head of 64 KiB in single bytes costs what it has, not the square of that."""
    size = 20_000
    data = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (size // 6)
    find = HeadFinder(65_536, passes_over=False)
    Watched.searched = 0
    for end in range(1, len(data)):
        assert find(Watched(data[:end]), 0) < 0
    assert Watched.searched < 12 * len(data)


@pytest.mark.parametrize("unfinished", [False, True])
@pytest.mark.parametrize("over", [0, 1])
def test_head_is_too_long_to_the_byte(over: int, unfinished: bool) -> None:
    """``Limits.max_header_bytes``, empty line and all; more than that is not waited for."""
    head = b"GET / HTTP/1.1\r\nX: " + b"y" * 77 + b"\r\n\r\n"
    find = HeadFinder(len(head) - over, passes_over=False)
    data = head[:-1] + b"z" if unfinished else head + NEXT
    expected = -1 if unfinished else len(head)
    assert find(data, 0) == (0 if over else expected)


# What is read ------------------------------------------------------------------------------------


def read(*heads: bytes, limits: Limits = Limits()) -> Requests:
    """Read heads one after the other, as the heads of one connection."""
    requests = Requests(limits)
    for head in heads:
        requests.read(head)
    return requests


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each line and section that is parsed."""
    calls: list[str] = []
    module: ModuleType = _requests
    for name in ("parse_request_line", "parse_head"):
        original = getattr(module, name)

        def listen(*arguments: Any, _name: str = name, _call: Any = original, **more: Any) -> Any:
            calls.append(_name)
            return _call(*arguments, **more)

        monkeypatch.setattr(module, name, listen)
    return calls


def test_repeated_head_is_not_parsed_again(parsed: list[str]) -> None:
    """Nor is its line where the section is another, or the other way round."""
    first = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
    requests = read(first, first, first)
    assert parsed == ["parse_request_line", "parse_head"]
    requests.read(first.replace(b"/1", b"/2", 1))
    assert parsed[2:] == ["parse_request_line"]
    assert requests.path == "/2"
    requests.read(b"GET /2 HTTP/1.1\r\nHost: b\r\n\r\n")
    assert parsed[3:] == ["parse_head"]
    assert (requests.path, requests.head.host) == ("/2", "b")


def test_section_means_something_else_in_another_version(parsed: list[str]) -> None:
    """So it is judged again: Transfer-Encoding is of HTTP/1.1."""
    section = b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    requests = read(b"POST / HTTP/1.1\r\n" + section)
    with pytest.raises(RequestRefused):
        requests.read(b"POST / HTTP/1.0\r\n" + section)
    assert parsed.count("parse_head") == 2


def test_refused_head_is_refused_again() -> None:
    """Nothing of it is taken for read."""
    bad = b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"
    requests = read(HEADS[0])
    for _ in range(2):
        with pytest.raises(RequestRefused, match="Host"):
            requests.read(bad)
    requests.read(HEADS[0])
    assert requests.head.host == "a"


@pytest.mark.parametrize(
    ("begun", "status", "line"),
    [
        (b"x" * 300, HTTPStatus.REQUEST_URI_TOO_LONG, ""),
        (b"GET /" + b"x" * 300 + b" HTTP/1.1\r\n", HTTPStatus.REQUEST_URI_TOO_LONG, ""),
        (
            b"GET / HTTP/1.1\r\nX: " + b"y" * 300,
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "GET / HTTP/1.1",
        ),
    ],
)
def test_head_that_is_too_long_is_named_as_far_as_it_can_be(
    begun: bytes, status: HTTPStatus, line: str
) -> None:
    """The error page and the log have the request line where that has come."""
    requests = Requests(Limits(max_header_bytes=200))
    assert requests.refuse_size(begun).status == status
    assert requests.line == line


# Memory ------------------------------------------------------------------------------------------


class Answering(Quiet):
    """Says yes, and stays the same for all requests of a connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(204)
        self.end_headers()


def large(kind: str) -> bytes:
    """Return a head of nearly 64 KiB."""
    if kind == "target":
        return b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    if kind == "fields":
        return b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 60_000 + b"\r\n\r\n"
    lines = b"".join(b"X%d: %b\r\n" % (number, b"y" * 600) for number in range(98))
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"


def held(root: object) -> int:
    """Return how many bytes of strings, and of what holds them, can be got at from an object."""
    seen: set[int] = set()
    todo, size = [root], 0
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, (type, ModuleType)) or callable(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, (str, bytes, bytearray, list, tuple, dict)):
            size += sys.getsizeof(thing)
        todo.extend(gc.get_referents(thing))
    return size


def answered(head: bytes, fd: int) -> HTTPExchange:
    """Return an exchange that has served a request with that head, and is idle."""
    engine = MemoryEngine([head], fd)
    stream: Any = Stream(engine, Limits(), NoOwner())
    composition = compose(Answering)
    exchange = HTTPExchange(stream, Limits(), composition, collects_all=True)
    stream.exchange = exchange
    assert receive(exchange, stream, engine)
    exchange.begin_handler()
    exchange.blocking, stream.driven = False, True
    composition.factory(stream, ("127.0.0.1", 1), None)
    handler: Any = stream.handler
    assert exchange.run(handler)
    assert engine.sent.startswith(b"HTTP/1.1 204 ")
    engine.sent.clear()
    engine.sends.clear()
    engine._segments = []
    return exchange


@pytest.mark.parametrize("kind", ["target", "fields", "many"])
def test_large_head_is_forgotten_with_its_response(kind: str, ready_fd: int) -> None:
    """An idle connection does not hold 64 KiB for the sake of a request that may not come again."""
    assert held(answered(large(kind), ready_fd)) < 16_000


def test_small_head_is_remembered(ready_fd: int) -> None:
    """The next one mostly repeats it."""
    assert answered(HEADS[0], ready_fd).request.raw == HEADS[0]


@pytest.mark.parametrize("kind", ["target", "fields", "many"])
def test_handler_of_a_forgotten_head_is_in_order(kind: str, ready_fd: int) -> None:
    """It has all the attributes that it had, and serves the next request as any other."""
    exchange = answered(large(kind), ready_fd)
    handler: Any = exchange._stream.handler
    assert (handler.path, handler.requestline, handler.raw_requestline) == ("", "", b"")
    assert handler.headers.items() == []
    outcome = converse(Answering, [large(kind), HEADS[0], large(kind)], ready_fd)
    assert statuses(outcome.sent) == (204, 204, 204)
    assert outcome.kept
