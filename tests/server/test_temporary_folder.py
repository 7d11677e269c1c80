"""Peers 10: a server without a folder for temporary files says so when it starts, once."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.handler.http_support import Quiet
from tlshttp import ThreadingTLSHTTPServer, TLSHTTPServer

SERVERS = [TLSHTTPServer, ThreadingTLSHTTPServer]


def warnings_of(
    caplog: pytest.LogCaptureFixture, server_class: type[TLSHTTPServer], **options: Any
) -> list[str]:
    """Start and stop a server; return what it has warned of."""
    caplog.clear()
    with (
        caplog.at_level(logging.WARNING, "tlshttp"),
        server_class(("127.0.0.1", 0), Quiet, **options) as server,
    ):
        server.server_activate()  # again, as some programs do
        server.timeout = 0
        for _ in range(3):
            server.handle_request()
    return [record.getMessage() for record in caplog.records if record.name == "tlshttp.server"]


@pytest.mark.parametrize("server_class", SERVERS)
def test_peers_10_a_folder_that_will_not_do_is_named_at_the_start(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    server_context: ssl.SSLContext,
    server_class: type[TLSHTTPServer],
    tmp_path: Path,
) -> None:
    """With what will come of it, and what to do."""
    folder = tmp_path / "gone"
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    found = warnings_of(caplog, server_class, ssl_context=server_context)
    assert len(found) == 1
    assert all(part in found[0] for part in (str(folder), "TMPDIR", "507", "No such file"))
    folder.mkdir()
    assert not warnings_of(caplog, server_class, ssl_context=server_context)


@pytest.mark.parametrize("server_class", SERVERS)
def test_peers_10_a_folder_that_is_full_is_named(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    server_context: ssl.SSLContext,
    server_class: type[TLSHTTPServer],
) -> None:
    """A file can be made there, and not be written to."""

    def full(*_arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    found = warnings_of(caplog, server_class, ssl_context=server_context)
    assert len(found) == 1
    assert "No space left on device" in found[0]


@pytest.mark.skipif(sys.platform != "linux", reason="nothing can be made in Linux's /proc")
def test_peers_10_without_any_usual_folder_they_are_all_named(tmp_path: Path) -> None:
    """As in a container whose file system is read-only."""
    program = """
        import os, ssl, tempfile
        from http.server import BaseHTTPRequestHandler
        from tlshttp import TLSHTTPServer
        tempfile._candidate_tempdir_list = lambda: ["/proc/1", "/proc"]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        TLSHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler, ssl_context=context).server_close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stderr.count("TMPDIR") == 1
    assert "'/proc/1', '/proc'" in done.stderr
