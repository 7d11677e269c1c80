"""A handler's life: its set-up, its thread, and a connection it takes over."""

from __future__ import annotations

import functools
import io
import socketserver
import sqlite3
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from typing import Any

import pytest

from tests.handler.side_by_side import (
    OURS,
    PATIENCE,
    Ask,
    Quiet,
    Reference,
    Response,
    Served,
    by_both,
    connect,
    converse,
    outcome,
    page,
    receive,
    serving,
)
from tests.support import at_some_pace, wait_until

pytestmark = pytest.mark.parametrize("server_class", OURS)

Run = Callable[[Any], None]

# F3: setup() and finish() of the base, by name ---------------------------------------------------


def _settled(setup: Run, finish: Run | None, *, handle: bool, timeout: float | None) -> Any:
    """Return a handler that calls its base's methods by name."""

    class Handler(SimpleHTTPRequestHandler):
        log_message: Any = Quiet.log_message

        def setup(self) -> None:
            self.before = True
            setup(self)
            if timeout is not None:
                self.connection.settimeout(timeout)
                self.request.settimeout(timeout)

        def do_GET(self) -> None:
            page(self, b"%d" % self.before)

        def do_POST(self) -> None:
            page(self, self.rfile.read(int(self.headers["Content-Length"])))

    more: dict[str, Any] = {} if finish is None else {"finish": finish}
    if handle:
        more["handle"] = BaseHTTPRequestHandler.handle
    return type("Settled", (Handler,), more)


SETUPS = [BaseHTTPRequestHandler.setup, SimpleHTTPRequestHandler.setup]
SETUPS.append(socketserver.StreamRequestHandler.setup)
ASKS = (Ask(), Ask("POST", body=b"body"), Ask("BREW"), Ask())


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("handle", [False, True], ids=["driven", "handle"])
@pytest.mark.parametrize("timeout", [None, 30.0])
@pytest.mark.parametrize("by_name", range(3))
def test_handlers_f03_setup_by_the_name_of_its_class(
    by_name: int, timeout: float | None, handle: bool, version: str, server_class: type
) -> None:
    """It is served, with a timeout set there, with ``handle()`` of its own, and with ``finish()``.

    handlers F3: an NRPE daemon, SevenW's WebSocket handler.
    """
    finish = socketserver.StreamRequestHandler.finish if by_name else None
    handler = _settled(SETUPS[by_name], finish, handle=handle, timeout=timeout)
    handler.protocol_version = version
    reference, ours = by_both(server_class, handler, *ASKS)
    assert ours.meaning == reference.meaning
    assert ours.tracebacks == 0


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("ask", [Ask(fields=(("Connection", "close"),)), Ask("BREW")])
def test_handlers_f03_finish_may_write_all_of_it(
    ask: Ask, version: str, server_class: type
) -> None:
    """A handler that keeps what it writes, until ``finish()``, has its client get that.

    With BREW, which it has no method for, that is ``send_error()``'s answer.
    """

    class Handler(Quiet):
        protocol_version = version

        def setup(self) -> None:
            super().setup()
            self.kept, self.real = io.BytesIO(), self.wfile
            self.wfile = self.kept

        def finish(self) -> None:
            self.real.write(self.kept.getvalue())
            super().finish()

        do_GET = page

    reference, ours = by_both(server_class, Handler, ask)
    assert ours.meaning == reference.meaning


def test_handlers_f03_setup_may_replace_the_files(server_class: type) -> None:
    """`rfile` and `wfile` that a handler wraps are the ones that are used."""

    class Counting:
        def __init__(self, file: Any, counts: list[int]) -> None:
            self.file, self.counts = file, counts

        def write(self, data: Any) -> int:
            self.counts.append(len(data))
            return int(self.file.write(data))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    counts: list[int] = []

    class Handler(Quiet):
        def setup(self) -> None:
            BaseHTTPRequestHandler.setup(self)
            self.wfile = Counting(self.wfile, counts)  # type: ignore[assignment]

        do_GET = page

    assert outcome(Reference, Handler, [Ask()]).meaning == (
        outcome(server_class, Handler, [Ask()]).meaning
    )
    half = len(counts) // 2
    assert half
    assert sum(counts[half:]) >= len(b"page")


# F24, F25: its thread, and what it does around __init__() ----------------------------------------


class DatabaseInSetup(Quiet):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.database = sqlite3.connect(":memory:")

    def finish(self) -> None:
        self.database.close()
        super().finish()

    def do_GET(self) -> None:
        page(self, repr(self.database.execute("select 1").fetchone()).encode())


class DatabaseInInit(DatabaseInSetup):
    setup = Quiet.setup
    finish = Quiet.finish

    def __init__(self, *args: Any, **more: Any) -> None:
        self.database = sqlite3.connect(":memory:")
        super().__init__(*args, **more)
        self.database.close()


class DatabaseByName(DatabaseInSetup):
    def setup(self) -> None:
        BaseHTTPRequestHandler.setup(self)
        self.database = sqlite3.connect(":memory:")

    def finish(self) -> None:
        BaseHTTPRequestHandler.finish(self)
        self.database.close()


class ThreadLocal(Quiet):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.local = threading.local()
        self.local.value = b"mine"

    def do_GET(self) -> None:
        page(self, getattr(self.local, "value", b"lost"))


class ThreadChecked(Quiet):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any) -> None:
        self.thread = threading.get_ident()
        super().__init__(*args)

    def do_GET(self) -> None:
        page(self, b"%d" % (threading.get_ident() == self.thread))


STATEFUL = [DatabaseInSetup, DatabaseInInit, DatabaseByName, ThreadLocal, ThreadChecked]


def a_function(*args: Any) -> Any:
    """Make a handler as functions do."""
    return DatabaseInSetup(*args)


@pytest.mark.parametrize("handler", [*STATEFUL, functools.partial(DatabaseInInit), a_function])
def test_handlers_f24_state_of_a_thread_is_found_by_all_requests(
    handler: Any, server_class: type
) -> None:
    """With a ``setup()`` or constructor of its own, a handler and its requests share a thread.

    handlers F24, F25: six clients at once, twenty requests each.
    """
    (expected,) = outcome(Reference, handler, [Ask()]).responses
    with serving(server_class, handler) as served:
        responses = _at_once(served, clients=6, requests=20)
    assert {response.meaning for response in responses} == {expected.meaning}
    assert len(responses) == 120
    assert served.tracebacks == 0


def _at_once(served: Served, *, clients: int, requests: int) -> list[Response]:
    responses: list[Response] = []
    start = threading.Barrier(clients)

    def run() -> None:
        start.wait()
        responses.extend(converse(served, [Ask()] * requests))

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return responses


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_handlers_f25_what_follows_init_follows_the_requests(
    version: str, by_name: bool, server_class: type
) -> None:
    """``__init__()`` of the base sets up, handles and finishes, in this order, before it returns.

    handlers F25.
    """

    def order(kind: type) -> list[str]:
        events: list[str] = []
        done = threading.Event()

        class Handler(Quiet):
            protocol_version = version

            def __init__(self, *args: Any) -> None:
                events.append("init")
                if by_name:
                    socketserver.BaseRequestHandler.__init__(self, *args)
                else:
                    super().__init__(*args)
                events.append("made")
                done.set()

            def setup(self) -> None:
                super().setup()
                events.append("setup")

            def finish(self) -> None:
                super().finish()
                events.append("finish")

            def do_GET(self) -> None:
                events.append("GET")
                page(self)

        with serving(kind, Handler) as served:
            converse(served, [Ask(fields=(("Connection", "close"),))])
            assert done.wait(PATIENCE)
        return events

    assert order(server_class) == order(Reference) == ["init", "setup", "GET", "finish", "made"]


def test_handlers_f25_an_exception_around_init_is_caught(server_class: type) -> None:
    """``try: super().__init__() except`` of a user's sees what its request has raised."""
    caught: list[str] = []

    class Handler(Quiet):
        def __init__(self, *args: Any) -> None:
            try:
                super().__init__(*args)
            except ZeroDivisionError as error:
                caught.append(str(error))

        def do_GET(self) -> None:
            raise ZeroDivisionError("mine")

    for kind in (Reference, server_class):
        with serving(kind, Handler) as served, connect(served) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            receive(client)
            client.close()
            assert wait_until(lambda: bool(caught))
        assert caught.pop() == "mine"


# F21 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-"])
def test_handlers_f21_the_timeout_of_a_class_bounds_its_first_head(
    sent: bytes, server_class: type
) -> None:
    """The class attribute ``timeout`` ends a connection whose first request does not come.

    handlers F21.
    """

    def attempt(unit: float) -> None:
        handler = type("Hasty", (Quiet,), {"timeout": 0.3 * unit, "do_GET": page})
        for kind in (Reference, server_class):
            with serving(kind, handler) as served, connect(served) as client:
                client.sendall(sent) if sent else None
                while receive(client):  # TimeoutError where it does not end
                    pass

    at_some_pace(attempt)
