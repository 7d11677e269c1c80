"""HAProxy and nginx in front: each as people configure it, from the system's packages."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.conftest import Recording, RecordingThreading, serving
from tests.machinery.peers import handshake, read_response, read_to_end, request
from tests.machinery.test_proxied import Tells
from tests.support import UNIT, free_port, wait_until
from tlshttp import AccessLogMixIn, Limits

_STREAM_MODULES = (
    "/usr/lib/nginx/modules/ngx_stream_module.so",
    "/usr/share/nginx/modules/ngx_stream_module.so",
)

needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is missing")
needs_nginx_stream = pytest.mark.skipif(
    shutil.which("nginx") is None or not any(Path(path).exists() for path in _STREAM_MODULES),
    reason="nginx with its stream module (libnginx-mod-stream) is missing",
)


@pytest.fixture
def server(server_context: ssl.SSLContext) -> Recording:
    """Return a server that trusts proxies on this machine, and is to be started."""
    return RecordingThreading(
        ("127.0.0.1", 0), Tells, ssl_context=server_context, trusted_proxies=["127.0.0.1"]
    )


@contextlib.contextmanager
def program(*command: str, port: int) -> Iterator[None]:
    """Run a proxy as long as the block runs; it must have begun to listen."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            assert wait_until(lambda: _listens(port), timeout=50 * UNIT), process.stdout
            yield
        finally:
            process.terminate()
            process.communicate(timeout=50 * UNIT)


def _listens(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


@contextlib.contextmanager
def haproxy(folder: Path, server: Recording, send: str, checks: str = "") -> Iterator[int]:
    """Run HAProxy in front of a server, TLS passed through."""
    port = free_port()
    (folder / "haproxy.cfg").write_text(f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:{port}
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req_ssl_hello_type 1 }}
    default_backend web
backend web
    server one 127.0.0.1:{server.server_port} {send} {checks}
""")
    with program("haproxy", "-db", "-f", str(folder / "haproxy.cfg"), port=port):
        yield port


@contextlib.contextmanager
def nginx(folder: Path, server: Recording) -> Iterator[int]:
    """Run nginx, which speaks version 1, with TLS passed through by its stream module."""
    module = next(path for path in _STREAM_MODULES if Path(path).exists())
    port = free_port()
    (folder / "nginx.conf").write_text(f"""
load_module {module};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{server.server_port};
        proxy_protocol on;
    }}
}}
""")
    words = ("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))
    with program(*words, port=port):
        yield port


def asked_from(
    port: int, client: ssl.SSLContext, source: str
) -> tuple[tuple[str, int], dict[str, Any]]:
    """Ask through a proxy from an address of this machine; return that, and what is known of it."""
    sock = socket.create_connection(("127.0.0.1", port), 50 * UNIT, (source, 0))
    with sock, client.wrap_socket(sock, server_hostname="localhost") as tls:
        mine = tls.getsockname()
        tls.sendall(request(close=True))
        return mine, json.loads(read_to_end(tls).partition(b"\r\n\r\n")[2])


@needs_haproxy
@pytest.mark.parametrize(
    "send", ["send-proxy", "send-proxy-v2 proxy-v2-options authority,unique-id,crc32c"]
)
def test_haproxy_names_its_clients(
    tmp_path: Path,
    server_class: type[Recording],
    server_context: ssl.SSLContext,
    any_client: ssl.SSLContext,
    send: str,
) -> None:
    """Handlers know each client of HAProxy by its own address."""
    server = server_class(
        ("127.0.0.1", 0), Tells, ssl_context=server_context, trusted_proxies=["127.0.0.1"]
    )
    with serving(server), haproxy(tmp_path, server, send) as port:
        for source in ("127.0.0.1", "127.0.0.77"):
            mine, known = asked_from(port, any_client, source)
            assert tuple(known["client"]) == mine
            assert known["destination"] == ["127.0.0.1", port]
            assert known["local"] is False
    assert not [error for error, _ in server.events if error.reason == "proxy-header"]


@needs_haproxy
def test_haproxys_health_checks_are_no_events(
    tmp_path: Path, server: Recording, any_client: ssl.SSLContext
) -> None:
    """A check of version 2 is LOCAL: accepted, counted, and nothing to report."""
    checks = "check check-send-proxy inter 100 fall 1000"  # whatever a busy machine delays
    with serving(server), haproxy(tmp_path, server, "send-proxy-v2", checks) as port:
        before = server.stats().accepted
        assert wait_until(lambda: server.stats().accepted > before + 3, timeout=50 * UNIT)
        mine, known = asked_from(port, any_client, "127.0.0.1")
        assert tuple(known["client"]) == mine
    assert not [error for error, _ in server.events if error.reason != "disconnected"]
    assert len([one for one in server.events if one[0].reason == "disconnected"]) <= 1


@needs_haproxy
def test_haproxy_without_its_header_is_told_from_a_client(
    tmp_path: Path, server: Recording, any_client: ssl.SSLContext
) -> None:
    """Where send-proxy is forgotten, every connection is one event that says so."""
    with serving(server), haproxy(tmp_path, server, "") as port:
        with pytest.raises(OSError, match=r"EOF|closed|reset|Connection"):
            handshake(("127.0.0.1", port), any_client)
        assert wait_until(lambda: bool(server.events))
    assert [e.reason for e, _ in server.events if e.reason != "disconnected"] == ["proxy-header"]


@needs_nginx_stream
def test_nginx_names_its_clients(
    tmp_path: Path, server: Recording, any_client: ssl.SSLContext
) -> None:
    """Handlers know each client of nginx by its own address."""
    with serving(server), nginx(tmp_path, server) as port:
        mine, known = asked_from(port, any_client, "127.0.0.77")
        assert tuple(known["client"]) == mine


@needs_haproxy
def test_many_clients_at_once_are_not_mixed_up(
    tmp_path: Path, server: Recording, any_client: ssl.SSLContext
) -> None:
    """Forty clients from forty addresses at a time: each is told its own."""
    wrong: list[object] = []

    def client(source: str, port: int) -> None:
        mine, known = asked_from(port, any_client, source)
        if tuple(known["client"]) != mine:
            wrong.append((mine, known))

    with serving(server), haproxy(tmp_path, server, "send-proxy-v2") as port:
        threads = [
            threading.Thread(target=client, args=(f"127.0.1.{number}", port))
            for number in range(1, 41)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wait_until(lambda: server.stats().requests == 40)
    assert not wrong


class Logged(AccessLogMixIn, Tells):
    """The same with an access log."""


Front = Callable[[Path, Recording], AbstractContextManager[int]]


@pytest.mark.parametrize(
    "front",
    [
        pytest.param(partial(haproxy, send="send-proxy-v2"), marks=needs_haproxy, id="haproxy"),
        pytest.param(nginx, marks=needs_nginx_stream, id="nginx"),
    ],
)
def test_log_and_limits_know_the_clients_of_a_proxy(
    front: Front,
    tmp_path: Path,
    server_context: ssl.SSLContext,
    any_client: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A line has the client's address, and the client that holds most gives way, not the proxy."""
    greedy, modest, others = "127.0.0.200", "127.0.0.100", ("127.0.0.50", "127.0.0.51")
    server = RecordingThreading(
        ("127.0.0.1", 0), Logged, ssl_context=server_context,
        trusted_proxies=["127.0.0.1"], limits=Limits(max_connections=12),
    )  # fmt: skip
    with (
        caplog.at_level(logging.INFO, "tlshttp.access"),
        serving(server),
        front(tmp_path, server) as port,
        contextlib.ExitStack() as held,
    ):

        def hold(source: str) -> ssl.SSLSocket:
            plain = socket.create_connection(("127.0.0.1", port), 50 * UNIT, (source, 0))
            tls = held.enter_context(any_client.wrap_socket(plain, server_hostname="localhost"))
            tls.sendall(request())
            read_response(tls)
            return tls

        kept = [hold(modest) for _ in range(2)]
        for _ in range(10):
            hold(greedy)
        for source in others:
            hold(source)
        assert wait_until(lambda: server.stats().evicted == 2)
        for tls in kept:
            tls.sendall(request())
            assert read_response(tls).startswith(b"HTTP/1.1 200 ")
        assert wait_until(lambda: len(caplog.records) == 16)
    clients = Counter(record.getMessage().split()[0] for record in caplog.records)
    assert clients == {modest: 4, greedy: 10, others[0]: 1, others[1]: 1}
