"""A body that its handler puts in chunks itself: where it has no end, its client does not wait."""

from __future__ import annotations

import http.client
import os
from typing import Any

import pytest

from tests.handler.http_support import client_context, serving
from tests.handler.side_by_side import OURS, Quiet
from tests.support import UNIT
from tlshttp.handler._own_chunks import OwnChunks

WHOLE = {
    "last chunk": [b"5\r\nhello\r\n0\r\n\r\n"],
    "in pieces": [b"5\r\n", b"hello", b"\r\n", b"0\r\n\r\n"],
    "byte by byte": [bytes([byte]) for byte in b"a;x=y\r\n0123456789\r\n000\r\nA: b\r\n\r\n"],
    "trailers": [b"1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n"],
    "nothing": [b"0\r\n\r\n"],
    "bare line feeds": [b"2\nab\r\n0\n\n"],
    "like its own framing": [b"7\r\n0\r\n\r\n0\r\r\n0\r\n\r\n"],
    "large": [b"10000\r\n", b"x" * 65_536, b"\r\n0\r\n\r\n"],
}

UNFINISHED = {
    "no last chunk": [b"5\r\nhello\r\n"],
    "no chunk": [],
    "in a chunk": [b"5\r\nhel"],
    "no line break behind it": [b"5\r\nhello"],
    "in a size": [b"5"],
    "no end of trailers": [b"0\r\n"],
    "a trailer without end": [b"0\r\nA: b\r\n"],
    "what looks like the end": [b"7\r\n0\r\n\r\n0\r\n"],
    "no size": [b"hello\r\n0\r\n\r\n"],
    "a negative size": [b"-1\r\n0\r\n\r\n"],
    "more after the end": [b"0\r\n\r\n0\r\n\r\n"],
    "an endless line": [b"1;" + b"x" * 70_000],
}

CASES = [(name, pieces, True) for name, pieces in WHOLE.items()] + [
    (name, pieces, False) for name, pieces in UNFINISHED.items()
]


@pytest.mark.parametrize(("name", "pieces", "whole"), CASES, ids=[case[0] for case in CASES])
def test_the_end_is_found(name: str, pieces: list[bytes], whole: bool) -> None:
    """Where the last chunk and the trailers are, and nothing else, the body has ended."""
    chunks = OwnChunks()
    for piece in pieces:
        chunks.follow(memoryview(piece))
    assert (chunks.ended and not chunks.malformed) == whole, name


@pytest.mark.parametrize(("size", "whole"), [(4, False), (5, True), (6, False), (8, False)])
def test_a_file_is_counted(size: int, whole: bool) -> None:
    """A chunk whose data is a file has the size that its line says."""
    chunks = OwnChunks()
    chunks.follow(memoryview(b"5\r\n"))
    assert chunks.follow_file(size) == (size <= 5 + 2)  # what does not fit is to be read
    chunks.follow(memoryview(b"\r\n0\r\n\r\n"))
    assert (chunks.ended and not chunks.malformed) == whole


@pytest.mark.parametrize("server_class", OURS)
@pytest.mark.parametrize(("name", "pieces", "whole"), CASES, ids=[case[0] for case in CASES])
def test_a_client_is_not_kept_waiting(
    server_class: Any, name: str, pieces: list[bytes], whole: bool
) -> None:
    """Without its end the connection is closed, so that the client knows; with it, it is kept."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in pieces:
                self.wfile.write(piece)

    with serving(Handler, server_class=server_class) as server:
        client = http.client.HTTPSConnection(
            "localhost", server.server_port, context=client_context(), timeout=30 * UNIT
        )
        client.connect()
        assert client.sock is not None
        client.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if whole:
            client.sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with client.sock.makefile("rb") as answers:
            data = answers.read()
        client.close()
    assert data.count(b"HTTP/1.1 200") == (2 if whole else 1)
    assert b"".join(pieces) in data


@pytest.mark.parametrize("server_class", OURS)
def test_a_chunk_that_is_a_file_is_followed(server_class: Any, tmp_path: Any) -> None:
    """``connection.sendfile()`` counts, too."""
    (tmp_path / "data").write_bytes(os.urandom(300_000))

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % 300_000)
            with (tmp_path / "data").open("rb") as file:
                self.connection.sendfile(file)
            self.wfile.write(b"\r\n0\r\n\r\n")

    with serving(Handler, server_class=server_class) as server:
        client = http.client.HTTPSConnection(
            "localhost", server.server_port, context=client_context(), timeout=30 * UNIT
        )
        for _ in range(2):
            client.request("GET", "/")
            assert client.getresponse().read() == (tmp_path / "data").read_bytes()
            assert client.sock is not None
        client.close()
