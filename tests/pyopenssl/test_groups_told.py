"""``self.tls.group``: what clients of all kinds agree on with a server of this engine."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.context.support import RecordingServer, running
from tests.pyopenssl.conftest import Create
from tests.support import UNIT
from tlshttp import certs
from tlshttp.certs import CertificateAuthority


class Tells(BaseHTTPRequestHandler):
    """Answers with the group, and takes note of it."""

    def do_GET(self) -> None:
        group = str(self.tls.group)  # type: ignore[attr-defined]
        self.server.served.append(group)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(group)))
        self.end_headers()
        self.wfile.write(group.encode())

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_of_the_standard_library(
    create: Create,
    authority: CertificateAuthority,
    certificate: certs.Certificate,
    version: ssl.TLSVersion,
) -> None:
    """`http.client` gets the hybrid group where its OpenSSL has it (3.5), else X25519."""
    trusting = ssl.create_default_context(cadata=authority.certificate.to_pem().decode())
    trusting.minimum_version = trusting.maximum_version = version
    hybrid = version is ssl.TLSVersion.TLSv1_3 and ssl.OPENSSL_VERSION_INFO >= (3, 5)
    with running(RecordingServer(create(certificate), Tells)) as server:
        connection = http.client.HTTPSConnection(
            "localhost", server.server_port, context=trusting, timeout=30 * UNIT
        )
        try:
            connection.request("GET", "/")
            told = connection.getresponse().read().decode()
        finally:
            connection.close()
    assert told == ("X25519MLKEM768" if hybrid else "X25519")


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.slow
@pytest.mark.timeout(180 * UNIT)
def test_chromium_takes_the_hybrid_group(
    create: Create, authority: CertificateAuthority, certificate: certs.Certificate, tmp_path: Path
) -> None:
    """A browser of today connects by X25519MLKEM768."""
    with running(RecordingServer(create(certificate), Tells)) as server:
        done = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
             f"--user-data-dir={tmp_path}", "--ignore-certificate-errors",
             f"https://localhost:{server.server_port}/"],
            capture_output=True, text=True, timeout=150 * UNIT, check=True,
        )  # fmt: skip
    assert "X25519MLKEM768" in done.stdout
