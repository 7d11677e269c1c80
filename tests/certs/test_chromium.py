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
    pytest.mark.timeout(600 * UNIT),
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
    """Serve a page with a certificate from the local authority."""
    assert _certs_cli.main(["issue", "localhost"]) == 0
    yield from serving(home)


def serving(home: Path) -> Iterator[str]:
    """Serve a page with ``python -m tlshttp`` and the certificate that is there."""
    (home / "site").mkdir()
    (home / "site" / "index.html").write_text("<p>a page that was served</p>")
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
        timeout=150 * UNIT,
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


def test_certificates_f5_chromium_opens_what_the_user_trusts(home: Path) -> None:
    """A site that the user's own database vouches for opens before, while and after we are trusted.

    That database is where NSS has it today, which Chromium looks at only where there is no
    ``~/.pki/nssdb``.
    """
    ca = ("--ca", "own.pem", "--ca-key", "own-key.pem")
    files = ("--certfile", "own.pem", "--keyfile", "own-key.pem")
    assert _certs_cli.main(["ca", "The user's own", *files]) == 0
    assert _certs_cli.main(["issue", "localhost", *ca]) == 0
    folder = home / ".local/share/pki/nssdb"
    folder.mkdir(parents=True)
    database = ("-d", f"sql:{folder}")
    subprocess.run(["certutil", "-N", "--empty-password", *database], check=True, timeout=60)
    add = ("-A", "-t", "C,,", "-n", "mine", "-i", "own.pem")
    subprocess.run(["certutil", *add, *database], check=True, timeout=60)
    for url in serving(home):
        page, log = browse(url, home / "before")
        assert "a page that was served" in page, log
        for options in ((), ("--undo",)):
            assert _certs_cli.main(["trust", "--only", "browsers", *options]) == 0
            page, log = browse(url, home / f"after{''.join(options)}")
            assert "a page that was served" in page, log
    assert not (home / ".pki").exists()
