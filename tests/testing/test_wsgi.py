"""WSGI applications that are served in a test."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from tests.testing.raw import exchange
from tlshttp import testing


def test_an_application_is_called_as_pep_3333_says() -> None:
    """The judge is the standard library's validator, for requests with bodies and without."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        start_response("200 Fine", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read(length) or b"none"]

    with testing.serve(validator(application)) as server:
        assert server.get("/a?b").text == "none"
        posted = server.request("POST", "/", body="body", headers={"Content-Type": "text/plain"})
        assert posted.text == "body"
        assert server.request("HEAD", "/").body == b""
        assert server.requests[1].body == b"body"


def test_the_environment_says_what_was_asked() -> None:
    """Paths are decoded, header fields are there, repeated ones joined, and it is HTTPS."""
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    with testing.serve(application) as server:
        exchange(
            server,
            b"GET /%C3%BC?a=%20 HTTP/1.1\r\nHost: localhost\r\nX-Two: 1\r\nX-Two: 2\r\n"
            b"Connection: close\r\n\r\n",
        )
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/ü"
    assert (seen["QUERY_STRING"], seen["HTTP_X_TWO"]) == ("a=%20", "1,2")
    assert (seen["wsgi.url_scheme"], seen["SERVER_NAME"]) == ("https", "localhost")
    assert seen["SERVER_PORT"] == str(server.port)


class Pieces:
    """What an application may return: it is iterated and closed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        self.closed += 1


def serve_pieces(pieces: Pieces, before: Callable[[Any], None] = lambda _: None) -> Any:
    """Serve an application that returns these."""

    def application(environ: dict[str, Any], start_response: Any) -> Pieces:
        before(start_response)
        return pieces

    return testing.serve(application)


def test_a_class_may_be_an_application() -> None:
    """PEP 3333's own example: an instance is made for each request, and iterated."""

    class Application:
        def __init__(self, environ: dict[str, Any], start_response: Any) -> None:
            self._start = start_response

        def __iter__(self) -> Iterator[bytes]:
            self._start("200 OK", [])
            yield b"hello"

    with testing.serve(Application) as server:
        assert server.get("/").text == "hello"


def test_pieces_are_closed() -> None:
    """Once, whether all went well or not."""

    def fails() -> Iterator[bytes]:
        yield b"begun"
        raise ValueError("in the middle")

    well, badly = Pieces([b"a", b"b"]), Pieces(fails())
    with serve_pieces(well, lambda start: start("200 OK", [])) as server:
        assert server.get("/").text == "ab"
    assert well.closed == 1
    with serve_pieces(badly, lambda start: start("200 OK", [("Content-Length", "9")])) as server:
        exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        server.take_handler_errors()
    assert badly.closed == 1


def test_write_and_a_second_start_with_exc_info() -> None:
    """The old way of writing works; a head that has not been sent may be replaced."""

    def before(start_response: Any) -> None:
        start_response("200 OK", [("X-Mine", "1")])
        try:
            raise ValueError
        except ValueError as error:
            write = start_response(
                "503 Later", [("Retry-After", "1")], (ValueError, error, error.__traceback__)
            )
        write(b"written ")

    with serve_pieces(Pieces([b"returned"]), before) as server:
        answer = server.get("/")
    assert (answer.status, answer.text) == (503, "written returned")
    assert answer.headers["X-Mine"] is None


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (lambda start: None, "has not called start_response"),
        (lambda start: (start("200 OK", []), start("200 OK", [])), "called twice"),
        (lambda start: start("OK", []), r'"200 OK" does \(PEP 3333\), not \'OK\''),
        (lambda start: start("", []), r"\(PEP 3333\), not ''"),
    ],
)
def test_mistakes_of_an_application_are_the_tests(before: Any, message: str) -> None:
    """What PEP 3333 forbids is raised and answered with 500."""
    server = serve_pieces(Pieces([b"x"]), before)
    assert server.get("/").status == 500
    with pytest.raises((RuntimeError, ValueError), match=message):
        server.close()


def test_an_upload_is_read_as_a_file() -> None:
    """``wsgi.input`` ends where the body ends, chunked or not."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        copy = io.BytesIO(b"".join(environ["wsgi.input"]))
        start_response("200 OK", [])
        return [str(len(copy.getvalue())).encode()]

    with testing.serve(application) as server:
        assert server.request("POST", "/", body=bytes(70_000)).text == "70000"
        chunked = exchange(
            server,
            b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n",
        )
    assert chunked.endswith(b"\r\n\r\n3")
