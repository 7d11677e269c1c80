"""A browser's verdict on the local authority, before and after it is trusted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import UNIT
from tlshttp import _certs_cli

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
    pytest.mark.skipif(shutil.which("certutil") is None, reason="certutil is not installed"),
]

_UNKNOWN_AUTHORITY = "net_error -202"
"""ERR_CERT_AUTHORITY_INVALID in Chromium's list of network errors."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder without authority and without any browser's profile."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def url(home: Path) -> Iterator[str]:
    """Serve a page with ``python -m tlshttp`` and a certificate from the local authority."""
    (home / "site").mkdir()
    (home / "site" / "index.html").write_text("<p>a page that was served</p>")
    assert _certs_cli.main(["issue", "localhost"]) == 0
    command = "-m tlshttp -b 127.0.0.1 -d site --tls-cert server.pem --tls-key server-key.pem 0"
    with subprocess.Popen(
        [sys.executable, "-u", *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            port = re.search(r":(\d+)/", server.stdout.readline())
            assert port is not None
            yield f"https://localhost:{port[1]}/"
        finally:
            server.send_signal(signal.SIGTERM)


def browse(url: str, profile: Path) -> tuple[str, str]:
    """Open a page in headless Chromium; return what it shows and what it logs."""
    options = ["--headless", "--disable-gpu", f"--user-data-dir={profile}", "--dump-dom"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")
    done = subprocess.run(
        ["chromium", *options, url],
        capture_output=True,
        text=True,
        check=False,
        timeout=50 * UNIT,
    )
    return done.stdout, done.stderr


def test_chromium_opens_localhost_once_the_authority_is_trusted(home: Path, url: str) -> None:
    """Chromium refuses the server, opens it after ``certs trust``, refuses it after the undo."""
    page, log = browse(url, home / "before")
    assert "a page that was served" not in page
    assert _UNKNOWN_AUTHORITY in log
    assert _certs_cli.main(["trust", "--only", "browsers"]) == 0
    page, log = browse(url, home / "after")
    assert "a page that was served" in page
    assert "net_error" not in log
    assert _certs_cli.main(["trust", "--only", "browsers", "--undo"]) == 0
    page, log = browse(url, home / "undone")
    assert "a page that was served" not in page
    assert _UNKNOWN_AUTHORITY in log
