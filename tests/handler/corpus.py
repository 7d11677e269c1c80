"""Handlers as people write them for the standard library, and what they are asked.

Not one knows of tlshttp. Each is served by `http.server` over plain TCP and by tlshttp over TLS.
"""

from __future__ import annotations

import base64
import binascii
import functools
import gzip
import http.server
import io
import json
import logging
import os
import shutil
import time
import urllib.parse
import warnings
import xmlrpc.server
from collections.abc import Callable
from dataclasses import dataclass
from email.parser import BytesParser
from http import HTTPStatus
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

__all__ = ["CORPUS", "Entry", "Request", "raw", "write_site"]

SITE = Path()  # replaced by the directory that write_site() makes


@dataclass(frozen=True)
class Request:
    """A request; of `raw` bytes all that comes back is compared, without a Date line."""

    method: str = "GET"
    target: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    raw: bytes = b""


def raw(data: bytes) -> Request:
    """Return a request that is sent as it is."""
    return Request(raw=data)


@dataclass(frozen=True)
class Entry:
    """A handler, what it is asked, and what is different with us."""

    handler: Callable[..., Any]
    requests: tuple[Request, ...] = (Request(),)
    attributes: Callable[[], dict[str, Any]] = dict
    """What the handler expects of its server's class."""
    difference: str = ""
    """Why the standard library is not asked."""
    expected: tuple[int, bytes] = (0, b"")
    """Status and body, where it is not."""
    loud: bool = False
    """Whether something is logged as a warning."""


CORPUS: dict[str, Entry] = {}


def entry(*requests: Request, **more: Any) -> Callable[[Any], Any]:
    """Add a handler to the corpus."""

    def add(handler: Any) -> Any:
        CORPUS[handler.__name__] = Entry(handler, requests or (Request(),), **more)
        return handler

    return add


def write_site(folder: Path) -> None:
    """Write the files that some handlers serve."""
    global SITE  # noqa: PLW0603
    SITE = folder
    (folder / "sub").mkdir()
    (folder / "hello.txt").write_text("Hello, world\n" * 100)
    (folder / "page.html").write_text("<!DOCTYPE html><title>t</title><p>page")
    (folder / "data.bin").write_bytes(bytes(range(256)) * 1024)
    (folder / "sub" / "index.html").write_text("<p>index")
    (folder / "name with ü.txt").write_text("ü")
    (folder / "empty").write_bytes(b"")
    scripts = folder / "cgi-bin"
    scripts.mkdir()
    script = scripts / "echo.py"
    script.write_text(
        "import os, sys\n"
        "body = sys.stdin.read(int(os.environ.get('CONTENT_LENGTH') or 0))\n"
        "print('Content-Type: text/plain\\n')\n"
        "print(os.environ['REQUEST_METHOD'], os.environ['QUERY_STRING'], body)\n"
    )
    script.chmod(0o755)


# From the documentation --------------------------------------------------------------------------


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@entry(Request(), Request(method="HEAD"), Request(method="POST"), Request(method="BREW"))
class HelloWorld(Quiet):
    """As on every page that explains http.server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"Hello, world!")


_FILES = (
    Request(target="/hello.txt"),
    Request(target="/page.html"),
    Request(target="/data.bin"),
    Request(target="/empty"),
    Request(target="/name%20with%20%C3%BC.txt"),
    Request(target="/sub"),
    Request(target="/sub/"),
    Request(target="/sub/?q"),
    Request(target="/cgi-bin/"),
    Request(target="/"),
    Request(target="//hello.txt"),
    Request(target="/missing"),
    Request(target="/hello.txt/"),
    Request(target="/../hello.txt"),
    Request(method="HEAD", target="/hello.txt"),
    Request(method="HEAD", target="/missing"),
    Request(method="HEAD", target="/"),
    Request(method="PUT", target="/hello.txt", body=b"x"),
    Request(
        target="/hello.txt",
        headers=(("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),),
    ),
    Request(target="/hello.txt", headers=(("Range", "bytes=0-4"),)),
)


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, directory=str(SITE), **more)


CORPUS["SimpleHTTPRequestHandler"] = Entry(QuietFiles, _FILES)


@entry(*_FILES[:3])
class MoreTypes(QuietFiles):
    """The documented way to teach it types."""

    extensions_map = {**QuietFiles.extensions_map, ".txt": "text/x-mine", "": "x/y"}  # noqa: RUF012


if hasattr(http.server, "CGIHTTPRequestHandler"):

    class _QuietCgi(http.server.CGIHTTPRequestHandler):
        have_fork = False  # a forked child would have to end without running any exit handlers

        def log_message(self, *args: Any) -> None:
            pass

        def __init__(self, *args: Any) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                super().__init__(*args, directory=str(SITE))

    CORPUS["CGIHTTPRequestHandler"] = Entry(
        _QuietCgi,
        (
            Request(target="/cgi-bin/echo.py?a=b"),
            Request(method="POST", target="/cgi-bin/echo.py", body=b"hello"),
            Request(target="/cgi-bin/missing.py"),
            Request(target="/hello.txt"),
        ),
    )


class _QuietWsgi(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def _application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    if environ["PATH_INFO"] == "/error":
        raise ValueError("an application's mistake")
    start_response("201 Made", [("Content-Type", "text/plain"), ("X-Mine", "1")])
    names = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "HTTP_X_ASKED")
    text = " ".join(f"{name}={environ.get(name)}" for name in names)
    return [text.encode(), b"\n", body]


CORPUS["WSGIRequestHandler"] = Entry(
    _QuietWsgi,
    (
        Request(target="/a%20b?c=d", headers=(("X-Asked", "1"),)),
        Request(method="POST", target="/", body=b"hello", headers=(("Content-Type", "x/y"),)),
        Request(method="HEAD"),
        Request(target="/error"),
    ),
    attributes=lambda: {
        "base_environ": {
            "SERVER_NAME": "test",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_PORT": "1",
            "REMOTE_HOST": "",
            "CONTENT_LENGTH": "",
            "SCRIPT_NAME": "",
        },
        "get_app": lambda self: _application,
    },
)


def _xmlrpc_attributes() -> dict[str, Any]:
    dispatcher = xmlrpc.server.SimpleXMLRPCDispatcher(allow_none=True)
    dispatcher.register_function(lambda a, b: a + b, "add")
    dispatcher.register_introspection_functions()
    return {
        "_marshaled_dispatch": lambda self, *args: dispatcher._marshaled_dispatch(*args),
        "logRequests": False,
        "_send_traceback_header": False,
        "generate_html_documentation": lambda self: "<p>documentation",
    }


def _call(method: str, *params: int, gzipped: bool = False) -> Request:
    import xmlrpc.client

    body = xmlrpc.client.dumps(params, method).encode()
    if gzipped:
        return Request(
            "POST", "/RPC2", (("Content-Encoding", "gzip"),), gzip.compress(body, mtime=0)
        )
    return Request("POST", "/RPC2", (("Content-Type", "text/xml"),), body)


CORPUS["SimpleXMLRPCRequestHandler"] = Entry(
    xmlrpc.server.SimpleXMLRPCRequestHandler,
    (
        _call("add", 1, 2),
        _call("add", 1, 2, gzipped=True),
        _call("missing"),
        _call("system.listMethods"),
        Request("POST", "/elsewhere", body=b"x"),
        Request("POST", "/RPC2", body=b"no xml"),
    ),
    attributes=_xmlrpc_attributes,
)
CORPUS["DocXMLRPCRequestHandler"] = Entry(
    xmlrpc.server.DocXMLRPCRequestHandler,
    (_call("add", 3, 4), Request(target="/RPC2"), Request(target="/elsewhere")),
    attributes=_xmlrpc_attributes,
)


# Hooks that users override -----------------------------------------------------------------------


@entry()
class LogToLogging(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        logging.getLogger("mine").debug("%s - %s", self.address_string(), format % args)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        self.seen = (code, size, self.requestline, self.client_address[0])
        super().log_request(code, size)

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(repr((self.seen[0].__int__(), self.seen[2:])).encode())


@entry(Request(), Request())
class SetUp(Quiet):
    def setup(self) -> None:
        super().setup()
        self.database = {"greeting": b"hello"}

    def finish(self) -> None:
        super().finish()
        self.database.clear()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.database["greeting"])


@entry(Request(), Request(headers=(("X-Token", "secret"),)), Request("POST", body=b"x" * 100))
class ChecksInParseRequest(Quiet):
    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if self.headers.get("X-Token") != "secret":
            self.send_error(HTTPStatus.FORBIDDEN, "no token")
            return False
        return True

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET


@entry(Request(), Request("POST", body=b"x" * 5))
class HandlesAndSupers(HelloWorld):
    def handle(self) -> None:
        try:
            super().handle()
        finally:
            self.over = True


@entry(Request(), Request("HEAD"), raw(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
class HandlesInALoop(HelloWorld):
    def handle(self) -> None:
        self.close_connection = True
        self.handle_one_request()
        while not self.close_connection:
            self.handle_one_request()


@entry(Request(target="/a"), Request("HEAD"), Request("BREW", "/b"))
class OneRequestByHand(Quiet):
    """One way for all methods, as people do who do not like do_*."""

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = f"{self.command} {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()


@entry(Request(target="/x"), Request("BREW"), Request("POST", body=b"x"))
class JsonErrors(Quiet):
    def send_error(self, code: int, message: Any = None, explain: Any = None) -> None:
        body = json.dumps({"error": int(code), "message": message}).encode()
        self.send_response(code, message)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_error(404, "Nothing here")


@entry(Request(target="/hello.txt"), Request(target="/missing"), Request("OPTIONS"))
class CrossOrigin(QuietFiles):
    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self.send_header("Access-Control-Allow-Methods", "GET, OPTIONS")
        self.end_headers()


@entry(Request(), Request(target="/x"))
class OwnNames(HelloWorld):
    server_version = "Mine/1.0"
    sys_version = ""
    error_message_format = "%(code)d %(message)s %(explain)s"
    error_content_type = "text/plain"

    def version_string(self) -> str:
        return "Mine"

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "today"

    def do_GET(self) -> None:
        if self.path == "/x":
            self.send_error(410)
            return
        self.send_response(200, "Fine")
        self.send_header("Last-Modified", self.date_time_string(0))
        self.end_headers()
        self.wfile.write(self.log_date_time_string()[:0].encode() + b"x")


class RequiresPassword:
    """A mix-in."""

    headers: Any
    realm = "here"

    def do_GET(self: Any) -> None:
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        try:
            user = base64.b64decode(credentials).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            user = ""
        if scheme != "Basic" or user != "me":
            self.send_response(401)
            self.send_header("WWW-Authenticate", f'Basic realm="{self.realm}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()  # type: ignore[misc]


@entry(
    Request(target="/hello.txt"),
    Request(target="/hello.txt", headers=(("Authorization", "Basic bWU6cGFzcw=="),)),
)
class MixIn(RequiresPassword, QuietFiles):
    pass


class Greets(Quiet):
    def __init__(self, greeting: str, *args: Any, punctuation: str = ".") -> None:
        self.text = (greeting + punctuation).encode()
        super().__init__(*args)

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text)


CORPUS["partial"] = Entry(functools.partial(Greets, "hello", punctuation="!"), (Request(),) * 2)
CORPUS["partial-of-partial"] = Entry(
    functools.partial(functools.partial(Greets, "hello"), punctuation="?")
)


@entry(Request(), Request())
def a_factory(*args: Any) -> Greets:
    """As in answers to "how do I pass arguments to my handler"."""
    return Greets("made", *args)


CORPUS["lambda"] = Entry(lambda *args: Greets("made", *args))


def _with_closure(text: bytes) -> type[Quiet]:
    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text)

    return Handler


CORPUS["class-factory"] = Entry(_with_closure(b"closed over"), (Request(),) * 2)


# What they send ----------------------------------------------------------------------------------


@entry(Request(), Request())
class ServerSentEvents(Quiet):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        for number in range(5):
            self.wfile.write(f"id: {number}\ndata: event {number}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.001)


@entry(raw(b"GET / HTTP/1.0\r\n\r\n"), raw(b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"))
class RawBytes(Quiet):
    """Writes all of its response by itself."""

    def do_GET(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        self.wfile.write(b"raw " + self.path.encode())

    def do_POST(self) -> None:
        self.wfile.write(self.rfile.read(int(self.headers["Content-Length"])))


@entry(Request(), Request(method="HEAD"))
class HeadByGet(Quiet):
    def do_GET(self) -> None:
        body = b"the body" * 1000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()


@entry(Request(headers=(("Accept-Encoding", "gzip"),)), Request())
class Compresses(Quiet):
    def do_GET(self) -> None:
        body = b"compress me " * 500
        self.send_response(200)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@entry(Request(), Request(headers=(("Cookie", "visits=41; other=x"),)))
class Counts(Quiet):
    def do_GET(self) -> None:
        cookie = SimpleCookie(self.headers.get("Cookie"))
        visits = int(cookie["visits"].value) + 1 if "visits" in cookie else 1
        cookie["visits"] = str(visits)
        cookie["visits"]["httponly"] = True
        self.send_response(200)
        for morsel in cookie.values():
            self.send_header("Set-Cookie", morsel.OutputString())
        self.end_headers()
        self.wfile.write(f"visit {visits}".encode())


@entry(Request(target="/old?a=b"), Request("POST", "/old", body=b"x=y"))
class Redirects(Quiet):
    def do_GET(self) -> None:
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", "https://example.org" + self.path)
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(303)
        self.send_header("Location", "/new")
        self.send_header("Content-Length", "0")
        self.end_headers()


@entry(Request(target="/204"), Request(target="/304"), Request(target="/205"), Request("HEAD"))
class NoContent(Quiet):
    def do_GET(self) -> None:
        self.send_response(int(self.path[1:] or 200))
        self.send_header("ETag", '"x"')
        self.end_headers()

    do_HEAD = do_GET


@entry(Request(), Request())
class ChunksByHand(Quiet):
    """Knows HTTP/1.1."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (b"one ", b"two ", b"x" * 1000, b""):
            self.wfile.write(b"%X\r\n%s\r\n" % (len(piece), piece))


@entry(Request(), Request())
class SetsVersion10(HelloWorld):
    protocol_version = "HTTP/1.0"


@entry()
class WritesText(Quiet):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        text = io.TextIOWrapper(self.wfile, encoding="utf-8", write_through=True)  # type: ignore[type-var]
        text.write("žluťoučký kůň\n" * 10)
        text.flush()
        text.detach()


@entry(Request(target="/data.bin"))
class CopiesFile(Quiet):
    def do_GET(self) -> None:
        with (SITE / self.path[1:]).open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile)


@entry(Request(), Request())
class Buffered(Quiet):
    wbufsize = -1

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.writelines([b"line\n"] * 1000)


@entry()
class OddBuffers(Quiet):
    def do_GET(self) -> None:
        import array

        self.send_response(200)
        self.end_headers()
        self.wfile.write(memoryview(b"view"))
        self.wfile.write(bytearray(b"array"))
        self.wfile.write(array.array("I", [1, 2, 3]))
        self.wfile.write(b"")


@entry(Request(), Request())
class FlushesHeadersByHand(Quiet):
    def do_GET(self) -> None:
        self.send_response_only(200, "Fine")
        self.send_header("X-Mine", "1")
        self.end_headers()
        self.flush_headers()
        self.wfile.write(b"x")


@entry()
class SendsThroughTheConnection(Quiet):
    """Knows that there is a socket."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.connection.sendall(b"hello")


@entry()
class SendsFileThroughTheConnection(Quiet):
    def do_GET(self) -> None:
        with (SITE / "data.bin").open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            self.request.sendfile(file)


# What they read ----------------------------------------------------------------------------------

_BOUNDARY = "----boundary"
_UPLOAD = (
    f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode() + bytes(range(256)) * 300
_UPLOAD += f"\r\n--{_BOUNDARY}--\r\n".encode()


@entry(
    Request("POST", "/", (("Content-Type", f"multipart/form-data; boundary={_BOUNDARY}"),), _UPLOAD)
)
class TakesUpload(Quiet):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"].encode()
        message: Any = BytesParser().parsebytes(b"Content-Type: " + kind + b"\r\n\r\n" + body)
        (part,) = message.get_payload()
        content = part.get_payload(decode=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{part.get_filename()} {len(content)} ".encode() + content)


@entry(
    Request("POST", "/", (("Content-Type", f"multipart/form-data; boundary={_BOUNDARY}"),), _UPLOAD)
)
class TakesUploadByLine(Quiet):
    """Counts down, as code from the days before cgi.FieldStorage does."""

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        boundary = str(self.headers.get_boundary()).encode()
        line = self.rfile.readline()
        left -= len(line)
        names = []
        while left > 0:
            line = self.rfile.readline()
            left -= len(line)
            if line.startswith(b"Content-Disposition"):
                names.append(line.strip())
            if boundary in line:
                break
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"".join(names) + str(left).encode())


@entry(Request("POST", "/?a=b", body=b"x=1&y=%C3%BC&x=2"), Request("POST", body=b""))
class TakesForm(Quiet):
    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        form = urllib.parse.parse_qs(self.rfile.read(length).decode())
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        body = json.dumps([form, query]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@entry(
    *(Request(method, "/items/1", body=b'{"a": 1}') for method in ("PUT", "PATCH", "POST")),
    Request("DELETE", "/items/1"),
)
class Rest(Quiet):
    def do_PUT(self) -> None:
        item = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._reply(200, {"item": item, "method": self.command})

    do_PATCH = do_POST = do_PUT

    def do_DELETE(self) -> None:
        self._reply(200, {"deleted": self.path})

    def _reply(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@entry(Request("POST", body=b"one\ntwo\n\nthree"))
class ReadsLines(Quiet):
    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        lines = []
        while left:
            lines.append(self.rfile.readline(min(left, 65536)))
            left -= len(lines[-1])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(repr(lines).encode())


@entry(Request("POST", body=b"x" * 100_000))
class ReadsInto(Quiet):
    def do_POST(self) -> None:
        buffer = bytearray(int(self.headers["Content-Length"]))
        count = self.rfile.readinto(buffer)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{count} {buffer == b'x' * 100_000}".encode())


@entry(Request(headers=(("X-A", "1"), ("x-a", "2"), ("Content-Type", 'a/b; charset="UTF-8"'))))
class LooksAtHeaders(Quiet):
    def do_GET(self) -> None:
        headers = self.headers
        lines = [
            headers.get_all("X-A"),
            headers["missing"],
            headers.get("x-A", ""),
            headers.get_content_type(),
            headers.get_content_charset(),
            headers.get_param("charset"),
            "X-a" in headers,
            [name for name in headers if name.lower() == "x-a"],
            len(headers.items()) == len(headers) == len(headers.keys()),
            self.command, self.path, self.request_version, self.requestline,
        ]  # fmt: skip
        self.send_response(200)
        self.end_headers()
        self.wfile.write("\n".join(map(repr, lines)).encode())


@entry(Request("POST", body=b"ignored " * 1000), Request())
class IgnoresBody(Quiet):
    def do_POST(self) -> None:
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST


# What is different with us -----------------------------------------------------------------------


@entry(
    Request("POST", body=b"all of it"),
    difference="the standard library waits for the client to end the connection",
    expected=(200, b"all of it"),
)
class ReadsWithoutLength(Quiet):
    def do_POST(self) -> None:
        body = self.rfile.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


@entry(
    Request("POST", body=b"one\ntwo\n"),
    difference="the standard library waits for the client to end the connection",
    expected=(200, b"[b'one\\n', b'two\\n']"),
)
class ReadsLinesWithoutLength(Quiet):
    def do_POST(self) -> None:
        lines = list(self.rfile)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(repr(lines).encode())


@entry(
    Request("POST", headers=(("Transfer-Encoding", "chunked"),), body=b"5\r\nhello\r\n0\r\n\r\n"),
    difference="the standard library gives a handler the chunks as they are",
    expected=(200, b"hello"),
)
class ReadsChunks(ReadsWithoutLength):
    pass


@entry(
    difference="the standard library closes the connection without a word",
    expected=(500, b""),
    loud=True,
)
class Fails(Quiet):
    def do_GET(self) -> None:
        raise ZeroDivisionError("a handler's mistake")


@entry(
    difference="the standard library sends two heads",
    expected=(404, b""),
)
class ChangesItsMind(Quiet):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_error(404)


@entry(
    difference="the standard library lets the value write headers",
    expected=(500, b""),
    loud=True,
)
class SplitsItsResponse(Quiet):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("X-Mine", "a\r\nSet-Cookie: stolen")
        self.end_headers()
