"""clients D4: who offers HTTP/1.0 by ALPN, and nothing else, is served."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.machinery.conftest import Serve
from tests.machinery.peers import client_context, handshake
from tests.support import UNIT
from tlshttp import certs, context
from tlshttp.errors import NoSharedProtocol

CURL, OPENSSL = shutil.which("curl"), shutil.which("openssl")


class Old(BaseHTTPRequestHandler):
    """Speaks HTTP/1.0, as handlers do that say nothing else."""

    def do_GET(self) -> None:
        body = self.tls.alpn_protocol or "none"  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"over {body}".encode())


class New(Old):
    protocol_version = "HTTP/1.1"


@pytest.fixture(params=["certfile", "context"])
def options(
    request: pytest.FixtureRequest, certificate: certs.Certificate, tmp_path: Path
) -> dict[str, Any]:
    """Return either way to a server whose protocols are the default ones."""
    if request.param == "context":
        return {"ssl_context": context.create_server_context(certificate)}
    certificate.write(tmp_path / "cert.pem", tmp_path / "key.pem")
    files = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    return {"ssl_context": None, "certfile": files[0], "keyfile": files[1]}


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        (["http/1.0"], "http/1.0"),
        (["http/1.0", "http/1.1"], "http/1.1"),
        (["h2", "http/1.0"], "http/1.0"),
        (["h2", "http/1.1", "http/1.0"], "http/1.1"),
        ([], None),
        (["h2"], NoSharedProtocol),
        (["http/0.9"], NoSharedProtocol),
        (["HTTP/1.0"], NoSharedProtocol),
    ],
)
@pytest.mark.parametrize("handler", [Old, New])
def test_clients_d04_what_is_agreed_on(
    serve: Serve, options: dict[str, Any], tls_version: ssl.TLSVersion,
    handler: type[Old], offered: list[str], agreed: Any,
) -> None:  # fmt: skip
    """HTTP/1.1 comes first, HTTP/1.0 where there is no other, and anything else is refused."""
    client = client_context(tls_version)
    if offered:
        client.set_alpn_protocols(offered)
    with serve(handler, **options) as server:
        if agreed is NoSharedProtocol:
            with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
                handshake(server.server_address, client)
            return
        with handshake(server.server_address, client) as tls:
            assert tls.selected_alpn_protocol() == agreed
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: tls.recv(999), b""))
        assert answer.endswith(f"over {agreed or 'none'}".lower().encode())
        assert server.events == []


@pytest.mark.skipif(CURL is None, reason="the client is curl")
@pytest.mark.parametrize("option", ["--http1.0", "-0", "--http1.1", "--no-alpn"])
def test_clients_d04_curl(serve: Serve, options: dict[str, Any], option: str) -> None:
    """Any of curl's ways to ask for a version is served."""
    with serve(New, **options) as server:
        ran = subprocess.run(
            [CURL or "curl", "-sSk", option, f"https://127.0.0.1:{server.server_port}/"],
            capture_output=True, check=False, timeout=50 * UNIT,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, b"")
        assert ran.stdout.startswith(b"over ")


@pytest.mark.skipif(OPENSSL is None, reason="the client is that of OpenSSL's command line")
def test_clients_d04_s_client(serve: Serve, options: dict[str, Any]) -> None:
    """The report's own way."""
    with serve(Old, **options) as server:
        address = "-connect", f"127.0.0.1:{server.server_port}"
        ran = subprocess.run(
            [OPENSSL or "openssl", "s_client", "-ign_eof", "-alpn", "http/1.0", *address],
            input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True, check=False, timeout=50 * UNIT,
        )  # fmt: skip
        assert b"ALPN protocol: http/1.0" in ran.stdout
        assert b"over http/1.0" in ran.stdout
