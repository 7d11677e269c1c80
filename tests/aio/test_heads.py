"""Heads of ASGI responses: like the one before they are not made again; nor is anything left."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from tests.aio.conftest import Run, connected
from tests.machinery.peers import read_response, request
from tests.support import wait_until
from tlshttp import aio
from tlshttp.aio._answer import Answer

BODY = "http.response.body"


def handler_of(application: Any, **attributes: Any) -> Any:
    """Return the handler class of an application, which says nothing of requests."""
    attributes |= {"log_message": lambda *_: None}
    return type("Quiet", (aio.asgi(application, lifespan=False),), attributes)


class Answers:
    """An application that answers with one list of fields, which it may change in between.

    Args:
        fields: The list.
        statuses: Of the responses, one after the other.
    """

    def __init__(self, fields: list[Any], *statuses: int) -> None:
        self.fields = fields
        self.statuses = list(statuses)

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        status = self.statuses.pop(0) if self.statuses else 200
        await send({"type": "http.response.start", "status": status, "headers": self.fields})
        await send({"type": BODY, "body": b"x"})


def heads(run: Run, handler: Any, count: int, between: Any) -> list[list[str]]:
    """Return the lines of so many responses on one connection, calling something in between."""
    found = []
    with run(handler) as server, connected(server) as sock:
        for index in range(count):
            sock.sendall(request())
            head = read_response(sock).partition(b"\r\n\r\n")[0].decode()
            found.append([line for line in head.split("\r\n") if not line.startswith("Date: ")])
            between(index)
    return found


@pytest.mark.parametrize("kind", [tuple, list])
def test_what_is_changed_is_sent_as_it_is_now(run: Run, kind: Any) -> None:
    """A field put in the place of another, or, as a list, changed where it is; and the status."""
    fields = [kind((b"content-length", b"1")), kind((b"x-one", b"0"))]

    def change(index: int) -> None:
        if index % 2 and kind is list:
            fields[1][1] = b"%d" % index
        elif index % 2:
            fields[1] = (b"x-one", b"%d" % index)

    found = heads(run, handler_of(Answers(fields, 200, 200, 201)), 5, change)
    assert [lines[0].split()[1] for lines in found] == ["200", "200", "201", "200", "200"]
    assert [lines[-1] for lines in found] == [f"x-one: {value}" for value in (0, 0, 1, 1, 3)]


def test_fields_of_any_iterable_are_sent_each_time(run: Run) -> None:
    """An iterator can be asked once."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        fields = iter([(b"content-length", b"1"), (b"x-one", b"1")])
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": BODY, "body": b"x"})

    found = heads(run, handler_of(application), 3, lambda _index: None)
    assert [lines[-2:] for lines in found] == [["content-length: 1", "x-one: 1"]] * 3


def test_a_head_is_checked_however_often_one_was_right(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """A line break is not sent."""
    fields = [(b"content-length", b"1"), (b"x-one", b"1")]

    def change(index: int) -> None:
        if index == 1:
            fields[1] = (b"x-one", b"1\r\nx-two: 2")

    found = heads(run, handler_of(Answers(fields)), 3, change)
    assert [lines[0].split()[1] for lines in found] == ["200", "200", "500"]
    assert "x-two" not in str(found)
    assert wait_until(lambda: "line break or NUL" in capfd.readouterr().err)


def test_the_server_is_named_as_it_is_called_now(run: Run) -> None:
    """Its name may change, and be added to by a mix-in's ``end_headers()``."""
    names = ["one", "one", "two"]

    def end_headers(handler: Any) -> None:
        handler.send_header("X-Mixed-In", "yes")
        super(type(handler), handler).end_headers()

    plain = handler_of(
        Answers([(b"content-length", b"1")]), version_string=lambda _handler: names[0]
    )
    mixed = type("Mixed", (plain,), {"end_headers": end_headers})
    found = heads(run, plain, 3, lambda _index: names.pop(0))
    assert [lines[1] for lines in found] == ["Server: one", "Server: one", "Server: two"]
    names.append("three")
    assert heads(run, mixed, 1, lambda _index: None) == [
        ["HTTP/1.1 200 OK", "Server: three", "content-length: 1", "X-Mixed-In: yes"]
    ]


async def _at_once(_scope: Any, _receive: Any, send: Any) -> None:
    fields = [(b"content-length", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": BODY, "body": b"x"})


async def _later(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0)
    await receive()
    await _at_once(scope, receive, send)
    await asyncio.sleep(0)


@pytest.mark.parametrize("application", [_at_once, _later])
def test_no_request_leaves_anything_for_the_garbage_collector(run: Run, application: Any) -> None:
    """What has answered goes at once, all but the last of a connection."""

    def answers() -> int:
        return sum(type(made) is Answer for made in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = answers()
        with run(handler_of(application)) as server, connected(server) as sock:
            for _ in range(10):
                sock.sendall(request())
                read_response(sock)
            assert wait_until(lambda: answers() <= before + 1)
    finally:
        gc.enable()
