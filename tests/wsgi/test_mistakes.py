"""What an application does wrong, and what is said and left of it."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.server.support import ask
from tests.support import Belongings, wait_until
from tests.wsgi.conftest import Run, Site
from tlshttp import ThreadingTLSHTTPServer
from tlshttp.wsgi._response import Response

Start = Callable[..., Any]

REQUEST = b"GET /bad HTTP/1.1\r\nHost: localhost\r\n\r\n"


def raises(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    raise ValueError("on purpose")


def raises_after_start(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "4")])
    raise ValueError("on purpose")


def raises_in_pieces(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [])
    yield b"begun"
    raise ValueError("on purpose")


def raises_in_close(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    class Closing:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"resource"])

        def close(self) -> None:
            raise ValueError("on purpose")

    start("200 OK", [])
    return Closing()


class Own(BaseException):
    """What a program may have of its own."""


def is_cancelled(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    raise asyncio.CancelledError("on purpose")


def raises_its_own_in_pieces(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [])
    yield b"begun"
    raise Own("on purpose")


def raises_generator_exit_in_close(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    class Closing:
        def __iter__(self) -> Iterator[bytes]:
            raise ValueError("in vain")

        def close(self) -> None:
            raise GeneratorExit("on purpose")

    start("200 OK", [])
    return Closing()


def never_answers(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    return []


def answers_too_late(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    yield b"body"
    start("200 OK", [])


def returns_nothing(environ: dict[str, Any], start: Start) -> Any:
    start("200 OK", [])


async def is_asynchronous(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    return []


def returns_a_coroutine(environ: dict[str, Any], start: Start) -> Any:
    return is_asynchronous(environ, start)


def returns_text(environ: dict[str, Any], start: Start) -> Any:
    start("200 OK", [])
    return "text"


def returns_bytes(environ: dict[str, Any], start: Start) -> Any:
    start("200 OK", [])
    return b"bytes"


def returns_texts(environ: dict[str, Any], start: Start) -> Any:
    start("200 OK", [])
    return [b"bytes", "text"]


def wraps_text(environ: dict[str, Any], start: Start) -> Any:
    start("200 OK", [])
    return environ["wsgi.file_wrapper"](io.StringIO("text"))


def writes_text(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [])("text")
    return []


def answers_twice(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [])
    start("200 OK", [])
    return [b"body"]


def answers_twice_late(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "9")])
    yield b"some"
    try:
        raise ValueError("on purpose")
    except ValueError as error:
        start("500 Sorry", [], (ValueError, error, error.__traceback__))


def writes_too_much(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "4")])(b"12345")
    return []


def returns_too_much(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "4")])
    return [b"12345"]


def returns_without_end(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "4")])
    while True:
        yield b"123"


def returns_too_little(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "4")])
    return [b"123"]


def yields_too_little(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "4")])
    yield b"1"


def exits(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    sys.exit(3)


def exits_in_pieces(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    start("200 OK", [])
    yield b"begun"
    sys.exit("no more")


@dataclass(frozen=True)
class Mistake:
    """An application, and what is to be said of it."""

    application: Any
    says: str
    shows: str | None
    """The line of the application that the traceback has; `None`: it has come to its end."""
    status: int = 500
    body: bytes | None = None
    """What reaches the client, however it ends; `None`: whatever explains a 500."""
    warns: bool = False
    """Whether one line in the log says it, since nothing was raised."""


MISTAKES = [
    Mistake(raises, "ValueError: on purpose", "raise ValueError"),
    Mistake(raises_after_start, "ValueError: on purpose", "raise ValueError"),
    Mistake(raises_in_pieces, "ValueError: on purpose", "raise ValueError", 200, b"5\r\nbegun\r\n"),
    Mistake(
        raises_in_close, "ValueError: on purpose", "raise ValueError", 200, b"8\r\nresource\r\n"
    ),
    Mistake(is_cancelled, "CancelledError: on purpose", "raise asyncio.CancelledError"),
    Mistake(raises_its_own_in_pieces, "Own: on purpose", "raise Own", 200, b"5\r\nbegun\r\n"),
    Mistake(raises_generator_exit_in_close, "GeneratorExit: on purpose", "raise GeneratorExit"),
    Mistake(never_answers, "test_mistakes.never_answers has not called start_response()", None),
    Mistake(answers_too_late, "answers_too_late has not called start_response()", None),
    Mistake(returns_nothing, "returns_nothing has returned NoneType, no iterable of bytes", None),
    Mistake(returns_a_coroutine, "returns_a_coroutine has returned coroutine, no iterable", None),
    Mistake(returns_text, "returns_text has returned str, no iterable of bytes", None),
    Mistake(returns_bytes, "returns_bytes has returned bytes, no iterable of bytes", None),
    Mistake(returns_texts, "a body is of bytes, not of str", None),
    Mistake(wraps_text, "a body is of bytes, not of str", None),
    Mistake(writes_text, "a body is of bytes, not of str", 'start("200 OK", [])("text")'),
    Mistake(answers_twice, "start_response() called twice", 'start("200 OK", [])'),
    Mistake(answers_twice_late, "ValueError: on purpose", 'start("500 Sorry"', 200, b"some"),
    Mistake(writes_too_much, "1 byte more than the Content-Length", 'b"12345"'),
    Mistake(returns_too_much, "1 byte more than its Content-Length", None, 200, b"1234", True),
    Mistake(returns_without_end, "bytes more than its Content-Length", None, 200, b"1231", True),
    Mistake(returns_too_little, "1 byte less than its Content-Length", None, 200, b"123", True),
    Mistake(yields_too_little, "3 bytes less than its Content-Length", None, 200, b"1", True),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda it: it.application.__name__)
def test_a_mistake_is_told_once_and_costs_one_response(
    run: Run, caplog: pytest.LogCaptureFixture, mistake: Mistake
) -> None:
    """One traceback with the line, or one warning; nothing wrong reaches the client as right."""
    caplog.set_level(logging.WARNING, "tlshttp")
    site = run(mistake.application)
    head, _, body = site.exchange(REQUEST).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % mistake.status)
    if mistake.body is not None:
        assert body == mistake.body
    told = [*site.reported, *(record.getMessage() for record in caplog.records)]
    (only,) = told
    assert mistake.says in only
    assert ("Traceback" in only) is not mistake.warns
    if mistake.warns:
        assert "GET /bad HTTP/1.1" in only
    if mistake.shows:
        assert mistake.shows in only


@pytest.mark.parametrize(
    ("application", "begins", "body"),
    [(exits, b"HTTP/1.1 500 ", None), (exits_in_pieces, b"HTTP/1.1 200 ", b"5\r\nbegun\r\n")],
)
def test_an_exit_is_one_line_and_costs_one_response(
    run: Run,
    caplog: pytest.LogCaptureFixture,
    application: Any,
    begins: bytes,
    body: bytes | None,
) -> None:
    """It ends no thread among many."""
    caplog.set_level(logging.WARNING, "tlshttp")
    site = run(application)
    if not isinstance(site.server, ThreadingTLSHTTPServer):
        pytest.skip("an exit ends a server of one thread, as any function that it calls would")
    for _ in range(3):
        head, _, came = site.exchange(REQUEST).partition(b"\r\n\r\n")
        assert head.startswith(begins)
        assert body in (None, came)
    assert not site.reported
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3, told
    assert all(f"{application.__name__} has called sys.exit()" in each for each in told)


@pytest.mark.thorough
@pytest.mark.parametrize("times", [3, pytest.param(200, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda it: it.application.__name__)
def test_many_leave_nothing(run: Run, mistake: Mistake, times: int) -> None:
    """No response, file or thread is left, each is told once, and the next client is served."""

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/bad":
            returned: Iterable[bytes] = mistake.application(environ, start)
            return returned
        start("200 OK", [])
        return [b"good"]

    site = run(application)
    assert_serves(site)
    before = Belongings()
    for _ in range(times):
        site.exchange(REQUEST)
    assert_serves(site)
    assert wait_until(lambda: not Belongings().files - before.files)
    assert len(site.reported) == (0 if mistake.warns else times)
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Response)]


def test_what_an_application_forgets_to_close(run: Run, tmp_path: Path) -> None:
    """Python says which file it was; here it is not kept open, and neither is the connection."""
    path = tmp_path / "forgotten"
    path.write_bytes(b"forgotten")

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", "9")])
        return iter(path.open("rb").readlines())

    site = run(application)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        connection = site.connection()
        assert [ask(connection, "GET", "/").body for _ in range(200)] == [b"forgotten"] * 200
        connection.close()
        assert not site.reported
    told = [str(warning.message) for warning in caught]
    assert len(told) == 200
    assert all(str(path) in text for text in told)


def assert_serves(site: Site) -> None:
    """Have two good requests answered on one connection."""
    connection = site.connection()
    assert [ask(connection, "GET", "/").body for _ in range(2)] == [b"good"] * 2
    connection.close()
