"""Clients of four makes read every kind of response: h11, http.client, curl and Chromium."""

from __future__ import annotations

import contextlib
import http.client
import io
import logging
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import h11
import pytest

from tests.handler.http_support import (
    Quiet,
    certificate,
    client_context,
    connect,
    converse,
    read_to_end,
    serving,
    statuses,
)
from tests.support import UNIT
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer, _kept_file

BODY = b"the quick brown fox\n"
EVENTS = b"".join(b"data: %d\n\n" % n for n in range(3))

PAGE = b"""<!DOCTYPE html><title>t</title><pre id=out>running</pre><script>
const out = document.getElementById('out');
async function text(path, options) {
  const response = await fetch(path, options);
  return response.status + ' ' + JSON.stringify(await response.text());
}
(async () => {
  const lines = [];
  for (const path of ['/length', '/chunked', '/pieces', '/empty', '/204', '/early', '/102',
                      '/missing', '/close'])
    lines.push(path + ' ' + await text(path));
  lines.push('HEAD ' + await text('/chunked', {method: 'HEAD'}));
  lines.push('POST ' + await text('/echo', {method: 'POST', body: 'x'.repeat(100)}));
  lines.push('big ' + (await (await fetch('/echo',
      {method: 'POST', body: new Uint8Array(3000000)})).arrayBuffer()).byteLength);
  lines.push('new ' + await text('/etag'));
  lines.push('known ' + await text('/etag', {headers: {'If-None-Match': '"1"'}}));
  lines.push('events ' + await new Promise(resolve => {
    const seen = [], source = new EventSource('/events');
    source.onmessage = event => seen.push(event.data);
    source.onerror = () => { source.close(); resolve(seen.join()); };
  }));
  lines.push('done');
  out.textContent = lines.join('\\n');
})().catch(error => { out.textContent = 'failed ' + error; });
</script>"""


class Everything(Quiet):
    """Has a path for each kind of response."""

    server: Any

    def do_GET(self) -> None:
        name = f"answer_{self.path[1:]}"
        getattr(self, name, self.answer_missing)()

    do_POST = do_PUT = do_HEAD = do_GET

    def begin(self, status: int = 200, *fields: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()

    def answer_length(self) -> None:
        self.begin(200, ("Content-Length", str(len(BODY))))
        self.wfile.write(BODY)

    def answer_chunked(self) -> None:
        self.begin()
        self.wfile.write(BODY)

    def answer_pieces(self) -> None:
        self.begin()
        for place in range(len(BODY)):
            self.wfile.write(BODY[place : place + 1])
            self.wfile.flush()

    def answer_empty(self) -> None:
        self.begin()

    def answer_204(self) -> None:
        self.begin(204)
        self.wfile.write(b"nobody reads this")

    def answer_304(self) -> None:
        self.begin(304, ("ETag", '"1"'))
        self.wfile.write(b"nobody reads this")

    def answer_etag(self) -> None:
        self.server.etags.append(self.headers["If-None-Match"])
        if self.headers["If-None-Match"] == '"1"':
            self.begin(304, ("ETag", '"1"'))
        else:
            self.begin(200, ("ETag", '"1"'))
            self.wfile.write(BODY)

    def answer_early(self) -> None:
        self.begin(103, ("Link", "</style.css>; rel=preload"))
        self.begin(103, ("Link", "</script.js>; rel=preload"))
        self.answer_chunked()

    def answer_102(self) -> None:
        self.send_response_only(102)
        self.end_headers()
        self.answer_length()

    def answer_missing(self) -> None:
        self.send_error(404, "Not here <&>")

    def answer_close(self) -> None:
        self.begin(200, ("Connection", "close"))
        self.wfile.write(BODY)

    def answer_echo(self) -> None:
        body = self.rfile.read()
        self.begin(201, ("Content-Length", str(len(body))))
        self.wfile.write(body)

    def answer_events(self) -> None:
        self.begin(200, ("Content-Type", "text/event-stream"))
        self.wfile.write(EVENTS)

    def answer_page(self) -> None:
        self.begin(200, ("Content-Type", "text/html"))
        self.wfile.write(PAGE)


KINDS = {
    "length": (200, BODY),
    "chunked": (200, BODY),
    "pieces": (200, BODY),
    "empty": (200, b""),
    "204": (204, b""),
    "304": (304, b""),
    "early": (200, BODY),
    "102": (200, BODY),
    "events": (200, EVENTS),
}


class Unbuffered(Everything):
    pass


class Buffered(Everything):
    """Has a buffer before its responses, as handlers may ask for."""

    wbufsize = 4096


@pytest.fixture(scope="module", autouse=True)
def soon_given_back() -> Iterator[None]:
    """Have no test wait, at its end, for the file or the thread that a server keeps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kept_file, "_SECONDS", 0.0)
        patch.setattr("tlshttp._machinery.heads._IDLE_SECONDS", 0.01)
        yield


@pytest.fixture(scope="module", params=[Unbuffered, Buffered])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Serve every kind of response."""
    with serving(request.param, server_class=TLSHTTPServer) as server:
        server.etags = []
        yield server


# h11 ---------------------------------------------------------------------------------------------


class H11Client:
    """A client that keeps to the letter of HTTP/1.1, on one connection."""

    def __init__(self, server: Any) -> None:
        self._socket = connect(server)
        self._h11 = h11.Connection(h11.CLIENT)

    def close(self) -> None:
        self._socket.close()

    def send(self, *events: Any) -> None:
        for event in events:
            self._socket.sendall(self._h11.send(event) or b"")

    def next(self) -> Any:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(self._socket.recv(1000))
        return event

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[list[int], Any, bytes]:
        """Return interim statuses, response and body."""
        fields = [("Host", "localhost"), ("Content-Length", str(len(body)))]
        self.send(
            h11.Request(method=method, target=path, headers=fields),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        return self.answer()

    def answer(self) -> tuple[list[int], Any, bytes]:
        interim, response, received = [], None, b""
        while not isinstance(event := self.next(), h11.EndOfMessage):
            if isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                response = event
            else:
                received += event.data
        return interim, response, received

    def again(self) -> None:
        """Make ready for the next request, which h11 bears only where the connection is kept."""
        self._h11.start_next_cycle()


@pytest.fixture
def h11_client(server: Any) -> Iterator[H11Client]:
    """Return a client on a new connection."""
    client = H11Client(server)
    yield client
    client.close()


def test_h11_reads_everything_on_one_connection(h11_client: H11Client) -> None:
    """Each response ends where h11 says it ends, HEAD's too, and the next one follows."""
    for method in ("GET", "HEAD", "POST"):
        for name, (status, body) in KINDS.items():
            interim, response, received = h11_client.ask(method, f"/{name}")
            assert (response.status_code, received) == (status, b"" if method == "HEAD" else body)
            assert interim == {"early": [103, 103], "102": [102]}.get(name, [])
            h11_client.again()


def test_h11_sees_the_framing_it_should(h11_client: H11Client) -> None:
    """Chunks only where no length is known; no body fields where there is no body."""
    framings = {}
    for name in KINDS:
        _, response, _ = h11_client.ask("GET", f"/{name}")
        fields = dict(response.headers.raw_items())
        framings[name] = {
            field for field in (b"Content-Length", b"Transfer-Encoding") if field in fields
        }
        h11_client.again()
    assert framings["length"] == framings["102"] == {b"Content-Length"}
    assert framings["204"] == framings["304"] == set()
    assert all(
        framings[name] == {b"Transfer-Encoding"}
        for name in ("chunked", "pieces", "empty", "early", "events")
    )


@pytest.mark.parametrize("path", ["/echo", "/length"])
def test_h11_gets_100_and_sends_its_body(h11_client: H11Client, path: str) -> None:
    """A client that waits for 100 (Continue) gets it before its handler is called.

    So it is kept, whether or not that reads the body.
    """
    fields = [("Host", "a"), ("Content-Length", "5"), ("Expect", "100-continue")]
    h11_client.send(h11.Request(method="POST", target=path, headers=fields))
    assert h11_client.next().status_code == 100
    h11_client.send(h11.Data(data=b"hello"), h11.EndOfMessage())
    _, response, received = h11_client.answer()
    expected = (201, b"hello") if path == "/echo" else (200, BODY)
    assert (response.status_code, received) == expected
    h11_client.again()


class Streaming(Everything):
    """Reads bodies as they come."""

    stream_request = True


@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
@pytest.mark.parametrize(("path", "statuses"), [("/echo", [100, 201]), ("/length", [200])])
def test_h11_gets_100_when_a_streamed_body_is_read(
    server_class: type[TLSHTTPServer], path: str, statuses: list[int]
) -> None:
    """With ``stream_request`` the first read says 100; who never reads spares the body.

    The answer comes at once then, and says that the connection ends, since the body may come or
    not.
    """
    with (
        serving(Streaming, server_class=server_class) as server,
        contextlib.closing(H11Client(server)) as client,
    ):
        fields = [("Host", "a"), ("Content-Length", "5"), ("Expect", "100-continue")]
        client.send(h11.Request(method="POST", target=path, headers=fields))
        response: Any = None
        for status in statuses:
            response = client.next()
            assert response.status_code == status
            if status == 100:
                client.send(h11.Data(data=b"hello"), h11.EndOfMessage())
    assert ((b"connection", b"close") in response.headers) == (statuses == [200])


def test_h11_sends_chunks(h11_client: H11Client) -> None:
    """A body in chunks, with a trailer, reaches the handler whole."""
    fields = [("Host", "a"), ("Transfer-Encoding", "chunked")]
    h11_client.send(
        h11.Request(method="POST", target="/echo", headers=fields),
        h11.Data(data=b"one "),
        h11.Data(data=b"two " * 10_000),
        h11.EndOfMessage(headers=[("X-Trailer", "dropped")]),
    )
    _, _, received = h11_client.answer()
    assert received == b"one " + b"two " * 10_000


def test_h11_keeps_the_connection_after_an_error(h11_client: H11Client) -> None:
    """A handler's ``send_error()`` is no reason to close, whatever `http.server` has."""
    for _ in range(3):
        _, response, body = h11_client.ask("GET", "/missing")
        assert response.status_code == 404
        assert b"Not here" in body
        assert (b"connection", b"close") not in response.headers
        h11_client.again()


def test_h11_sees_the_announced_end(h11_client: H11Client) -> None:
    """Where the server closes, it says so in the head."""
    _, response, _ = h11_client.ask("GET", "/close")
    assert (b"connection", b"close") in response.headers
    with pytest.raises(h11.LocalProtocolError):
        h11_client.again()


# http.client -------------------------------------------------------------------------------------


def test_http_client_reads_everything_on_one_connection(server: Any) -> None:
    """The standard library's client keeps its connection and reads all bodies."""
    connection = http.client.HTTPSConnection(
        "localhost", server.server_port, context=client_context(), timeout=30 * UNIT
    )
    accepted = server.stats().accepted
    for method in ("GET", "HEAD", "POST"):
        for name, (status, body) in KINDS.items():
            if name in ("early", "102"):
                continue  # http.client skips 100, but takes any other 1xx for the response
            connection.request(method, f"/{name}")
            with connection.getresponse() as response:
                assert response.read() == (b"" if method == "HEAD" else body)
                assert response.status == status
    connection.close()
    assert server.stats().accepted - accepted == 1


@pytest.mark.parametrize("name", ["length", "chunked", "pieces", "empty", "204", "early", "102"])
def test_http_1_0_client_gets_no_chunks_and_no_interim_response(server: Any, name: str) -> None:
    """To HTTP/1.0 a body ends with the connection, whose end is an orderly one."""
    with connect(server) as client:
        client.sendall(b"GET /%b HTTP/1.0\r\n\r\n" % name.encode())
        received = read_to_end(client)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.count(b"HTTP/1.1 ") == 1
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert body == KINDS[name][1]


def test_http_1_0_client_may_keep_its_connection(server: Any) -> None:
    """Where the length is known and the client asks for it."""
    with connect(server) as client:
        client.sendall(b"GET /length HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
        client.sendall(b"GET /length HTTP/1.0\r\n\r\n")
        received = read_to_end(client)
    assert statuses(received) == (200, 200, 200)
    assert received.count(b"Connection: keep-alive") == 2


# curl --------------------------------------------------------------------------------------------


def curl(server: Any, folder: Path, *arguments: str) -> bytes:
    """Run curl; ``{}`` in an argument stands for the server's URL."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    authority = folder / "authority.pem"
    authority.write_bytes(certificate().to_pem())
    url = f"https://localhost:{server.server_port}"
    run = subprocess.run(
        [program, "--silent", "--show-error", "--http1.1", "--cacert", str(authority),
         *(argument.replace("{}", url) for argument in arguments)],
        capture_output=True,
        timeout=30 * UNIT,
        check=True,
    )  # fmt: skip
    return run.stdout


def test_curl_reads_everything_on_one_connection(server: Any, tmp_path: Path) -> None:
    """Bodies come out as they should, and one connection is enough."""
    received = curl(
        server, tmp_path, "--write-out", "|%{http_code} %{num_connects}\n",
        *(f"{{}}/{name}" for name in KINDS),
    )  # fmt: skip
    expected = b"".join(
        b"%b|%d %d\n" % (body, status, index == 0)
        for index, (status, body) in enumerate(KINDS.values())
    )
    assert received == expected


def test_curl_reads_heads_only(server: Any, tmp_path: Path) -> None:
    """``--head`` does not wait for bodies, whatever the head says."""
    received = curl(
        server, tmp_path, "--head", "--output", str(tmp_path / "heads"), "--write-out",
        "%{http_code} %{num_connects}\n", "{}/length", "--next", "--head", "--http1.1", "--cacert",
        str(tmp_path / "authority.pem"), "--silent", "--write-out",
        "%{http_code} %{num_connects}\n", "--output", str(tmp_path / "more"), "{}/chunked",
    )  # fmt: skip
    assert received == b"200 1\n200 0\n"


def test_curl_reads_close_delimited_bodies(server: Any, tmp_path: Path) -> None:
    """An HTTP/1.0 client gets a body without length; curl sees a clean end of TLS."""
    assert curl(server, tmp_path, "--http1.0", "--no-alpn", "{}/chunked") == BODY
    assert curl(server, tmp_path, "--http1.0", "--no-alpn", "{}/events") == EVENTS


@pytest.mark.parametrize("how", ["--data-binary", "--upload-file"])
def test_curl_uploads_with_100(server: Any, tmp_path: Path, how: str) -> None:
    """curl, which expects 100 for a large body, does not have to wait a second for it."""
    file = tmp_path / "file"
    file.write_bytes(BODY * 100_000)
    curl(
        server, tmp_path, "--header", "Expect: 100-continue", "--expect100-timeout", "600", how,
        f"@{file}" if how == "--data-binary" else str(file), "--output", str(tmp_path / "back"),
        "{}/echo",
    )  # fmt: skip
    assert (tmp_path / "back").read_bytes() == BODY * 100_000


def test_curl_uploads_chunks(server: Any, tmp_path: Path) -> None:
    """A body whose length curl does not know comes in chunks."""
    file = tmp_path / "file"
    file.write_bytes(BODY * 10_000)
    received = curl(
        server, tmp_path, "--header", "Transfer-Encoding: chunked", "--upload-file", str(file),
        "{}/echo",
    )  # fmt: skip
    assert received == BODY * 10_000


# Chromium ----------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_chromium_reads_everything(server: Any, tmp_path: Path) -> None:
    """A browser fetches every kind of response, asks again, uploads, and hears events."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    server.etags.clear()
    page = subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--ignore-certificate-errors", f"--user-data-dir={tmp_path / 'p'}",
         "--virtual-time-budget=20000", "--timeout=200000", "--dump-dom",
         f"https://localhost:{server.server_port}/page"],
        capture_output=True,
        timeout=240 * UNIT,
        check=True,
    )  # fmt: skip
    text = page.stdout.decode().partition('<pre id="out">')[2].partition("</pre>")[0]
    fox = '200 "the quick brown fox\\n"'
    lines = text.splitlines()
    assert [line for line in lines if not line.startswith("/missing")] == [
        f"/length {fox}", f"/chunked {fox}", f"/pieces {fox}", '/empty 200 ""', '/204 204 ""',
        f"/early {fox}", f"/102 {fox}", f"/close {fox}", 'HEAD 200 ""',
        f'POST 201 "{"x" * 100}"', "big 3000000", f"new {fox}", 'known 304 ""',
        "events 0,1,2", "done",
    ]  # fmt: skip
    assert any("404" in line and "Not here" in line for line in lines)
    assert server.etags == [None, '"1"']


# Handlers that do not keep their word ------------------------------------------------------------

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Misbehaving(Quiet):
    """Announces ten bytes and sends as many as it was told."""

    sends = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        for place in range(0, len(self.sends), 3):
            self.wfile.write(self.sends[place : place + 3])


@pytest.mark.parametrize(
    ("sends", "message"),
    [
        (b"", "10 bytes less than its Content-Length"),
        (b"x" * 9, "1 byte less than its Content-Length"),
        (b"x" * 11, "1 byte more than its Content-Length"),
        (b"x" * 30, "20 bytes more than its Content-Length"),
    ],
)
@pytest.mark.parametrize("buffer", [0, -1])
def test_wrong_length_closes_with_one_warning(
    sends: bytes, message: str, buffer: int, ready_fd: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The client can tell, and is not sent a byte that it would take for another response."""
    handler = type("Handler", (Misbehaving,), {"sends": sends, "wbufsize": buffer})
    outcome = converse(handler, [ASK + ASK], ready_fd)
    assert not outcome.kept
    assert outcome.sent.partition(b"\r\n\r\n")[2] == sends[:10]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"the response to 'GET / HTTP/1.1' has {message}"


class Scripted(BaseHTTPRequestHandler):
    """Does what it was told, on each request."""

    script: Any = None

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        type(self).script(self)


def play(fd: int, script: Any, data: bytes = ASK + ASK, **names: Any) -> Any:
    """Run a handler that does what `script` says."""
    return converse(type("Handler", (Scripted,), {"script": script, **names}), [data], fd)


def test_raw_bytes_before_the_head_end_with_the_connection(ready_fd: int) -> None:
    """What a handler writes by itself goes out as it is, and nothing after it."""
    outcome = play(ready_fd, lambda handler: handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nraw"))
    assert outcome.sent == b"HTTP/1.0 200 OK\r\n\r\nraw"
    assert not outcome.kept


def test_no_answer_ends_the_connection(ready_fd: int) -> None:
    """A client is not left waiting for a response that will not come."""
    outcome = play(ready_fd, lambda handler: None)
    assert outcome.sent == b""
    assert not outcome.kept


@pytest.mark.parametrize("character", ["\r", "\n", "\r\n", "\0", "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("where", ["name", "value", "reason"])
def test_response_splitting_raises(where: str, character: str, ready_fd: int) -> None:
    """Line breaks and NUL raise ValueError before anything is sent; the client gets a 500."""
    raised = []

    def split(handler: Any) -> None:
        text = f"X{character}Set-Cookie"
        handler.send_response(200, text if where == "reason" else None)
        handler.send_header(*(("X", text) if where == "value" else (text, "x")))
        handler.end_headers()

    def script(handler: Any) -> None:
        try:
            split(handler)
        except ValueError as error:
            raised.append(error)
            raise

    with pytest.raises(ValueError, match="line break or NUL"):
        play(ready_fd, script)
    assert len(raised) == 1


@pytest.mark.usefixtures("heads_stay")
@pytest.mark.parametrize("buffer", [0, -1])
def test_client_is_told_of_a_handlers_mistake(buffer: int, capfd: Any) -> None:
    """With 500, however much of the response was begun, if none of it was sent."""

    def script(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("X-Half", "done")
        if buffer:  # the head and these bytes are still held back
            handler.end_headers()
            handler.wfile.write(b"half")
        handler.send_header("X", "a\r\nb")

    handler = type("Handler", (Scripted,), {"script": script, "wbufsize": buffer})
    with serving(handler) as server, connect(server) as client:
        client.sendall(ASK)
        received = read_to_end(client)
    assert statuses(received) == (500,)
    assert b"X-Half" not in received
    assert b"half" not in received
    assert capfd.readouterr().err.count("Traceback") == 1


def test_mistake_in_the_middle_of_a_body_cuts_it_short(capfd: Any) -> None:
    """The client must not take half a body for the whole."""

    def script(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"half")
        raise ZeroDivisionError

    with serving(type("Handler", (Scripted,), {"script": script})) as server:
        connection = http.client.HTTPSConnection(
            "localhost", server.server_port, context=client_context(), timeout=30 * UNIT
        )
        connection.request("GET", "/")
        with connection.getresponse() as response, pytest.raises(http.client.IncompleteRead):
            response.read()
        connection.close()
    assert capfd.readouterr().err.count("Traceback") == 1


def test_head_begun_anew_replaces_the_first(ready_fd: int) -> None:
    """A handler that begins a response and then fails sends the error and nothing of the first."""

    def script(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.send_header("X-Other", "x")
        handler.send_error(404)

    outcome = play(ready_fd, script)
    assert statuses(outcome.sent) == (404, 404)
    assert b"X-Other" not in outcome.sent


def test_error_after_a_complete_head_cannot_be_a_second_response(
    ready_fd: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes after a head is body, framed as such; that it is odd is said once."""

    def script(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.send_error(404)

    outcome = play(ready_fd, script, ASK)
    assert statuses(outcome.sent) == (200,)
    assert b"half\r\n" in outcome.sent
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "a second response head is sent as body" in record.getMessage()


@pytest.mark.parametrize("status", [101, 200])
def test_connection_that_is_taken_over_is_the_handlers(status: int, ready_fd: int) -> None:
    """After 101, and after CONNECT, the head leaves at once and bytes go through as they are."""
    seen = []

    def script(handler: Any) -> None:
        handler.send_response(status)
        handler.end_headers()
        handler.wfile.flush()
        seen.append(handler.connection.recv(100))
        handler.connection.sendall(b"raw")

    method = b"GET" if status == 101 else b"CONNECT"
    handler = type("Handler", (Scripted,), {"script": script, "do_CONNECT": Scripted.do_GET})
    outcome = converse(handler, [ASK.replace(b"GET", method, 1), b"hello"], ready_fd)
    assert seen == [b"hello"]
    assert outcome.sends[0].endswith(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in outcome.sent
    assert outcome.sends[1:] == [b"raw"]
    assert not outcome.kept


@pytest.mark.parametrize("buffer", [0, -1])
def test_wfile_that_was_closed_bears_it(buffer: int, ready_fd: int) -> None:
    """A text layer over wfile closes it when it is let go of; the next request has its own."""

    def script(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        io.TextIOWrapper(handler.wfile).write("text")
        assert io.TextIOWrapper(handler.rfile).read() == "hello"

    data = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    outcome = play(ready_fd, script, data * 3, wbufsize=buffer)
    assert outcome.sent.count(b"text") == 3
    assert outcome.kept


def test_slow_reader_is_waited_for() -> None:
    """A response larger than all buffers reaches a client that reads late, whole."""
    size = 8 << 20
    began = threading.Event()

    def script(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        began.set()
        handler.wfile.write(bytes(size))

    handler = type("Handler", (Scripted,), {"script": script})
    with serving(handler) as server, connect(server) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert began.wait(30 * UNIT)
        received = read_to_end(client)
    assert len(received.partition(b"\r\n\r\n")[2]) == size


class OwnStatusLine(BaseHTTPRequestHandler):
    """Writes its status line by itself, as a subclass may that calls nothing else of ours."""

    def send_response_only(self, code: int, message: str | None = None) -> None:
        self.wfile.write(b"HTTP/1.1 %d Own\r\n" % code)

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def test_own_send_response_only_needs_nothing_of_ours(ready_fd: int) -> None:
    """Its status line and the fields that `send_response` adds arrive, as on `http.server`."""
    sent = converse(OwnStatusLine, [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"], ready_fd).sent
    assert sent.startswith(b"HTTP/1.1 204 Own\r\nServer: ")
    assert b"\r\nDate: " in sent
