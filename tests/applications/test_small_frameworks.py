"""Bottle and falcon."""

from __future__ import annotations

import hashlib
from typing import Any

import bottle
import falcon
import pytest

from tests.applications.conftest import Visit
from tests.applications.support import digest


def a_bottle() -> Any:
    """Make an application with routes, forms and uploads."""
    app = bottle.Bottle()

    @app.route("/hello/<name>")
    def hello(name: str) -> Any:
        return bottle.template("<b>Hello {{name}}</b>!", name=name)

    @app.post("/upload")
    def upload() -> Any:
        file = bottle.request.files["file"].file
        return {
            "note": bottle.request.forms["note"],
            "digest": hashlib.file_digest(file, "sha256").hexdigest(),
            "scheme": bottle.request.urlparts.scheme,
        }

    @app.get("/stream")
    def stream() -> Any:
        yield "first,"
        yield "second"

    return app


class Things:
    """A resource of falcon's."""

    def on_get(self, request: Any, response: Any) -> None:
        response.text = f"{request.scheme} {request.get_param('q')} {request.remote_addr}"

    def on_put(self, request: Any, response: Any) -> None:
        found = hashlib.sha256()
        while piece := request.bounded_stream.read(65_536):
            found.update(piece)
        response.media = {"digest": found.hexdigest()}

    def on_delete(self, request: Any, response: Any) -> None:
        response.status = falcon.HTTP_204


def a_falcon() -> Any:
    """Make an application of that."""
    app = falcon.App()
    app.add_route("/things", Things())
    return app


def test_bottle(visit: Visit) -> None:
    """Its first program, an upload and a stream."""
    browser = visit(a_bottle())
    assert browser.get("/hello/world").text == "<b>Hello world</b>!"
    assert browser.get("/stream").text == "first,second"
    assert browser.ask("HEAD", "/hello/world").text == ""
    sent = browser.post_file("/upload", chunked=False).text
    assert digest() in sent
    assert '"scheme": "https"' in sent


@pytest.mark.parametrize("chunked", [False, True], ids=["sized", "chunked"])
def test_falcon(visit: Visit, chunked: bool) -> None:
    """A resource, whose body is read as it comes."""
    browser = visit(a_falcon())
    assert browser.get("/things?q=1").text == "https 1 127.0.0.1"
    body = (bytes(1 << 20) for _ in range(16))
    fields = {} if chunked else {"Content-Length": str(16 << 20)}
    expected = hashlib.sha256(bytes(16 << 20)).hexdigest()
    assert expected in browser.ask("PUT", "/things", body, **fields).text
    assert browser.ask("DELETE", "/things").status == 204
    assert browser.ask("PATCH", "/things").status == 405
