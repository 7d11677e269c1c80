"""WebSockets of ASGI applications, with another package's client."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("websockets", reason="the package websockets is not installed")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.aio.conftest import Run
from tests.aio.test_asgi import answer, quiet
from tests.machinery.conftest import RecordingThreading
from tests.machinery.peers import client_context, handshake
from tests.support import UNIT, serving, wait_until
from tests.websocket.support import BINARY, CLOSE, FIELDS, PING, PONG, TEXT, Raw, frame
from tlshttp import ForwardedMixIn, websocket
from tlshttp.aio import _websocket
from tlshttp.aio._answer import Answer
from tlshttp.aio._websocket import WebSocketCall
from tlshttp.websocket._terms import Terms


class Sockets:
    """An application that does what the path says, and takes note of what it is told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.is_over = threading.Event()
        self.may_end = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket", "nothing else is served here"
        self.seen.append(scope)
        assert (await receive())["type"] == "websocket.connect"
        try:
            await getattr(self, scope["path"][1:])(scope, receive, send)
        finally:
            self.is_over.set()

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        chosen = next(iter(scope["subprotocols"]), None)
        headers = [(b"x-own", b"1")]
        await send({"type": "websocket.accept", "subprotocol": chosen, "headers": headers})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        self.seen.append(message)

    async def closes(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})

    async def returns(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async def raises(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise LookupError("of the application")

    async def rejects(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})

    async def denies(self, scope: Any, receive: Any, send: Any) -> None:
        start = {"status": 402, "headers": [(b"x-price", b"1")]}
        await send({"type": "websocket.http.response.start", **start})
        await send({"type": "websocket.http.response.body", "body": b"pay", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b" first"})

    async def nothing(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer nothing at all."""

    async def hears_once(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()
        await self._wait()

    async def sleeps(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await self._wait()

    async def hears_late(self, scope: Any, receive: Any, send: Any) -> None:
        await self.sleeps(scope, receive, send)
        while (message := await receive())["type"] == "websocket.receive":
            self.seen.append(message["text"])

    async def two_tasks(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

        async def tick() -> None:
            while True:
                await send({"type": "websocket.send", "text": ""})
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await ticking

    async def _wait(self) -> None:
        while not self.may_end.is_set():
            await asyncio.sleep(0.01)

    async def floods(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        with contextlib.suppress(OSError):
            for _ in range(1000):
                await send({"type": "websocket.send", "bytes": bytes(65_536)})


@contextlib.contextmanager
def opened(server: Any, path: str, **options: Any) -> Iterator[ClientConnection]:
    """Return an open WebSocket."""
    url = f"wss://127.0.0.1:{server.server_address[1]}/{path}"
    # Not TLS 1.3: session tickets wake the client's thread, which then reads while another one
    # writes, and that is more than the ssl module of Python 3.11 bears.
    own = client_context(ssl.TLSVersion.TLSv1_2)
    options = {"ssl": own, "server_hostname": "localhost", "proxy": None, **options}
    options["ping_interval"] = None  # it would not wait for a busy machine
    with connect(url, open_timeout=30 * UNIT, close_timeout=30 * UNIT, **options) as client:
        yield client


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 900_000])
def test_messages_of_every_size_come_back(run: Run, size: int) -> None:
    """As text and as bytes, around the sizes where frames change, compressed where agreed."""
    with run(quiet(Sockets())) as server, opened(server, "echo", max_size=None) as client:
        client.send("x" * size)
        assert client.recv(timeout=30 * UNIT) == "x" * size
        client.send(bytes(size))
        assert client.recv(timeout=30 * UNIT) == bytes(size)


def test_many_come_back_in_order_and_fragments_are_put_together(run: Run) -> None:
    """With pings in between; the client's close is answered, and told."""
    sockets = Sockets()
    with run(quiet(sockets)) as server:
        with opened(server, "echo", subprotocols=["b", "a"]) as client:
            assert client.subprotocol == "b"
            assert client.response is not None
            assert client.response.headers["X-Own"] == "1"
            assert client.response.headers.get_all("Connection") == ["Upgrade"]
            for number in range(200):
                client.send(str(number))
            for number in range(200):
                assert client.recv(timeout=30 * UNIT) == str(number)
            assert client.ping().wait(30 * UNIT)
            client.send(["in", " ", "pieces"])
            assert client.recv(timeout=30 * UNIT) == "in pieces"
            client.close(4000, "bye")
            assert client.close_code == 4000
        assert sockets.is_over.wait(30 * UNIT)
        assert sockets.seen[-1] == {"type": "websocket.disconnect", "code": 4000, "reason": "bye"}
        assert sockets.seen[0]["scheme"] == "wss"
        assert sockets.seen[0]["subprotocols"] == ["b", "a"]
        assert wait_until(lambda: server.stats().active == 0)
    assert not server.events


@pytest.mark.parametrize(
    ("path", "code", "reason"), [("closes", 4001, "enough"), ("returns", 1000, "")]
)
def test_an_application_closes(run: Run, path: str, code: int, reason: str) -> None:
    """In so many words, or by returning."""
    with run(quiet(Sockets())) as server, opened(server, path) as client:
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=30 * UNIT)
        assert (client.close_code, client.close_reason) == (code, reason)


def test_an_exception_closes_with_its_code(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """1011, and one traceback."""
    with run(quiet(Sockets())) as server, opened(server, "raises") as client:
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=30 * UNIT)
        assert client.close_code == 1011
    assert capfd.readouterr().err.count("LookupError: of the application") == 1


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [("rejects", 403, b""), ("denies", 402, b"pay first"), ("nothing", 500, None)],
)
def test_an_application_may_refuse(
    run: Run, path: str, status: int, body: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a response of its own, or with 403; one that says nothing is a 500."""
    with run(quiet(Sockets())) as server, pytest.raises(InvalidStatus) as refused:  # noqa: SIM117
        with opened(server, path):
            pass
    assert refused.value.response.status_code == status
    assert body is None or refused.value.response.body == body
    capfd.readouterr()


def test_pages_of_others_are_refused_by_default(run: Run) -> None:
    """Unless they are in a list, or any are welcome."""
    foreign = "https://elsewhere.example"
    with run(quiet(Sockets())) as server:
        with pytest.raises(InvalidStatus) as refused, opened(server, "echo", origin=foreign):
            pass
        assert refused.value.response.status_code == 403
        own = f"https://127.0.0.1:{server.server_address[1]}"
        with opened(server, "echo", origin=own) as client:
            client.send("mine")
            assert client.recv(timeout=30 * UNIT) == "mine"
    for origins in ([foreign], websocket.ANY_ORIGIN):
        handler = quiet(Sockets(), origins=origins)
        with run(handler) as server, opened(server, "echo", origin=foreign) as client:
            client.send("welcome")
            assert client.recv(timeout=30 * UNIT) == "welcome"


def test_a_drain_says_goodbye(run: Run) -> None:
    """1001 (going away), and the application is told."""
    sockets = Sockets()
    with run(quiet(sockets)) as server, opened(server, "echo") as client:
        threading.Thread(target=server.drain, daemon=True).start()
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=30 * UNIT)
        assert client.close_code == 1001
        assert sockets.is_over.wait(30 * UNIT)
    assert sockets.seen[-1]["code"] == 1001
    assert not server.events


@pytest.mark.parametrize("path", ["echo", "sleeps"])
@pytest.mark.parametrize("end", ["drain", "server_close"])
def test_every_end_of_the_server_is_said(server_context: Any, end: str, path: str) -> None:
    """1001 at once, whether the application asks or not; who asks is told, too."""
    sockets = Sockets()
    server = RecordingThreading(("127.0.0.1", 0), quiet(sockets), ssl_context=server_context)
    with serving(server), _Raw.opened(server, path) as raw:
        raw.send(frame(PING))
        assert raw.frame() == (PONG, b"")
        ender = threading.Thread(target=getattr(server, end))
        ender.start()
        assert raw.close_code() == 1001
        raw.send(frame(CLOSE, b"\x03\xe9"))
        sockets.may_end.set()
        assert sockets.is_over.wait(30 * UNIT)
        ender.join(30 * UNIT)
        assert not ender.is_alive()
    assert path == "sleeps" or sockets.seen[-1]["code"] == 1001


def test_who_does_not_read_is_waited_for_in_bounded_memory(run: Run) -> None:
    """64 MiB for somebody who takes nothing; others are served, and the end is one event."""
    with run(quiet(Sockets())) as server:
        with opened(server, "floods") as lazy, opened(server, "echo") as honest:
            honest.send("hello")
            assert honest.recv(timeout=30 * UNIT) == "hello"
            lazy.socket.shutdown(2)
        assert wait_until(lambda: server.stats().active == 0)


@pytest.mark.thorough
def test_waiting_costs_no_thread(run: Run) -> None:
    """Fifty idle WebSockets."""
    with run(quiet(Sockets())) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(opened(server, "echo")) for _ in range(50)]
        own = [it for it in threading.enumerate() if it.name.startswith("tlshttp")]
        assert len(own) < 10
        for client in clients:
            client.send("still there")
        for client in clients:
            assert client.recv(timeout=30 * UNIT) == "still there"


def test_http_beside_is_served(run: Run) -> None:
    """A request without Upgrade is none for a WebSocket."""
    from tests.aio.conftest import connected
    from tests.machinery.peers import read_response, request

    async def both(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await asyncio.sleep(0)
        await answer(send, b"plain")

    with run(quiet(both)) as server, connected(server) as sock:
        sock.sendall(request("/"))
        assert read_response(sock).endswith(b"plain")


class _Raw(Raw):
    @classmethod
    @contextlib.contextmanager
    def opened(cls, server: Any, path: str) -> Iterator[Raw]:
        """Return a client that sends what it is told, after the answer's head."""
        sock = handshake(server.server_address, client_context())
        with contextlib.closing(sock):
            raw = cls(sock)
            lines = [f"{name}: {value}" for name, value in FIELDS.items()]
            raw.send("\r\n".join([f"GET /{path} HTTP/1.1", *lines, "", ""]).encode())
            assert raw.head().startswith(b"HTTP/1.1 101")
            yield raw


@pytest.mark.parametrize("count", [1, 3])
def test_a_message_and_a_close_in_one_packet(
    run: Run, count: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """The echo goes out, then the close is answered; no traceback."""
    sockets = Sockets()
    with run(quiet(sockets)) as server, _Raw.opened(server, "echo") as raw:
        raw.send(frame(TEXT, b"last") * count + frame(CLOSE, b"\x0f\xa0bye"))
        for _ in range(count):
            assert raw.frame() == (TEXT, b"last")
        assert raw.frame() == (CLOSE, b"\x0f\xa0bye")
        assert raw.sock.recv(1) == b""
        assert sockets.is_over.wait(30 * UNIT)
        assert sockets.seen[-1] == {"type": "websocket.disconnect", "code": 4000, "reason": "bye"}
        assert wait_until(lambda: server.stats().active == 0)
    assert not server.events
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("path", ["hears_once", "sleeps"])
def test_who_neither_sends_nor_receives_is_looked_after(run: Run, path: str) -> None:
    """Pings are answered, and a close, and the server's end is said."""
    for ends_server in (False, True):
        sockets = Sockets()
        with run(quiet(sockets)) as server, _Raw.opened(server, path) as raw:
            raw.send(frame(TEXT, b"x") * (path == "hears_once") + frame(PING, b"there?"))
            assert raw.frame() == (PONG, b"there?")
            if ends_server:
                threading.Thread(target=server.drain, args=(60,), daemon=True).start()
                assert raw.close_code() == 1001
                raw.send(frame(CLOSE, b"\x03\xe9"))
            else:
                raw.send(frame(CLOSE, b"\x0f\xa0bye"))
                assert raw.frame() == (CLOSE, b"\x0f\xa0bye")
            assert raw.sock.recv(1) == b""
            sockets.may_end.set()
            assert sockets.is_over.wait(30 * UNIT)


def test_what_comes_while_others_have_their_turn_is_looked_at(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A close comes when a message has been read, and ``receive()`` has not returned it yet."""
    ponged = threading.Event()
    write = WebSocketCall._write

    async def write_and_tell(call: WebSocketCall, data: bytes) -> None:
        await write(call, data)
        if data:
            ponged.set()

    async def let_the_client(answer: Answer) -> None:
        await asyncio.sleep(0)
        while ponged.is_set() and answer.later is not None and not answer.later.buffered:
            await asyncio.sleep(0.001)
        ponged.clear()

    monkeypatch.setattr(WebSocketCall, "_write", write_and_tell)
    monkeypatch.setattr(Answer, "has_had_its_turn", lambda _: True)
    monkeypatch.setattr(Answer, "let_others", let_the_client)
    sockets = Sockets()
    with run(quiet(sockets)) as server, _Raw.opened(server, "hears_once") as raw:
        raw.send(frame(TEXT, b"x") + frame(PING, b"there?"))
        assert raw.frame() == (PONG, b"there?")
        raw.send(frame(CLOSE, b"\x0f\xa0bye"))
        assert raw.frame() == (CLOSE, b"\x0f\xa0bye")
        sockets.may_end.set()
        assert sockets.is_over.wait(30 * UNIT)


def test_what_comes_early_waits_in_order_and_is_bounded(run: Run) -> None:
    """A peer that sends and sends waits; what it has sent is all received, the close last."""
    sockets = Sockets()
    with run(quiet(sockets)) as server, _Raw.opened(server, "hears_late") as raw:
        texts = [f"{number:01000}" for number in range(3_000)]
        data = b"".join(frame(TEXT, text.encode()) for text in texts)
        sender = threading.Thread(target=raw.send, args=(data + frame(CLOSE, b"\x0f\xa0"),))
        sender.start()
        assert wait_until(lambda: server.stats().bytes_in > 65_536)
        assert server.stats().active == 1
        sockets.may_end.set()
        sender.join()  # before Python 3.13 no two threads may use a TLS socket at once
        assert raw.frame() == (CLOSE, b"\x0f\xa0")
        assert sockets.is_over.wait(30 * UNIT)
        assert sockets.seen[1:] == texts


def test_one_task_sends_while_another_receives(run: Run) -> None:
    """Nothing that comes is overlooked."""
    sockets = Sockets()
    with run(quiet(sockets)) as server, _Raw.opened(server, "two_tasks") as raw:
        for number in range(100):
            text = b"%d" % number
            raw.send(frame(TEXT, text) + frame(PING, text))
            seen: list[tuple[int, bytes]] = []
            while len(seen) < 2:
                if (one := raw.frame()) != (TEXT, b""):
                    seen.append(one)
            assert sorted(seen) == [(TEXT, text), (PONG, text)]
        raw.send(frame(CLOSE, b"\x0f\xa0"))
        assert raw.close_code() == 4000
        assert sockets.is_over.wait(30 * UNIT)


FAULTS = {
    "opcode 3": (frame(3), 1002),
    "text that is none": (frame(TEXT, b"\xff"), 1007),
    "text that is none, in pieces": (frame(TEXT, b"\xc3", fin=False) + frame(0, b"x"), 1007),
    "too large": (frame(BINARY, bytes((1 << 20) + 1))[:20], 1009),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_closes_with_its_code_and_is_one_event(run: Run, kind: str) -> None:
    """As in the other kinds of WebSockets, after what came before it."""
    data, code = FAULTS[kind]
    sockets = Sockets()
    with run(quiet(sockets)) as server, _Raw.opened(server, "echo") as raw:
        raw.send(frame(TEXT, b"before") + data)
        assert raw.frame() == (TEXT, b"before")
        assert raw.close_code() == code
        assert raw.sock.recv(1) == b""
        assert wait_until(lambda: server.stats().cut == {"protocol-violation": 1})
        assert sockets.is_over.wait(30 * UNIT)
        assert sockets.seen[-1]["code"] == code


@pytest.mark.parametrize("path", ["echo", "two_tasks"])
def test_a_client_that_gives_no_sign_of_life_is_one_event(
    run: Run, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked, told 1011, and cut; the application hears of it."""
    terms = functools.partial(Terms, ping_interval=0.2 * UNIT, ping_timeout=0.3 * UNIT)
    monkeypatch.setattr(_websocket, "Terms", terms)
    sockets = Sockets()
    with run(quiet(sockets)) as server, _Raw.opened(server, path) as raw:
        frames = iter(raw.frame, (CLOSE, b"\x03\xf3no sign of life"))
        assert {opcode for opcode, data in frames if (opcode, data) != (TEXT, b"")} == {PING}
        assert raw.sock.recv(1) == b""
        assert sockets.is_over.wait(30 * UNIT)
        assert wait_until(lambda: server.stats().cut == {"disconnected": 1})
        assert path == "two_tasks" or sockets.seen[-1]["code"] == 1011


@pytest.mark.parametrize(("told", "scheme"), [("http", "ws"), ("wss", "wss"), (None, "wss")])
def test_the_scheme_is_what_a_trusted_proxy_says(run: Run, told: str | None, scheme: str) -> None:
    """As it is for requests."""
    sockets = Sockets()
    members = {
        "forwarded_from": ("127.0.0.1",),
        "forwarded_fields": ("X-Forwarded-For", "X-Forwarded-Proto"),
    }
    handler = type("Forwarded", (ForwardedMixIn, quiet(sockets)), members)
    fields = {"X-Forwarded-For": "203.0.113.9"}
    if told is not None:
        fields["X-Forwarded-Proto"] = told
    with run(handler) as server, opened(server, "echo", additional_headers=fields) as client:
        client.send("forwarded")
        assert client.recv(timeout=30 * UNIT) == "forwarded"
    assert sockets.seen[0]["scheme"] == scheme
    assert sockets.seen[0]["client"][0] == "203.0.113.9"


def test_a_task_that_outlives_the_application_sends_nothing(run: Run) -> None:
    """Whether it has accepted or not: it is told, and receives the end."""
    said: list[Any] = []
    over = threading.Event()

    async def late(receive: Any, send: Any, task: asyncio.Task[Any]) -> None:
        await asyncio.wait({task})
        said.append((await receive())["type"])
        try:
            await send({"type": "websocket.send", "text": "LATE"})
        except OSError as error:
            said.append(error)
        over.set()

    tasks = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            current: Any = asyncio.current_task()
            tasks.append(asyncio.create_task(late(receive, send, current)))
            await send({"type": "websocket.accept"})

    with run(quiet(application)) as server, opened(server, "any") as client:
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=30 * UNIT)
        assert over.wait(30 * UNIT)
    assert said[0] == "websocket.disconnect"
    assert isinstance(said[1], OSError)
