"""Files that an application answers with."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.server.support import ask
from tests.wsgi.conftest import Application, Run, Start
from tlshttp.handler._exchange import HTTPExchange


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a file that was written some time ago."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    os.utime(path, (1, 1))
    return path


@pytest.fixture
def sent_as_files(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """Note down how many bytes are queued as a file."""
    sent: list[int | None] = []
    original = HTTPExchange.send_file

    def send_file(self: HTTPExchange, file: Any, count: int | None) -> int | None:
        sent.append(original(self, file, count))
        return sent[-1]

    monkeypatch.setattr(HTTPExchange, "send_file", send_file)
    return sent


def wrapping(opened: list[Any], make: Callable[[], Any], *fields: tuple[str, str]) -> Application:
    """Return an application that sends a file."""

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        opened.append(make())
        start("200 OK", list(fields))
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened[-1], 1000)
        return wrapped

    return application


def test_a_file_is_sent_as_a_file(run: Run, file: Path, sent_as_files: list[int | None]) -> None:
    """Nobody reads it, its length is known, and it is closed."""
    opened: list[Any] = []
    site = run(wrapping(opened, lambda: file.open("rb")))
    answer = site.get()
    assert answer.body == file.read_bytes()
    assert answer.headers["Content-Length"] == str(1 << 20)
    assert site.ask("HEAD").headers["Content-Length"] == str(1 << 20)
    assert not site.reported
    assert sent_as_files == [1 << 20]
    assert [it.closed for it in opened] == [True, True]


def test_a_file_that_is_open_for_writing_too(
    run: Run, file: Path, sent_as_files: list[int | None]
) -> None:
    """As ``open(path, "r+b")`` makes it, from where it stands."""

    def opened() -> Any:
        opened = file.open("r+b")
        opened.read(24)
        return opened

    site = run(wrapping([], opened))
    answer = site.get()
    assert answer.body == file.read_bytes()[24:]
    assert answer.headers["Content-Length"] == str((1 << 20) - 24)
    assert not site.reported
    assert sent_as_files == [(1 << 20) - 24]


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_temporary_file_has_its_length(run: Run, size: int) -> None:
    """What is still to be written to it is part of it."""

    def opened() -> Any:
        opened = tempfile.TemporaryFile()  # noqa: SIM115 (the server closes it)
        opened.write(b"skipped" + b"x" * size)
        opened.seek(7)
        return opened

    def unflushed() -> Any:
        opened = tempfile.TemporaryFile()  # noqa: SIM115 (the server closes it)
        opened.write(b"x" * size)
        opened.flush()
        opened.seek(0)
        opened.write(b"y" * min(size, 5))
        opened.seek(0, io.SEEK_SET)
        return opened

    for make, expected in (
        (opened, b"x" * size),
        (unflushed, b"y" * min(size, 5) + b"x" * (size - min(size, 5))),
    ):
        site = run(wrapping([], make))
        answer = site.get()
        assert answer.body == expected
        assert answer.headers["Content-Length"] == str(size)
        assert not site.reported


def test_a_part_of_a_file(run: Run, file: Path, sent_as_files: list[int | None]) -> None:
    """From where it stands, and no more than the application's Content-Length (PEP 3333)."""

    def opened() -> Any:
        opened = file.open("rb")
        opened.seek(100)
        return opened

    site = run(wrapping([], opened, ("Content-Length", "200")))
    connection = site.connection()
    for _ in range(2):
        assert ask(connection, "GET", "/").body == file.read_bytes()[100:300]
    connection.close()
    assert not site.reported
    assert sent_as_files == [200, 200]


@pytest.mark.parametrize("length", [None, 1500])
def test_what_is_no_file_on_disk_is_read(run: Run, length: int | None) -> None:
    """Piece by piece, up to the length that was announced."""
    opened: list[Any] = []
    fields = [("Content-Length", str(length))] if length else []
    site = run(wrapping(opened, lambda: io.BytesIO(b"ab" * 1000), *fields))
    connection = site.connection()
    for _ in range(2):
        assert ask(connection, "GET", "/").body == (b"ab" * 1000)[:length]
    connection.close()
    site.end()
    assert [it.closed for it in opened] == [True, True]


def unzipped(path: Path) -> Any:
    """Open a compressed file, which has a descriptor, under the same class as ``open()`` does."""
    path.write_bytes(gzip.compress(b"ab" * 100_000))
    os.utime(path, (1, 1))
    return io.BufferedReader(gzip.open(path))


def upside_down(path: Path) -> Any:
    """Open a file whose ``read()`` is somebody else's."""
    path.write_bytes(b"ba" * 100_000)
    os.utime(path, (1, 1))
    file: Any = path.open("rb")
    read = file.read
    file.read = lambda size: read(size)[::-1]
    return file


@pytest.mark.parametrize("make", [unzipped, upside_down])
def test_what_is_read_of_a_file_may_be_something_else(
    run: Run, make: Callable[[Path], Any], file: Path, sent_as_files: list[int | None]
) -> None:
    """What is in the file was sent, with its length."""
    site = run(wrapping([], lambda: make(file)))
    assert site.get().body == b"ab" * 100_000
    assert not site.reported
    assert not any(sent_as_files)


def test_a_new_file_is_read_at_once(run: Run, tmp_path: Path) -> None:
    """It may be written to again as soon as it has been sent."""
    path = tmp_path / "new"
    path.write_bytes(b"new" * 50_000)
    assert run(wrapping([], lambda: path.open("rb"))).get().body == b"new" * 50_000
