"""How many session tickets OpenSSL sends where pyOpenSSL cannot say so: as its settings have it."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import DOCS
from tests.support import UNIT
from tlshttp import certs, pyopenssl


def size_of_tickets() -> int:
    """Shake hands in memory; return how many bytes the server sends after the client's last."""
    context = pyopenssl.create_server_context(certs.self_signed("localhost"))
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing, server = context.begin()
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(received, sent, server_hostname="localhost")
    for side in (client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            incoming.write(sent.read())
    received.write(outgoing.read())
    client.do_handshake()
    incoming.write(sent.read())
    server.do_handshake()
    return len(outgoing.read())


def test_the_file_of_settings_on_the_page_halves_the_tickets(tmp_path: Path) -> None:
    """It is read when the program starts."""
    page = (DOCS / "explanation/engines.md").read_text(encoding="utf-8")
    found = re.search(r"```ini\n(.*?)```", page, re.DOTALL)
    assert found is not None
    settings = tmp_path / "openssl.cnf"
    settings.write_text(found[1], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        capture_output=True, text=True, check=True, timeout=60 * UNIT,
        env=os.environ | {"OPENSSL_CONF": str(settings)}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert int(done.stdout) * 2 == size_of_tickets() > 0


if __name__ == "__main__":
    sys.stdout.write(str(size_of_tickets()))
