"""Handlers whose methods are coroutines."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import logging
import socketserver
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.aio.conftest import Run, connected
from tests.machinery.conftest import Recording
from tests.machinery.peers import read_response, read_to_end, request
from tests.support import UNIT, serving, wait_until
from tlshttp import AccessLogMixIn, Limits, aio, errors
from tlshttp.metrics import HealthMixIn

LARGE = 24 << 20
"""Bytes of a response: more than all buffers between two processes hold."""

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


class Base(aio.AsyncTLSRequestHandler):
    """What the handlers of these tests have in common."""

    async def answer(self, body: bytes, status: int = 200) -> None:
        """Answer with a body."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        await self.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Various(Base):
    """Answers each path in another way."""

    begun: threading.Semaphore
    cancelled: threading.Semaphore
    may_go_on: threading.Event

    async def do_GET(self) -> None:
        await getattr(self, "get_" + self.path[1:])()

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()

    async def do_POST(self) -> None:
        if self.path == "/pieces":
            size = 0
            while data := await self.read1(1000):
                size += len(data)
            await self.answer(b"%d" % size)
        else:
            await self.answer(await self.read())

    async def get_hello(self) -> None:
        await self.answer(b"hello")

    async def get_slow(self) -> None:
        await asyncio.sleep(0.05)
        await self.answer(b"slow")

    async def get_gate(self) -> None:
        self.begun.release()
        while not self.may_go_on.is_set():
            await asyncio.sleep(0.01)
        await self.answer(b"let go")

    async def get_wait(self) -> None:
        try:
            self.begun.release()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.release()
            raise

    async def get_stream(self) -> None:
        self.send_response(200)
        self.end_headers()
        for number in range(3):
            await self.write(b"%d\n" % number)
            await asyncio.sleep(0.01)

    async def get_large(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(LARGE))
        self.end_headers()
        for _ in range(LARGE >> 16):
            await self.write(bytes(65_536))
            assert self.request.backlog <= 2 * 65_536

    async def get_context(self) -> None:
        before = who.get()
        who.set("somebody")
        await asyncio.sleep(0)
        await self.answer(f"{before} {who.get()}".encode())

    async def get_fails(self) -> None:
        await asyncio.sleep(0)
        raise LookupError("of the handler")

    async def get_fails_late(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        await self.write(b"begun")
        raise LookupError("of the handler")

    async def get_nothing(self) -> None:
        await asyncio.sleep(0)

    async def get_twice(self) -> None:
        await self.answer(b"first")
        await self.answer(b"second")

    async def get_little(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        await self.write(b"five!")

    async def get_much(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        await self.write(b"five!")

    async def get_exits(self) -> None:
        raise SystemExit(3)

    async def get_self_cancelled(self) -> None:
        raise asyncio.CancelledError


class Streaming(Various):
    """The same, called when the head is there."""

    stream_request = True


@pytest.fixture
def handler() -> type[Various]:
    """Return a handler class of its own."""
    members = {
        "begun": threading.Semaphore(0),
        "cancelled": threading.Semaphore(0),
        "may_go_on": threading.Event(),
    }
    return type("Own", (Various,), members)


def ask(sock: Any, path: str) -> bytes:
    """Send a GET and return the response."""
    sock.sendall(request(path))
    return read_response(sock)


def test_coroutines_and_methods_answer_on_one_connection(run: Run, handler: type[Various]) -> None:
    """Quick ones, slow ones, and a method that is none, pipelined as well."""
    with run(handler) as server, connected(server) as sock:
        assert ask(sock, "/hello").endswith(b"hello")
        assert ask(sock, "/slow").endswith(b"slow")
        sock.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in sock.recv(65_536)
        sock.sendall(request("/slow") + request("/hello") + request("/slow"))
        data = b""
        while data.count(b"slow") < 2:
            data += sock.recv(65_536)
        assert data.index(b"slow") < data.index(b"hello") < data.rindex(b"slow")
    assert not server.events


def test_pieces_are_sent_at_once_and_framed(run: Run, handler: type[Various]) -> None:
    """A response without a length is sent in chunks, and ends."""
    with run(handler) as server, connected(server) as sock:
        sock.sendall(request("/stream", close=True))
        assert read_to_end(sock).endswith(b"2\r\n0\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n")


def test_a_large_response_waits_for_its_peer(run: Run, handler: type[Various]) -> None:
    """No more than two pieces of 64 KiB are ever waiting: `write` waits for the peer."""
    with run(handler) as server, connected(server) as sock:
        sock.sendall(request("/large"))
        head = sock.recv(65_536).partition(b"\r\n\r\n")
        left = LARGE - len(head[2])
        while left:
            left -= len(sock.recv(min(65_536, left)))
        assert ask(sock, "/hello").endswith(b"hello")
    assert not server.events


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("size", [0, 70_000, 2_000_000])
def test_bodies_are_read_whole_and_in_pieces(
    run: Run, handler: type[Various], size: int, streams: bool
) -> None:
    """Sized and in chunks, collected or as they come, small and large."""
    own = type("Own", (Streaming,), {}) if streams else handler
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with run(own) as server, connected(server) as sock:
        sock.sendall(
            b"POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
        )
        sock.sendall(body)
        assert read_response(sock).partition(b"\r\n\r\n")[2] == body
        sock.sendall(
            b"POST /pieces HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, size, 50_000):
            piece = body[start : start + 50_000]
            sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        assert read_response(sock).endswith(b"\r\n\r\n%d" % size)
    assert not server.events


def test_a_body_is_read_as_it_comes_and_continued(run: Run, handler: type[Various]) -> None:
    """Who expects 100 (Continue) gets it at the first read; what is there is given at once."""
    own = type("Own", (Streaming,), {})
    with run(own) as server, connected(server) as sock:
        sock.sendall(
            b"POST /pieces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert sock.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        sock.sendall(b"def")
        assert read_response(sock).endswith(b"\r\n\r\n6")


def test_a_slow_body_and_a_slow_peer_are_cut(run: Run, handler: type[Various]) -> None:
    """By the same limits as for any handler, with the same events."""
    limits = Limits(body_timeout=0.2, write_timeout=0.2)
    own = type("Own", (Streaming,), {})
    with run(own, limits) as server, connected(server) as slow, connected(server) as lazy:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc")
        lazy.sendall(request("/large"))
        assert wait_until(lambda: len(server.events) >= 2)
        kinds = {type(event) for event, _ in server.events}
        assert kinds == {errors.BodyTimeout, errors.WriteTimeout}


def test_a_coroutine_is_cancelled_when_its_peer_leaves(run: Run, handler: type[Various]) -> None:
    """Once for each, and each is one event."""
    with run(handler) as server:
        for _ in range(5):
            with connected(server) as sock:
                sock.sendall(request("/wait"))
                assert handler.begun.acquire(timeout=30 * UNIT)
        for _ in range(5):
            assert handler.cancelled.acquire(timeout=30 * UNIT)
        assert wait_until(lambda: len(server.events) == 5)
        assert {type(event) for event, _ in server.events} == {errors.PeerDisconnected}
        assert wait_until(lambda: server.stats().active == 0)


def test_who_does_not_want_that_goes_on(run: Run) -> None:
    """`cancel_when_left` false: the coroutine comes to its own end."""
    begun, left, done = threading.Event(), threading.Event(), threading.Event()

    class Stubborn(Base):
        cancel_when_left = False

        async def do_GET(self) -> None:
            begun.set()
            while not left.is_set():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # for a server that cancels it
            with contextlib.suppress(OSError):
                await self.answer(b"nobody hears")
            done.set()

    with run(Stubborn) as server:
        with connected(server) as sock:
            sock.sendall(request("/"))
            assert begun.wait(30 * UNIT)
        left.set()
        assert done.wait(30 * UNIT)


@pytest.mark.parametrize("path", ["/fails", "/self_cancelled"])
def test_an_exception_is_one_traceback_and_a_500(
    run: Run, handler: type[Various], path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Then the connection is over; others are served."""
    with run(handler) as server, connected(server) as sock:
        assert b" 500 " in ask(sock, path)
        assert not sock.recv(1)
        with connected(server) as other:
            assert ask(other, "/hello").endswith(b"hello")
    assert capfd.readouterr().err.count("Traceback") == 1


def test_an_exception_after_the_head_cuts_the_response(
    run: Run, handler: type[Various], capfd: pytest.CaptureFixture[str]
) -> None:
    """The client must not take what it got for all of it."""
    with run(handler) as server, connected(server) as sock:
        sock.sendall(request("/fails_late"))
        assert read_to_end(sock).endswith(b"begun")
    assert capfd.readouterr().err.count("LookupError: of the handler") == 1


@pytest.mark.parametrize("count", [3, pytest.param(200, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    ("path", "warning", "status"),
    [
        ("/nothing", "has ended without an answer", b" 500 "),
        ("/twice", "a second response head is sent as body", b" 200 "),
        ("/little", "5 bytes less than its Content-Length", b" 200 "),
        ("/much", "2 bytes more than its Content-Length", b" 200 "),
    ],
)
def test_what_is_wrong_with_an_answer_is_one_warning(
    run: Run, handler: type[Various], path: str, warning: str, status: bytes, count: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """It says which; nothing is left of many of each, and the server goes on."""
    with run(handler) as server:
        for number in range(count):
            with connected(server) as sock:
                sock.sendall(request(path))
                assert status in read_to_end(sock)
            if not number:
                assert wait_until(lambda: any(warning in line for line in caplog.messages))
        assert wait_until(lambda: server.stats().active == 0)
        with connected(server) as sock:
            assert ask(sock, "/hello").endswith(b"hello")


def test_an_exit_ends_the_coroutine_and_nothing_else(run: Run, handler: type[Various]) -> None:
    """SystemExit of a handler is no end of the loop."""
    with run(handler) as server, connected(server) as sock:
        sock.sendall(request("/exits"))
        read_to_end(sock)
        with connected(server) as other:
            assert ask(other, "/slow").endswith(b"slow")


def test_each_request_has_a_context_of_its_own(run: Run, handler: type[Various]) -> None:
    """What one sets, the next does not find: on the same connection, and on another."""
    with run(handler) as server, connected(server) as sock:
        for _ in range(3):
            assert ask(sock, "/context").endswith(b"nobody somebody")
        with connected(server) as other:
            assert ask(other, "/context").endswith(b"nobody somebody")


def test_mix_ins_see_coroutines_as_well(
    run: Run, handler: type[Various], caplog: pytest.LogCaptureFixture
) -> None:
    """The access log has the size when the answer is complete; health paths are answered."""
    own = type("Own", (HealthMixIn, AccessLogMixIn, Various), {})
    caplog.set_level(logging.INFO, "tlshttp.access")
    with run(own) as server, connected(server) as sock:
        assert ask(sock, "/slow").endswith(b"slow")
        assert ask(sock, "/healthz").endswith(b"ok\n")
    lines = [it.getMessage() for it in caplog.records if it.name == "tlshttp.access"]
    assert len(lines) == 2
    assert '"GET /slow HTTP/1.1" 200 4 ' in lines[0]


def test_own_constructors_and_setup_are_called_as_ever(run: Run) -> None:
    """One handler for a connection, however its class sets itself up."""

    class Own(Base):
        def __init__(self, *arguments: Any) -> None:
            self.made = "made"
            super().__init__(*arguments)

        def setup(self) -> None:
            super().setup()
            self.made += " and set up"

        async def do_GET(self) -> None:
            await self.answer(self.made.encode())

    with run(Own) as server, connected(server) as sock:
        assert ask(sock, "/").endswith(b"made and set up")
        assert ask(sock, "/").endswith(b"made and set up")


def test_a_coroutine_of_another_handler_is_a_mistake_that_says_so(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """``async def do_GET`` on a class that is not made for it."""

    class Mistaken(BaseHTTPRequestHandler):
        async def do_GET(self) -> None:
            """Never be called."""

    with run(Mistaken) as server, connected(server) as sock:
        sock.sendall(request("/"))
        assert b" 500 " in read_to_end(sock)
    assert "derive the handler from tlshttp.aio.AsyncTLSRequestHandler" in capfd.readouterr().err


@pytest.mark.parametrize("base", [Base, BaseHTTPRequestHandler])
@pytest.mark.parametrize("kind", ["a generator", "an async generator"])
def test_a_method_that_yields_is_a_mistake_that_says_so(
    run: Run, base: type, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """On either kind of class: nothing of it would ever run."""

    def generates(self: Any) -> Any:
        yield b"never"

    async def generates_later(self: Any) -> Any:
        yield b"never"

    method = generates if kind == "a generator" else generates_later
    members = {"do_GET": method, "log_message": lambda *_: None}
    with run(type("Yielding", (base,), members)) as server, connected(server) as sock:
        sock.sendall(request("/"))
        assert b" 500 " in read_to_end(sock)
    said = capfd.readouterr().err
    assert f"Yielding.do_GET() is {kind}, which nobody runs" in said
    assert said.count("Traceback (most recent call last)") == 1


def test_closing_the_server_lets_coroutines_answer(run: Run, handler: type[Various]) -> None:
    """One that is under way has its time."""
    with run(handler) as server, connected(server) as sock:
        sock.sendall(request("/gate"))
        assert handler.begun.acquire(timeout=30 * UNIT)
        threading.Thread(target=server.drain, daemon=True).start()
        assert wait_until(lambda: server.draining)
        handler.may_go_on.set()
        assert read_response(sock).endswith(b"let go")
        assert wait_until(lambda: server.stats().active == 0)  # who has its answer may be first
    assert not server.events


def test_what_does_not_end_is_cancelled_with_the_server(run: Run, handler: type[Various]) -> None:
    """After the time a drain has; nothing is left behind."""
    with run(handler) as server, connected(server) as sock:
        sock.sendall(request("/wait"))
        assert handler.begun.acquire(timeout=30 * UNIT)
        server.drain(0.1)
        assert handler.cancelled.acquire(timeout=30 * UNIT)
    assert {type(event) for event, _ in server.events} == {errors.ResponseAborted}


WITH_UVLOOP = """
import asyncio, ssl, urllib.request, uvloop
from tlshttp import TLSHTTPServer, aio, certs, context

class Hello(aio.AsyncTLSRequestHandler):
    async def do_GET(self):
        await asyncio.sleep(0.01)
        loop = type(asyncio.get_running_loop()).__module__.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(loop)))
        self.end_headers()
        await self.write(loop)

    def log_message(self, *arguments):
        pass

async def main():
    certificate = certs.self_signed("localhost")
    ssl_context = context.create_server_context(certificate)
    server = TLSHTTPServer(("localhost", 0), Hello, ssl_context=ssl_context)
    serving = asyncio.create_task(aio.serve(server))
    client = ssl.create_default_context(cadata=certificate.to_pem().decode())
    opened = await asyncio.to_thread(urllib.request.urlopen, server.url, context=client)
    print(opened.read().decode())
    opened.close()
    await asyncio.to_thread(server.shutdown)
    await serving

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


def test_uvloop_is_as_good_a_loop() -> None:
    """`serve` takes the loop that is running, whichever it is."""
    pytest.importorskip("uvloop", reason="uvloop is not installed: it is of no group of tests")
    done = subprocess.run(
        [sys.executable, "-c", WITH_UVLOOP],
        capture_output=True, text=True, timeout=30 * UNIT, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("uvloop"), done.stderr
    assert not done.stderr


def test_serve_ends_with_its_server(
    server_class: type[Recording], server_context: ssl.SSLContext, handler: type[Various]
) -> None:
    """It returns after `shutdown` and `drain`, and has closed the server."""
    for end in ("shutdown", "drain"):
        server = server_class(("127.0.0.1", 0), handler, ssl_context=server_context)

        async def main(server: Any = server, end: str = end) -> None:
            task = asyncio.create_task(aio.serve(server))
            await asyncio.to_thread(visit, server)
            await asyncio.to_thread(getattr(server, end))
            await task

        def visit(server: Any) -> None:
            with connected(server) as sock:
                assert ask(sock, "/hello").endswith(b"hello")

        asyncio.run(main())
        assert server.socket.fileno() == -1


def test_serve_closes_its_server_however_often_it_is_cancelled(
    server_class: type[Recording], server_context: ssl.SSLContext, handler: type[Various]
) -> None:
    """Even where no thread is free to close it, and what waits for one is cancelled."""
    server = server_class(("127.0.0.1", 0), handler, ssl_context=server_context)
    free = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            loop.set_default_executor(threads)
            task = asyncio.create_task(aio.serve(server))
            await asyncio.to_thread(visit)
            for _ in range(2):
                threads.submit(free.wait)
            for _ in range(4):
                task.cancel()
                for _ in range(5):
                    await asyncio.sleep(0)
            server.shutdown()
            free.set()
            with pytest.raises(asyncio.CancelledError):
                await task

    def visit() -> None:
        with connected(server) as sock:
            assert ask(sock, "/hello").endswith(b"hello")

    asyncio.run(main())
    assert server.socket.fileno() == -1


def test_a_mix_in_with_threads_of_its_own_is_a_mistake_that_says_so(
    server_context: ssl.SSLContext, handler: type[Various], capfd: pytest.CaptureFixture[str]
) -> None:
    """There is somebody to wait already; methods that are no coroutines are served."""

    class Mixed(socketserver.ThreadingMixIn, Recording):
        pass

    server = Mixed(("127.0.0.1", 0), handler, ssl_context=server_context)
    with serving(server):
        with connected(server) as sock:
            sock.sendall(request("/hello"))
            assert b" 500 " in read_to_end(sock)
        with connected(server) as sock:
            sock.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b" 200 " in read_to_end(sock)
    assert "a coroutine needs a handler that the server drives" in capfd.readouterr().err
