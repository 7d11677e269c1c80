"""ASGI applications: what they are told, what they may send, and what they do wrong."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import ssl
import threading
from typing import Any

import pytest
import trustme

from tests.aio.conftest import Run, connected
from tests.machinery.conftest import Recording
from tests.machinery.peers import client_context, handshake, read_response, read_to_end, request
from tests.support import UNIT, serving, wait_until
from tlshttp import ForwardedMixIn, aio
from tlshttp._machinery import heads
from tlshttp.errors import ConfigurationError

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain")],
}
BODY = "http.response.body"


def quiet(application: Any, **options: Any) -> Any:
    """Return the handler class of an application, which says nothing of requests."""
    silence = {"log_message": lambda *_: None}
    return type("Quiet", (aio.asgi(application, **options),), silence)


def only_http(function: Any) -> Any:
    """Return an application for a function that knows nothing of lifespans."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http", "nothing else is served here"
        await function(scope, receive, send)

    return application


async def answer(send: Any, body: bytes, status: int = 200, *fields: tuple[bytes, bytes]) -> None:
    """Send a whole response."""
    headers = [(b"content-length", b"%d" % len(body)), *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": BODY, "body": body})


@only_http
async def tells(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what the application is told, and with the size of the body."""
    size, pieces = 0, 0
    while True:
        message = await receive()
        size, pieces = size + len(message["body"]), pieces + 1
        if not message["more_body"]:
            break
    told = {key: value for key, value in scope.items() if key != "headers"}
    told |= {"size": size, "pieces": pieces, "headers": scope["headers"]}
    await answer(send, json.dumps(told, default=lambda data: data.decode("latin-1")).encode())


def told(sock: ssl.SSLSocket, text: bytes) -> dict[str, Any]:
    """Send a request and return what the application says it was told."""
    sock.sendall(text)
    found: dict[str, Any] = json.loads(read_response(sock).partition(b"\r\n\r\n")[2])
    return found


def test_the_scope_has_what_the_specification_has(run: Run) -> None:
    """Of HTTP/1.1, of a target with everything in it, mounted or not."""
    with run(quiet(tells, root_path="/mounted/")) as server, connected(server) as sock:
        scope = told(
            sock,
            b"PATCH /a%20b%2F\xc3\xa9?q=1%202 HTTP/1.1\r\nHost: localhost\r\nX-One: \xe9\r\n\r\n",
        )
        port = server.server_address[1]
        local = sock.getsockname()
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert (scope["http_version"], scope["method"], scope["scheme"]) == ("1.1", "PATCH", "https")
    assert scope["path"] == "/mounted/a b/\u00e9"
    assert scope["raw_path"] == "/mounted/a%20b%2F\xc3\xa9"
    assert scope["query_string"] == "q=1%202"
    assert scope["root_path"] == "/mounted"
    assert ["x-one", "\xe9"] in scope["headers"]
    assert scope["client"] == list(local)
    assert scope["server"] == ["127.0.0.1", port]
    assert scope["extensions"]["tls"]["tls_version"] in (0x0303, 0x0304)
    assert scope["extensions"]["tls"]["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    assert scope["extensions"]["tls"]["client_cert_chain"] == []


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/%E2%82%AC", "/\u20ac", ""),
        ("/a?b?c", "/a", "b?c"),
        ("https://localhost/x?y", "/x", "y"),
        ("https://localhost", "/", ""),
        ("https://localhost?y", "/", "y"),
    ],
)
def test_targets_of_every_form_have_a_path(run: Run, target: str, path: str, query: str) -> None:
    """Percent-decoded, as UTF-8; an absolute one, too."""
    with run(quiet(tells)) as server, connected(server) as sock:
        scope = told(sock, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert (scope["path"], scope["query_string"]) == (path, query)


def test_a_client_certificate_is_in_the_tls_extension(server_class: type[Recording]) -> None:
    """With its chain and its name."""
    authority = trustme.CA()
    client = authority.issue_cert("client@example.org", common_name="someone")
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server_context)
    server = server_class(("127.0.0.1", 0), quiet(tells), ssl_context=server_context)
    own_context = client_context()
    client.configure_cert(own_context)
    with serving(server), handshake(server.server_address, own_context) as sock:
        tls = told(sock, request("/"))["extensions"]["tls"]
    assert tls["client_cert_chain"][0].startswith("-----BEGIN CERTIFICATE-----")
    assert "CN=someone" in tls["client_cert_name"]
    assert tls["client_cert_error"] is None


@pytest.mark.parametrize(
    ("told_by_proxy", "scheme"),
    [(b"http", "http"), (b"https", "https"), (None, "https"), (b"gopher", "https")],
)
def test_the_scheme_is_what_a_trusted_proxy_says(
    run: Run, told_by_proxy: bytes | None, scheme: str
) -> None:
    """As with WSGI; a proxy that is not trusted says nothing."""
    fields = {"forwarded_fields": ("X-Forwarded-For", "X-Forwarded-Proto")}
    field = b"" if told_by_proxy is None else b"X-Forwarded-Proto: %s\r\n" % told_by_proxy
    ask = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9\r\n%s\r\n" % field
    for proxies, expected in ((("127.0.0.1",), scheme), (("192.0.2.1",), "https")):
        members = {**fields, "forwarded_from": proxies}
        handler = type("Forwarded", (ForwardedMixIn, quiet(tells)), members)
        with run(handler) as server, connected(server) as sock:
            scope = told(sock, ask)
        assert scope["scheme"] == expected
        assert (scope["client"][0] == "203.0.113.9") == (proxies == ("127.0.0.1",))


@pytest.mark.parametrize("size", [0, 100_000, 2_000_000])
def test_bodies_come_in_pieces_of_64_kib_at_most(run: Run, size: int) -> None:
    """Sized and in chunks; the last piece says that it is the last."""
    with run(quiet(tells)) as server, connected(server) as sock:
        scope = told(
            sock,
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
            + bytes(size),
        )
        assert scope["size"] == size
        assert scope["pieces"] >= max(1, size // 65_536)
        chunk = b"%x\r\n%s\r\n" % (size, bytes(size)) if size else b""
        scope = told(
            sock,
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunk + b"0\r\n\r\n",
        )  # fmt: skip
        assert scope["size"] == size
    assert not server.events


def test_a_response_streams_both_ways(run: Run) -> None:
    """What is sent arrives at once, while the body is still coming."""

    @only_http
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": BODY, "body": message["body"], "more_body": True})
        await send({"type": BODY})

    with run(quiet(echo)) as server, connected(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\n")
        data = b""
        for piece in (b"one", b"two"):
            sock.sendall(piece)
            while piece not in data:
                data += sock.recv(65_536)
        assert (data + read_to_end(sock)).endswith(b"\r\n0\r\n\r\n")


def test_the_next_request_does_not_wait_for_what_follows_a_response(run: Run) -> None:
    """A background task goes on when the response is complete."""
    release, done = threading.Event(), threading.Event()

    @only_http
    async def background(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, scope["path"].encode())
        if scope["path"] == "/first":
            while not release.is_set():
                await asyncio.sleep(0.01)
            assert (await receive())["type"] == "http.disconnect"
            done.set()

    with run(quiet(background)) as server, connected(server) as sock:
        for path in ("/first", "/second"):
            sock.sendall(request(path))
            assert read_response(sock).endswith(path.encode())
        assert not done.is_set()
        release.set()
        assert done.wait(30 * UNIT)


def test_an_application_is_told_when_its_client_leaves(run: Run) -> None:
    """``receive()`` returns, and ``send()`` raises an `OSError`."""
    found: list[object] = []
    waits, done = threading.Event(), threading.Event()

    @only_http
    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        waits.set()
        found.append((await receive())["type"])
        try:
            await send(START)
            for _ in range(100):
                await send({"type": BODY, "body": bytes(65_536), "more_body": True})
        except OSError:
            found.append("OSError")
        done.set()

    with run(quiet(waiting)) as server:
        with connected(server) as sock:
            sock.sendall(request("/"))
            assert waits.wait(30 * UNIT)
        assert done.wait(30 * UNIT)
    assert found == ["http.disconnect", "OSError"]


def test_a_head_request_and_bodyless_statuses_have_no_body(run: Run) -> None:
    """Whatever the application sends."""

    @only_http
    async def talks(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"much", int(scope["path"][1:]))

    with run(quiet(talks)) as server, connected(server) as sock:
        sock.sendall(b"HEAD /200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(65_536).endswith(b"content-length: 4\r\n\r\n")
        sock.sendall(request("/304"))
        assert sock.recv(65_536).endswith(b"\r\n\r\n")
        sock.sendall(request("/200"))
        assert read_response(sock).endswith(b"\r\n\r\nmuch")


def test_a_204_has_no_length_and_a_304_may(run: Run) -> None:
    """RFC 9110, section 8.6; what is there of a body is thrown away."""

    @only_http
    async def talks(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"much", int(scope["path"][1:]))

    with run(quiet(talks)) as server, connected(server) as sock:
        sock.sendall(request("/204"))
        assert b"length" not in sock.recv(65_536).lower()
        sock.sendall(request("/304"))
        assert b"\r\ncontent-length: 4\r\n" in sock.recv(65_536)
        sock.sendall(request("/200"))
        assert read_response(sock).endswith(b"\r\n\r\nmuch")


def test_a_tunnel_is_not_given_to_an_application(run: Run) -> None:
    """What follows would be no body; a method that nobody knows is."""
    with run(quiet(tells)) as server:
        with connected(server) as sock:
            sock.sendall(b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n")
            assert read_response(sock).startswith(b"HTTP/1.1 501 ")
        with connected(server) as sock:
            assert told(sock, b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n")["method"] == "FOO"


async def _twice(send: Any) -> None:
    await send(START)
    await send(START)


async def _body_first(send: Any) -> None:
    await send({"type": BODY, "body": b"early"})


async def _nothing(send: Any) -> None:
    await asyncio.sleep(0)


async def _raises(send: Any) -> None:
    raise LookupError("of the application")


async def _no_status(send: Any) -> None:
    await send({"type": "http.response.start", "status": 100})


async def _high_status(send: Any) -> None:
    await send({**START, "status": 600})


async def _odd_status(send: Any) -> None:
    await send({**START, "status": 1000})


def _lengths(*values: bytes) -> Any:
    """Return what sends a head with these lengths, and a body of two bytes."""

    async def sends(send: Any) -> None:
        await send({**START, "headers": [(b"content-length", value) for value in values]})
        await send({"type": BODY, "body": b"ok"})

    return sends


async def _injects(send: Any) -> None:
    await send({**START, "headers": [(b"x", b"1\r\nSet-Cookie: a=b")]})


async def _no_name(send: Any) -> None:
    await send({**START, "headers": [(b"x y", b"1")]})


@pytest.mark.parametrize("count", [2, pytest.param(200, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (_twice, "http.response.start where http.response.body is due"),
        (_body_first, "http.response.body where http.response.start is due"),
        (_nothing, "has returned, and not answered"),
        (_raises, "of the application"),
        (_no_status, "100 is not the status of a response"),
        (_high_status, "600 is not the status of a response"),
        (_odd_status, "1000 is not the status of a response"),
        (_lengths(b"abc"), "Content-Length is a number of bytes, not b'abc'"),
        (_lengths(b"-1"), "Content-Length is a number of bytes, not b'-1'"),
        (_lengths(b""), "Content-Length is a number of bytes, not b''"),
        (_lengths(b"2, 2"), "Content-Length is a number of bytes, not b'2, 2'"),
        (_lengths(b"2", b"3"), "Content-Length twice: b'2' and b'3'"),
        (_lengths(b"2", b"2"), "Content-Length twice: b'2' and b'2'"),
        (_injects, "line break or NUL"),
        (_no_name, "is no name of a header field"),
    ],
)
def test_a_mistake_is_one_traceback_that_says_which_and_a_500(
    run: Run,
    mistake: Any,
    message: str,
    count: int,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many of each, and nothing is left of any."""
    monkeypatch.setattr(heads, "_HELD_SECONDS", 60 * UNIT)  # not 4 ms: a first head must not leave

    @only_http
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await mistake(send)

    with run(quiet(application)) as server:
        for _ in range(count):
            with connected(server) as sock:
                sock.sendall(request("/"))
                assert b" 500 " in read_to_end(sock)
        assert wait_until(lambda: server.stats().active == 0)
    said = capfd.readouterr().err
    assert said.count("Traceback (most recent call last)") == count
    assert said.count(message) >= count


async def _short(send: Any) -> None:
    await send({**START, "headers": [(b"content-length", b"10")]})
    await send({"type": BODY, "body": b"five!"})


async def _long(send: Any) -> None:
    await send({**START, "headers": [(b"content-length", b"3")]})
    await send({"type": BODY, "body": b"five!"})


async def _open_end(send: Any) -> None:
    await send({**START, "headers": [(b"content-length", b"10")]})
    await send({"type": BODY, "body": b"five!", "more_body": True})


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (_short, "5 bytes less than its Content-Length"),
        (_long, "2 bytes more than its Content-Length"),
        (_open_end, "has returned before the end of its response"),
    ],
)
def test_a_wrong_length_is_one_warning_and_the_connection_ends(
    run: Run, mistake: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client must not take the next response for the rest of this one."""

    @only_http
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await mistake(send)

    with run(quiet(application)) as server, connected(server) as sock:
        sock.sendall(request("/"))
        assert (
            read_to_end(sock).partition(b"\r\n\r\n")[2] == b"five!"[: 3 if mistake is _long else 5]
        )
    warned = [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]
    assert len(warned) == 1, warned
    assert message in warned[0]


# Wrong arguments ---------------------------------------------------------------------------------


def test_what_is_no_application_is_refused() -> None:
    """When the handler class is made."""
    with pytest.raises(TypeError, match="cannot be"):
        aio.asgi(None)
    with pytest.raises(ConfigurationError, match="root_path"):
        aio.asgi(tells, root_path="mounted")
    with pytest.raises(TypeError, match="origins must be several"):
        aio.asgi(tells, origins="https://example.org")


class _WSGI:
    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        """Never be called."""
        raise AssertionError


@pytest.mark.parametrize(
    "application",
    [_WSGI(), lambda environ, start_response: [], lambda scope: None, _WSGI().__call__],
    ids=["object", "wsgi", "asgi-2", "method"],
)
def test_what_takes_other_arguments_is_no_application(application: Any) -> None:
    """WSGI applications, and those of ASGI 2."""
    with pytest.raises(ConfigurationError, match="is no ASGI application"):
        aio.asgi(application)


def test_what_takes_any_arguments_may_be_one() -> None:
    """Nobody knows before it is called: methods, classes, partial functions, decorated ones."""

    class Awaited:
        def __init__(self, scope: Any, receive: Any, send: Any) -> None:
            """Take them."""

    for application in (
        Awaited,
        functools.partial(tells),
        lambda *arguments: tells(*arguments[:3]),
        functools.partial(lambda extra, *arguments: None, 1),
    ):
        assert aio.asgi(application)
