"""Each request has an id: its own or a new one, in its response and in all that is logged."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import wait_until
from tlshttp import AccessLogMixIn, RequestIdMixIn, logs, testing
from tlshttp.handler._head import RequestHeaders
from tlshttp.handler._request_id import _read

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"

_log = logging.getLogger("tests.shop")


class Plain(BaseHTTPRequestHandler):
    """Logs a line of its own."""

    def do_GET(self) -> None:
        if self.path == "/wrong":
            raise ValueError("wrong")
        fields: dict[str, str] = getattr(self, "trace_fields", {})
        _log.info("at work with %s", json.dumps(fields))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Inside(AccessLogMixIn, RequestIdMixIn, Plain):
    """The access log is around it."""


class Outside(RequestIdMixIn, AccessLogMixIn, Plain):
    """It is around the access log."""


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Collect all logs, as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JSONFormatter())
    loggers = [logging.getLogger(name) for name in ("tests.shop", "tlshttp.access")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield stream
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return what has been logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("handler", [Inside, Outside])
def test_what_comes_is_kept(handler: Any, lines: io.StringIO) -> None:
    """Id and trace of the request are in its response, its logs, and what goes on to others."""
    with testing.serve(handler) as server:
        sent = {"X-Request-Id": "order-7", "traceparent": PARENT, "tracestate": "a=b"}
        answer = server.get("/", headers=sent)
        assert wait_until(lambda: len(read(lines)) == 2)
    assert answer.headers.get_all("X-Request-Id") == ["order-7"]
    work, access = read(lines)
    assert json.loads(work["message"].removeprefix("at work with ")) == sent
    for line in (work, access):
        assert (line["request_id"], line["trace_id"]) == ("order-7", TRACE)


@pytest.mark.parametrize("handler", [Inside, Outside])
def test_each_request_has_its_own(handler: Any, lines: io.StringIO) -> None:
    """Without an id, each request of one connection gets a new one, and no trace."""
    with testing.serve(handler) as server:
        ids = [server.get("/").headers["X-Request-Id"] for _ in range(3)]
        assert wait_until(lambda: len(read(lines)) == 6)
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)
    for one in ids:  # an access line may come after the next connection's
        work, access = (line for line in read(lines) if line["request_id"] == one)
        assert "trace_id" not in work
        assert access["trace_id"] is None


def test_outside_of_requests_nothing_is_said(lines: io.StringIO) -> None:
    """What is logged when no handler is at work has no id."""
    with testing.serve(Outside) as server:
        server.get("/")
    _log.info("afterwards")
    assert "request_id" not in read(lines)[-1]


def test_a_failure_has_the_id_of_its_request() -> None:
    """The 500 of a handler that raises can be quoted as any other response."""
    with testing.serve(type("Wrong", (RequestIdMixIn, _Answers500, Plain), {})) as server:
        answer = server.get("/wrong", headers={"X-Request-Id": "order-8"})
    assert answer.status == 500
    assert answer.headers["X-Request-Id"] == "order-8"


class _Answers500(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            super().do_GET()  # type: ignore[misc]
        except ValueError:
            self.send_error(500)


@pytest.mark.parametrize(
    "wrong",
    [
        "", "two words", "x" * 129, "semi;colon", "a\tb", "\x7f", '"quoted"', "a\u0085b", "<b>",
        "abc\xa0", "\x85abc", "\x0babc\x0c", "abc\u2003", "\x1cabc",
    ],
)  # fmt: skip
def test_what_is_no_id_is_not_kept(wrong: str) -> None:
    """Nothing that could end a field or a line, or is too long to be one, is taken."""
    found = _read(RequestHeaders.of([("X-Request-Id", wrong)]), "X-Request-Id")
    assert re.fullmatch(r"[0-9a-f]{32}", found.request)


def test_spaces_and_tabs_around_an_id_are_none_of_it() -> None:
    """As around any value."""
    found = _read(RequestHeaders.of([("X-Request-Id", " \tu-1\t ")]), "X-Request-Id")
    assert found.request == "u-1"


def test_of_two_ids_none_is_kept() -> None:
    """Who says two things says nothing."""
    both = [("X-Request-Id", "a"), ("X-Request-Id", "b"), ("traceparent", PARENT)] * 2
    found = _read(RequestHeaders.of(both), "X-Request-Id")
    assert found.request not in ("a", "b")
    assert found.traceparent is None


@pytest.mark.parametrize(
    ("parent", "is_one"),
    [
        (PARENT, True),
        (PARENT.upper(), False),
        (PARENT + "-more", False),
        ("01" + PARENT[2:] + "-more", True),
        ("ff" + PARENT[2:], False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE}-b7ad6b7169203331", False),
        ("01" + PARENT[2:] + "-" + "x" * 300, False),
        ("", False),
        (PARENT + "\xa0", False),
        ("\x0b" + PARENT, False),
    ],
)
def test_a_traceparent_is_one_by_its_standard(parent: str, is_one: bool) -> None:
    """W3C Trace Context, sections 3.2 and 3.3: without a good parent the state is nothing."""
    fields = [("traceparent", parent), ("tracestate", "a=1"), ("tracestate", "b=2")]
    found = _read(RequestHeaders.of(fields), "X-Request-Id")
    assert found.traceparent == (parent if is_one else None)
    assert found.tracestate == ("a=1,b=2" if is_one else None)
    assert found.trace == (TRACE if is_one else None)


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=600))
def test_no_text_does_anything_else(given_id: str, parent: str, state: str) -> None:
    """Whatever is sent, what goes into responses and logs is an id, and nothing raises."""
    fields = [("X-Request-Id", given_id), ("traceparent", parent), ("tracestate", state)]
    found = _read(RequestHeaders.of(fields), "X-Request-Id")
    assert re.fullmatch(r"[A-Za-z0-9._~+/=:@-]{1,128}", found.request)
    assert found.traceparent is None or found.traceparent == parent.strip()
