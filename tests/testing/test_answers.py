"""Answers by path."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import UNIT
from tests.testing.raw import exchange
from tlshttp import testing


def test_what_says_more_is_tried_first() -> None:
    """Method and query, method, query, path."""
    answers: dict[str, Any] = {
        "/": "path",
        "/?a=1": "query",
        "POST /": "method",
        "POST /?a=1": "both",
    }
    with testing.serve(answers) as server:
        got = {
            f"{method} {path}": server.request(method, path).text
            for method in ("GET", "POST")
            for path in ("/", "/?a=1", "/?b=2")
        }
    assert got == {
        "GET /": "path",
        "GET /?a=1": "query",
        "GET /?b=2": "path",
        "POST /": "method",
        "POST /?a=1": "both",
        "POST /?b=2": "method",
    }


def test_what_is_not_there_is_404_and_says_what_is() -> None:
    """Who mistypes a path reads in the answer which ones there are."""
    with testing.serve({"/a": "", "POST /b": ""}) as server:
        answer = server.get("/c")
        assert answer.status == 404
        assert "GET /c" in answer.text
        assert "  /a\n  POST /b\n" in answer.text


def test_another_method_is_405() -> None:
    """With the methods that are allowed, as RFC 9110 section 15.5.6 has it."""
    with testing.serve({"POST /": "", "PUT /": "", "POST /?a": ""}) as server:
        answer = server.get("/?a")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST, PUT")


@pytest.mark.parametrize("body", ["text", b"bytes", testing.Response("text"), lambda _: "text"])
def test_head_is_answered_without_a_body(body: Any) -> None:
    """HEAD gets the head of GET's answer."""
    with testing.serve({"/": body}) as server:
        got, head = server.get("/"), server.request("HEAD", "/")
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(got.body))


def test_any_method_is_answered() -> None:
    """Also those that nobody has heard of."""
    with testing.serve({"/": "ok"}) as server:
        for method in ("DELETE", "PATCH", "OPTIONS", "PROPFIND", "X"):
            assert server.request(method, "/").text == "ok"
        assert server.requests[-1].method == "X"


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_have_none(status: int) -> None:
    """RFC 9112, section 6.3: the next response follows at once."""
    with testing.serve({"/": testing.Response("dropped", status)}) as server:
        answer = exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.endswith(b"\r\n\r\n")


def test_headers_and_phrases() -> None:
    """What is given is sent; text has a type unless it is given another."""
    answers: dict[str, Any] = {
        "/text": "ü",
        "/html": testing.Response("<p>", headers={"content-type": "text/html"}),
        "/json": testing.Response.json({"a": [1]}, status=201, headers={"X-Mine": "yes"}),
        "/bytes": b"\0",
    }
    with testing.serve(answers) as server:
        text, html, json, raw = (server.get(path) for path in answers)
    assert (text.text, text.headers["Content-Type"]) == ("ü", "text/plain; charset=utf-8")
    assert html.headers.get_all("Content-Type") == ["text/html"]
    assert (json.json(), json.status, json.headers["X-Mine"]) == ({"a": [1]}, 201, "yes")
    assert json.headers["Content-Type"] == "application/json"
    assert (raw.body, raw.headers["Content-Type"]) == (b"\0", None)


def test_answers_may_change_while_they_are_served() -> None:
    """A server without any is filled by its test."""
    with testing.serve() as server:
        assert server.get("/").status == 404
        server.responses["/"] = "now"
        assert server.get("/").text == "now"


def test_answers_belong_to_the_test_that_gave_them() -> None:
    """The mapping itself is served, so what its owner changes is served, too."""
    answers = {"/": "one"}
    with testing.serve(answers) as server:
        answers["/"] = "two"
        assert server.get("/").text == "two"


def test_a_function_has_the_whole_request() -> None:
    """It answers by what it was sent."""

    def echo(request: testing.RecordedRequest) -> testing.Response:
        return testing.Response(request.body, headers={"X-Path": request.path})

    with testing.serve({"/": echo}) as server:
        answer = server.request("POST", "/?q", body=bytes(100_000))
    assert answer.body == bytes(100_000)
    assert answer.headers["X-Path"] == "/?q"


CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
)


def test_a_function_has_a_chunked_body() -> None:
    """It may ask for the body whose end only the last chunk tells: it does not wait for itself."""
    with testing.serve({"/": lambda request: request.body}, timeout=30 * UNIT) as server:
        assert exchange(server, CHUNKED).endswith(b"\r\n\r\nabcde")


@pytest.mark.parametrize("size", [16_384, 16_385, 3 << 20])
@pytest.mark.parametrize("path", ["/text", "/function", "/nowhere"])
def test_bodies_are_recorded_whole(path: str, size: int) -> None:
    """Of any size, whatever answers, and where nothing does."""
    answers: dict[str, Any] = {"/text": "ok", "/function": lambda request: "ok"}
    with testing.serve(answers) as server:
        server.request("POST", path, body=b"x" * size)
        assert server.requests[0].body == b"x" * size


def test_a_chunked_body_is_recorded_whole() -> None:
    """Without a function, too."""
    with testing.serve({"/": "ok"}) as server:
        assert exchange(server, CHUNKED).endswith(b"ok")
        assert server.requests[0].body == b"abcde"


def test_head_may_have_an_answer_of_its_own() -> None:
    """A key with HEAD goes before that of GET, and alone allows no other method."""
    answers: dict[str, Any] = {
        "HEAD /x": testing.Response(status=204),
        "GET /x": "get",
        "HEAD /y": testing.Response("text", headers={"X-Mine": "yes"}),
    }
    with testing.serve(answers) as server:
        assert server.request("HEAD", "/x").status == 204
        assert server.get("/x").text == "get"
        head = server.request("HEAD", "/y")
        assert (head.status, head.headers["X-Mine"], head.body) == (200, "yes", b"")
        other = server.get("/y")
        assert (other.status, other.headers["Allow"]) == (405, "HEAD")


def test_a_key_of_no_path_disturbs_nobody() -> None:
    """An empty key is listed with the others, and answers nothing."""
    with testing.serve({"": "never", " ": "never", "/a": "a"}) as server:
        assert server.get("/a").text == "a"
        assert server.get("/b").status == 404


def test_answers_may_change_in_the_middle_of_a_search() -> None:
    """A change at the worst moment, when a key is looked at, is no error of the server."""
    answers: dict[str, Any] = {}

    class Key(str):
        __slots__ = ()

        def split(self, *arguments: Any) -> list[str]:
            answers[f"/{len(answers)}"] = ""
            return super().split(*arguments)

        def rpartition(self, sep: str) -> tuple[str, str, str]:
            answers[f"/{len(answers)}"] = ""
            return super().rpartition(sep)

    answers[Key("POST /a")] = ""
    with testing.serve(answers) as server:
        assert server.get("/nowhere").status == 404
    assert len(answers) > 1


async def coroutine(request: testing.RecordedRequest) -> str:
    """Answer, were it waited for."""
    return "never"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (None, "None"),
        (5, "5"),
        ({"a": 1}, "{'a': 1}"),
        (testing.Response({"a": 1}), "Response(body={'a': 1}"),  # type: ignore[arg-type]
        (testing.Response(None), "Response(body=None"),  # type: ignore[arg-type]
        (lambda request: None, "None"),
        (lambda request: {"a": 1}, "{'a': 1}"),
        (lambda request: lambda request: "too deep", "<function"),
        (coroutine, "<coroutine object coroutine"),
    ],
    ids=[
        "None",
        "int",
        "dict",
        "body that is a dict",
        "body None",
        "function of None",
        "function of a dict",
        "function of a function",
        "coroutine",
    ],
)
def test_what_is_no_answer_is_an_error(answer: Any, what: str) -> None:
    """It names the request, what was given and what may be; the client gets its 500."""
    server = testing.serve({"/": answer})
    assert server.request("PUT", "/?a").status == 500
    with pytest.raises(TypeError) as caught:
        server.close()
    assert str(caught.value).startswith(f"the answer to PUT /?a is {what}")
    assert "a str, bytes, a Response" in str(caught.value)


def test_a_function_s_exception_is_the_tests() -> None:
    """It is raised as any handler's."""

    def fail(request: testing.RecordedRequest) -> str:
        raise KeyError("missing")

    server = testing.serve({"/": fail})
    assert server.get("/").status == 500
    with pytest.raises(KeyError, match="missing"):
        server.close()


def test_other_servers_have_no_answers_by_path() -> None:
    """Who asks for them is told why."""
    with (
        testing.serve(lambda environ, start_response: []) as server,
        pytest.raises(RuntimeError, match="no responses by path"),
    ):
        server.responses  # noqa: B018
