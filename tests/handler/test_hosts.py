"""Requests for other hosts, and for other hosts than the TLS handshake was for."""

from __future__ import annotations

import pytest

from tests.handler.http_support import Recorder, converse, statuses
from tlshttp.handler._hosts import is_allowed, named_host, without_port


class OneNameEach(Recorder):
    """Insists on the name of the handshake. It is a plain handler: the attribute is enough."""

    refuse_misdirected = True


class Both(OneNameEach):
    allowed_hosts = ("a.example",)


@pytest.mark.parametrize(
    ("handler", "server_name", "target", "host", "status"),
    [
        (OneNameEach, "a.example", "/", "a.example", 200),
        (OneNameEach, "a.example", "/", "A.Example:8443", 200),
        (OneNameEach, "a.example", "/", "a.example.", 200),
        (OneNameEach, "a.example", "https://a.example/", "b.example", 200),
        (OneNameEach, "a.example", "https://b.example/", "a.example", 421),
        (OneNameEach, "a.example", "/", "b.example", 421),
        (OneNameEach, "a.example", "/", "www.a.example", 421),
        (OneNameEach, "a.example", "/", "127.0.0.1", 421),
        (OneNameEach, "a.example", "/", "", 421),
        (OneNameEach, None, "/", "b.example", 200),
        (Both, None, "/", "b.example", 421),
        (Both, "b.example", "/", "b.example", 421),
        (Both, "a.example", "/", "a.example", 200),
        (Recorder, "a.example", "/", "b.example", 200),
    ],
)
def test_misdirected_request_gets_421(
    handler: type[Recorder],
    server_name: str | None,
    target: str,
    host: str,
    status: int,
    ready_fd: int,
) -> None:
    """Where the handler asks for it, Host and SNI have to agree; without SNI they do."""
    data = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    outcome = converse(handler, [data], ready_fd, server_name=server_name)
    assert statuses(outcome.sent) == (status,)
    assert len(outcome.handled) == (status == 200)
    assert outcome.kept == (status == 200)


@pytest.mark.parametrize(
    ("target", "host", "named"),
    [
        ("/", "a", "a"),
        ("/", None, None),
        ("http://a/x", "b", "a"),
        ("HTTPS://u:p@a:1/x@y", "b", "a:1"),
        ("http://a?@b/", "b", "a"),
        ("http://a#@b/", "b", "a"),
        ("ftp://a/", "b", "b"),
        ("a:443", "b", "b"),
    ],
)
def test_target_names_the_host_before_the_field(
    target: str, host: str | None, named: str | None
) -> None:
    """An absolute target counts (RFC 9112, section 3.2.2), up to its path, query or fragment."""
    assert named_host(target, host) == named


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("a.example", True),
        ("A.EXAMPLE.:443", True),
        ("b.a.example", False),
        ("own.example", True),
        ("x.own.example", True),
        ("x.y.own.example:1", True),
        ("notown.example", False),
        ("own.example.evil", False),
        ("[::1]:8443", True),
        ("[::2]", False),
        ("127.0.0.1:80", True),
        ("", False),
    ],
)
def test_allowed_hosts(host: str, allowed: bool) -> None:
    """Names are whole names; a dot before one stands for everything below it."""
    names = ("A.example", ".own.example", "::1", "127.0.0.1")
    assert is_allowed(without_port(host), names) == allowed
