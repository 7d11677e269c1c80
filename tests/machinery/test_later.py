"""Exchanges that end later than their handler returns, with a thread in the place of asyncio."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.machinery.conftest import Recording, Serve
from tests.machinery.handlers import LARGE, Plain
from tests.machinery.peers import client_context, handshake, leave, read_response, request, reset
from tests.support import UNIT, wait_until
from tlshttp import Limits, ThreadingTLSHTTPServer, errors

pytestmark = pytest.mark.only_engine("ssl", reason="it is about connections, not about engines")


class Loop:
    """One thread that calls what it is given, as an asyncio loop would."""

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="loop-of-the-test")

    def _run(self) -> None:
        while (task := self.tasks.get()) is not None:
            task()


class Answerer:
    """Answers when the test says so, and takes note of what it is told."""

    def __init__(self, handler: Any, loop: Loop) -> None:
        self.handler = handler
        self.loop = loop
        self.later: Any = None
        self.begun, self.left, self.sent = (threading.Event() for _ in range(3))
        self.wakes = 0

    def __await__(self) -> Iterator[None]:
        raise NotImplementedError

    def begin(self, later: Any) -> None:
        self.later = later
        self.loop.tasks.put(self._begin)

    def _begin(self) -> None:
        self.later.look()
        self.begun.set()

    def wake(self) -> None:
        self.loop.tasks.put(self._look)

    def _look(self) -> None:
        self.wakes += 1
        self.later.look()
        if self.later.has_left:
            self.left.set()
        if not self.later.backlog:
            self.sent.set()

    def drop(self) -> None:
        """Do nothing: nothing has begun."""

    def answer(self, body: bytes = b"later", error: BaseException | None = None) -> None:
        """Have the loop's thread answer, and end."""

        def answer() -> None:
            if error is None:
                with contextlib.suppress(OSError):
                    self.handler._answer(body)
            self.later.end(error)

        self.loop.tasks.put(answer)


class Deferring(Plain):
    """Answer ``/now`` at once, and all else later."""

    loop: Loop
    answerers: queue.SimpleQueue[Answerer]
    fails = False

    def do_GET(self) -> Any:
        if self.path == "/now":
            return super().do_GET()
        return Answerer(self, self.loop)

    def do_POST(self) -> Any:
        return Answerer(self, self.loop)

    def handle_one_request(self) -> None:
        super().handle_one_request()
        if self.fails:
            raise ValueError("after all")

    def _create_answerer(self, answer: Answerer) -> Answerer:
        self.answerers.put(answer)
        return answer


class Streaming(Deferring):
    """The same, called when the head is there."""

    stream_request = True


@pytest.fixture
def handler() -> Iterator[type[Deferring]]:
    """Return a handler class of its own, and a loop for it."""
    loop = Loop()
    loop.thread.start()
    yield type("Own", (Deferring,), {"loop": loop, "answerers": queue.SimpleQueue()})
    loop.tasks.put(None)
    loop.thread.join(30 * UNIT)
    assert not loop.thread.is_alive()


def ask(server: Recording, path: str = "/", rcvbuf: int | None = None) -> Any:
    """Send a request on a connection of its own."""
    sock = handshake(server.server_address, client_context(), rcvbuf=rcvbuf)
    sock.sendall(request(path))
    return sock


def next_answerer(handler: type[Deferring]) -> Answerer:
    """Return who is to answer the next request, when it can."""
    answerer = handler.answerers.get(timeout=30 * UNIT)
    assert answerer.begun.wait(30 * UNIT)
    return answerer


def test_it_answers_when_it_likes_and_the_connection_goes_on(
    serve: Serve, handler: type[Deferring]
) -> None:
    """Three requests on one connection, answered late and at once; no worker is kept meanwhile."""
    with serve(handler) as server, ask(server) as sock:
        answerer = next_answerer(handler)
        assert server.stats().active == 1
        answerer.answer(b"first")
        assert read_response(sock).endswith(b"first")
        sock.sendall(request("/now"))
        assert read_response(sock).endswith(b"/now")
        sock.sendall(request("/again"))
        next_answerer(handler).answer(b"third")
        assert read_response(sock).endswith(b"third")
        assert wait_until(lambda: server.stats().requests == 3)
    assert not server.events


def test_pipelined_requests_are_answered_in_order(serve: Serve, handler: type[Deferring]) -> None:
    """A request that has come ahead is looked at when the one before it has been answered."""
    with serve(handler) as server, ask(server) as sock:
        first = next_answerer(handler)
        sock.sendall(request("/now") + request("/third"))
        assert wait_until(lambda: first.wakes > 0)
        first.answer(b"first")
        assert read_response(sock).endswith(b"first")
        assert read_response(sock).endswith(b"/now")
        next_answerer(handler).answer(b"third")
        assert read_response(sock).endswith(b"third")


def test_many_wait_without_places_or_threads(
    serve: Serve, server_class: type[Recording], handler: type[Deferring]
) -> None:
    """Twenty unanswered requests keep neither the one worker nor a thread each."""
    options = {"max_workers": 1} if issubclass(server_class, ThreadingTLSHTTPServer) else {}
    with serve(handler, **options) as server, contextlib.ExitStack() as stack:
        before = threading.active_count()
        socks = [stack.enter_context(ask(server, f"/{number}")) for number in range(20)]
        answerers = [next_answerer(handler) for _ in socks]
        assert threading.active_count() - before < 10
        with ask(server, "/now") as honest:
            assert read_response(honest).endswith(b"/now")
        for answerer in answerers:
            answerer.answer(answerer.handler.path.encode())
        for number, sock in enumerate(socks):
            assert read_response(sock).endswith(b"/%d" % number)


@pytest.mark.parametrize("how", [leave, reset, lambda sock: sock.unwrap().close()])
def test_it_is_told_when_its_peer_leaves(
    serve: Serve, handler: type[Deferring], how: Callable[[Any], None]
) -> None:
    """However the peer leaves; and that is one event."""
    with serve(handler) as server:
        sock = ask(server)
        answerer = next_answerer(handler)
        with contextlib.suppress(OSError):
            sock.settimeout(0.1)
            how(sock)
        sock.close()
        assert answerer.left.wait(30 * UNIT)
        answerer.loop.tasks.put(answerer.later.give_up)
        assert wait_until(lambda: bool(server.events))
        assert [type(event) for event, _ in server.events] == [errors.PeerDisconnected]


def test_what_nobody_reads_is_taken_in_no_further(serve: Serve, handler: type[Deferring]) -> None:
    """A peer that pipelines megabytes while its first request waits is not read for ever."""
    with serve(handler) as server, ask(server) as sock:
        answerer = next_answerer(handler)
        sock.settimeout(0.5 * UNIT)
        with contextlib.suppress(TimeoutError):
            sock.sendall(request("/now") * (LARGE // 64))
        assert wait_until(lambda: answerer.later.buffered >= 65_536)
        wakes = _on(answerer, lambda: answerer.wakes)  # when it has heard of all that
        assert answerer.later.buffered <= 2 * 65_536
        assert not wait_until(lambda: answerer.wakes > wakes + 2, timeout=0.3 * UNIT)
        answerer.answer()
        sock.settimeout(30 * UNIT)
        assert read_response(sock).endswith(b"later")


def test_a_large_answer_leaves_without_the_answerer(serve: Serve, handler: type[Deferring]) -> None:
    """It is told when all has been taken, has not waited for it, and goes on to the next."""
    with serve(handler) as server, ask(server, rcvbuf=65_536) as sock:
        answerer = next_answerer(handler)
        body = bytes(8 << 20)
        written = threading.Event()

        def write() -> None:
            answerer.handler._answer(body)
            assert answerer.later.backlog
            written.set()

        answerer.loop.tasks.put(write)
        assert written.wait(30 * UNIT)
        assert not answerer.sent.is_set()
        left = len(body)
        left -= len(sock.recv(65_536).partition(b"\r\n\r\n")[2])
        while left:
            left -= len(sock.recv(min(left, 65_536)))
        assert answerer.sent.wait(30 * UNIT)
        answerer.loop.tasks.put(lambda: answerer.later.end(None))
        sock.sendall(request("/now"))
        assert read_response(sock).endswith(b"/now")


def test_its_failure_is_one_traceback_and_a_500(
    serve: Serve, handler: type[Deferring], capfd: pytest.CaptureFixture[str]
) -> None:
    """As if the handler itself had raised it."""
    with serve(handler) as server, ask(server) as sock:
        next_answerer(handler).answer(error=ValueError("what it was"))
        assert b" 500 " in read_response(sock)
        assert not sock.recv(1)
    assert capfd.readouterr().err.count("ValueError: what it was") == 1


def test_a_handler_that_fails_after_all_has_no_answerer(
    serve: Serve, handler: type[Deferring], capfd: pytest.CaptureFixture[str]
) -> None:
    """It has returned an awaitable, and raises on its way out."""
    handler.fails = True
    with serve(handler) as server, ask(server) as sock:
        assert b" 500 " in read_response(sock)
        assert handler.answerers.get(timeout=30 * UNIT).later is None
    assert capfd.readouterr().err.count("ValueError: after all") == 1


def test_closing_the_server_waits_for_answers(serve: Serve, handler: type[Deferring]) -> None:
    """What has been begun is answered, and the answer says that it is the last one."""
    with serve(handler) as server:
        sock = ask(server)
        answerer = next_answerer(handler)
        threading.Timer(0.2 * UNIT, answerer.answer).start()
    with sock:
        response = read_response(sock)
        assert response.endswith(b"later")
        assert not sock.recv(1)


def test_drain_waits_for_answers(serve: Serve, handler: type[Deferring]) -> None:
    """They announce the end of the connection."""
    with serve(handler) as server, ask(server) as sock:
        answerer = next_answerer(handler)
        drain = threading.Thread(target=server.drain)
        drain.start()
        assert wait_until(lambda: server.draining)
        answerer.answer()
        assert b"Connection: close" in read_response(sock)
        drain.join(30 * UNIT)
        assert not drain.is_alive()


def test_a_drain_that_has_no_more_time_breaks_it_off(
    serve: Serve, handler: type[Deferring]
) -> None:
    """The answerer is told, and what it is told is an event."""
    with serve(handler) as server, ask(server) as sock:
        answerer = next_answerer(handler)
        server.drain(0.1)
        assert answerer.left.wait(30 * UNIT)
        answerer.loop.tasks.put(answerer.later.give_up)
        assert wait_until(lambda: bool(server.events))
        assert [type(event) for event, _ in server.events] == [errors.ResponseAborted]
        with pytest.raises(OSError, match="EOF occurred"):
            read_response(sock)


@pytest.mark.parametrize("ahead", [0, 80_000], ids=["parked", "ahead"])
def test_who_waits_for_a_peer_gives_way(serve: Serve, handler: type[Deferring], ahead: int) -> None:
    """At `max_connections` an answerer that waits for its peer is cut; one at work is not.

    It makes no difference whether that has sent so much that nobody looks for more.
    """
    with serve(handler, Limits(max_connections=2)) as server, contextlib.ExitStack() as stack:
        stack.enter_context(ask(server, "/first"))
        at_work = next_answerer(handler)
        second = stack.enter_context(ask(server, "/second"))
        waits = next_answerer(handler)
        second.sendall(bytes(ahead))
        assert wait_until(lambda: waits.later.buffered >= min(ahead, 65_536))
        waits.later.waits_for_peer = True
        with ask(server, "/now") as third:
            assert waits.left.wait(30 * UNIT)
            waits.loop.tasks.put(waits.later.give_up)
            assert read_response(third).endswith(b"/now")
        assert not at_work.left.is_set()
        at_work.answer()
        assert wait_until(lambda: bool(server.events))
        assert [type(event) for event, _ in server.events] == [errors.RequestCrowdedOut]


def test_a_body_is_read_as_it_comes(serve: Serve, handler: type[Deferring]) -> None:
    """Without waiting: what is not there is a `BlockingIOError`, and a report when it is."""
    own = type("OwnStreaming", (Streaming,), dict(vars(handler)))
    with serve(own) as server:
        sock = handshake(server.server_address, client_context())
        with sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc")
            answerer = next_answerer(own)
            assert _on(answerer, lambda: answerer.handler.rfile.read1(10)) == b"abc"
            with pytest.raises(BlockingIOError):
                _on(answerer, lambda: answerer.handler.rfile.read1(10))
            wakes = answerer.wakes
            sock.sendall(b"def")
            assert wait_until(lambda: answerer.wakes > wakes)
            assert _on(answerer, lambda: answerer.handler.rfile.read1(10)) == b"def"
            answerer.answer()
            assert read_response(sock).endswith(b"later")


def _on(answerer: Answerer, function: Callable[[], Any]) -> Any:
    """Call something on the answerer's thread."""
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def call() -> None:
        try:
            results.put((function(), None))
        except BlockingIOError as error:
            results.put((None, error))

    answerer.loop.tasks.put(call)
    value, error = results.get(timeout=30 * UNIT)
    if error is not None:
        raise error
    return value
