"""A coverage-guided fuzzer for what reads requests: heads, fields, and bodies in chunks.

``nox -s fuzz`` runs it for five minutes; ``nox -s fuzz -- -max_total_time=60`` for one. Arguments
are libFuzzer's; ``--seeds FOLDER`` writes the rows of the tests' table there to begin with.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tlshttp.handler", "tlshttp._machinery"]):
    from tlshttp._machinery.stream import Stream
    from tlshttp.handler._base import TLSRequestHandler
    from tlshttp.handler._head import (
        CHUNKED,
        asks_for_other_version,
        parse_fields,
        parse_head,
        parse_request_line,
        parse_simple_request,
    )

from tests.handler.http_support import MemoryEngine, converse, streamed
from tests.handler.rows import ROWS
from tests.support import NoOwner
from tlshttp.errors import ConnectionCut, RequestRefused
from tlshttp.limits import Limits

LIMITS = Limits(max_body_bytes=1000, max_header_bytes=4000, max_header_count=20)

near, far = socket.socketpair()
far.send(b"x")


class Reader(TLSRequestHandler):
    """Reads bodies, and answers."""

    def answer(self) -> None:
        """Answer with the body."""
        body = self.rfile.read()
        self.server.handled.append(f"{self.command} {self.path} {body!r}")  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def fuzz_head(data: bytes) -> None:
    """Parse it as a request line, as fields and as a head: parsed or refused, nothing else."""
    line = data.decode("latin-1")
    for parse in (parse_request_line, parse_simple_request, asks_for_other_version):
        parse(line)
    with contextlib.suppress(RequestRefused):
        fields, values = parse_fields(data)
        assert len(fields) == data.count(b"\n")
        assert values.keys() == {name.lower() for name, _ in fields}
        for name, value in fields:
            assert name
            assert not set(name + value) & set("\r\n\0")
    for minor_version in (0, 1):
        with contextlib.suppress(RequestRefused):
            head = parse_head(data, minor_version, needs_host=bool(minor_version))
            assert head.body_size >= CHUNKED
            if head.body_size == CHUNKED:
                assert minor_version
                lines = data.lower().split(b"\n")
                assert not any(line.startswith(b"content-length:") for line in lines)


def read_chunks(pieces: list[bytes], how: str, size: int) -> tuple[bytes, bool]:
    """Read a body in chunks; return it and whether it was whole."""
    stream = Stream(MemoryEngine(pieces, near.fileno()), LIMITS, NoOwner())
    exchange = streamed(stream, b"Transfer-Encoding: chunked\r\n", limits=LIMITS)
    body = b""
    try:
        while data := getattr(exchange.rfile, how)(size):
            body += data
            assert len(body) <= 1000
    except ConnectionCut:
        return body, False
    return body, True


def fuzz_chunks(data: bytes) -> None:
    """Decode it as a body in chunks, in several ways, which must agree."""
    whole = read_chunks([data], "read1", 10_000)
    size = 1 + data[0] % 7 if data else 1
    pieces = [data[place : place + size] for place in range(0, len(data), size)]
    for how in ("read1", "readline"):
        body, complete = read_chunks(pieces, how, size)
        assert complete == whole[1]
        assert not complete or body == whole[0]


class Streaming(Reader):
    """Reads bodies as they come."""

    stream_request = True


def fuzz_connection(data: bytes) -> None:
    """Serve it as a connection, whole and in pieces, with the same requests handled.

    So they are by a handler that reads bodies as they come, but for one whose body is refused.
    """
    whole = converse(Reader, [data], near.fileno(), limits=LIMITS)
    size = 1 + data[-1] % 16 if data else 1
    pieces = [data[place : place + size] for place in range(0, len(data), size)]
    parts = converse(Reader, pieces, near.fileno(), limits=LIMITS)
    assert parts.handled == whole.handled
    assert parts.kept == whole.kept
    streamed = converse(Streaming, pieces, near.fileno(), limits=LIMITS)
    assert streamed.handled == whole.handled


TARGETS = (*[fuzz_head] * 8, *[fuzz_chunks] * 7, fuzz_connection)  # the last takes longest


def fuzz(data: bytes) -> None:
    """Let the first byte choose what the others are for."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def write_seeds(folder: Path) -> None:
    """Write the rows of the table as inputs to begin with."""
    for number, row in enumerate(row for row in ROWS if len(row.data) < 2000):
        line, _, section = row.data.partition(b"\r\n")
        fields, _, body = section.partition(b"\r\n\r\n")
        seeds = (line, fields + b"\r\n", body, row.data)
        for kind, (target, data) in enumerate(zip(b"\x00\x00\x08\x0f", seeds, strict=True)):
            (folder / f"{number}-{kind}").write_bytes(bytes([target]) + data)


if __name__ == "__main__":
    arguments = sys.argv
    if "--seeds" in arguments:
        place = arguments.index("--seeds")
        write_seeds(Path(arguments[place + 1]))
        arguments = arguments[:place] + arguments[place + 1 :]
    atheris.Setup(arguments, fuzz)
    atheris.Fuzz()
