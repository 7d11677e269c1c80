"""Logs for machines are one JSON object for each line, with fields where ours have them."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest

from tests.machinery.conftest import RecordingThreading, serving
from tests.machinery.handlers import Plain
from tests.machinery.peers import client_context, connect, get, handshake, read_to_end
from tests.support import wait_until
from tlshttp import AccessLogMixIn, certs, context, logs


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Have all logs written as JSON; give what they are written to."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    monkeypatch.setattr("sys.stderr", stream)
    logging.config.dictConfig(logs.json_config())
    try:
        yield stream
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    """Return what was written."""
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_is_an_object(output: io.StringIO) -> None:
    """Time, level, logger, message; what the program adds; an exception with its traceback."""
    logger = logging.getLogger("mine")
    logger.warning("two\nlines %s", "é", extra={"order": 17, "thing": object})
    try:
        raise LookupError("lost")
    except LookupError:
        logger.exception("failed")
    logger.debug("not written")
    first, second = lines(output)
    assert first["message"] == "two\nlines é"
    assert (first["level"], first["logger"], first["order"]) == ("WARNING", "mine", 17)
    assert first["thing"] == "<class 'object'>"
    assert first["time"].endswith("Z")
    assert "Traceback" in second["exception"]
    assert output.getvalue().isascii()


class _Unwritable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def _round() -> list[Any]:
    outer: list[Any] = [1]
    outer.append({"again": outer})
    return outer


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({("a", 1): 2, None: 3, b"x": [4]}, {"('a', 1)": 2, "None": 3, "b'x'": [4]}),
        (_round(), [1, {"again": "..."}]),
        (_Unwritable(), "<_Unwritable that cannot be written>"),
        ({_Unwritable(): 1}, {"<_Unwritable that cannot be written>": 1}),
        ([float("nan"), float("inf"), -float("inf"), 0.5], ["nan", "inf", "-inf", 0.5]),
        ((True, None, 7, "\ud800"), [True, None, 7, "\ud800"]),
        (1 << 40_000, "<int that cannot be written>"),
        ({1, 2}, "{1, 2}"),
        ([[1], [1]], [[1], [1]]),
    ],
    ids=["keys", "round", "unwritable", "unwritable-key", "floats", "plain", "int", "set", "twice"],
)
def test_what_json_does_not_know_is_written_as_well_as_can_be(
    output: io.StringIO, value: object, written: object
) -> None:
    """The line is there, and strict JSON, whatever a program adds to it."""
    logging.getLogger("mine").warning("odd", extra={"value": value, "order": 17})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    (line,) = output.getvalue().splitlines()
    found = json.loads(line, parse_constant=refuse)
    assert (found["message"], found["order"]) == ("odd", 17)
    assert found["value"] == written


def test_structures_of_any_depth_and_names_that_are_none_lose_no_line(output: io.StringIO) -> None:
    """What is deeper than twenty is left out; a name of an extra may be anything."""
    extra: Any = {"deep": _deep(), ("a", 1): 2}
    logging.getLogger("mine").warning("odd", extra=extra)
    (found,) = lines(output)
    assert found["message"] == "odd"
    assert json.dumps(found["deep"]).count("[") <= 20
    assert found["('a', 1)"] == 2


def test_extras_do_not_replace_what_is_always_there(output: io.StringIO) -> None:
    """They are there beside it, under another name."""
    extra = {"time": 1, "level": "mine", "logger": None}
    logging.getLogger("mine").warning("odd", extra=extra)
    (found,) = lines(output)
    assert found["time"].endswith("Z")
    assert (found["level"], found["logger"]) == ("WARNING", "mine")
    assert (found["extra_time"], found["extra_level"], found["extra_logger"]) == (1, "mine", None)


@pytest.mark.parametrize(
    ("words", "arguments", "message"),
    [
        ("%d pieces", ("many",), "%d pieces ('many',)"),
        (_Unwritable(), (), "<_Unwritable that cannot be written> ()"),
    ],
    ids=["wrong", "unwritable"],
)
def test_words_and_what_is_to_stand_in_them_are_written_where_they_do_not_fit(
    words: object, arguments: Any, message: str
) -> None:
    """A mistake in a call costs no line."""
    record = logging.LogRecord("mine", logging.INFO, __file__, 1, words, arguments, None)
    found = json.loads(logs.JSONFormatter().format(record))
    assert found["message"] == message


class Logged(AccessLogMixIn, Plain):
    """A handler with an access log."""


def test_our_own_lines_have_fields(output: io.StringIO) -> None:
    """Failed handshakes, refused requests and served ones, by client and reason."""
    ssl_context = context.create_server_context(certs.self_signed("localhost"))
    server = RecordingThreading(("127.0.0.1", 0), Logged, ssl_context=ssl_context)
    with serving(server):
        with connect(server.server_address) as sock:
            sock.sendall(b"SSH-2.0\r\n")
            read_to_end(sock)
            name = "{}:{}".format(*sock.getsockname())
        with handshake(server.server_address, client_context()) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
            read_to_end(tls)
        get(server.server_address, client_context(), "/page?secret=1")
        assert wait_until(lambda: len(lines(output)) >= 4)
    by_logger: dict[str, list[dict[str, Any]]] = {}
    for line in lines(output):
        by_logger.setdefault(line["logger"], []).append(line)
    [failed] = by_logger["tlshttp.handshake"]
    assert (failed["client"], failed["reason"]) == (name, "not-tls")
    [refused] = by_logger["tlshttp.connection"]
    assert refused["reason"] == "refused-request"
    access = by_logger["tlshttp.access"][-1]
    assert access["status"] == 200
    assert access["request"] == "GET /page? HTTP/1.1"
    assert access["client"] == "127.0.0.1"
    assert "secret" not in output.getvalue()
