"""``--wsgi``: finding an application, and serving it instead of a folder."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.file_server.conftest import options
from tests.file_server.program import Program
from tests.file_server.test_gate import basic
from tests.file_server.test_running import fetch
from tlshttp.__main__ import main
from tlshttp._file_server.application import load_application
from tlshttp.errors import ConfigurationError

MODULE = """\
import types


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


def create():
    return application


def fails():
    raise ValueError("on purpose")


def needs(what):
    return application


number = 5
holder = types.SimpleNamespace(inner=application)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a folder with modules, go there, and forget them in the end."""
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "small.py").write_text("from shop import application as app")
    (tmp_path / "broken.py").write_text("import shop\n\n1 / 0\n")
    (tmp_path / "needy.py").write_text("import of_nobody\n")
    (tmp_path / "empty.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield tmp_path
    for path in tmp_path.glob("*.py"):  # and no others: two of tlshttp's would not know each other
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(
    "text",
    ["shop:application", "shop", "small", "small:app", "shop:create()", "shop:holder.inner"],
)
def test_what_names_an_application(place: Path, text: str) -> None:
    """Module and name, a module with a usual name in it, or what a function makes."""
    found = load_application(text, option="--wsgi")
    assert (found.__module__, found.__name__) == ("shop", "application")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("shop.py", "there is no module shop.py here"),
        ("shap:application", "there is no module shap here"),
        ("sub.shap:application", "there is no module sub here"),
        ("needy:app", "importing needy has failed: ModuleNotFoundError: No module named 'of_n"),
        ("broken:app", "importing broken has failed: ZeroDivisionError: division by zero"),
        ("shop:applications", r"there is no applications in shop \(is application meant\?\)"),
        ("shop:holder.outer", "there is no outer in shop"),
        ("empty", "there is no application in empty"),
        ("shop:number", "that is of type int, which cannot be called"),
        ("shop:number()", "that is of type int, which cannot be called"),
        ("shop:fails()", "making it has failed: ValueError: on purpose"),
        ("shop:needs()", "making it has failed: TypeError: needs"),
        ("shop:create(1)", "neither MODULE:NAME"),
        ("shop:", "neither MODULE:NAME"),
        (":application", "neither MODULE:NAME"),
        ("./shop:application", "neither MODULE:NAME"),
        ("shop:application:x", "neither MODULE:NAME"),
    ],
)
def test_what_names_none(place: Path, text: str, says: str) -> None:
    """One sentence says why, with the option as it was given."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_application(text, option="--wsgi")
    assert str(caught.value).startswith(f"--wsgi {text}: ")


def test_a_failure_of_the_users_module_is_shown(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its traceback, and the sentence behind it; status 2."""
    assert main(["0", "--wsgi", "broken:app"]) == 2
    said = capsys.readouterr().err
    assert 'broken.py", line 3' in said
    last = said.splitlines()[-1]
    assert last.endswith("--wsgi broken:app: importing broken has failed: ZeroDivisionError:"
                         " division by zero")  # fmt: skip


def test_an_asynchronous_application_is_told_of(place: Path) -> None:
    """It would never be called rightly."""
    (place / "later.py").write_text("async def app(scope, receive, send):\n    pass\n")
    assert main(["0", "--wsgi", "later"]) == 2


@pytest.mark.parametrize("words", ["--directory .", "--spa", "--cors", "--upload ."])
def test_what_is_about_files_does_not_go_with_it(place: Path, words: str) -> None:
    """Rather than to mean nothing."""
    name = words.split(maxsplit=1)[0]
    with pytest.raises(ConfigurationError, match=f"{name} is about files, and --wsgi serves none"):
        options("--wsgi", "shop", *words.split())
    assert options(TLSHTTP_WSGI="shop").wsgi == "shop"


def test_it_is_served_with_all_that_is_about_requests(place: Path) -> None:
    """A password, further fields, and the log."""
    (place / "word").write_text("secret\n")
    program = Program(
        "127.0.0.1:0", "--wsgi", "shop", "--auth", "me", "--auth-file", "word", "--header", "X-A:1"
    )
    assert program.banner.startswith("Serving shop at https://127.0.0.1:")
    assert fetch(f"{program.url}a") == 401
    assert fetch(f"{program.url}b", Authorization=basic("me", "secret")) == 200
    status, _, said = program.end()
    assert status == 0
    assert '"GET /a HTTP/1.1" 401 -' in said
    assert '"GET /b HTTP/1.1" 200 -' in said


FAILING = """\
def app(environ, start_response):
    errors = environ["wsgi.errors"]
    print("has", "no", "shelf", file=errors)
    errors.writelines(["two\\n", "lines\\n"])
    errors.flush()
    errors.write("no end")
    raise LookupError("on purpose")


async def later(scope, receive, send):
    raise LookupError("on purpose")
"""


@pytest.mark.parametrize("what", [("--wsgi", "failing:app"), ("--asgi", "failing:later")])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_exception_of_an_application_is_one_line_of_json(
    place: Path, what: tuple[str, str], workers: str
) -> None:
    """With its traceback, once; without ``--log-format json`` it is text as ever."""
    (place / "failing.py").write_text(FAILING)
    program = Program("127.0.0.1:0", *what, "--log-format", "json", "--workers", workers)
    assert fetch(program.url) == 500
    lines = [json.loads(line) for line in program.end()[2].splitlines()]
    (failure,) = (line for line in lines if "LookupError: on purpose" in str(line))
    assert "Traceback" in failure["exception"]
    assert failure["level"] == "ERROR"
    assert failure["client"].startswith("127.0.0.1:")
    complaints = [line for line in lines if line["logger"] == "tlshttp.wsgi"]
    if what[0] == "--wsgi":
        assert [it["message"] for it in complaints] == ["has no shelf", "two\nlines", "no end"]
        (request,) = (line for line in lines if line["logger"] == "tlshttp.access")
        assert {it["request_id"] for it in complaints} == {request["request_id"]}
    program = Program("127.0.0.1:0", *what)
    assert fetch(program.url) == 500
    said = program.end()[2]
    assert said.count("\nLookupError: on purpose\n") == 1
    assert what[0] == "--asgi" or "has no shelf\ntwo\nlines\nno end" in said


ASGI = """\
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


async def hello(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    await app(scope, receive, send)
"""


def test_an_asgi_application_is_served_with_what_goes_with_it(place: Path) -> None:
    """A field that the user adds, and the application's answer."""
    (place / "later.py").write_text(ASGI)
    program = Program("127.0.0.1:0", "--asgi", "later:hello", "--header", "X-Own:1")
    try:
        unverified = ssl._create_unverified_context()
        with urllib.request.urlopen(f"{program.url.rstrip('/')}/path", context=unverified) as found:
            assert found.read() == b"/path"
            assert found.headers["X-Own"] == "1"
    finally:
        program.end()


def test_an_asgi_application_that_fails_to_start_is_a_sentence(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """And the end of the program."""
    (place / "later.py").write_text(ASGI)
    assert main(["127.0.0.1:0", "--asgi", "later:app"]) == 2
    assert "the ASGI application has not started: no database" in capfd.readouterr().err


def test_a_wsgi_application_given_as_another_is_a_sentence(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the start, and not at each request."""
    assert main(["127.0.0.1:0", "--asgi", "shop:application"]) == 2
    said = capfd.readouterr().err
    assert "shop.application is no ASGI application" in said
    assert "Traceback" not in said


def test_an_asgi_application_that_breaks_as_it_starts_is_a_line(place: Path) -> None:
    """It has taken the event, and so it is no lack of a lifespan; what it answers is served."""
    (place / "later.py").write_text(
        ASGI.replace(
            'await send({"type": "lifespan.startup.failed", "message": "no database"})',
            'raise LookupError("no database")',
        )
    )
    program = Program("127.0.0.1:0", "--asgi", "later:app")
    assert fetch(f"{program.url}a") == 200
    status, _, said = program.end()
    assert status == 0
    assert said.count("failed to start, and is served: LookupError('no database')") == 1
    assert "Traceback" not in said


def test_one_application_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    """Not one of each kind."""
    assert main(["--wsgi", "a:b", "--asgi", "c:d"]) == 2
    assert "which of them is it?" in capsys.readouterr().err
