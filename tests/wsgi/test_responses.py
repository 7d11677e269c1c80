"""What an application answers, and what reaches its client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from tests.server.support import ask, read_until
from tests.support import UNIT
from tests.wsgi.conftest import Run, Site, Start, answering


class Pieces:
    """What is returned: closed once, and it is counted how far it was asked for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.taken = self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.taken += 1
            yield piece

    def close(self) -> None:
        self.closed += 1


def endless() -> Iterator[bytes]:
    """Yield pieces without end."""
    while True:
        yield b"x"


# Framing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "length"),
    [
        (lambda: [b"whole"], "5"),
        (lambda: (b"wh", b"", b"ole"), "5"),
        (list, "0"),
        (lambda: [b""], "0"),
        (lambda: iter([]), "0"),
        (lambda: iter([b"", b"wh", b"ole"]), None),
    ],
    ids=["one", "several", "none", "empty", "no-piece", "pieces"],
)
def test_the_length_is_told_where_it_is_known(
    run: Run, returned: Callable[[], Iterable[bytes]], length: str | None
) -> None:
    """Of what is there, or has one piece; else the body goes in chunks."""
    answer = run(answering(returned())).get()
    assert answer.headers.get("Content-Length") == length
    assert answer.headers.get("Transfer-Encoding") == (None if length else "chunked")
    assert answer.body == (b"" if length == "0" else b"whole")


def test_the_only_piece_has_the_length(run: Run) -> None:
    """PEP 3333, "Handling the Content-Length Header": where ``len()`` is 1."""

    class Only:
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"only"])

    assert run(answering(Only())).get().headers["Content-Length"] == "4"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_statuses_without_a_body_have_none(run: Run, status: str) -> None:
    """Whatever is returned: one piece of it is asked for, and the next request is served."""
    pieces = Pieces(endless())
    site = run(answering(pieces, status, ("Content-Length", "7"), ("ETag", '"1"')))
    connection = site.connection()
    answer = ask(connection, "GET", "/")
    assert (answer.status, answer.body) == (int(status[:3]), b"")
    assert answer.headers.get("Content-Length") == (None if status[:3] == "204" else "7")
    assert ask(connection, "GET", "/").status == int(status[:3])
    connection.close()
    site.end()
    assert (pieces.taken, pieces.closed) == (2, 2)


def test_head_has_no_body(run: Run) -> None:
    """One piece is asked for, because the head may be late; some responses never end."""
    pieces = Pieces(endless())
    site = run(answering(pieces))
    answer = site.ask("HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert "Content-Length" not in answer.headers
    site.end()
    assert (pieces.taken, pieces.closed) == (1, 1)
    assert run(answering([b"four"])).ask("HEAD").headers["Content-Length"] == "4"
    assert "Content-Length" not in run(answering([])).ask("HEAD").headers


def test_each_piece_is_sent_at_once(run: Run) -> None:
    """The application goes on when the client has the piece before."""
    got = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b"first"
        assert got.wait(30 * UNIT)
        yield b"second"

    _ask_by_turns(run(answering(pieces())), b"first", got, b"second")


def test_write_sends_at_once(run: Run) -> None:
    """The old way of writing, before and besides what is returned."""
    got = threading.Event()

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        write = start("200 OK", [("Content-Type", "text/plain")])
        write(b"")
        write(b"written")
        assert got.wait(30 * UNIT)
        return [b"returned"]

    _ask_by_turns(run(application), b"written", got, b"returned")


def _ask_by_turns(site: Site, first: bytes, got: threading.Event, second: bytes) -> None:
    """Ask, and let the application go on when its first piece is there."""
    with site.client.connect(site.server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(sock, first + b"\r\n")
        got.set()
        read_until(sock, second + b"\r\n0\r\n\r\n")


def test_what_is_returned_is_closed_when_the_client_has_left(run: Run) -> None:
    """The write that fails ends it, and is an event, no mistake of the application."""
    pieces = Pieces(iter(lambda: bytes(100_000), None))
    site = run(answering(pieces))
    with site.client.connect(site.server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
    assert not site.reported
    assert pieces.closed == 1


# The head ----------------------------------------------------------------------------------------


def test_server_and_date_are_the_applications_if_it_has_them(run: Run) -> None:
    """Otherwise the server has its own; neither is there twice."""
    own = [("Server", "mine"), ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")]
    site = run(answering([], "200 OK", *own))
    raw = site.exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert raw.count(b"Server: ") == raw.count(b"Date: ") == 1
    assert b"Server: mine\r\n" in raw
    raw = run(answering([])).exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert raw.count(b"Server: ") == raw.count(b"Date: ") == 1
    raw = run(answering([], "200 OK", own[0])).exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert raw.count(b"Server: ") == raw.count(b"Date: ") == 1


def test_fields_and_phrase_are_sent_as_they_are(run: Run) -> None:
    """In order, the same one several times, with all of Latin-1."""
    fields = [("Set-Cookie", "a=1"), ("X-U", "ü\tü"), ("Set-Cookie", "b=2")]
    raw = run(answering([], "299 Größe", *fields)).exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert raw.startswith("HTTP/1.1 299 Größe\r\n".encode("latin-1"))
    assert "Set-Cookie: a=1\r\nX-U: ü\tü\r\nSet-Cookie: b=2\r\n".encode("latin-1") in raw


@pytest.mark.parametrize(
    ("status", "field", "says"),
    [
        ("200 OK", ("X-A", "1\r\nX-B: 2"), "line break"),
        ("200 OK", ("X-A", "1\n"), "line break"),
        ("200 OK", ("X-A", "1\rX-B: 2"), "line break"),
        ("200 OK", ("X-A", "1\0"), "control"),
        ("200 OK", ("X-A", "x" * 100 + "\r\n"), "line break"),
        ("200 OK", ("X-A\r\nX-B", "2"), "is not the name"),
        ("200 OK", ("X A", "2"), "is not the name"),
        ("200 OK", ("X-A:", "2"), "is not the name"),
        ("200 OK", ("", "2"), "is not the name"),
        ("200 OK", ("X-A", "\u20ac"), "Latin-1"),
        ("200 OK\r\nX-B: 2", ("X-A", "1"), "is to begin as"),
        ("200 \u20ac", ("X-A", "1"), "Latin-1"),
        ("2000 OK", ("X-A", "1"), "is to begin as"),
        ("099 OK", ("X-A", "1"), "is to begin as"),
        ("100 Continue", ("X-A", "1"), "no final status"),
        ("101 Switching Protocols", ("Upgrade", "x"), "no final status"),
        ("200 OK", ("Connection", "close"), "of the connection"),
        ("200 OK", ("connection", "keep-alive"), "of the connection"),
        ("200 OK", ("Transfer-Encoding", "chunked"), "of the connection"),
        ("200 OK", ("Upgrade", "h2c"), "of the connection"),
        ("200 OK", ("Keep-Alive", "timeout=5"), "of the connection"),
        ("200 OK", ("Content-Length", "five"), "number of bytes"),
        ("200 OK", ("Content-Length", "-5"), "number of bytes"),
        ("200 OK", ("Content-Length", "+5"), "number of bytes"),
        ("200 OK", ("Content-Length", ""), "number of bytes"),
    ],
)
def test_heads_that_must_not_be_sent(
    run: Run, status: str, field: tuple[str, str], says: str
) -> None:
    """Nothing of them is: it is 500, and the traceback says why and shows the line."""
    site = run(answering([b"body"], status, field))
    raw = site.exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 500 ")
    assert b"X-B" not in raw
    (told,) = site.reported
    assert says in told.splitlines()[-1]
    assert "start(status, list(fields))" in told


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (200, []), (b"200 OK", []), (None, []), (["200 OK"], []), ("200 OK", [("X-A", 5)]),
        ("200 OK", [("X-A", b"1")]), ("200 OK", [(b"X-A", "1")]), ("200 OK", [("X-A", ["1"])]),
        ("200 OK", [("X-A",)]), ("200 OK", ["X-A: 1"]), ("200 OK", [("X-A", None)]),
        ("200 OK", [None]), ("200 OK", None),
    ],
)  # fmt: skip
def test_heads_of_wrong_types(run: Run, status: Any, fields: Any) -> None:
    """A `TypeError` where it happens."""

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start(status, fields)
        return []

    site = run(application)
    assert site.get().status == 500
    (told,) = site.reported
    assert "TypeError: " in told.splitlines()[-1] or "ValueError: " in told.splitlines()[-1]
    assert "start(status, fields)" in told


def test_two_lengths_are_refused(run: Run) -> None:
    """Two servers might read them differently."""
    site = run(answering([b"x"], "200 OK", ("Content-Length", "1"), ("content-length", "2")))
    assert site.get().status == 500
    assert "Content-Length twice" in site.reported[0]
