"""WebSockets of ASGI applications, with another package's client."""

from __future__ import annotations

import asyncio
import contextlib
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
from tests.front.peers import client_context
from tests.support import UNIT, wait_until
from tlshttp import ForwardedMixIn, websocket


class Sockets:
    """An application that does what the path says, and takes note of what it is told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.is_over = threading.Event()

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
    with connect(url, open_timeout=5 * UNIT, close_timeout=5 * UNIT, **options) as client:
        yield client


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 900_000])
def test_messages_of_every_size_come_back(run: Run, size: int) -> None:
    """As text and as bytes, around the sizes where frames change, compressed where agreed."""
    with run(quiet(Sockets())) as server, opened(server, "echo", max_size=None) as client:
        client.send("x" * size)
        assert client.recv(timeout=5 * UNIT) == "x" * size
        client.send(bytes(size))
        assert client.recv(timeout=5 * UNIT) == bytes(size)


def test_many_come_back_in_order_and_fragments_are_put_together(run: Run) -> None:
    """With pings in between; the client's close is answered, and told."""
    sockets = Sockets()
    with run(quiet(sockets)) as server:
        with opened(server, "echo", subprotocols=["b", "a"]) as client:
            assert client.subprotocol == "b"
            assert client.response is not None
            assert client.response.headers["X-Own"] == "1"
            for number in range(200):
                client.send(str(number))
            for number in range(200):
                assert client.recv(timeout=5 * UNIT) == str(number)
            assert client.ping().wait(5 * UNIT)
            client.send(["in", " ", "pieces"])
            assert client.recv(timeout=5 * UNIT) == "in pieces"
            client.close(4000, "bye")
            assert client.close_code == 4000
        assert sockets.is_over.wait(5 * UNIT)
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
            client.recv(timeout=5 * UNIT)
        assert (client.close_code, client.close_reason) == (code, reason)


def test_an_exception_closes_with_its_code(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """1011, and one traceback."""
    with run(quiet(Sockets())) as server, opened(server, "raises") as client:
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5 * UNIT)
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
            assert client.recv(timeout=5 * UNIT) == "mine"
    for origins in ([foreign], websocket.ANY_ORIGIN):
        handler = quiet(Sockets(), origins=origins)
        with run(handler) as server, opened(server, "echo", origin=foreign) as client:
            client.send("welcome")
            assert client.recv(timeout=5 * UNIT) == "welcome"


def test_a_drain_says_goodbye(run: Run) -> None:
    """1001 (going away), and the application is told."""
    sockets = Sockets()
    with run(quiet(sockets)) as server, opened(server, "echo") as client:
        threading.Thread(target=server.drain, daemon=True).start()
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5 * UNIT)
        assert client.close_code == 1001
        assert sockets.is_over.wait(5 * UNIT)
    assert sockets.seen[-1]["code"] == 1001
    assert not server.events


def test_who_does_not_read_is_waited_for_in_bounded_memory(run: Run) -> None:
    """64 MiB for somebody who takes nothing; others are served, and the end is one event."""
    with run(quiet(Sockets())) as server:
        with opened(server, "floods") as lazy, opened(server, "echo") as honest:
            honest.send("hello")
            assert honest.recv(timeout=5 * UNIT) == "hello"
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
            assert client.recv(timeout=5 * UNIT) == "still there"


def test_http_beside_is_served(run: Run) -> None:
    """A request without Upgrade is none for a WebSocket."""
    from tests.aio.conftest import connected
    from tests.front.peers import read_response, request

    async def both(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await asyncio.sleep(0)
        await answer(send, b"plain")

    with run(quiet(both)) as server, connected(server) as sock:
        sock.sendall(request("/"))
        assert read_response(sock).endswith(b"plain")


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
        assert client.recv(timeout=5 * UNIT) == "forwarded"
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
            client.recv(timeout=5 * UNIT)
        assert over.wait(5 * UNIT)
    assert said[0] == "websocket.disconnect"
    assert isinstance(said[1], OSError)
