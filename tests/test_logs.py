"""Logs for machines are one JSON object for each line, with fields where ours have them."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest

from tests.front.conftest import RecordingThreading, serving
from tests.front.handlers import Plain
from tests.front.peers import client_context, connect, get, handshake, read_to_end
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
