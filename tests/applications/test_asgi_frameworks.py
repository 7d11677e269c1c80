"""Starlette, FastAPI and Quart: their first programs, and what a larger one does."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import fastapi
import pytest
import quart
import starlette.applications
import starlette.background
import starlette.requests
import starlette.responses
import starlette.routing
import websockets.sync.client

from tests.applications.support import SIZE, Browser, digest
from tests.file_server.program import Program
from tests.support import UNIT
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, aio, certs, context

STARLETTE = """\
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def homepage(request):
    return JSONResponse({'hello': 'world'})


app = Starlette(debug=True, routes=[
    Route('/', homepage),
])
"""

FASTAPI = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello World"}
"""

QUART = """\
from quart import Quart

app = Quart(__name__)

@app.route('/')
async def hello():
    return 'hello'

if __name__ == '__main__':
    app.run()
"""

FIRST = {
    "starlette": (STARLETTE, '{"hello":"world"}'),
    "fastapi": (FASTAPI, '{"message":"Hello World"}'),
    "quart": (QUART, "hello"),
}


class Visit:
    """Serves an application until the test ends."""

    def __init__(self, server_class: type[TLSHTTPServer], stack: contextlib.ExitStack) -> None:
        self._server_class = server_class
        self._stack = stack

    def __call__(self, application: Any) -> Browser:
        made = type("Quiet", (aio.asgi(application),), {"log_message": lambda *_: None})
        ssl_context = context.create_server_context(certs.self_signed("localhost"))
        server = self._server_class(("localhost", 0), made, ssl_context=ssl_context)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self._stack.callback(server.server_close)
        self._stack.callback(thread.join)
        self._stack.callback(server.shutdown)
        browser = Browser(server.url)
        self._stack.callback(browser.close)
        return browser


@pytest.fixture(params=[TLSHTTPServer, ThreadingTLSHTTPServer], ids=lambda it: it.__name__)
def visit_asgi(request: pytest.FixtureRequest) -> Iterator[Visit]:
    """Return what serves an application on either server."""
    with contextlib.ExitStack() as stack:
        yield Visit(request.param, stack)


@pytest.mark.parametrize("name", FIRST)
def test_the_tutorials_first_program_is_served(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands, by the command line."""
    text, answer = FIRST[name]
    (tmp_path / "main.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    program = Program("127.0.0.1:0", "--asgi", "main:app")
    try:
        browser = Browser(program.url)
        assert browser.get("/").text == answer
        browser.close()
    finally:
        _, _, said = program.end()
    assert '"GET / HTTP/1.1" 200 -' in said
    assert "Traceback" not in said


# Starlette ---------------------------------------------------------------------------------------


async def _form(request: starlette.requests.Request) -> Any:
    form = await request.form()
    return starlette.responses.PlainTextResponse(f"{form['name']}")


async def _stream_in(request: starlette.requests.Request) -> Any:
    found = hashlib.sha256()
    async for piece in request.stream():
        found.update(piece)
    return starlette.responses.PlainTextResponse(found.hexdigest())


async def _stream_out(request: starlette.requests.Request) -> Any:
    async def pieces() -> AsyncIterator[str]:
        yield "first,"
        while not request.app.state.go_on.is_set():
            await asyncio.sleep(0.01)
        yield "second"

    return starlette.responses.StreamingResponse(pieces())


async def _background(request: starlette.requests.Request) -> Any:
    async def later() -> None:
        await asyncio.sleep(0.05)
        request.app.state.done.set()

    task = starlette.background.BackgroundTask(later)
    return starlette.responses.PlainTextResponse("begun", background=task)


def _starlette() -> Any:
    routes = [
        starlette.routing.Route("/form", _form, methods=["POST"]),
        starlette.routing.Route("/stream-in", _stream_in, methods=["POST"]),
        starlette.routing.Route("/stream-out", _stream_out),
        starlette.routing.Route("/background", _background),
    ]
    app = starlette.applications.Starlette(routes=routes)
    app.state.go_on, app.state.done = threading.Event(), threading.Event()
    return app


def test_starlette_takes_forms_and_runs_background_tasks(visit_asgi: Visit) -> None:
    """The response does not wait for the task."""
    app = _starlette()
    browser = visit_asgi(app)
    assert browser.post_form("/form", "name=Ada+L").text == "Ada L"
    assert browser.get("/background").text == "begun"
    assert app.state.done.wait(30 * UNIT)
    assert browser.get("/nowhere").status == 404


@pytest.mark.parametrize("chunked", [False, True])
def test_starlette_streams_64_mib_in(visit_asgi: Visit, chunked: bool) -> None:
    """Sized, and in chunks."""
    browser = visit_asgi(_starlette())
    body = (bytes(range(256)) * 4096 for _ in range(SIZE >> 20))
    fields = {} if chunked else {"Content_Length": str(SIZE)}
    assert browser.ask("POST", "/stream-in", body, **fields).text == digest()


def test_starlette_streams_out(visit_asgi: Visit) -> None:
    """The first piece is there before the second is made."""
    app = _starlette()
    first, rest = visit_asgi(app).first_piece("/stream-out")
    assert first == b"first,"
    app.state.go_on.set()
    assert rest.read() == b"second"


# FastAPI and Quart -------------------------------------------------------------------------------


def _fastapi() -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, int]]:
        yield {"number": 7}

    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/state")
    async def state(request: fastapi.Request) -> Any:
        return {"number": request.state.number}

    @app.get("/thread")
    def thread() -> Any:  # FastAPI has a thread for what is no coroutine
        return {"name": threading.current_thread().name}

    @app.websocket("/echo")
    async def echo(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"heard {text}")

    return app


def test_fastapi_has_its_lifespan_threads_and_websockets(visit_asgi: Visit) -> None:
    """All in one application."""
    browser = visit_asgi(_fastapi())
    assert json.loads(browser.get("/state").text) == {"number": 7}
    assert "name" in json.loads(browser.get("/thread").text)
    unverified = ssl._create_unverified_context()
    unverified.maximum_version = ssl.TLSVersion.TLSv1_2  # see tests/aio/test_asgi_websocket.py
    url = browser.url.replace("https", "wss") + "/echo"
    options: dict[str, Any] = {"ssl": unverified, "proxy": None, "ping_interval": None}
    with websockets.sync.client.connect(url, open_timeout=30 * UNIT, **options) as client:
        client.send("hello")
        assert client.recv(timeout=30 * UNIT) == "heard hello"


def test_quart_has_sessions_and_streams(visit_asgi: Visit) -> None:
    """The cookie comes back."""
    app = quart.Quart("shop")
    app.secret_key = "of a test"

    @app.route("/name", methods=["GET", "POST"])
    async def name() -> Any:
        if quart.request.method == "POST":
            quart.session["name"] = (await quart.request.form)["name"]
        return quart.session.get("name", "nobody")

    @app.get("/pieces")
    async def pieces() -> Any:
        async def each() -> AsyncIterator[bytes]:
            yield b"one,"
            yield b"two"

        return each(), 200

    browser = visit_asgi(app)
    assert browser.get("/name").text == "nobody"
    assert browser.post_form("/name", "name=Ada").text == "Ada"
    assert browser.get("/name").text == "Ada"
    assert browser.get("/pieces").text == "one,two"
