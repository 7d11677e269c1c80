"""``shutil.copyfileobj(file, self.wfile)``: what is copied is sent as a file, where it is one.

The client must not be able to tell: what it gets is what `http.server` sends, or what a handler
sends that writes the same pieces by itself.
"""

from __future__ import annotations

import _thread
import functools
import gzip
import io
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.handler import side_by_side
from tests.handler.http_support import Outcome, converse
from tests.handler.side_by_side import OURS, Ask, Peer, Quiet, answering, by_both, serving
from tests.support import wait_until
from tlshttp.aio import AsyncTLSRequestHandler
from tlshttp.handler import _regular_files
from tlshttp.handler._exchange import HTTPExchange

PIECE = 65_536
"""Bytes of which smaller pieces are never taken for a part of a file."""

SIZE = 5 * PIECE + 1_000

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

Copy = Callable[[Any, Any], None]

copy: Copy = functools.partial(shutil.copyfileobj, length=PIECE)
"""``copyfileobj()`` with the pieces that it has on Linux; on some systems they are larger."""

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pread"), reason="here files are read by their handlers"
)
both = pytest.mark.parametrize("server_class", OURS)


def old(path: Path, content: bytes) -> Path:
    """Make a file that was written some time ago."""
    path.write_bytes(content)
    os.utime(path, (1, 1))
    return path


@pytest.fixture(scope="module")
def content() -> bytes:
    """Return what is in the file: no two pieces of it are the same."""
    return os.urandom(SIZE)


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    """Make the file that is sent."""
    return old(tmp_path / "file", content)


@pytest.fixture
def as_files(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note down how many bytes are sent as a file, each time that some are."""
    sent: list[int] = []
    original = HTTPExchange.send_file

    def send_file(self: HTTPExchange, file: Any, count: int | None) -> int | None:
        size = original(self, file, count)
        if size is not None:
            sent.append(size)
        return size

    monkeypatch.setattr(HTTPExchange, "send_file", send_file)
    return sent


def begin(handler: Any, length: int | None, *fields: tuple[str, str], status: int = 200) -> None:
    """Write the head of a response, with a length or without one."""
    handler.send_response(status)
    for name, value in fields:
        handler.send_header(name, value)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


# As on `http.server` -----------------------------------------------------------------------------


@both
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073])
def test_a_file_of_any_size(
    server_class: Any, size: int, tmp_path: Path, content: bytes, as_files: list[int]
) -> None:
    """The first piece is written, and the rest is sent as a file; the connection is kept."""
    path = old(tmp_path / "odd", content[:size])

    def answer(handler: Any) -> None:
        with path.open("rb") as source:
            begin(handler, size)
            copy(source, handler.wfile)
            assert source.tell() == size
            assert source.read() == b""

    kind = answering(answer, protocol_version="HTTP/1.1")
    reference, ours = by_both(server_class, kind, Ask(), Ask())
    assert ours.meaning == reference.meaning
    assert [response.body for response in ours.responses] == [content[:size]] * 2
    assert all(response.kept for response in ours.responses)
    assert as_files == ([size - PIECE] * 2 if size > PIECE else [])
    assert not ours.tracebacks


@both
@pytest.mark.parametrize(
    ("length", "seen"), [(0, True), (PIECE - 1, False), (100_000, True), (-1, False)]
)
def test_pieces_of_any_size(
    server_class: Any, length: int, seen: bool, file: Path, content: bytes, as_files: list[int]
) -> None:
    """Smaller ones than the usual are not seen, nor is what is read all at once."""

    def answer(handler: Any) -> None:
        with file.open("rb") as source:
            begin(handler, SIZE)
            shutil.copyfileobj(source, handler.wfile, length)

    reference, ours = by_both(server_class, answering(answer), Ask(), Ask())
    assert ours.meaning == reference.meaning
    assert ours.responses[0].body == content
    assert bool(as_files) == (seen and (length or shutil.COPY_BUFSIZE) < SIZE)  # type: ignore[attr-defined]


@both
def test_a_body_that_ends_with_the_connection(
    server_class: Any, file: Path, content: bytes, as_files: list[int]
) -> None:
    """A file needs no length."""

    def answer(handler: Any) -> None:
        with file.open("rb") as source:
            begin(handler, None)
            copy(source, handler.wfile)

    kind = answering(answer, protocol_version="HTTP/1.0")
    reference, ours = by_both(server_class, kind, Ask(), Ask())
    assert ours.meaning == reference.meaning
    assert [response.body for response in ours.responses] == [content] * 2
    assert as_files == [SIZE - PIECE] * 2


class Subclass(io.FileIO):
    """A file that is read in a way of its own."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the bytes upside down."""
        return bytes(255 - byte for byte in super().read(size) or b"")


def counted(path: Path) -> Any:
    """Open a file whose ``read()`` is somebody else's."""
    source: Any = path.open("rb")
    read = source.read
    source.read = lambda size: bytes(255 - byte for byte in read(size))
    return source


def zipped(path: Path) -> Any:
    """Open a file with the same compressed, which is larger: it is random."""
    packed = old(path.with_suffix(".gz"), gzip.compress(path.read_bytes()))
    return gzip.open(packed)


def temporary(path: Path, make: Callable[[], Any]) -> Any:
    """Return a file that has been written just now, or some time ago."""
    source = make()
    source.write(path.read_bytes())
    source.flush()
    source.seek(0)
    os.utime(source.fileno(), (1, 1))
    return source


def unflushed(path: Path) -> Any:
    """Return a file whose last bytes have not been written; then it has just been written to."""
    source = path.open("r+b", buffering=1 << 20)
    source.write(b"changed")
    source.seek(0)
    return source


KINDS: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "buffered": (lambda path: path.open("rb"), True),
    "unbuffered": (lambda path: path.open("rb", buffering=0), True),
    "large buffer": (lambda path: path.open("rb", buffering=1 << 20), True),
    "read and written": (lambda path: path.open("r+b"), True),
    "by its descriptor": (lambda path: os.fdopen(os.open(path, os.O_RDONLY), "rb"), True),
    "unnamed": (lambda path: temporary(path, tempfile.TemporaryFile), True),
    "named": (lambda path: temporary(path, tempfile.NamedTemporaryFile), False),
    "spooled": (lambda path: temporary(path, tempfile.SpooledTemporaryFile), False),
    "unflushed": (unflushed, False),
    "memory": (lambda path: io.BytesIO(path.read_bytes()), False),
    "gzip": (zipped, False),
    "gzip, buffered": (lambda path: io.BufferedReader(zipped(path)), False),
    "subclass": (Subclass, False),
    "subclass, buffered": (lambda path: io.BufferedReader(Subclass(path)), False),
    "read() replaced": (counted, False),
}


@both
@pytest.mark.parametrize(("make", "seen"), KINDS.values(), ids=list(KINDS))
def test_files_of_all_kinds(
    server_class: Any,
    make: Callable[[Path], Any],
    seen: bool,
    tmp_path: Path,
    content: bytes,
    as_files: list[int],
) -> None:
    """What ``open()`` has made is sent as a file, unless something changes what is read of it."""

    def answer(handler: Any) -> None:
        path = old(tmp_path / "file", content)
        with make(path) as source:
            begin(handler, SIZE)
            copy(source, handler.wfile)
            assert source.read(1) == b""

    reference, ours = by_both(server_class, answering(answer), Ask(), Ask())
    assert ours.meaning == reference.meaning
    assert [len(response.body) for response in ours.responses] == [SIZE] * 2
    assert not ours.tracebacks
    assert as_files == [SIZE - PIECE] * (2 * seen)


@both
def test_a_new_file_is_read_at_once(
    server_class: Any, tmp_path: Path, content: bytes, as_files: list[int]
) -> None:
    """It may be written to again as soon as it has been copied."""
    path = tmp_path / "new"

    def answer(handler: Any) -> None:
        path.write_bytes(content)
        with path.open("rb") as source:
            begin(handler, SIZE)
            copy(source, handler.wfile)
        path.write_bytes(b"for the next one")

    reference, ours = by_both(server_class, answering(answer), Ask(), Ask())
    assert ours.meaning == reference.meaning
    assert [response.body for response in ours.responses] == [content] * 2
    assert not as_files


@both
def test_text_is_no_body(server_class: Any, tmp_path: Path, as_files: list[int]) -> None:
    """It is an error of the handler's, on both servers."""
    path = old(tmp_path / "text", b"text" * PIECE)

    def answer(handler: Any) -> None:
        begin(handler, 5)
        with path.open() as source, pytest.raises(TypeError):
            copy(source, handler.wfile)
        handler.wfile.write(b"hello")

    reference, ours = by_both(server_class, answering(answer), Ask())
    assert ours.meaning == reference.meaning
    assert not as_files


# As written by hand ------------------------------------------------------------------------------


def by_hand(fsrc: Any, fdst: Any) -> None:
    """Do what ``copyfileobj()`` does, with its names, in a function that nobody knows."""
    while piece := fsrc.read(PIECE):
        fdst.write(piece)


Script = Callable[[Any, Any, Copy], None]

WHOLE = SIZE - PIECE
"""What is left of the file after its first piece."""


def exact(handler: Any, source: Any, copying: Copy) -> None:
    """Announce the right length."""
    begin(handler, SIZE)
    copying(source, handler.wfile)


def too_short(handler: Any, source: Any, copying: Copy) -> None:
    """Announce less than the file has, which ends in the second piece."""
    begin(handler, 2 * PIECE - 10)
    copying(source, handler.wfile)


def much_too_short(handler: Any, source: Any, copying: Copy) -> None:
    """Announce less than the first piece."""
    begin(handler, 1_000)
    copying(source, handler.wfile)


def one_piece(handler: Any, source: Any, copying: Copy) -> None:
    """Announce the first piece, and copy all."""
    begin(handler, PIECE)
    copying(source, handler.wfile)


def too_long(handler: Any, source: Any, copying: Copy) -> None:
    """Announce more than the file has."""
    begin(handler, SIZE + 10)
    copying(source, handler.wfile)


def unknown(handler: Any, source: Any, copying: Copy) -> None:
    """Announce nothing."""
    begin(handler, None)
    copying(source, handler.wfile)


def not_modified(handler: Any, source: Any, copying: Copy) -> None:
    """Answer with a status that has no body."""
    begin(handler, SIZE, status=304)
    copying(source, handler.wfile)


def from_the_middle(handler: Any, source: Any, copying: Copy) -> None:
    """Begin where the file stands."""
    assert source.read(7)
    source.seek(100, os.SEEK_CUR)
    begin(handler, SIZE - 107)
    copying(source, handler.wfile)
    assert source.tell() == SIZE


def from_the_end(handler: Any, source: Any, copying: Copy) -> None:
    """Copy nothing."""
    source.seek(0, os.SEEK_END)
    begin(handler, 0)
    copying(source, handler.wfile)


def after_others(handler: Any, source: Any, copying: Copy) -> None:
    """Write before and behind it."""
    begin(handler, SIZE + 11)
    handler.wfile.write(b"before")
    copying(source, handler.wfile)
    handler.wfile.write(b"after")


def after_a_flush(handler: Any, source: Any, copying: Copy) -> None:
    """Send the head first."""
    begin(handler, SIZE)
    handler.wfile.flush()
    copying(source, handler.wfile)


def twice(handler: Any, source: Any, copying: Copy) -> None:
    """Copy the same file again."""
    begin(handler, 2 * SIZE)
    for _ in range(2):
        source.seek(0)
        copying(source, handler.wfile)


def own_chunk(handler: Any, source: Any, copying: Copy) -> None:
    """Make a chunk of it."""
    begin(handler, None, ("Transfer-Encoding", "chunked"))
    handler.wfile.write(b"%x\r\n" % SIZE)
    copying(source, handler.wfile)
    handler.wfile.write(b"\r\n0\r\n\r\n")


def own_chunk_too_small(handler: Any, source: Any, copying: Copy) -> None:
    """Make a chunk of it that is smaller."""
    begin(handler, None, ("Transfer-Encoding", "chunked"))
    handler.wfile.write(b"%x\r\n" % (SIZE - 10))
    copying(source, handler.wfile)
    handler.wfile.write(b"\r\n0\r\n\r\n")


def after_an_error(handler: Any, source: Any, copying: Copy) -> None:
    """Copy after an exception that somebody has caught."""
    begin(handler, SIZE)
    handler.request.exchange.doubt()
    copying(source, handler.wfile)


def by_copyfile(handler: Any, source: Any, copying: Copy) -> None:
    """Copy what a copy of the standard library's has left: nothing."""
    exact(handler, source, copying)
    copying(source, handler.wfile)


SCRIPTS: dict[Script, list[int]] = {
    exact: [WHOLE],
    too_short: [PIECE - 10],
    much_too_short: [],
    one_piece: [],
    too_long: [WHOLE],
    unknown: [],
    not_modified: [],
    from_the_middle: [WHOLE - 107],
    from_the_end: [],
    after_others: [WHOLE],
    after_a_flush: [WHOLE],
    twice: [WHOLE, WHOLE],
    own_chunk: [WHOLE],
    own_chunk_too_small: [],
    after_an_error: [WHOLE],
    by_copyfile: [WHOLE],
}
"""What handlers do, and how much of it is sent as a file."""


def outcome(
    script: Script, file: Path, copying: Copy, ask: bytes, fd: int, *, threaded: bool, **names: Any
) -> Outcome:
    """Have a handler do it for each request on a connection that is kept."""

    def answer(handler: Any) -> None:
        with file.open("rb") as source:
            script(handler, source, copying)

    names = {"do_GET": answer, "do_HEAD": answer, "protocol_version": "HTTP/1.1", **names}
    names["date_time_string"] = lambda *_: "today"
    return converse(type("Handler", (Quiet,), names), [ask], fd, threaded=threaded)


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_whatever_is_done_with_it(
    script: Script,
    threaded: bool,
    file: Path,
    ready_fd: int,
    as_files: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is sent, whether the connection is kept, and what is said, are those of pieces."""
    expected = outcome(script, file, by_hand, 2 * ASK, ready_fd, threaded=threaded)
    said = caplog.messages[:]
    assert not as_files
    caplog.clear()
    ours = outcome(script, file, copy, 2 * ASK, ready_fd, threaded=threaded)
    assert (ours.sent, ours.kept) == (expected.sent, expected.kept)
    assert caplog.messages == said
    assert as_files == SCRIPTS[script] * ours.sent.count(b"HTTP/1.1 ")


@pytest.mark.parametrize("ask", [b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /\r\n\r\n"])
@pytest.mark.parametrize("script", [exact, unknown])
def test_whatever_is_asked(
    ask: bytes, script: Script, file: Path, content: bytes, ready_fd: int, as_files: list[int]
) -> None:
    """HEAD gets no body, and HTTP/0.9 nothing else."""
    expected = outcome(script, file, by_hand, ask, ready_fd, threaded=False)
    ours = outcome(script, file, copy, ask, ready_fd, threaded=False)
    assert (ours.sent, ours.kept) == (expected.sent, expected.kept)
    assert ours.sent.endswith(content if b"HTTP" not in ask else b"\r\n\r\n")
    assert as_files == ([WHOLE] if b"HTTP" not in ask else [])


def test_a_file_that_has_its_own_head(tmp_path: Path, ready_fd: int, as_files: list[int]) -> None:
    """It is judged as if it had been written, and its rest is sent as a file."""
    body = os.urandom(SIZE)
    whole = old(
        tmp_path / "response", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + body
    )

    def answer(handler: Any, source: Any, copying: Copy) -> None:
        copying(source, handler.wfile)

    ours = outcome(answer, whole, copy, 2 * ASK, ready_fd, threaded=False)
    assert ours.sent == whole.read_bytes() * 2
    assert ours.kept
    assert as_files == [whole.stat().st_size - PIECE] * 2


def test_a_file_that_has_its_own_chunks(tmp_path: Path, ready_fd: int, as_files: list[int]) -> None:
    """It is followed to its end, so it is read: the connection is kept."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (1_000, bytes(1_000)) for _ in range(300)) + b"0\r\n\r\n"
    path = old(tmp_path / "chunks", chunks)

    def answer(handler: Any, source: Any, copying: Copy) -> None:
        begin(handler, None, ("Transfer-Encoding", "chunked"))
        copying(source, handler.wfile)

    ours = outcome(answer, path, copy, 2 * ASK, ready_fd, threaded=False)
    assert ours.sent.count(chunks) == 2
    assert ours.kept
    assert not as_files


# What is not seen --------------------------------------------------------------------------------


class Wrapper:
    """Something of a handler's own before ``wfile``: it has to have all that is written."""

    def __init__(self, wfile: Any) -> None:
        self._wfile = wfile
        self.size = 0

    def write(self, data: bytes) -> int:
        """Count, and pass on."""
        self.size += len(data)
        written: int = self._wfile.write(data)
        return written


def test_a_wrapper_has_all_that_is_written(file: Path, ready_fd: int, as_files: list[int]) -> None:
    """It may count, or compress."""
    sizes = []

    def answer(handler: Any, source: Any, copying: Copy) -> None:
        wrapper = Wrapper(handler.wfile)
        begin(handler, SIZE)
        copying(source, wrapper)
        sizes.append(wrapper.size)

    ours = outcome(answer, file, copy, 2 * ASK, ready_fd, threaded=False)
    assert ours.sent.count(file.read_bytes()) == 2
    assert sizes == [SIZE, SIZE]
    assert not as_files


@pytest.mark.parametrize("size", [0, -1, 1_000_000])
def test_a_buffer_has_all_that_is_written(
    size: int, file: Path, ready_fd: int, as_files: list[int]
) -> None:
    """The one that ``wbufsize`` asks for, or one of a handler's own."""

    def answer(handler: Any, source: Any, copying: Copy) -> None:
        begin(handler, SIZE)
        target = io.BufferedWriter(handler.wfile) if not size else handler.wfile
        copying(source, target)
        target.flush()

    ours = outcome(answer, file, copy, 2 * ASK, ready_fd, threaded=False, wbufsize=size)
    assert ours.sent.count(file.read_bytes()) == 2
    assert not as_files


def test_a_wrapper_in_c_has_all_that_is_written(
    file: Path, ready_fd: int, as_files: list[int]
) -> None:
    """It leaves no trace among Python's calls, but it is not ``wfile``."""

    def answer(handler: Any, source: Any, copying: Copy) -> None:
        begin(handler, SIZE)
        copying(source, SimpleNamespace(write=functools.partial(handler.wfile.write)))

    ours = outcome(answer, file, copy, 2 * ASK, ready_fd, threaded=False)
    assert ours.sent.count(file.read_bytes()) == 2
    assert not as_files


def test_an_interpreter_may_show_no_calls(
    file: Path, ready_fd: int, as_files: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read there."""
    monkeypatch.setattr(_regular_files, "_getframe", None)
    ours = outcome(exact, file, copy, 2 * ASK, ready_fd, threaded=False)
    assert ours.sent.count(file.read_bytes()) == 2
    assert not as_files


@both
def test_a_thread_may_do_nothing_but_write(server_class: Any, content: bytes) -> None:
    """Nothing of Python's has called ``write()`` then."""

    def answer(handler: Any) -> None:
        begin(handler, SIZE)
        _thread.start_new_thread(handler.wfile.write, (content,))
        assert wait_until(lambda: handler.request.exchange.to_come == 0)

    kind = answering(answer, protocol_version="HTTP/1.1")
    with serving(server_class, kind) as served, Peer.of(served) as peer:
        assert peer.ask().body == content
    assert not served.tracebacks


# On our servers ----------------------------------------------------------------------------------


class Copies(Quiet):
    """Answers with a file, which is closed at once."""

    file: Path

    def do_GET(self) -> None:
        """Copy it."""
        with self.file.open("rb") as source:
            begin(self, SIZE)
            copy(source, self.wfile)

    do_POST = do_GET


class Streams(Copies):
    """The same before and after the request's body has been read."""

    stream_request = True

    def do_POST(self) -> None:
        """Read, and copy."""
        if self.path == "/read":
            self.rfile.read()
        self.do_GET()


class InSetup(Copies):
    """A handler that the threading server keeps in one thread."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Do nothing else."""
        super().setup()


class OwnHandle(Copies):
    """A handler that asks for its requests itself."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        """Do what the base does."""
        super().handle()


class Coroutine(AsyncTLSRequestHandler):
    """A coroutine that copies, nevertheless."""

    file: Path

    async def do_GET(self) -> None:
        """Copy it."""
        with self.file.open("rb") as source:
            begin(self, SIZE)
            copy(source, self.wfile)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


ALL_ASKS = (Ask(), Ask("POST", "/read", body=b"x" * 100_000), Ask("POST", body=(b"a", b"b")), Ask())


@both
@pytest.mark.parametrize(
    ("base", "as_function"),
    [*itertools.product([Copies, Streams, InSetup, OwnHandle], [False, True]), (Coroutine, False)],
)
def test_handlers_of_all_kinds(
    server_class: Any,
    base: Any,
    as_function: bool,
    file: Path,
    content: bytes,
    as_files: list[int],
) -> None:
    """However they are run, on one connection after other responses, if it is kept."""
    kind = type("Handler", (base,), {"file": file})
    handler = functools.partial(kind) if as_function else kind
    with serving(server_class, handler) as served:
        responses = side_by_side.converse(served, ALL_ASKS)
    assert [response.body for response in responses] == [content] * len(ALL_ASKS)
    assert as_files == [WHOLE] * len(ALL_ASKS)
    assert not served.tracebacks


@both
@pytest.mark.parametrize("taking", [False, True])
def test_a_connection_that_is_taken_over(
    server_class: Any, taking: bool, file: Path, content: bytes
) -> None:
    """Bytes before and behind it keep their order."""

    class Tunnels(Quiet):
        def do_GET(self) -> None:
            handler: Any = self
            begin(self, None, status=101)
            if taking:
                handler.take_over()
            self.wfile.write(b"before")
            with file.open("rb") as source:
                copy(source, self.wfile)
            self.wfile.write(b"after")

    with serving(server_class, Tunnels) as served, side_by_side.connect(served) as client:
        client.sendall(ASK)
        sent = side_by_side.read_to_end(client)
    assert sent.partition(b"\r\n\r\n")[2] == b"before" + content + b"after"
    assert not served.tracebacks


@both
def test_a_writer_that_has_outlived_its_connection(
    server_class: Any, file: Path, as_files: list[int]
) -> None:
    """What is copied to it afterwards is lost, as if it were written."""
    kept: list[Any] = []

    def answer(handler: Any) -> None:
        kept.append(handler)
        handler.close_connection = True
        begin(handler, 0)

    with serving(server_class, answering(answer)) as served, Peer.of(served) as peer:
        peer.ask()
        assert wait_until(lambda: kept[0].request.exchange is None)
        with file.open("rb") as source:
            copy(source, kept[0].wfile)
            assert source.read() == b""
    assert not as_files
