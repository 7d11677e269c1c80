"""Unmodified handlers do over TLS, on our servers, what they do on the standard library's."""

from __future__ import annotations

import http.client
import http.server
import re
import socket
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests import support
from tests.handler import corpus
from tests.handler.corpus import CORPUS, Entry, Request
from tests.handler.http_support import client_context, connect, read_to_end, serving
from tests.support import UNIT
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer

IGNORED = {"date", "connection", "transfer-encoding"}

Answer = tuple[int, str, list[tuple[str, str]], bytes]


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files that some handlers serve."""
    folder = tmp_path_factory.mktemp("site")
    corpus.write_site(folder)
    return folder


def serving_plain(entry: Entry) -> AbstractContextManager[Any]:
    """Serve with the standard library over TCP."""
    kind = type("Plain", (http.server.ThreadingHTTPServer,), entry.attributes())
    return support.serving(kind(("127.0.0.1", 0), entry.handler), 0.01)


def ask(connection: http.client.HTTPConnection, request: Request) -> Answer:
    """Send a request and return what matters of the answer."""
    headers = dict(request.headers)
    connection.putrequest(request.method, request.target, skip_accept_encoding=True)
    for name, value in request.headers:
        connection.putheader(name, value)
    if request.body is not None and "Transfer-Encoding" not in headers:
        connection.putheader("Content-Length", str(len(request.body)))
    connection.endheaders(request.body)
    with connection.getresponse() as response:
        fields = [
            (name, value) for name, value in response.getheaders() if name.lower() not in IGNORED
        ]
        return response.status, response.reason, fields, response.read()


def ask_plain(server: Any, request: Request) -> Answer:
    """Ask the standard library's server."""
    if request.raw:
        with socket.create_connection(server.server_address, timeout=30 * UNIT) as client:
            client.sendall(request.raw)
            pieces = []
            while piece := client.recv(65_536):
                pieces.append(piece)
        return of_bytes(b"".join(pieces))
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30 * UNIT)
    try:
        return ask(connection, request)
    finally:
        connection.close()


def ask_ours(server: Any, request: Request) -> Answer:
    """Ask our server."""
    if request.raw:
        with connect(server) as client:
            client.sendall(request.raw)
            return of_bytes(read_to_end(client))
    connection = connected(server)
    try:
        return ask(connection, request)
    finally:
        connection.close()


def connected(server: Any) -> http.client.HTTPSConnection:
    """Return a connection to our server."""
    return http.client.HTTPSConnection(
        "localhost", server.server_port, timeout=30 * UNIT, context=client_context()
    )


def of_bytes(data: bytes) -> Answer:
    """Return raw bytes as an answer; what is ignored in others is taken out."""
    data = re.sub(rb"HTTP/1\.[01] (?=\d{3} )", b"HTTP/1.x ", data)
    data = re.sub(rb"\r\n(Date|Connection|Transfer-Encoding): [^\r\n]*", b"", data)
    data = re.sub(rb"\r\n\r\nd\r\nHello, world!\r\n0\r\n\r\n$", b"\r\n\r\nHello, world!", data)
    return 0, "", [], data


same = [name for name, entry in CORPUS.items() if not entry.difference]
different = [name for name, entry in CORPUS.items() if entry.difference]


@pytest.mark.parametrize("server_class", [TLSHTTPServer, ThreadingTLSHTTPServer])
@pytest.mark.parametrize("name", same)
def test_same_as_the_standard_library(name: str, server_class: type[TLSHTTPServer]) -> None:
    """Status, application headers and bytes of the body are the same; on one connection, too."""
    entry = CORPUS[name]
    ours = type("Ours", (server_class,), entry.attributes())
    with serving_plain(entry) as plain:
        expected = [ask_plain(plain, request) for request in entry.requests]
    with serving(entry.handler, server_class=ours) as server:
        assert [ask_ours(server, request) for request in entry.requests] == expected
        connection = connected(server)
        try:
            for request, answer in zip(entry.requests, expected, strict=True):
                if not request.raw:
                    assert ask(connection, request) == answer
        finally:
            connection.close()


@pytest.mark.parametrize("name", different)
def test_different_for_the_better(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What the standard library does not manage is answered as a user hopes it would be."""
    entry = CORPUS[name]
    with serving(entry.handler) as server:
        (request,) = entry.requests
        status, _, _, body = ask_ours(server, request)
    assert status == entry.expected[0]
    if entry.expected[1]:
        assert body == entry.expected[1]
    assert ("Traceback" in capfd.readouterr().err) == entry.loud


def test_corpus_is_large_enough() -> None:
    """There are as many handlers as were asked for."""
    assert len(same) >= 25
