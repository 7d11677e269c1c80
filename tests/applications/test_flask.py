"""Flask: its first program, and what a larger one does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest

from tests.applications.conftest import Visit
from tests.applications.support import SIZE, Browser, digest
from tests.file_server.program import Program

FIRST_PROGRAM = """\
from flask import Flask

app = Flask(__name__)

@app.route("/")
def hello_world():
    return "<p>Hello, World!</p>"
"""


def shop(go_on: threading.Event, folder: Path) -> flask.Flask:
    """Make an application with forms, sessions, uploads, streams and files."""
    app = flask.Flask("shop")
    app.secret_key = "of a test"

    @app.route("/name", methods=["GET", "POST"])
    def name() -> Any:
        if flask.request.method == "POST":
            flask.session["name"] = flask.request.form["name"]
            return flask.redirect(flask.url_for("name", _external=True))
        return flask.session.get("name", "nobody")

    @app.post("/upload")
    def upload() -> Any:
        file = flask.request.files["file"]
        found = hashlib.file_digest(file.stream, "sha256").hexdigest()
        return flask.jsonify(note=flask.request.form["note"], digest=found)

    @app.post("/stream-in")
    def stream_in() -> str:
        found = hashlib.sha256()
        while piece := flask.request.stream.read(65_536):
            found.update(piece)
        return found.hexdigest()

    @app.get("/stream-out")
    def stream_out() -> Any:
        def pieces() -> Iterator[str]:
            yield "first,"
            assert go_on.wait(60)
            yield "second"

        return flask.Response(flask.stream_with_context(pieces()), mimetype="text/csv")

    @app.get("/file")
    def file() -> Any:
        return flask.send_file(folder / "file.txt", conditional=True)

    @app.get("/fails")
    def fails() -> str:
        raise ValueError("on purpose")

    return app


@pytest.fixture
def go_on() -> threading.Event:
    """Return what the second piece of a stream waits for."""
    return threading.Event()


@pytest.fixture
def browser(visit: Visit, go_on: threading.Event, tmp_path: Path) -> Browser:
    """Visit the shop."""
    (tmp_path / "file.txt").write_text("a file")
    return visit(shop(go_on, tmp_path))


def test_the_first_program_is_served_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command line, in the folder of ``hello.py``."""
    (tmp_path / "hello.py").write_text(FIRST_PROGRAM)
    monkeypatch.chdir(tmp_path)
    program = Program("127.0.0.1:0", "--wsgi", "hello")
    try:
        browser = Browser(program.url)
        assert browser.get("/").text == "<p>Hello, World!</p>"
        assert browser.get("/other").status == 404
        browser.close()
    finally:
        _, _, said = program.end()
    assert '"GET / HTTP/1.1" 200 -' in said
    assert "Traceback" not in said


def test_a_form_and_a_session(browser: Browser) -> None:
    """A name is sent, remembered in a cookie, and the redirect is to https."""
    assert browser.get("/name").text == "nobody"
    sent = browser.post_form("/name", "name=Zo%C3%AB")
    assert (sent.status, sent.headers["Location"]) == (302, f"{browser.url}/name")
    assert browser.get("/name").text == "Zoë"


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_an_upload(browser: Browser, chunked: bool) -> None:
    """Of 64 MiB, as a form, whatever framing it comes in."""
    answer = browser.post_file("/upload", chunked=chunked)
    assert digest() in answer.text
    assert '"note":"large"' in answer.text
    assert browser.get("/name").text == "nobody"


def test_a_raw_body_is_read_as_a_stream(browser: Browser) -> None:
    """Chunked and without a type, as ``curl -T`` sends it."""
    block = bytes(1 << 20)
    body = (block for _ in range(SIZE >> 20))
    expected = hashlib.sha256(bytes(SIZE)).hexdigest()
    assert browser.ask("POST", "/stream-in", body).text == expected


def test_a_stream(browser: Browser, go_on: threading.Event) -> None:
    """Each piece is there when it is yielded."""
    first, rest = browser.first_piece("/stream-out")
    assert first == b"first,"
    go_on.set()
    assert rest.read() == b"second"


def test_a_file(browser: Browser) -> None:
    """With ranges and conditions, as Flask has them."""
    whole = browser.get("/file")
    assert (whole.text, whole.headers["Content-Length"]) == ("a file", "6")
    assert browser.get("/file", Range="bytes=2-").text == "file"
    assert browser.get("/file", If_None_Match=whole.headers["ETag"]).status == 304
    assert browser.ask("HEAD", "/file").text == ""
    assert browser.get("/file").text == "a file"


def test_a_failure_is_flasks(browser: Browser) -> None:
    """It answers by itself, and the connection is kept."""
    assert browser.get("/fails").status == 500
    assert browser.get("/name").text == "nobody"
