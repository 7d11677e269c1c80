"""What the documentation says about bad servers: that it is complete."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.reports.essence import essence
from tlshttp import testing

ROOT = Path(__file__).parents[2]
EXPIRED = (
    "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify"
    " failed: certificate has expired (_ssl.c:1006)'))"
)
REPORTS = json.loads((ROOT / "docs/reference/bad-servers.json").read_text(encoding="utf-8"))


def test_reports_are_of_every_fault_by_every_client() -> None:
    """The catalogue has a report of each fault by each of six clients: else ``nox -s reports``."""
    clients = {"http.client", "urllib3", "requests", "httpx", "aiohttp", "curl"}
    assert set(REPORTS["versions"]) == clients
    assert list(REPORTS["reports"]) == list(testing.FAULTS)
    assert all(set(reports) == clients for reports in REPORTS["reports"].values())
    assert all(lines for reports in REPORTS["reports"].values() for lines in reports.values())


def test_the_vocabulary_is_documented() -> None:
    """Each word, and each fault by its kind, has a place in the reference."""
    page = (ROOT / "docs/reference/bad-servers.md").read_text(encoding="utf-8")
    for kind in testing.FaultKind:
        assert f"```{{bad-servers}} {kind.value}\n" in page
        assert f"```{{bad-server-reports}} {kind.value}\n" in page
    words = ["At", "Reset", "Close", "Stall", "Send", "Refuse", "Drip", "Reply", "Show", "Terms"]
    assert [word for word in words if f"tlshttp.testing.{word}\n" not in page] == []


@pytest.mark.parametrize("fault", testing.FAULTS.values(), ids=str)
def test_a_fault_is_described(fault: testing.Fault) -> None:
    """Its name is in kebab case, and its sentences read as parts of a sentence."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", fault.name)
    for sentence in (fault.does, fault.report):
        assert sentence
        assert not sentence.endswith(".")
    assert fault.does[0].islower()


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (f"Max retries exceeded (Caused by {EXPIRED})", "certificate has expired"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1)", "WRONG_VERSION_NUMBER"),
        ("Operation timed out after 1501 milliseconds with 0", "Operation timed out with 0"),
        ("OpenSSL/3.0.22: error:0A000410:SSL routines::bad thing", "bad thing"),
        ("('Connection aborted.', ConnectionResetError(104, 'Reset by peer'))", "Reset by peer"),
        ("Cannot connect to host localhost:4711 now", "Cannot connect to host localhost now"),
        ("x" * 200, "x" * 87 + "..."),
    ],
)
def test_the_essence_of_a_message(message: str, told: str) -> None:
    """Cells name the innermost reason, and nothing that differs from run to run."""
    assert essence(message) == told
