"""What `check` says, held to judges that are not ours (certificates F2)."""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.certs import one_fault
from tests.support import UNIT
from tlshttp import certs
from tlshttp.certs._inspect import was_issued_by
from tlshttp.certs._rules import RULES, Client

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300 * UNIT)]

JUDGES = {Client.OPENSSL, Client.STRICT, Client.PYCA}
"""Those asked here; whether Chromium or Go refuse is for others to say."""

EXPLAINED = {
    "weak-key": "a limit of TLS (OpenSSL's security level 2), which 'openssl verify' does not ask",
}
"""Errors that none of the judges shares, and why."""

DATA = Path(__file__).parent / "data" / "x509-limbo"

LIMBO = Path(os.environ.get("TLSHTTP_LIMBO", DATA / "cases.json.xz"))
"""The cases of x509-limbo: ours to keep, or another ``limbo.json`` to be tried."""

UNASKED = {"lifetime-apple", "lifetime-public", "expires-soon"}
"""The cases of x509-limbo live for centuries, and mean nothing by it."""

SHOWN = "chain-root"
"""We show the root to have it judged, so that it is there means nothing either."""


def findings(
    shown: certs.CertificateChain, root: x509.Certificate, purpose: certs.Purpose
) -> set[certs.Finding]:
    """Check what is shown, without and with the root that nobody need show."""
    whole = certs.CertificateChain(shown.leaf, (*shown.chain, root))
    found = {*shown.check(purpose=purpose), *whole.check(purpose=purpose)}
    return {finding for finding in found if finding.code != SHOWN}


def test_certificates_f02_right_but_for_one_thing() -> None:
    """What a judge refuses has a finding; at most one in a hundred has an error all on its own."""
    asked, missed, over = 0, [], []
    for case in one_fault.cases():
        shown, root = case.make()
        refused = one_fault.refusals(case, shown, root)
        found = findings(shown, root, case.purpose)
        asked += 1
        if refused and not found:
            missed.append((case.fault, case.purpose, refused))
        errors = {
            finding.code
            for finding in found
            if finding.severity is certs.Severity.ERROR
            and not JUDGES.isdisjoint(RULES[finding.code].refused_by)
        }
        if errors and not refused:
            over.append((case.fault, case.purpose, errors))
    assert asked > 300
    assert missed == []
    assert {code for _, _, codes in over for code in codes} <= EXPLAINED.keys()
    assert len(over) <= asked / 100, over


def limbo_cases() -> Iterator[dict[str, Any]]:
    """Read the cases of servers and clients that need no revocation lists."""
    content = LIMBO.read_bytes()
    text = lzma.decompress(content) if LIMBO.suffix == ".xz" else content
    for case in json.loads(text)["testcases"]:
        if not case["crls"] and not case["id"].startswith("bettertls::"):
            yield case


def limbo_found(case: dict[str, Any]) -> set[str]:
    """Return the codes of what `check` says of a case, shown up to the root it should end at."""
    try:
        leaf = _read(case["peer_certificate"])
        others = [_read(pem) for pem in case["untrusted_intermediates"] + case["trusted_certs"]]
    except ValueError:
        return {"unreadable"}
    moment = case["validation_time"]
    at = datetime.fromisoformat(moment) if moment else datetime.now(UTC)
    trusted = others[len(case["untrusted_intermediates"]) :]
    shown = certs.CertificateChain(leaf, tuple(_path(leaf, others, trusted)))
    purpose = certs.Purpose(case["validation_kind"].lower())
    return {finding.code for finding in shown.check(purpose=purpose, at=at)} - {*UNASKED, SHOWN}


def _read(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def _path(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate]
) -> Iterator[x509.Certificate]:
    """Put what a case has in the order of a chain, up to one that is trusted."""
    last, seen = leaf, {leaf}
    while last not in trusted:
        following = [one for one in others if one not in seen and was_issued_by(last, one)]
        if not following:
            return
        last = following[0]
        seen.add(last)
        yield last


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_certificates_f02_x509_limbo() -> None:
    """We agree with every case of x509-limbo but for those that are listed with a reason."""
    listed: dict[str, str] = json.loads((DATA / "differences.json").read_text("utf-8"))
    cases = list(limbo_cases())
    different = {
        case["id"]
        for case in cases
        if (case["expected_result"] == "FAILURE") != bool(limbo_found(case))
    }
    assert len(cases) >= 200
    assert different - listed.keys() == set(), "differences without a reason"
    assert listed.keys() - different == set(), "reasons without a difference"
