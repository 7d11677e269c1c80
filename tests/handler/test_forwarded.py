"""A forwarded request is its client's, as far as trusted proxies say so."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machinery.conftest import Recording, RecordingThreading, serving
from tests.machinery.peers import handshake, read_response, read_to_end
from tests.support import UNIT
from tlshttp import AccessLogMixIn, AccessRecord, ForwardedMixIn, certs, context
from tlshttp.errors import ConfigurationError, RequestRefused
from tlshttp.handler._forwarded import _elements


class Tells(ForwardedMixIn, BaseHTTPRequestHandler):
    """Answers with whom it believes to talk to."""

    forwarded_from: Collection[str] = ("127.0.0.1", "10.0.0.0/8")

    def do_GET(self) -> None:
        """Answer."""
        said = self.forwarded
        body = json.dumps(
            [*self.client_address, said and said.proxy[0], said and said.scheme, said and said.host]
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class TellsAll(Tells):
    """Believes three fields."""

    forwarded_fields = ("X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Host")


class TellsStandard(Tells):
    """Believes RFC 7239's field."""

    forwarded_fields = ("Forwarded",)


class Distrusts(Tells):
    """Believes others than those who ask here."""

    forwarded_from = ("192.0.2.0/24",)


@pytest.fixture(scope="module")
def ssl_context() -> ssl.SSLContext:
    """Return a server's context."""
    return context.create_server_context(certs.self_signed("localhost"))


def answers(
    handler: type[Tells], ssl_context: ssl.SSLContext, *heads: list[str]
) -> tuple[list[bytes], Recording]:
    """Ask on one connection with each of the fields; return the answers, and the server."""
    server = RecordingThreading(("127.0.0.1", 0), handler, ssl_context=ssl_context)
    client = ssl._create_unverified_context()
    found = []
    with serving(server), handshake(server.server_address, client) as sock:
        for fields in heads:
            sock.sendall("\r\n".join(["GET / HTTP/1.1", "Host: h", *fields, "", ""]).encode())
            found.append(read_response(sock))
    return found, server


def told(response: bytes) -> list[Any]:
    """Return what the handler has told."""
    found: list[Any] = json.loads(response.partition(b"\r\n\r\n")[2])
    return found


@pytest.mark.parametrize(
    ("handler", "fields", "expected"),
    [
        (Tells, ["X-Forwarded-For: 192.0.2.7"], ["192.0.2.7", 0]),
        (Tells, ["X-Forwarded-For: 192.0.2.7:5000"], ["192.0.2.7", 5000]),
        (Tells, ["X-Forwarded-For: 2001:DB8::7"], ["2001:db8::7", 0]),
        (Tells, ["X-Forwarded-For: [2001:db8::7]:5000"], ["2001:db8::7", 5000]),
        (Tells, ["X-Forwarded-For: ::ffff:192.0.2.7"], ["192.0.2.7", 0]),
        (Tells, ["X-Forwarded-For: 6.6.6.6, 192.0.2.7"], ["192.0.2.7", 0]),
        (Tells, ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.7"], ["192.0.2.7", 0]),
        (Tells, ["X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.1.1.1, 10.2.2.2"], ["192.0.2.7", 0]),
        (Tells, ["X-Forwarded-For: nonsense, 192.0.2.7, 10.1.1.1"], ["192.0.2.7", 0]),
        (Tells, ["X-Forwarded-For: 10.1.1.1, 10.2.2.2"], ["10.1.1.1", 0]),
        (Tells, ["X-Forwarded-For: unknown"], ["unknown", 0]),
        (TellsStandard, ["Forwarded: for=192.0.2.7"], ["192.0.2.7", 0]),
        (TellsStandard, ['Forwarded: For="[2001:db8::7]:4711"'], ["2001:db8::7", 4711]),
        (TellsStandard, ["Forwarded: for=6.6.6.6;proto=x, for=192.0.2.7"], ["192.0.2.7", 0]),
        (TellsStandard, ["Forwarded: for=_hidden, for=10.0.0.9"], ["_hidden", 0]),
        (TellsStandard, ['Forwarded: by="a,b;c" ; for="192.0.2.7:80" , for=10.1.1.1'],
         ["192.0.2.7", 80]),
        (TellsStandard, ["Forwarded: for=192.0.2.7", "Forwarded: by=10.1.1.1"], ["unknown", 0]),
    ],
)  # fmt: skip
def test_the_client_is_the_last_that_is_not_trusted(
    handler: type[Tells], fields: list[str], expected: list[Any], ssl_context: ssl.SSLContext
) -> None:
    """Ports, IPv6, chains of proxies, what clients have made up before, and hidden ones."""
    [response], server = answers(handler, ssl_context, fields)
    assert told(response)[:3] == [*expected, "127.0.0.1"]
    assert not server.events


def test_scheme_and_host_count_where_they_are_named(ssl_context: ssl.SSLContext) -> None:
    """A field that is not named is any client's word."""
    fields = [
        "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example:8443"
    ]  # fmt: skip
    [response], _ = answers(TellsAll, ssl_context, fields)
    assert told(response)[3:] == ["https", "a.example:8443"]
    [response], _ = answers(Tells, ssl_context, [*fields, "Forwarded: for=6.6.6.6"])
    assert told(response) == ["192.0.2.7", 0, "127.0.0.1", None, None]
    standard = ['Forwarded: for=192.0.2.7;proto=http;host="a.example:80"', *fields]
    [response], _ = answers(TellsStandard, ssl_context, standard)
    assert told(response)[3:] == ["http", "a.example:80"]


@pytest.mark.parametrize("scheme", ["HTTPS", "Https", "https"])
def test_a_scheme_is_the_same_in_any_case(ssl_context: ssl.SSLContext, scheme: str) -> None:
    """Programs compare it with "https"."""
    fields = ["X-Forwarded-For: 192.0.2.7", f"X-Forwarded-Proto: {scheme}"]
    [response], _ = answers(TellsAll, ssl_context, fields)
    assert told(response)[3] == "https"
    standard = f"Forwarded: for=192.0.2.7;proto={scheme}"
    [response], _ = answers(TellsStandard, ssl_context, [standard])
    assert told(response)[3] == "https"


def test_each_request_is_its_own_clients(ssl_context: ssl.SSLContext) -> None:
    """On a connection that a proxy keeps, what was said of one request is not said of the next."""
    (one, two, three), _ = answers(
        Tells, ssl_context, ["X-Forwarded-For: 192.0.2.7"], [], ["X-Forwarded-For: 192.0.2.8"]
    )
    assert told(one)[0] == "192.0.2.7"
    assert told(two)[0] == "127.0.0.1"
    assert told(two)[2] is None
    assert told(three)[0] == "192.0.2.8"


def test_nobody_else_is_believed(ssl_context: ssl.SSLContext) -> None:
    """From an address that is not trusted the field is nothing."""
    [response], _ = answers(Distrusts, ssl_context, ["X-Forwarded-For: 192.0.2.7"])
    assert told(response)[0] == "127.0.0.1"
    assert told(response)[2] is None


BAD = [
    (Tells, "X-Forwarded-For: localhost"),
    (Tells, "X-Forwarded-For: 192.0.2.7:99999"),
    (Tells, "X-Forwarded-For: 192.0.2.07"),
    (Tells, "X-Forwarded-For: 192.0.2.7, fe80::1%eth0"),
    (Tells, "X-Forwarded-For: 192.0.2.7; 10.0.0.1"),
    (Tells, 'X-Forwarded-For: "192.0.2.7"'),
    (TellsStandard, "Forwarded: for"),
    (TellsStandard, "Forwarded: for=192.0.2.7 for=10.0.0.1"),
    (TellsStandard, 'Forwarded: for="192.0.2.7'),
    (TellsStandard, "Forwarded: for=192.0.2.7;for=10.0.0.1"),
    (TellsStandard, "Forwarded: for=2001:db8::7"),
    (TellsStandard, 'Forwarded: for=192.0.2.7;proto="ht tp"'),
    (TellsStandard, 'Forwarded: for=192.0.2.7;host="a b"'),
    (TellsStandard, 'Forwarded: for=192.0.2.7;host="a:65536"'),
    (TellsStandard, 'Forwarded: for=192.0.2.7;host="[2001:db8::7]:99999"'),
    (TellsStandard, 'Forwarded: for="192.0.2.7:65536"'),
]


@pytest.mark.parametrize(("handler", "field"), BAD)
def test_what_is_malformed_refuses_the_request(
    handler: type[Tells], field: str, ssl_context: ssl.SSLContext
) -> None:
    """A trusted proxy that sends nonsense gets 400, and the request is one event."""
    [response], server = answers(handler, ssl_context, [field])
    assert response.startswith(b"HTTP/1.1 400 ")
    assert [type(error) for error, _ in server.events] == [RequestRefused]


def test_what_would_never_count_is_refused() -> None:
    """Fields that we do not know and networks that are none are errors of the class."""
    with pytest.raises(ConfigurationError, match="X-Real-IP"):
        type("Bad", (Tells,), {"forwarded_fields": ("X-Real-IP",)})
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.1/8"):
        type("Bad", (Tells,), {"forwarded_from": ("10.0.0.1/8",)})
    with pytest.raises(ConfigurationError, match=r"^forwarded_from: "):
        type("Bad", (Tells,), {"forwarded_from": ("proxy.test",)})


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("X-Forwarded-Proto",),
        ("X-Forwarded-Host", "x-forwarded-proto"),
        ("Forwarded", "X-Forwarded-For"),
        ("forwarded", "X-Forwarded-Host"),
    ],
)
def test_fields_that_do_not_count_together_are_refused(fields: tuple[str, ...]) -> None:
    """Without an address nothing would count; beside Forwarded no other would."""
    with pytest.raises(ConfigurationError, match="forwarded_fields: with"):
        type("Bad", (Tells,), {"forwarded_fields": fields})


@pytest.mark.parametrize("name", ["forwarded_from", "forwarded_fields"])
def test_one_text_for_several_is_refused(name: str) -> None:
    """It is not taken for its letters, and the setting is called what it is."""
    with pytest.raises(TypeError, match=f"^{name} must be several"):
        type("Bad", (Tells,), {name: "127.0.0.1"})


@given(st.text(alphabet='for=;,"\\ _[]:.19abct', max_size=60))
def test_no_text_does_anything_else(text: str) -> None:
    """Whatever is in the field is read, or a ValueError."""
    try:
        found = _elements([text])
    except ValueError:
        return
    assert all(isinstance(value, str) for element in found for value in element.values())


def test_the_access_log_has_the_client(ssl_context: ssl.SSLContext) -> None:
    """The line of a request names the client, not the proxy."""
    records: list[AccessRecord] = []

    class Logged(AccessLogMixIn, Tells):
        def log_access(self, record: AccessRecord) -> None:
            records.append(record)

    import logging

    logger = logging.getLogger("tlshttp.access")
    before = logger.level
    logger.setLevel(logging.INFO)
    try:
        answers(Logged, ssl_context, ["X-Forwarded-For: 192.0.2.7"])
    finally:
        logger.setLevel(before)
    assert [record.client for record in records] == ["192.0.2.7"]


def test_it_works_on_a_plain_server() -> None:
    """On http.server the same holds, and what is malformed is a 400."""
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tells)) as plain:
        for value, expected in (("192.0.2.7", b'"192.0.2.7"'), ("x y", b" 400 ")):
            with socket.create_connection(plain.server_address[:2]) as sock:  # type: ignore[arg-type]
                sock.sendall(f"GET / HTTP/1.0\r\nX-Forwarded-For: {value}\r\n\r\n".encode())
                assert expected in read_to_end(sock)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is missing")
def test_behind_nginx(tmp_path: Path, ssl_context: ssl.SSLContext) -> None:
    """Behind nginx in HTTP mode each client is known, and its own word is not believed."""
    server = RecordingThreading(("127.0.0.1", 0), TellsAll, ssl_context=ssl_context)
    listener = socket.create_server(("127.0.0.1", 0))  # nginx takes it over: NGINX is its own way
    port = listener.getsockname()[1]
    temporary = "\n".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(f"""
daemon off;
pid {tmp_path}/pid;
error_log {tmp_path}/error.log;
events {{}}
http {{
    access_log off;
    {temporary}
    upstream web {{ server 127.0.0.1:{server.server_port}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass https://web;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
        }}
    }}
}}
""")
    command = ["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    with (
        listener,
        serving(server),
        subprocess.Popen(
            command,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
        ) as nginx,
    ):
        try:
            for source in ("127.0.0.7", "127.0.0.8"):
                assert _asked(port, source) == [source, 0, "127.0.0.1", "http", "a.example"]
        finally:
            nginx.terminate()
            nginx.wait()
    assert not server.events


def _asked(port: int, source: str) -> list[Any]:
    with socket.create_connection(("127.0.0.1", port), 30 * UNIT, (source, 0)) as sock:
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n"
            b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n"
        )
        return told(read_to_end(sock))
