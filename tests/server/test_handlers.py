from __future__ import annotations

import contextlib
import functools
import io
import os
import socket
import statistics
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Serve
from tests.server.support import (
    Client,
    OneRequest,
    Plain,
    ask,
    read_until,
)
from tests.support import UNIT, wait_until
from tlshttp import Limits, TLSHTTPServer, TLSRequestHandler

# Composition --------------------------------------------------------------------------------------


def test_handler_is_composed_underneath(serve: Serve, client: Client) -> None:
    """The user's class comes first, ours next, the standard library's last; names stay."""
    seen: list[Any] = []

    class Mine(Plain):
        """What Mine is for."""

        def do_GET(self) -> None:
            seen.append(self)
            super().do_GET()

    server = serve(Mine)
    assert client.get(server).status == 200
    (handler,) = seen
    assert isinstance(handler, Mine)
    assert isinstance(handler, TLSRequestHandler)
    assert type(handler) is not Mine
    order = type(handler).__mro__
    assert order.index(Mine) < order.index(Plain) < order.index(TLSRequestHandler)
    assert order.index(TLSRequestHandler) < order.index(BaseHTTPRequestHandler)
    assert (type(handler).__name__, type(handler).__qualname__) == ("Mine", Mine.__qualname__)
    assert type(handler).__module__ == __name__
    assert type(handler).__doc__ == "What Mine is for."
    assert server.RequestHandlerClass is Mine
    assert handler.server is server


def test_class_that_derives_from_ours_is_served_as_it_is(serve: Serve, client: Client) -> None:
    """A `TLSRequestHandler` subclass needs no composition."""
    seen: list[type] = []

    class Mine(TLSRequestHandler):
        def do_GET(self) -> None:
            seen.append(type(self))
            self.send_error(404)

    assert client.get(serve(Mine)).status == 404
    assert seen == [Mine]


def test_super_lands_in_ours(serve: Serve, client: Client) -> None:
    """``super().setup()``, ``parse_request()`` and ``finish()`` of a user's class are ours."""
    calls: list[str] = []

    class Mine(Plain):
        def setup(self) -> None:
            calls.append("setup")
            super().setup()

        def handle_one_request(self) -> None:
            calls.append("handle_one_request")
            super().handle_one_request()

        def parse_request(self) -> bool:
            calls.append("parse_request")
            return super().parse_request()

        def finish(self) -> None:
            super().finish()
            calls.append("finish")

    server = serve(Mine)
    with contextlib.closing(client.http(server)) as connection:
        assert [ask(connection, "GET", path).body for path in ("/a", "/b")] == [b"/a", b"/b"]
    assert wait_until(lambda: "finish" in calls)
    if calls[-2] == "handle_one_request":  # on a thread of its own it has waited for a third
        del calls[-2]
    assert calls == ["setup", *["handle_one_request", "parse_request"] * 2, "finish"]


def test_partial_of_a_class_passes_its_arguments(
    serve: Serve, client: Client, tmp_path: Path
) -> None:
    """A `functools.partial`, nested or not, makes composed handlers with its arguments."""
    (tmp_path / "file.txt").write_bytes(b"in the folder")
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *arguments: None})
    inner = functools.partial(quiet, directory="/nowhere")
    for handler in (
        functools.partial(quiet, directory=str(tmp_path)),
        functools.partial(inner, directory=str(tmp_path)),
        functools.partial(functools.partial(functools.partial(quiet), directory=str(tmp_path))),
    ):
        server = serve(handler)
        assert server.RequestHandlerClass is handler
        assert client.get(server, "/file.txt").body == b"in the folder"


def test_constructor_may_take_arguments_of_its_own(serve: Serve, client: Client) -> None:
    """An ``__init__()`` that stores something and calls ``super()`` works."""

    class Greets(OneRequest):
        def __init__(self, greeting: bytes, *arguments: Any, **options: Any) -> None:
            self.greeting = greeting
            super().__init__(*arguments, **options)

        def do_GET(self) -> None:
            self.reply(self.greeting)

    assert client.get(serve(functools.partial(Greets, b"hello"))).body == b"hello"


def test_handler_class_may_be_exchanged(serve: Serve, client: Client) -> None:
    """``server.RequestHandlerClass`` may be set while the server runs; new connections get it."""

    class Other(OneRequest):
        def do_GET(self) -> None:
            self.reply(b"other")

    server = serve(OneRequest)
    assert client.get(server).body == b"/"
    server.RequestHandlerClass = Other
    assert client.get(server).body == b"other"


def test_simple_http_request_handler_serves_a_folder(
    serve: Serve, versioned_client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SimpleHTTPRequestHandler` itself lists, sends, redirects and refuses, and logs."""
    data = bytes(range(256)) * 4000
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "data.bin").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    server = serve(SimpleHTTPRequestHandler)
    assert b"folder/" in versioned_client.get(server).body
    answer = versioned_client.get(server, "/folder/data.bin")
    assert answer.body == data
    assert versioned_client.get(server, "/folder").status == 301
    assert versioned_client.get(server, "/nothing").status == 404
    assert versioned_client.ask(server, "HEAD", "/folder/data.bin").body == b""
    unchanged = {"If-Modified-Since": answer.headers["Last-Modified"]}
    again = versioned_client.ask(server, "GET", "/folder/data.bin", headers=unchanged)
    assert again.status == 304


def test_file_may_be_larger_than_what_is_kept_for_a_peer(
    serve: Serve, client: Client, tmp_path: Path
) -> None:
    """Nothing is kept of a file: `TLSHTTPServer` cut all that had more than 1 GiB at its start."""
    data = bytes(range(256)) * 8_000
    (tmp_path / "file").write_bytes(data)
    os.utime(tmp_path / "file", (1, 1))  # it has not just been written
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=str(tmp_path))
    server = serve(handler, limits=Limits(max_response_backlog=100_000))
    assert client.get(server, "/file").body == data


@pytest.mark.skipif(
    sys.version_info < (3, 15), reason="SimpleHTTPRequestHandler has them from 3.15"
)
@pytest.mark.parametrize("bases", [(), (TLSRequestHandler,)], ids=["alone", "with ours"])
def test_extra_response_headers(
    serve: Serve, client: Client, tmp_path: Path, bases: tuple[type, ...]
) -> None:
    """The additional headers of Python 3.15 are sent, unless they are there already."""

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    (tmp_path / "page.html").write_text("page")
    extra = [("X-Extra", "1"), ("x-extra", "2"), ("content-type", "text/plain"), ("server", "x")]
    handler = functools.partial(
        type("Mine", (Files, *bases), {}), directory=tmp_path, extra_response_headers=extra
    )
    server = serve(handler)
    for path in ("/page.html", "/"):
        answer = client.get(server, path)
        assert answer.status == 200
        assert [answer.headers.get(name) for name in ("X-Extra", "x-extra")] == ["1", "2"]
        assert {"content-type", "server"}.isdisjoint(answer.headers)
    assert client.get(server, "/missing").status == 404


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="Python 3.15 has no CGI handler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("bases", [(), (TLSRequestHandler,)], ids=["alone", "with ours"])
def test_script_never_gets_the_connection_itself(
    serve: Serve, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bases: Any
) -> None:
    """What a CGI script writes goes through TLS, also for a class that derives from ours."""
    from http.server import CGIHTTPRequestHandler

    class Scripts(CGIHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    script = tmp_path / "cgi-bin" / "script.py"
    script.parent.mkdir()
    script.write_text("print('Content-Type: text/plain\\n\\nby a script')")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    server = serve(type("Mine", (Scripts, *bases), {}))
    assert client.get(server, "/cgi-bin/script.py").body.strip() == b"by a script"


def test_log_message_may_be_overridden(serve: Serve, client: Client) -> None:
    """Each request is logged through ``log_message()``, with the client's address at hand."""
    lines: list[str] = []

    class Logs(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            lines.append(f"{self.address_string()} {format % args}")

    assert client.get(serve(Logs), "/logged").status == 204
    assert lines == ['127.0.0.1 "GET /logged HTTP/1.1" 204 -']


def test_default_log_goes_to_standard_error(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an override the standard library's line is printed, as it prints it."""

    class Logs(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

    assert client.get(serve(Logs), "/logged").status == 204
    error = capsys.readouterr().err
    assert error.startswith("127.0.0.1 - - [")
    assert error.endswith('] "GET /logged HTTP/1.1" 204 -\n')


# What a handler does with its connection ----------------------------------------------------------


def test_state_on_the_handler_is_kept_between_requests(serve: Serve, client: Client) -> None:
    """One connection has one handler; what a request stores there, the next one finds."""

    class Counts(Plain):
        count = 0

        def do_GET(self) -> None:
            self.count += 1
            self.reply(str(self.count).encode())

    server = serve(Counts)
    for _ in range(2):
        with contextlib.closing(client.http(server)) as connection:
            assert [ask(connection, "GET").body for _ in range(3)] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_protocol_version_decides_on_keep_alive(
    serve: Serve, client: Client, protocol: str
) -> None:
    """With HTTP/1.0, the default, a connection ends after its response; with 1.1 it stays."""

    class Versioned(Plain):
        protocol_version = protocol

    server = serve(Versioned)
    with client.connect(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = read_until(sock, b"\r\n\r\n/")
        assert answer.startswith(protocol.encode() + b" 200 OK\r\n")
        if protocol == "HTTP/1.0":
            assert sock.recv(1) == b""
        else:
            sock.settimeout(0.3 * UNIT)
            with pytest.raises(TimeoutError):
                sock.recv(1)


def test_timeout_of_a_handler_ends_an_idle_connection(serve: Serve, client: Client) -> None:
    """The class attribute ``timeout`` is obeyed between two requests."""

    class Hasty(Plain):
        timeout = 0.3

    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert client.exchange_promptly(serve(Hasty), request).endswith(b"\r\n\r\n/")


def test_timeout_of_a_handler_ends_a_slow_body(
    serve: Serve, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The class attribute ``timeout`` is obeyed while a handler reads, and logged as ever."""

    class Hasty(Plain):
        timeout = 0.3
        stream_request = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            lines.append(format % args)

    lines: list[str] = []
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\nhalf of it"
    assert client.exchange_promptly(serve(Hasty), request) == b""
    assert lines == ["Request timed out: TimeoutError('timed out')"]
    assert capsys.readouterr().err == ""


def test_timeout_of_a_handler_ends_a_slow_body_that_is_collected(
    serve: Serve, client: Client
) -> None:
    """It is obeyed before the handler has been called, and is an event then."""

    class Hasty(Plain):
        timeout = 0.3

    server = serve(Hasty)
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\nhalf of it"
    assert client.exchange_promptly(server, request) == b""
    assert dict(server.stats().cut) == {"body-timeout": 1}


@pytest.mark.parametrize("size", [-1, 1, 100_000])
def test_wbufsize_may_buffer_the_response(serve: Serve, client: Client, size: int) -> None:
    """A buffered ``wfile`` is a `io.BufferedWriter`, and is flushed after each request."""
    kinds: set[type] = set()

    class Buffered(Plain):
        wbufsize = size

        def do_GET(self) -> None:
            kinds.add(type(self.wfile))
            super().do_GET()

    server = serve(Buffered)
    with contextlib.closing(client.http(server)) as connection:
        assert [ask(connection, "GET", path).body for path in ("/a", "/b")] == [b"/a", b"/b"]
    assert all(issubclass(kind, io.BufferedWriter) for kind in kinds)


def test_raw_writes_to_wfile_are_the_response(serve: Serve, client: Client) -> None:
    """Whatever is written to ``wfile`` is what the client gets, byte for byte."""

    class Raw(Plain):
        def do_GET(self) -> None:
            assert self.wfile.write(b"HTTP/1.0 200 Fine\r\n") == 19
            self.wfile.write(memoryview(bytearray(b"X-Raw: yes\r\n\r\n")))
            self.wfile.writelines([b"a", b"", b"b"])
            self.wfile.flush()
            assert self.wfile.writable()
            self.close_connection = True

    answer = client.exchange(serve(Raw), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer == b"HTTP/1.0 200 Fine\r\nX-Raw: yes\r\n\r\nab"


def test_rfile_reads_as_a_file_does(serve: Serve, client: Client) -> None:
    """``readline()``, ``read()``, ``read1()``, ``readinto()`` and iteration take what is next."""
    body = b"one\ntwo\nthree\nfour and more" + b"." * 30_000
    seen: list[Any] = []

    class Reads(Plain):
        def do_POST(self) -> None:
            seen.append(self.rfile.readline())
            seen.append(self.rfile.readline(2))
            seen.append(next(iter(self.rfile)))
            seen.append(self.rfile.read(0))
            seen.append(self.rfile.read1(3))
            seen.append(self.rfile.read1(0))
            buffer = bytearray(4)
            seen.append(self.rfile.readinto(buffer))
            seen.append(bytes(buffer))
            self.reply(self.rfile.read(len(body) - 15))

    answer = client.ask(serve(Reads), "POST", body=body)
    assert seen == [b"one\n", b"tw", b"o\n", b"", b"thr", b"", 4, b"ee\nf"]
    assert answer.body == body[15:]


def test_connection_is_used_as_a_socket(serve: Serve, client: Client, tmp_path: Path) -> None:
    """``recv()``, ``recv_into()``, ``send()``, ``sendall()``, ``sendfile()`` do what they say."""
    file = tmp_path / "data"
    file.write_bytes(b"0123456789" * 100_000)
    checks: list[object] = []

    class Uses(Plain):
        def do_POST(self) -> None:
            sock: Any = self.connection
            assert sock is self.request
            checks.append(sock.recv(0))
            checks.append(sock.recv(3))
            buffer = bytearray(10)
            checks.append((sock.recv_into(buffer, 2), bytes(buffer[:2])))
            checks.append(sock.recv_into(bytearray()))
            with pytest.raises(ValueError, match="negative"):
                sock.recv(-1)
            with pytest.raises(ValueError, match="flags"):
                sock.recv(1, socket.MSG_PEEK)
            checks.append(sock.recv(100))
            checks.append(sock.getpeername() == self.client_address)
            checks.append(sock.send(b"HTTP/1.0 200 OK\r\n\r\n"))
            sock.sendall(bytearray(b"all "))
            with file.open("rb") as data:
                checks.append((sock.sendfile(data), data.tell()))
                checks.append(sock.sendfile(data, 999_990))
                checks.append(sock.sendfile(data, 3, 4))
            self.close_connection = True

    answer = client.exchange(
        serve(Uses), b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n12345678"
    )
    assert answer == (
        b"HTTP/1.0 200 OK\r\n\r\nall " + b"0123456789" * 100_000 + b"0123456789" + b"3456"
    )
    assert checks == [
        b"", b"123", (2, b"45"), 0, b"678", True, 19, (1_000_000, 1_000_000), 10, 4,
    ]  # fmt: skip


@pytest.mark.parametrize("size", [10, 20_000, 2_000_000])
def test_unread_body_is_never_executed_as_a_request(
    serve: Serve, versioned_client: Client, size: int
) -> None:
    """A body that a handler leaves unread, small or large, is not the next request."""
    requests: list[str] = []

    class Lazy(Plain):
        def do_GET(self) -> None:
            requests.append(self.path)
            super().do_GET()

        def do_POST(self) -> None:
            requests.append(self.path)
            self.reply(b"not read")

    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = (smuggled * (size // len(smuggled) + 1))[: max(size, len(smuggled))]
    head = f"POST /lazy HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    last = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    server = serve(Lazy, limits=Limits(linger_timeout=60 * UNIT))
    answer = versioned_client.exchange(server, head.encode() + body + last)
    assert b"not read" in answer
    assert "/smuggled" not in requests
    assert requests[0] == "/lazy"
    assert answer.count(b"HTTP/1.1 200") == len(requests)


def test_pipelined_requests_are_answered_in_order(serve: Serve, versioned_client: Client) -> None:
    """Requests sent without waiting for answers are answered all, one after the other."""
    count = 200
    last = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    pieces = [f"GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n" for number in range(count)]
    pieces[50:50] = ["POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"]
    answer = versioned_client.exchange(serve(Plain), "".join(pieces).encode() + last)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    expected = [f"/{number}".encode() for number in range(count)]
    expected[50:50] = [b"body"]
    assert bodies == [*expected, b"/last"]


def test_one_connection_does_not_starve_another(serve: Serve, client: Client) -> None:
    """A client that pipelines without end leaves others their turn."""
    stop = threading.Event()

    class Brief(Plain):
        def do_GET(self) -> None:
            self.reply(b"")

    server = serve(Brief)
    with client.connect(server) as greedy:

        def ask_for_ever() -> None:
            while not stop.is_set():
                greedy.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
                received = b""
                while received.count(b"HTTP/1.1 200") < 20:
                    received += greedy.recv(65_536)

        asking = threading.Thread(target=ask_for_ever)
        asking.start()
        try:
            assert all(client.get(server).status == 200 for _ in range(10))
        finally:
            stop.set()
            asking.join()


def test_keep_alive_requests_do_not_stall(serve: Serve, versioned_client: Client) -> None:
    """Two hundred GETs on one connection never wait for a delayed acknowledgement (40 ms)."""

    class TwoWrites(Plain):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hel")
            self.wfile.write(b"lo")

    times: list[float] = []
    with contextlib.closing(versioned_client.http(serve(TwoWrites))) as connection:
        for _ in range(200):
            began = time.perf_counter()
            assert ask(connection, "GET").body == b"hello"
            times.append(time.perf_counter() - began)
    # Half of 40 ms; and at least so often even a busy machine is as quick as that. (The kernel
    # acknowledges the first few dozen segments at once.)
    assert statistics.quantiles(times)[0] < 0.02 * UNIT


def test_expect_100_continue_is_answered_before_the_body(serve: Serve, client: Client) -> None:
    """A client that asks whether to go on is told so, and then sends."""
    with client.connect(serve(Plain)) as sock:
        sock.sendall(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"body")
        assert read_until(sock, b"\r\n\r\nbody").startswith(b"HTTP/1.1 200")


def test_every_response_ends_with_close_notify(serve: Serve, versioned_client: Client) -> None:
    """A strict client sees a clean end after an HTTP/1.0 response without a length."""

    class Endless(OneRequest):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"until the end")

    server: TLSHTTPServer = serve(Endless)
    for _ in range(5):
        answer = versioned_client.exchange(server, b"GET / HTTP/1.0\r\n\r\n")
        assert answer.endswith(b"\r\n\r\nuntil the end")
