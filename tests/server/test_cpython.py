from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.support import SERVERS
from tests.support import UNIT

PROGRAM = Path(__file__).with_name("cpython_program.py")

EVERYWHERE = {
    "BaseHTTPServerTestCase",
    "RequestHandlerLoggingTestCase",
    "SimpleHTTPServerTestCase",
}

OF_THE_PLATFORM = ("undecodable name", "TESTFN_UNDECODABLE", "is not encodable")
"""Words in CPython's reasons to skip a test that are about names of files."""


def has_the_tests() -> bool:
    """Tell whether this interpreter comes with its own tests; Debian's does not."""
    try:
        return importlib.util.find_spec("test.test_httpservers") is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.skipif(
    not has_the_tests(), reason="this interpreter comes without test.test_httpservers"
)
@pytest.mark.parametrize("name", [server.__name__ for server in SERVERS])
def test_cpythons_own_tests_pass_over_tls(name: str, tmp_path: Path) -> None:
    """Every test that CPython has for its HTTP server over a socket passes with ours."""
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-P", PROGRAM, name, report],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50 * UNIT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    seen = json.loads(report.read_text())
    assert seen["failed"] == [], done.stdout
    assert seen["begun"] == seen["discovered"], done.stdout
    skipped = {
        test: reason
        for test, reason in seen["skipped"].items()
        if not any(words in reason for words in OF_THE_PLATFORM)
    }
    assert skipped == {}, done.stdout
    # http.server lost its CGI handler in Python 3.15.
    expected = EVERYWHERE | ({"CGIHTTPServerTestCase"} if sys.version_info < (3, 15) else set())
    assert expected <= {test.split(".")[-2] for test in seen["begun"]}
    assert seen["handshakes"] >= len(seen["begun"]), "they ran without our servers"
