from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machinery.conftest import Serve
from tests.machinery.handlers import Plain
from tests.machinery.peers import connect, read_to_end
from tests.support import UNIT
from tlshttp import Limits
from tlshttp._machinery.plain_http import MAX_REQUEST_SIZE, answer, is_complete, may_be_request

URL = "https://localhost:8443"
CURL = shutil.which("curl")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"G", True),
        (b"GET", True),
        (b"GET ", True),
        (b"GET / HTTP/1.1", True),
        (b"GET / HTTP/1.1\r\n", True),
        (b"GET / HTTP/1.0\nHost", True),
        (b"get / HTTP/1.1\r\n", False),
        (b"GET / HTTP/2\r\n", False),
        (b"GET /\r\n", False),
        (b"GET  / HTTP/1.1\r\n", False),
        (b"GET /\x00 HTTP/1.1\r\n", False),
        (b"SSH-2.0-OpenSSH\r\n", False),
        (b"EHLO client.example\r\n", False),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", False),
        (b"\xc3\x84 / HTTP/1.1\r\n", False),
    ],
)
def test_what_may_become_a_request(data: bytes, expected: bool) -> None:
    """Other protocols that begin with letters are told from HTTP by what can never become it."""
    assert may_be_request(data) is expected


def test_when_a_request_is_complete() -> None:
    """It is at its empty line, with either line end, or when more will not be read."""
    assert is_complete(b"GET / HTTP/1.1\r\n\r\n")
    assert is_complete(b"GET / HTTP/1.1\n\n")
    assert not is_complete(b"GET / HTTP/1.1\r\nHost: a\r\n")
    assert is_complete(b"x" * MAX_REQUEST_SIZE)


@pytest.mark.parametrize(
    ("target", "host", "location"),
    [
        ("/", None, "https://localhost:8443/"),
        ("/a?b=c", "example.org", "https://example.org:80/a?b=c"),
        ("/", "example.org:443", "https://example.org/"),
        ("/", "example.org:8443", "https://example.org:8443/"),
        ("/", "[::1]:8443", "https://[::1]:8443/"),
        ("/", "127.0.0.1:1", "https://127.0.0.1:1/"),
        ("http://other.example/x", "example.org:1", "https://example.org:1/x"),
        ("http://other.example?x", "example.org:1", "https://example.org:1/?x"),
        ("*", "example.org:1", "https://example.org:1/"),
        ("other.example:443", "example.org:1", "https://example.org:1/"),
        ("/", "user@example.org", "https://localhost:8443/"),
        ("/", "exa mple.org", "https://localhost:8443/"),
        ("/", "example.org/path", "https://localhost:8443/"),
        ("/", "x" * 256, "https://localhost:8443/"),
        ("//evil.example/", "example.org:1", "https://example.org:1//evil.example/"),
    ],
)
def test_where_the_same_is_to_be_had(target: str, host: str | None, location: str) -> None:
    """The https URL has the host, port and target of the request where these are well-formed."""
    head = f"GET {target} HTTP/1.1\r\n" + (f"Host: {host}\r\n" if host else "") + "\r\n"
    response = answer(head.encode(), url=URL, redirect=True).decode()
    assert response.startswith("HTTP/1.1 308 Permanent Redirect\r\n")
    assert f"\r\nLocation: {location}\r\n" in response
    assert response.endswith(f"HTTPS only. Use {location}\n")


@pytest.mark.parametrize(
    ("method", "redirect", "status"),
    [
        ("GET", False, 400), ("HEAD", False, 400), ("POST", False, 400),
        ("GET", True, 308), ("HEAD", True, 308), ("POST", True, 400), ("OPTIONS", True, 400),
    ],
)  # fmt: skip
def test_only_safe_requests_are_redirected(method: str, redirect: bool, status: int) -> None:
    """What may have an effect is not to be repeated elsewhere after it came in the clear."""
    data = f"{method} / HTTP/1.1\r\nHost: a:1\r\n\r\n".encode()
    head, _, body = answer(data, url=URL, redirect=redirect).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert (b"\r\nLocation: " in head) == (status == 308)
    assert b"\r\nConnection: close" in head
    assert (body == b"") == (method == "HEAD")
    if body:
        assert b"\r\nContent-Length: %d\r\n" % len(body) in head + b"\r\n"


@given(st.binary(max_size=300))
def test_no_bytes_get_anything_but_one_response(data: bytes) -> None:
    """Whatever is asked, the answer is one well-formed response with no more lines than it has."""
    may_be_request(data)
    is_complete(data)
    head, _, _ = answer(data, url=URL, redirect=True).partition(b"\r\n\r\n")
    assert len(head.split(b"\r\n")) <= 6


@given(st.text("GET /:?#@[]\r\n\t\x00ahostHTTP1.", max_size=60))
def test_a_host_never_adds_lines(host: str) -> None:
    """Nothing in a Host field gets out of the Location field."""
    data = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    head, _, _ = answer(data, url=URL, redirect=True).partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
    assert names == [b"Content-Type", b"Content-Length", b"Connection", b"Location"]


@pytest.mark.skipif(CURL is None, reason="needs curl")
def test_curl_follows_the_redirect(serve: Serve) -> None:
    """A real client that came without TLS arrives at the page over TLS."""
    with serve(Plain, redirect_plain_http=True) as server:
        url = f"http://localhost:{server.server_port}/page"
        command = [CURL or "curl", "-sSLk", "--noproxy", "*", url]
        result = subprocess.run(command, capture_output=True, check=True, timeout=50 * UNIT)
    assert result.stdout == b"/page"


def test_the_whole_answer_arrives(serve: Serve) -> None:
    """A client that sends more than is read gets the answer and an orderly end."""
    patient = Limits(linger_timeout=60 * UNIT)
    with serve(Plain, patient) as server, connect(server.server_address) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost:1\r\n\r\n" + bytes(1_000_000))
        assert read_to_end(sock).endswith(b"Use https://localhost:1/\n")
