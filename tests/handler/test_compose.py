"""How a handler is run follows from what it has of its own, and shows in the order of its calls."""

from __future__ import annotations

import functools
import wsgiref.simple_server
import xmlrpc.server
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from socketserver import BaseRequestHandler, StreamRequestHandler
from typing import Any

import pytest

from tests.handler.http_support import Quiet, converse, statuses
from tlshttp import TLSFileRequestHandler, TLSRequestHandler
from tlshttp.handler import AccessLogMixIn
from tlshttp.handler._compose import Mode, compose

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
DRIVEN, ONE_SHOT, CLASSIC = Mode.DRIVEN, Mode.ONE_SHOT, Mode.CLASSIC


def nothing(self: Any, *arguments: Any, **more: Any) -> None:
    """Stand for a method of a handler's own."""


def kind(*bases: type, **names: Any) -> type:
    """Return a handler class with names of its own."""
    return type("Own", bases or (BaseHTTPRequestHandler,), names)


V11 = {"protocol_version": "HTTP/1.1"}
V10 = {"protocol_version": "HTTP/1.0"}

MODES = {
    "standard": (BaseHTTPRequestHandler, DRIVEN, DRIVEN),
    "plain": (kind(do_GET=nothing), DRIVEN, DRIVEN),
    "files": (SimpleHTTPRequestHandler, DRIVEN, DRIVEN),
    "ours": (TLSRequestHandler, DRIVEN, DRIVEN),
    "our files": (TLSFileRequestHandler, DRIVEN, DRIVEN),
    "ours-with-mix-in": (kind(AccessLogMixIn, TLSRequestHandler), DRIVEN, DRIVEN),
    "own-request": (kind(handle_one_request=nothing), DRIVEN, DRIVEN),
    "own-handle": (kind(handle=nothing), CLASSIC, CLASSIC),
    "own-handle-1.1": (kind(handle=nothing, **V11), CLASSIC, CLASSIC),
    "own-handle-of-ours": (kind(TLSRequestHandler, handle=nothing), CLASSIC, CLASSIC),
    "own-setup": (kind(setup=nothing), ONE_SHOT, ONE_SHOT),
    "own-finish": (kind(finish=nothing), ONE_SHOT, ONE_SHOT),
    "own-setup-1.0": (kind(setup=nothing, **V10), ONE_SHOT, ONE_SHOT),
    "own-setup-1.1": (kind(setup=nothing, **V11), DRIVEN, CLASSIC),
    "own-finish-1.1": (kind(finish=nothing, **V11), DRIVEN, CLASSIC),
    "own-setup-of-ours": (kind(TLSRequestHandler, setup=nothing), DRIVEN, CLASSIC),
    "own-constructor": (kind(__init__=nothing), ONE_SHOT, ONE_SHOT),
    "own-constructor-1.1": (kind(__init__=nothing, **V11), ONE_SHOT, CLASSIC),
    "own-constructor-of-ours": (kind(TLSRequestHandler, __init__=nothing), ONE_SHOT, CLASSIC),
    "inherited-setup": (kind(kind(setup=nothing), do_GET=nothing), ONE_SHOT, ONE_SHOT),
    "mixed-in-handle": (kind(kind(object, handle=nothing), Quiet), CLASSIC, CLASSIC),
    "wsgiref": (wsgiref.simple_server.WSGIRequestHandler, CLASSIC, CLASSIC),
    "xmlrpc": (xmlrpc.server.SimpleXMLRPCRequestHandler, DRIVEN, DRIVEN),
}


@pytest.mark.parametrize("name", [*MODES])
def test_mode_follows_from_what_a_class_has_of_its_own(name: str) -> None:
    """With one thread, and with many; a `functools.partial` of it makes no difference."""
    handler, mode, threaded_mode = MODES[name]
    for made in (compose(handler), compose(functools.partial(handler, directory="x"))):
        assert (made.mode, made.threaded_mode) == (mode, threaded_mode)
        assert made.is_http
        assert made.handler_class is not None
        assert issubclass(made.handler_class, TLSRequestHandler)
        assert issubclass(made.handler_class, handler)


@pytest.mark.parametrize("handler", [BaseRequestHandler, StreamRequestHandler])
def test_handler_of_another_protocol_is_left_as_it_is(handler: type) -> None:
    """It is no handler of HTTP, so nothing is put underneath."""
    made = compose(kind(handler, handle=nothing))
    assert (made.mode, made.threaded_mode, made.handler_class) == (CLASSIC, CLASSIC, None)
    assert not made.is_http


def test_function_that_makes_handlers_is_left_as_it_is() -> None:
    """What it makes nobody knows before."""

    def make(*arguments: Any) -> Any:
        return arguments

    made = compose(make)
    assert (made.mode, made.threaded_mode, made.handler_class) == (CLASSIC, CLASSIC, None)
    assert made.is_http
    assert made.factory is make


@pytest.mark.parametrize("name", [*MODES])
def test_class_that_is_its_own_composition_is_not_composed_again(name: str) -> None:
    """Nor does composing change the class that was given."""
    handler = MODES[name][0]
    before = dict(vars(handler))
    made = compose(handler).handler_class
    assert made is not None
    assert made.__name__ == handler.__name__ or handler is BaseHTTPRequestHandler
    assert made.__module__ == handler.__module__ or handler is BaseHTTPRequestHandler
    assert dict(vars(handler)) == before
    assert compose(made).handler_class is made


def test_hook_for_subclasses_does_not_see_the_composition() -> None:
    """A registry of a user's has the classes that he wrote, once each."""
    seen: list[str] = []

    class Registered(Quiet):
        def __init_subclass__(cls, *, name: str, **more: Any) -> None:
            super().__init_subclass__(**more)
            seen.append(name)

    class Mine(Registered, name="mine"):
        pass

    compose(Mine)
    assert seen == ["mine"]


# The order of calls ------------------------------------------------------------------------------


def recorder(*methods: str, **names: Any) -> tuple[type[BaseHTTPRequestHandler], list[str]]:
    """Return a handler that takes note of calls, and has these methods of its own."""
    calls: list[str] = []

    class Recording(Quiet):
        def do_GET(self) -> None:
            calls.append("GET")
            self.send_response(204)
            self.end_headers()

    own = type("Recording", (Recording,), names)

    def wrap(method: str) -> Any:
        def listen(self: Any, *arguments: Any) -> None:
            calls.append(method)
            getattr(super(own, self), method)(*arguments)
            calls.append(f"{method} done")

        return listen

    for method in methods:
        setattr(own, method, wrap(method))
    return own, calls


EACH = ["__init__", "setup", "setup done", "GET", "finish", "finish done", "__init__ done"]
OPENING = EACH[:3]
CLOSING = EACH[4:]


@pytest.mark.parametrize("threaded", [False, True])
def test_constructor_of_http_1_0_has_one_request(threaded: bool, ready_fd: int) -> None:
    """Handlers F25: as on `http.server`, all that it does after ``super()`` comes after that."""
    handler, calls = recorder("__init__", "setup", "finish")
    outcome = converse(handler, [GET, GET + GET], ready_fd, threaded=threaded)
    assert calls == EACH * 3
    assert statuses(outcome.sent) == (204, 204, 204)
    assert outcome.kept  # the connection outlives its handlers


def test_constructor_of_http_1_1_has_all_requests_in_one_thread(ready_fd: int) -> None:
    """Handlers F24, F25: where there is a thread for it; else each has one request."""
    handler, calls = recorder("__init__", "setup", "finish", **V11)
    converse(handler, [GET, GET + GET], ready_fd, threaded=True)
    assert calls == [*OPENING, "GET", "GET", "GET", *CLOSING]
    calls.clear()
    converse(handler, [GET, GET + GET], ready_fd, threaded=False)
    assert calls == EACH * 3


@pytest.mark.parametrize("threaded", [False, True])
def test_setup_of_http_1_1_is_called_once(threaded: bool, ready_fd: int) -> None:
    """Handlers F24: for the connection, and ``finish()`` when it ends."""
    handler, calls = recorder("setup", "finish", **V11)
    last = GET.replace(b"Host", b"Connection: close\r\nHost")
    converse(handler, [GET, GET + last], ready_fd, threaded=threaded)
    assert calls == ["setup", "setup done", "GET", "GET", "GET", "finish", "finish done"]


@pytest.mark.parametrize("threaded", [False, True])
def test_own_handle_is_called_once(threaded: bool, ready_fd: int) -> None:
    """And calls for its requests by itself."""
    handler, calls = recorder("handle", **V11)
    converse(handler, [GET, GET + GET], ready_fd, threaded=threaded)
    assert calls == ["handle", "GET", "GET", "GET", "handle done"]


@pytest.mark.parametrize("threaded", [False, True])
def test_plain_handler_is_made_once(threaded: bool, ready_fd: int) -> None:
    """It cannot tell; what it keeps in itself stays from one request to the next."""
    kept: list[int] = []

    class Keeps(Quiet):
        def do_GET(self) -> None:
            kept.append(vars(self).setdefault("mine", len(kept)))
            self.send_response(204)
            self.end_headers()

    converse(Keeps, [GET, GET, GET], ready_fd, threaded=threaded)
    assert kept == [0, 0, 0]


BY_NAME = {
    "__init__": "def __init__(self, *a, **k): Base.__init__(self, *a, **k)",
    "setup": "def setup(self): Base.setup(self)",
    "handle": "def handle(self): Base.handle(self)",
    "handle_one_request": "def handle_one_request(self): Base.handle_one_request(self)",
    "parse_request": "def parse_request(self): return Base.parse_request(self)",
    "send_response": "def send_response(self, *a): Base.send_response(self, *a)",
    "send_response_only": "def send_response_only(self, *a): Base.send_response_only(self, *a)",
    "send_header": "def send_header(self, k, v): Base.send_header(self, k, v)",
    "end_headers": "def end_headers(self): Base.end_headers(self)",
    "flush_headers": "def flush_headers(self): Base.flush_headers(self)",
    "send_error": "def send_error(self, *a): Base.send_error(self, *a)",
    "finish": "def finish(self): Base.finish(self)",
    "log_request": "def log_request(self, *a): Base.log_request(self, *a)",
    "version_string": "def version_string(self): return Base.version_string(self)",
    "date_time_string": "def date_time_string(self, *a): return Base.date_time_string(self, *a)",
    "address_string": "def address_string(self): return Base.address_string(self)",
}


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("name", [*BY_NAME, "all"])
def test_base_called_by_its_name(name: str, version: str, threaded: bool, ready_fd: int) -> None:
    """Handlers F2, F3, F14: methods that go past ours end in well-framed responses as well."""
    lines = BY_NAME.values() if name == "all" else [BY_NAME[name]]
    scope: dict[str, Any] = {"Base": BaseHTTPRequestHandler}
    exec("\n".join(lines), scope)  # the strings above
    own = {key: scope[key] for key in BY_NAME if key in scope}

    def answer(handler: Any) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if handler.path == "/missing":
            handler.send_error(404)
            return
        handler.send_response(200)
        if handler.path == "/length":
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    handler = type("Own", (Quiet,), {**own, "do_POST": answer, "protocol_version": version})
    requests = [
        b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nb0dy\r\n0\r\n\r\n"
        % path
        for path in (b"/length", b"/chunked", b"/missing", b"/length")
    ]
    outcome = converse(handler, requests, ready_fd, threaded=threaded)
    if version == "HTTP/1.0":
        assert outcome.sent.partition(b"\r\n\r\n")[2] == b"b0dy"
        assert not outcome.kept
    elif name in ("send_error", "send_header", "all"):  # http.server's own says that it closes
        assert statuses(outcome.sent) == (200, 200, 404)
        assert outcome.sent.count(b"Connection: close") == 1
        assert not outcome.kept
    else:
        assert statuses(outcome.sent) == (200, 200, 404, 200)
        assert outcome.sent.count(b"b0dy") == 3
