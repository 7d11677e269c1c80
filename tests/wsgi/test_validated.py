"""The judge is the standard library's validator of PEP 3333, around one application."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from tests.server.support import ask
from tests.wsgi.conftest import Run

METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS")
BODIES = ("none", "sized", "chunked", "large")
READS = ("all", "piecewise", "lines", "nothing")
ANSWERS = ("list", "pieces", "write", "file", "empty", "nothing", "replaced")

KINDS = list(itertools.product(METHODS, BODIES, READS, ANSWERS))
TAKEN = [kind for number, kind in enumerate(KINDS) if number % 5 in (0, 3)]
"""Of 560 kinds of requests 224, in which each two of the parts come together."""

LINES = b"first\nsecond\nthird\n"
LARGE = b"0123456789abcdef" * 8192 + b"\n"


class Pieces:
    """What is returned: iterated once, and closed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """Let go of the pieces."""


def read(environ: dict[str, Any], how: str) -> bytes:
    """Read a body in one of the ways there are."""
    body = environ["wsgi.input"]
    if how == "all":
        return bytes(body.read(int(environ.get("CONTENT_LENGTH") or 0)))
    if how == "piecewise":
        return b"".join(iter(lambda: body.read(1000), b""))
    if how == "lines":
        return b"".join([body.readline(), *body.readlines(5), *body])
    return b""


def everything(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Do what the path asks for."""
    _, how, answer = environ["PATH_INFO"].split("/")
    got = read(environ, how)
    text = f"{environ['REQUEST_METHOD']} {len(got)}".encode()
    fields = [("Content-Type", "text/plain")]
    if answer == "nothing":
        start("204 No Content", [])
        return Pieces([])
    if answer == "replaced":
        start("200 OK", [*fields, ("X-First", "1")])
        try:
            raise ValueError("on purpose")
        except ValueError as error:
            start("500 Failed", fields, (ValueError, error, error.__traceback__))
        return [text]
    write = start("200 Fine", fields)
    if answer == "write":
        write(text[:2])
        write(text[2:])
        return Pieces([])
    if answer == "file":
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(text), 2)
        return wrapped
    if answer == "list":
        return [text]
    return Pieces([b"", text[:1], b"", text[1:]] if answer == "pieces" else [])


def sent(body: str) -> Any:
    """Return a body for `http.client`."""
    return {
        "none": None, "sized": LINES, "chunked": iter([LINES[:3], LINES[3:]]), "large": LARGE,
    }[body]  # fmt: skip


def expected(method: str, body: str, how: str, answer: str) -> tuple[int, bytes]:
    """Return what is to be answered."""
    size = 0 if how == "nothing" or body == "none" else len(LARGE if body == "large" else LINES)
    is_empty = answer in ("empty", "nothing") or method == "HEAD"
    text = b"" if is_empty else f"{method} {size}".encode()
    return {"nothing": 204, "replaced": 500}.get(answer, 200), text


def test_the_validator_finds_nothing(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """224 kinds of requests on one connection, by both servers, each answered as it should be.

    What the validator raises would be reported as any mistake of an application; what it finds as
    late as when something is collected, such as a missing ``close()``, it writes.
    """
    site = run(validator(everything))
    connection = site.connection()
    wrong = []
    for method, body, how, answer in TAKEN:
        fields = {} if body == "none" else {"Content-Type": "text/plain"}
        got = ask(connection, method, f"/{how}/{answer}", body=sent(body), headers=fields)
        if (got.status, got.body) != expected(method, body, how, answer):
            wrong.append((method, body, how, answer, got))
    connection.close()
    assert not site.reported
    assert not wrong
    assert len(TAKEN) >= 200
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
