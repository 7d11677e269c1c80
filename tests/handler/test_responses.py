"""What reaches ``wfile`` is a response, whoever has written it and in whatever pieces."""

from __future__ import annotations

import array
import gzip
import io
import logging
import os
import shutil
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import h11
import pytest

from tests.handler.http_support import Outcome, Quiet, converse, statuses
from tlshttp._machinery.stream import Stream
from tlshttp.errors import ResponseAborted
from tlshttp.handler._response import ResponseHead, framed_head, parsed_head

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"the quick brown fox\n"

Script = Callable[[Any], object]


def play(fd: int, script: Script, ask: bytes = ASK, **names: Any) -> Outcome:
    """Have a handler do what a script says."""

    def answer(handler: Any) -> None:
        script(handler)

    kind = type("Handler", (Quiet,), {"do_GET": answer, "do_HEAD": answer, **names})
    return converse(kind, [ask], fd)


Response = tuple[int, dict[str, str], bytes]


def judged(sent: bytes, *, closed: bool, method: str = "GET") -> tuple[list[int], Response]:
    """Return interim statuses and the response, as h11 reads them; nothing may be left over."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(sent)
    if closed:
        client.receive_data(b"")
    interim: list[int] = []
    status, fields, body = 0, {}, b""
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        assert event is not h11.NEED_DATA, "the response has no end"
        if isinstance(event, h11.InformationalResponse):
            interim.append(event.status_code)
        elif isinstance(event, h11.Response):
            status = event.status_code
            fields = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        else:
            assert isinstance(event, h11.Data)
            body += bytes(event.data)
    assert closed or client.trailing_data == (b"", False)
    if not closed:
        client.start_next_cycle()  # h11 bears it where the connection is kept
    return interim, (status, fields, body)


def body_of(outcome: Outcome, method: str = "GET") -> bytes:
    """Return the body of the only response."""
    return judged(outcome.sent, closed=not outcome.kept, method=method)[1][2]


# Heads written by hand ---------------------------------------------------------------------------

BY_HAND = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + BODY, True),
    "length-odd-case": (b"HTTP/1.1 200 OK\r\ncOnTeNt-LeNgTh:20\r\n\r\n" + BODY, True),
    "line-feeds": (b"HTTP/1.1 200 OK\nContent-Length: 20\n\n" + BODY, True),
    "no-reason": (b"HTTP/1.1 200 \r\nContent-Length: 20\r\n\r\n" + BODY, True),
    "no-length": (b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + BODY, True),
    "no-field": (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, True),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY, False),
    "close-with-length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n" + BODY,
        False,
    ),
    "own-chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n" + BODY + b"\r\n0\r\n\r\n",
        True,
    ),
    "version-1.0": (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, False),
    "version-1.0-with-length": (b"HTTP/1.0 200 OK\r\nContent-Length: 20\r\n\r\n" + BODY, False),
    "length-twice": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nContent-Length: 20\r\n\r\n" + BODY,
        True,
    ),
    "two-lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nContent-Length: 21\r\n\r\n" + BODY,
        False,
    ),
    "length-no-number": (b"HTTP/1.1 200 OK\r\nContent-Length: all\r\n\r\n" + BODY, False),
    "length-and-chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"14\r\n" + BODY + b"\r\n0\r\n\r\n",
        True,
    ),
    "after-100": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + BODY,
        True,
    ),
    "after-hints": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + BODY,
        True,
    ),
}


@pytest.mark.parametrize("name", [*BY_HAND])
def test_head_by_hand_cut_in_two_anywhere(name: str, ready_fd: int) -> None:
    """Handlers F1, F2, F14: it is framed as any other, in whatever pieces it is written."""
    data, kept = BY_HAND[name]

    def in_pieces(*pieces: bytes) -> Outcome:
        def script(handler: Any) -> None:
            handler.close_connection = False
            for piece in pieces:
                assert handler.wfile.write(piece) == len(piece)

        return play(ready_fd, script)

    whole = in_pieces(data)
    assert body_of(whole) == BODY
    assert whole.kept == kept
    dripped = in_pieces(*(bytes([byte]) for byte in data))
    assert (body_of(dripped), dripped.kept) == (BODY, kept)
    for place in range(1, len(data)):
        outcome = in_pieces(data[:place], data[place:])
        assert (body_of(outcome), outcome.kept) == (BODY, kept), data[:place]
        assert outcome.sent.partition(b"\r\n\r\n")[0] == whole.sent.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("name", [*BY_HAND])
@pytest.mark.parametrize("buffer", [0, -1, 7, 100])
def test_head_by_hand_through_a_buffer(name: str, buffer: int, ready_fd: int) -> None:
    """A buffer of the handler's own makes pieces of another size, and no difference."""
    data, kept = BY_HAND[name]

    def script(handler: Any) -> None:
        handler.close_connection = False
        handler.wfile.writelines(data[place : place + 5] for place in range(0, len(data), 5))

    outcome = play(ready_fd, script, wbufsize=buffer)
    assert (body_of(outcome), outcome.kept) == (BODY, kept)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nX: y",
        b"HTTP/1.1 200 OK\r\nX: y\r\n",
        b"HTTP",
        b"HTTP/1.1 yes\r\n\r\n" + BODY,
        b"HTTP/2 200\r\n\r\n" + BODY,
        b"ICY 200 OK\r\n\r\n" + BODY,
        b"<p>hello",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n" + BODY,
    ],
)
@pytest.mark.parametrize("step", [1, 4, 1000])
def test_what_is_no_head_goes_out_as_it_is(data: bytes, step: int, ready_fd: int) -> None:
    """And ends with the connection: nobody can know where it ends otherwise."""

    def script(handler: Any) -> None:
        for place in range(0, len(data), step):
            handler.wfile.write(data[place : place + step])

    outcome = play(ready_fd, script, ASK + ASK)
    assert outcome.sent == data
    assert not outcome.kept


def test_head_without_end_is_waited_for_within_bounds(ready_fd: int) -> None:
    """What is a mebibyte long and has no end is no head."""
    data = b"HTTP/1.1 200 OK\r\nX: " + b"y" * (1 << 20)

    def script(handler: Any) -> None:
        handler.wfile.write(data)
        handler.wfile.write(b"z")

    assert play(ready_fd, script).sent == data + b"z"


@pytest.mark.parametrize(
    ("ask", "status", "sent_body"),
    [
        (ASK.replace(b"GET", b"HEAD"), 200, b""),
        (ASK, 204, b""),
        (ASK, 304, b""),
        (ASK, 205, BODY),
    ],
)
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 20\r\n"])
def test_body_that_must_not_be_is_dropped(
    ask: bytes, status: int, sent_body: bytes, framing: bytes, ready_fd: int
) -> None:
    """Of HEAD, 204 and 304, also by hand; what the head says of a length stays."""
    head = b"HTTP/1.1 %d X\r\n%b\r\n" % (status, framing)

    def script(handler: Any) -> None:
        handler.close_connection = False
        handler.wfile.write(head + BODY)
        handler.wfile.write(BODY[len(BODY) :])

    outcome = play(ready_fd, script, ask)
    assert outcome.kept
    assert framing in outcome.sent
    method = ask.partition(b" ")[0].decode()
    assert body_of(outcome, method) == sent_body


# Second heads ------------------------------------------------------------------------------------


def begin(handler: Any, status: int = 200, *fields: tuple[str, str]) -> None:
    """Send a whole head."""
    handler.send_response(status)
    for name, value in fields:
        handler.send_header(name, value)
    handler.end_headers()


FIRST = {
    "chunked": (),
    "length": (("Content-Length", "1000"),),
    "close": (("Connection", "close"),),
    "type": (("Content-Type", "text/plain"),),
}


@pytest.mark.parametrize("first", [*FIRST])
def test_second_head_replaces_one_that_has_not_left(
    first: str, ready_fd: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Handlers F6: a handler that changes its mind, or fails, after ``end_headers()``."""

    def script(handler: Any) -> None:
        begin(handler, 200, ("X-First", "1"), *FIRST[first])
        handler.send_error(500, "Sorry")

    outcome = play(ready_fd, script)
    assert statuses(outcome.sent) == (500,)
    assert b"Sorry" in body_of(outcome)
    assert b"X-First" not in outcome.sent
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("tlshttp.handler", logging.WARNING)
    assert "a second response head replaces the first" in record.getMessage()


def test_second_head_within_the_handlers_buffer_is_body(ready_fd: int) -> None:
    """There it cannot be told from a body any more; it is framed, as all else."""

    def script(handler: Any) -> None:
        begin(handler)
        handler.send_error(500, "Sorry")

    outcome = play(ready_fd, script, wbufsize=-1)
    assert statuses(outcome.sent) == (200,)
    assert body_of(outcome).startswith(b"HTTP/1.1 500 Sorry\r\n")
    assert outcome.kept


def test_second_head_decides_on_framing_and_connection(ready_fd: int) -> None:
    """As if the first had never been."""

    def script(handler: Any) -> None:
        begin(handler, 200, ("Content-Length", "1000"))
        begin(handler, 200, ("Content-Length", "20"))
        handler.wfile.write(BODY)

    outcome = play(ready_fd, script)
    assert body_of(outcome) == BODY
    assert outcome.kept


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("status", [204, 304])
def test_second_head_after_one_without_a_body(method: bytes, status: int, ready_fd: int) -> None:
    """Such a response is complete, and has left: the client sees that one."""

    def script(handler: Any) -> None:
        begin(handler, status)
        handler.send_error(404)

    outcome = play(ready_fd, script, ASK.replace(b"GET", method))
    assert outcome.sent.startswith(b"HTTP/1.1 %d " % status)
    assert outcome.sent.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("fields", [(), (("Content-Length", "500"),)])
def test_second_head_after_the_first_has_left_is_body(
    fields: tuple[tuple[str, str], ...], ready_fd: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Handlers F6: as on `http.server`, but framed, so that the client sees one response."""
    second = b"HTTP/1.1 500 Oops\r\n\r\n"

    def script(handler: Any) -> None:
        begin(handler, 200, *fields)
        handler.wfile.write(BODY)
        handler.wfile.write(second)
        if fields:
            handler.wfile.write(bytes(500 - len(BODY) - len(second)))

    outcome = play(ready_fd, script)
    assert body_of(outcome).startswith(BODY + second)
    assert statuses(outcome.sent) == (200,)
    (record,) = caplog.records
    assert "a second response head is sent as body" in record.getMessage()


@pytest.mark.parametrize("flushes", [False, True])
def test_http_message_as_a_body_is_left_alone(
    flushes: bool, ready_fd: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the first head says that it is one, by its length or its type."""
    message = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"
    heads = [
        (("Content-Length", str(len(message))),),
        (("Content-Type", "message/http"),),
        (("Content-Type", "application/http; msgtype=response"),),
    ]
    for fields in heads:

        def script(handler: Any, fields: Any = fields) -> None:
            begin(handler, 200, *fields)
            if flushes:
                handler.wfile.flush()
            handler.wfile.write(message)

        assert body_of(play(ready_fd, script)) == message
    assert flushes or not caplog.records


def test_text_that_begins_like_a_head_is_body(
    ready_fd: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Only a whole head, written at once, can replace one."""

    def script(handler: Any) -> None:
        begin(handler)
        handler.wfile.write(b"HTTP/1.1 is a protocol\r\n\r\n")
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\nand so on")

    assert body_of(play(ready_fd, script)) == (
        b"HTTP/1.1 is a protocol\r\n\r\nHTTP/1.1 200 OK\r\n\r\nand so on"
    )
    assert not caplog.records


# Heads of parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("buffer", [0, -1])
@pytest.mark.parametrize("part_length", [False, True])
@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize("by_name", [False, True])
def test_head_of_a_part_is_body(
    buffer: int,
    part_length: bool,
    length: bool,
    by_name: bool,
    ready_fd: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Handlers F1: what cameras do with ``send_header()`` inside a multipart stream."""
    written: list[int] = []

    class Camera(Quiet):
        wbufsize = buffer

        def send_header(self, keyword: str, value: str) -> None:
            if by_name:
                BaseHTTPRequestHandler.send_header(self, keyword, value)
            else:
                super().send_header(keyword, value)

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=F")
            if length:
                self.send_header("Content-Length", str(len(expected)))
            self.end_headers()
            for _ in range(3):
                self.wfile.write(b"--F\r\n")
                self.send_header("Content-Type", "image/jpeg")
                if part_length:
                    self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"JPEG\r\n")
                written.append(1)

    part = b"Content-Type: image/jpeg\r\n" + b"Content-Length: 4\r\n" * part_length
    expected = (b"--F\r\n" + part + b"\r\nJPEG\r\n") * 3
    outcome = converse(Camera, [ASK], ready_fd)
    assert len(written) == 3
    assert body_of(outcome) == expected
    assert outcome.kept
    assert not caplog.records


@pytest.mark.parametrize("fields", [(), (("Content-Length", "0"),), (("Content-Length", "20"),)])
def test_empty_line_too_many(
    fields: tuple[tuple[str, str], ...], ready_fd: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Handlers F7: ``end_headers()`` once too often ends no connection and is no news."""

    def script(handler: Any) -> None:
        begin(handler, 200, *fields)
        if fields != (("Content-Length", "0"),):
            handler.wfile.write(BODY)
        handler.end_headers()

    outcome = play(ready_fd, script)
    assert body_of(outcome).rstrip(b"\r\n") in (BODY.rstrip(b"\n"), b"")
    assert outcome.kept
    assert not caplog.records


# Framing of what the handler says ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"Content-Length: 1\r\nContent-Length: 1\r\n", b"Content-Length: 1\r\n"),
        (b"Content-Length: 1\r\nTransfer-Encoding: x\r\n", b"Transfer-Encoding: x\r\n"),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n", b""),
        (b"Content-Length: -1\r\n", b""),
        (b"X-Content-Length: 1\r\n", b"X-Content-Length: 1\r\n"),
    ],
)
def test_framed_head_says_it_once(head: bytes, expected: bytes) -> None:
    """RFC 9112, sections 6.2 and 6.3: no two lengths, and none beside a coding."""
    data = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n"
    framed = framed_head(ResponseHead(data), b"", b"")
    assert framed == b"HTTP/1.1 200 OK\r\n" + expected + b"\r\n"


@pytest.mark.parametrize(
    ("connection", "asks"),
    [
        (b"", None),
        (b"Connection: close\r\n", False),
        (b"connection:Close\r\n", False),
        (b"Connection: keep-alive\r\n", True),
        (b"Connection: keep-alive, close\r\n", False),
        (b"Connection: keep-alive\r\nConnection: x, close\r\n", False),
        (b"Connection: Upgrade\r\n", None),
        (b"Proxy-Connection: close\r\n", None),
    ],
)
def test_head_asks_to_keep_or_to_close(connection: bytes, asks: bool | None) -> None:
    """Whichever option it has, in whatever case and line."""
    assert parsed_head(b"HTTP/1.1 200 OK\r\n" + connection + b"\r\n").asks() is asks


def test_close_wins_over_keep_alive(ready_fd: int) -> None:
    """A handler may promise to keep what has to be closed; the client is told the truth."""

    def script(handler: Any) -> None:
        begin(handler, 200, ("Connection", "keep-alive"), ("Content-Length", "20"))
        handler.wfile.write(BODY)

    outcome = play(ready_fd, script, ASK.replace(b"Host", b"Connection: close\r\nHost"))
    head = outcome.sent.lower().partition(b"\r\n\r\n")[0]
    assert not outcome.kept or b"connection: close" not in head
    assert (b"connection: close" in head) != (b"keep-alive" in head)


@pytest.mark.parametrize(
    "data",
    [bytearray(BODY), memoryview(BODY), array.array("B", BODY), memoryview(BODY * 2)[::2]],
    ids=["bytearray", "memoryview", "array", "every-second"],
)
@pytest.mark.parametrize("fields", [(), (("Content-Length", "20"),)])
def test_any_buffer_can_be_written(
    data: Any, fields: tuple[tuple[str, str], ...], ready_fd: int
) -> None:
    """As to any binary file of Python's."""
    counts = []

    def script(handler: Any) -> None:
        begin(handler, 200, *fields)
        counts.append(handler.wfile.write(data))

    assert body_of(play(ready_fd, script)) == bytes(data)
    assert counts == [20]


def test_wide_items_count_as_bytes(ready_fd: int) -> None:
    """An array of numbers has as many bytes as it has, not as many as it has items."""
    data = array.array("I", [1, 2, 3])

    def script(handler: Any) -> None:
        begin(handler, 200, ("Content-Length", str(3 * data.itemsize)))
        assert handler.wfile.write(data) == 3 * data.itemsize

    outcome = play(ready_fd, script)
    assert body_of(outcome) == data.tobytes()
    assert outcome.kept


def test_what_is_written_may_be_changed_afterwards(ready_fd: int) -> None:
    """As soon as ``write()`` has returned, the buffer is the handler's again."""

    def script(handler: Any) -> None:
        begin(handler, 200, ("Content-Length", "20"))
        buffer = bytearray(BODY)
        handler.wfile.write(memoryview(buffer))
        buffer[:] = bytes(20)

    assert body_of(play(ready_fd, script)) == BODY


# Files -------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a file to be sent."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 1_000)
    return path


@pytest.mark.parametrize("fields", [(), (("Content-Length", "256000"),)])
@pytest.mark.parametrize("start", [0, 100, 256_000])
def test_file_is_sent_from_where_it_stands(
    fields: tuple[tuple[str, str], ...], start: int, file: Path, ready_fd: int
) -> None:
    """By ``copyfile()`` and by hand, whatever the framing."""
    content = file.read_bytes()

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            begin(self, 200, *fields)
            with file.open("rb") as source:
                self.wfile.write(source.read(start))
                self.copyfile(source, self.wfile)
                assert source.read() == b""

    outcome = converse(Files, [ASK], ready_fd)
    assert body_of(outcome) == content
    assert outcome.kept


@pytest.mark.parametrize(("size", "pieces"), [(1_000, 1), (65_536, 1), (65_537, 2)])
def test_small_file_leaves_with_the_head(
    size: int, pieces: int, file: Path, ready_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one piece; a large one is queued after it, to be read when there is room."""
    os.truncate(file, size)
    os.utime(file, (1, 1))
    sent: list[object] = []
    for name in ("transmit", "transmit_file"):
        original = getattr(Stream, name)

        def counted(*arguments: Any, original: Any = original, **options: Any) -> None:
            sent.append(arguments)
            original(*arguments, **options)

        monkeypatch.setattr(Stream, name, counted)

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            begin(self, 200, ("Content-Length", str(size)))
            with file.open("rb") as source:
                self.copyfile(source, self.wfile)
                assert source.read() == b""

    outcome = converse(Files, [ASK], ready_fd)
    assert body_of(outcome) == file.read_bytes()
    assert outcome.kept
    assert len(sent) == pieces


def test_file_that_is_longer_than_said_is_cut_off(
    file: Path, ready_fd: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As with bytes: what is more than the length is no part of the response, and that is said."""

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            begin(self, 200, ("Content-Length", "1000"))
            with file.open("rb") as source:
                self.copyfile(source, self.wfile)

    outcome = converse(Files, [ASK], ready_fd)
    assert outcome.sent.partition(b"\r\n\r\n")[2] == file.read_bytes()[:1000]
    assert not outcome.kept
    assert "bytes more than its Content-Length" in caplog.text


def test_head_request_sends_nothing_of_a_file(file: Path, ready_fd: int) -> None:
    """Whatever the handler copies."""

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            begin(self, 200, ("Content-Length", "256000"))
            with file.open("rb") as source:
                self.copyfile(source, self.wfile)

    outcome = converse(Files, [ASK.replace(b"GET", b"HEAD")], ready_fd)
    assert outcome.sent.endswith(b"\r\n\r\n")
    assert outcome.kept


@pytest.mark.parametrize(
    "make",
    [lambda path: io.BytesIO(path.read_bytes()), lambda path: path.open("rb")],
    ids=["memory", "file"],
)
def test_copyfileobj_to_wfile(make: Callable[[Path], Any], file: Path, ready_fd: int) -> None:
    """The usual way to send a file by hand."""

    def script(handler: Any) -> None:
        begin(handler, 200, ("Content-Length", "256000"))
        with make(file) as source:
            shutil.copyfileobj(source, handler.wfile)

    assert body_of(play(ready_fd, script)) == file.read_bytes()


class Upper(io.BufferedReader):
    """A file that is read in a way of its own."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the bytes upside down."""
        return bytes(255 - byte for byte in super().read(size))


def replaced(path: Path) -> Any:
    """Open a file whose ``read()`` is somebody else's."""
    source: Any = path.open("rb")
    read = source.read
    source.read = lambda size: bytes(255 - byte for byte in read(size))
    return source


def unzipped(path: Path) -> Any:
    """Open a compressed file, which has a descriptor, under the same class as ``open()`` does."""
    upside_down = bytes(255 - byte for byte in path.read_bytes())
    path.write_bytes(gzip.compress(upside_down))
    os.utime(path, (1, 1))
    return io.BufferedReader(gzip.open(path))


@pytest.mark.parametrize("make", [lambda path: Upper(io.FileIO(path)), replaced, unzipped])
def test_text_file_of_the_handlers_is_no_file_to_queue(
    make: Callable[[Path], Any], file: Path, ready_fd: int
) -> None:
    """What only looks like a file is read as what it is: it may decompress, or decode."""
    content = file.read_bytes()
    os.utime(file, (1, 1))

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            begin(self, 200, ("Content-Length", "256000"))
            with make(file) as source:
                self.copyfile(source, self.wfile)

    outcome = converse(Files, [ASK], ready_fd)
    assert body_of(outcome) == bytes(255 - byte for byte in content)


# Mistakes in the middle --------------------------------------------------------------------------


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"


@pytest.mark.parametrize("buffer", [0, -1])
def test_exception_before_anything_has_left_is_a_500(buffer: int, ready_fd: int) -> None:
    """However far the head had come, and whoever has written it."""
    for part in range(len(HALF) + 1):

        def answer(handler: Any, part: int = part) -> None:
            handler.wfile.write(HALF[:part])
            raise ZeroDivisionError

        errors: list[Exception] = []
        kind = type("Handler", (Quiet,), {"do_GET": answer, "wbufsize": buffer})
        outcome = converse(kind, [ASK + ASK], ready_fd, errors=errors)
        assert [type(error) for error in errors] == [ZeroDivisionError]
        assert statuses(outcome.sent) == (500,)
        assert not outcome.kept


@pytest.mark.parametrize("head", [HALF, b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
def test_exception_after_something_has_left_spoils_the_rest(head: bytes, ready_fd: int) -> None:
    """The client must be able to tell: no last chunk, not the whole length, no orderly goodbye."""

    def answer(handler: Any) -> None:
        handler.wfile.write(head + BODY[:5])
        raise ZeroDivisionError

    errors: list[Exception] = []
    kind = type("Handler", (Quiet,), {"do_GET": answer})
    outcome = converse(kind, [ASK + ASK], ready_fd, errors=errors)
    assert len(errors) == 1
    assert outcome.sent.count(b"HTTP/1.") == 1
    assert outcome.sent.rstrip(b"\r\n").endswith(BODY[:5])
    assert not outcome.kept


def test_status_of_an_error_is_known_by_its_number(ready_fd: int) -> None:
    """``send_error()`` takes an enumeration as well as a number."""
    for code in (404, HTTPStatus.NOT_FOUND):

        def script(handler: Any, code: Any = code) -> None:
            handler.send_error(code)

        outcome = play(ready_fd, script)
        assert statuses(outcome.sent) == (404,)
        assert outcome.kept


def test_file_that_becomes_shorter_cuts_the_connection(file: Path, ready_fd: int) -> None:
    """The client must not wait for what will not come, nor take other bytes for it; an event."""

    class Files(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            begin(self, 200, ("Content-Length", "256000"))
            with file.open("rb") as source:
                self.wfile.flush()
                os.truncate(file, 1000)
                self.request.transmit_file(source.fileno(), 0, 256_000)

    outcome = converse(Files, [ASK], ready_fd)
    assert isinstance(outcome.fault, ResponseAborted)
    assert not outcome.kept
    assert len(outcome.sent.partition(b"\r\n\r\n")[2]) == 1000
