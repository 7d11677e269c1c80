from __future__ import annotations

import ssl

import pytest

from tests.server.support import (
    Balance,
    Client,
    OneRequest,
    combine,
    ends,
    running,
    start,
)
from tlshttp import TLSHTTPServer

# Handlers that leave by force ---------------------------------------------------------------------


class Leaves(OneRequest):
    how: type[BaseException] = SystemExit

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        raise self.how


@pytest.mark.parametrize("how", [SystemExit, KeyboardInterrupt])
def test_exit_in_a_handler_leaves_the_single_threaded_serve_forever(
    how: type[BaseException], server_context: ssl.SSLContext, client: Client
) -> None:
    """In the loop's own thread `SystemExit` and Ctrl-C end ``serve_forever()``."""
    handler = type("Now", (Leaves,), {"how": how})
    server = combine(Balance, TLSHTTPServer)(("127.0.0.1", 0), handler, ssl_context=server_context)
    answers: list[bytes] = []

    def get() -> None:
        answers.append(client.exchange(server, b"GET / HTTP/1.0\r\n\r\n"))

    with server:
        thread = start(get)
        with pytest.raises(how):
            server.serve_forever()
    assert ends(thread)
    assert answers[0].startswith(b"HTTP/1.0 200 OK")
    assert server.balanced()


def test_exit_in_a_workers_handler_ends_its_connection_only(
    server_context: ssl.SSLContext, client: Client
) -> None:
    """In a worker `SystemExit` ends one connection, orderly; all workers go on."""
    from tlshttp import ThreadingTLSHTTPServer

    server = combine(Balance, ThreadingTLSHTTPServer)(
        ("127.0.0.1", 0), Leaves, ssl_context=server_context, max_workers=2
    )
    with running(server):
        for _ in range(5):
            assert client.get(server).status == 200
    assert server.accepted == 5
    assert server.balanced()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("how", [KeyboardInterrupt, GeneratorExit])
def test_worker_that_is_killed_by_a_handler_is_replaced(
    how: type[BaseException], server_context: ssl.SSLContext, client: Client
) -> None:
    """More such exceptions in handlers than there are workers do not use up the workers."""
    from tlshttp import ThreadingTLSHTTPServer

    handler = type("Now", (Leaves,), {"how": how})
    server = combine(Balance, ThreadingTLSHTTPServer)(
        ("127.0.0.1", 0), handler, ssl_context=server_context, max_workers=2
    )
    with running(server):
        for _ in range(5):
            assert client.get(server).status == 200
    assert server.balanced()
