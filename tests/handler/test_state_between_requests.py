"""What a handler leaves on itself is there for its next request only where `http.server` has it.

`http.server` makes one handler for a connection. With HTTP/1.0, which is what a class speaks that
says nothing, that is one for each request; this package keeps such connections nevertheless.
"""

from __future__ import annotations

import functools
import http.client
import io
import weakref
from collections.abc import Callable, Generator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from typing import Any, Self

import pytest

from tests.handler.http_support import client_context, serving
from tests.handler.side_by_side import OURS, Quiet
from tests.support import UNIT
from tlshttp import TLSRequestHandler

pytestmark = pytest.mark.parametrize("server_class", OURS)


class Answering(Quiet):
    """Answers with what ``tell()`` finds."""

    def tell(self) -> object:
        """Return what the answer says."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer."""
        body = repr(self.tell()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Remembering(Answering):
    """Leaves who has asked on itself."""

    user: str | None = None

    def tell(self) -> object:
        """Return who has asked before."""
        before, self.user = self.user, self.path
        return before


class OldVersion(Remembering):
    protocol_version = "HTTP/1.0"


class NewVersion(Remembering):
    protocol_version = "HTTP/1.1"


class OwnConstructor(Remembering):
    def __init__(self, *arguments: Any) -> None:
        self.user = None
        super().__init__(*arguments)


class OwnNew(Remembering):
    def __new__(cls, *_arguments: Any) -> Self:
        made = super().__new__(cls)
        made.user = "made"
        return made


class Ours(Remembering, TLSRequestHandler):
    pass


class WithSlots(Remembering):
    __slots__ = ("kept",)

    def tell(self) -> object:
        """Return who has asked before, from a slot."""
        before = getattr(self, "kept", None)
        self.kept = self.path
        return before


def ask_all(server: Any, paths: list[str]) -> Generator[str]:
    """Ask for one path after the other, on one connection where it is kept."""
    client = http.client.HTTPSConnection(
        "localhost", server.server_port, context=client_context(), timeout=30 * UNIT
    )
    try:
        for path in paths:
            client.request("GET", path)
            yield client.getresponse().read().decode()
    finally:
        client.close()


@pytest.mark.parametrize(
    ("handler", "seen"),
    [
        (Remembering, ["None"] * 3),
        (OldVersion, ["None"] * 3),
        (OwnConstructor, ["None"] * 3),
        (OwnNew, ["'made'"] * 3),
        (WithSlots, ["None"] * 3),
        (NewVersion, ["None", "'/a'", "'/b'"]),
        (Ours, ["None", "'/a'", "'/b'"]),
    ],
)
def test_attributes_last_as_long_as_on_http_server(
    server_class: Any, handler: Any, seen: list[str]
) -> None:
    """Who was logged in with one request is not with the next, unless the class has HTTP/1.1."""
    with serving(handler, server_class=server_class) as server:
        assert list(ask_all(server, ["/a", "/b", "/c"])) == seen


class Changed(Answering):
    """Breaks all that can be broken of a handler, after it has answered."""

    def do_GET(self) -> None:
        """Answer, then break."""
        super().do_GET()
        self.wfile.flush()
        vars(self).clear()
        self.close_connection = False
        self.rfile = self.wfile = io.BytesIO()
        self.headers = self.server = None  # type: ignore[assignment]

    def tell(self) -> object:
        """Return whether all is there."""
        return [type(self.headers).__name__, self.server is not None, len(vars(self)) > 5]


def test_what_is_broken_is_whole_for_the_next(server_class: Any) -> None:
    """Files, headers and server are as they were made."""
    with serving(Changed, server_class=server_class) as server:
        answers = list(ask_all(server, ["/", "/", "/"]))
    assert answers == [answers[0]] * 3
    assert answers[0].endswith("True, True]")


class Wrapping(Answering):
    """Puts a file of its own before ``wfile``, as programs do that count or compress."""

    def do_GET(self) -> None:
        """Answer through another file."""
        self.seen = type(self.wfile).__name__
        self.wfile = _Counting(self.wfile)
        super().do_GET()

    def tell(self) -> object:
        """Return what was there before."""
        return self.seen


class _Counting(io.BufferedIOBase):
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def write(self, data: Any) -> int:
        size: int = self.inner.write(data)
        return size

    def flush(self) -> None:
        self.inner.flush()


def test_a_file_of_the_handlers_own_is_not_wrapped_again(server_class: Any) -> None:
    """Otherwise there is one more around it with each request."""
    with serving(Wrapping, server_class=server_class) as server:
        answers = list(ask_all(server, ["/"] * 5))
    assert set(answers) == {answers[0]}
    assert "Counting" not in answers[0]


def test_a_handler_that_somebody_keeps_stays_as_it_is(server_class: Any) -> None:
    """What a handler has been for one request it is for whoever keeps it; the next is another."""
    kept: list[Any] = []

    class Kept(Remembering):
        def tell(self) -> object:
            kept.append(self)
            return super().tell()

    with serving(Kept, server_class=server_class) as server:
        list(ask_all(server, ["/a", "/b"]))
        assert [handler.path for handler in kept] == ["/a", "/b"]
        assert [handler.user for handler in kept] == ["/a", "/b"]


def test_what_a_handler_held_is_let_go_of_with_its_response(server_class: Any) -> None:
    """A file that it has opened does not stay open while the connection is idle."""
    held: list[weakref.ref[Any]] = []

    class Resource:
        pass

    class Holding(Answering):
        def tell(self) -> object:
            self.resource = Resource()
            held.append(weakref.ref(self.resource))
            return None

    with serving(Holding, server_class=server_class) as server:
        answers = ask_all(server, ["/a", "/b"])
        next(answers)
        next(answers)
        # The second has been begun, so the first is over.
        assert held[0]() is None
        answers.close()


def test_a_shared_class_is_not_changed(server_class: Any) -> None:
    """Handlers of two connections have nothing in common but their class."""
    with serving(Remembering, server_class=server_class) as server:
        first, second = ask_all(server, ["/a", "/b"]), ask_all(server, ["/c", "/d"])
        assert [next(first), next(second), next(first), next(second)] == ["None"] * 4
        first.close()
        second.close()


def test_files_are_served_from_one_request_to_the_next(server_class: Any, tmp_path: Any) -> None:
    """`SimpleHTTPRequestHandler` has its folder from its constructor."""
    (tmp_path / "a").write_text("one")
    handler: Callable[..., Any] = functools.partial(_QuietFiles, directory=str(tmp_path))
    with serving(handler, server_class=server_class) as server:
        assert list(ask_all(server, ["/a", "/a", "/a"])) == ["one"] * 3


class _QuietFiles(SimpleHTTPRequestHandler):
    log_message = BaseHTTPRequestHandler.log_message

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""
