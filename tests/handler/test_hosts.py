"""Requests for other hosts, and for other hosts than the TLS handshake was for."""

from __future__ import annotations

import pytest

from tests.handler.http_support import Recorder, converse, statuses
from tlshttp.errors import RequestRefused
from tlshttp.handler._hosts import agreed_host, is_allowed, without_port


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
        (OneNameEach, "a.example", "https://a.example/", "b.example", 400),
        (OneNameEach, "a.example", "https://b.example/", "a.example", 400),
        (OneNameEach, "a.example", "https://b.example/", "b.example", 421),
        (OneNameEach, "a.example", "https://a.example/", "a.example", 200),
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
    ("method", "target", "field", "agreed"),
    [
        ("GET", "/", "a", "a"),
        ("GET", "/", "", ""),
        ("GET", "/", None, None),
        ("GET", "/https://b/", "a", "a"),
        ("GET", "/x?y=https://b/", "a", "a"),
        ("OPTIONS", "*", "a", "a"),
        ("OPTIONS", "*", None, None),
        ("GET", "x", "a", "a"),
        ("GET", "b:443", "a", "a"),
        ("GET", "https:/b/", "a", "a"),
        ("GET", "https://a/x", "a", "a"),
        ("GET", "https://a/x", None, "a"),
        ("GET", "https://a:8443?x", None, "a:8443"),
        ("GET", "HTTPS://A.Example.#@b", "a.example", "a.example"),
        ("GET", "https://a:443", "a", "a"),
        ("GET", "https://a:0443", "a:", "a:"),
        ("GET", "https://a", "A.:443", "A.:443"),
        ("GET", "http://a:80/", "a", "a"),
        ("GET", "wss://a/", "a:443", "a:443"),
        ("GET", "https://[::1]:8443/", "[::1]:8443", "[::1]:8443"),
        ("GET", "https://[::A]/", "[::a]:443", "[::a]:443"),
        ("CONNECT", "a:22", "a", "a"),
        ("CONNECT", "a:22", "a:22", "a:22"),
        ("CONNECT", "a:22", None, "a:22"),
        ("CONNECT", "/", "a", "a"),
        ("GET", "https://a%2eb/", "a%2eb", "a%2eb"),
    ],
)
def test_target_and_field_that_agree(
    method: str, target: str, field: str | None, agreed: str | None
) -> None:
    """Peers 1: host and port are the same after case, default port and the dot of the root."""
    assert agreed_host(method, target, field) == agreed


@pytest.mark.parametrize(
    ("method", "target", "field"),
    [
        ("GET", "https://a/", "b"),
        ("GET", "HTTP://a/", "b"),
        ("GET", "ftp://a/", "b"),
        ("GET", "https://a/", ""),
        ("GET", "https://a?@b", "b"),
        ("GET", "https://a#@b", "b"),
        ("GET", "https://a/", "a.."),
        ("GET", "https://a/", "a:8443"),
        ("GET", "https://a:8443/", "a"),
        ("GET", "https://a:80/", "a"),
        ("GET", "https://a:0/", "a"),
        ("GET", "http://a:443/", "a"),
        ("GET", "https://a,b/", "b"),
        ("GET", "https://a%2eb/", "a.b"),
        ("GET", "https://[::1]/", "[::2]"),
        ("GET", "https://[::1]/", "::1"),
        ("GET", "https:///", "a"),
        ("GET", "https://:443/", "a"),
        ("GET", "https://./", None),
        ("GET", "https://", None),
        ("GET", "https:///", None),
        ("GET", "https://u@a/", "a"),
        ("GET", "https://u:p@a/", None),
        ("GET", "https://@a/", "a"),
        ("GET", "https://a\\@b/", "b"),
        ("GET", "https://a\\b/", None),
        ("GET", "https://a:b/", None),
        ("GET", "https://[::1/", None),
        ("GET", "https://[v1.a]/", None),
        ("CONNECT", "b:443", "a"),
        ("CONNECT", "a:22", "a:23"),
        ("CONNECT", "https://b/", "a"),
        ("CONNECT", "u@a:443", "a"),
        ("CONNECT", "*", "a"),
    ],
)
def test_target_and_field_that_differ(method: str, target: str, field: str | None) -> None:
    """Peers 1: two hosts, or one that no URL may have, are refused with 400."""
    with pytest.raises(RequestRefused) as refused:
        agreed_host(method, target, field)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("a.example", True),
        ("A.EXAMPLE.:443", True),
        ("a.example..", False),
        ("a%2eexample", False),
        ("a.example,own.example", False),
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
