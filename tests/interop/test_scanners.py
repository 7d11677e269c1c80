"""Independent scanners look at servers with our profiles; ``nox -s interop`` runs this."""

from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.context.support import RecordingServer, running
from tests.support import UNIT
from tlshttp import certs, context
from tlshttp.context._engine import enforcement
from tlshttp.profiles import INTERMEDIATE, MODERN, TLSProfile

PROFILES = {"modern": MODERN, "intermediate": INTERMEDIATE}

NOT_OURS = {
    "cipher_order": "Mozilla's guideline leaves the choice to the client, which knows its hardware",
    "engine_problem": "the OpenSSL beside testssl.sh 3.2 has no GOST",
    "NPN": "testssl.sh 3.2 cannot ask for what TLS 1.3 no longer has",
    "sessionresumption_ticket": "testssl.sh 3.0 resumes no TLS 1.3 session with its own OpenSSL",
}
"""Findings of testssl.sh above INFO, with the reason why they stay."""

CHECKS = ["-p", "-s", "-f", "-S", "-P", "-U"]
"""Protocols, cipher categories, forward secrecy, defaults, preferences, vulnerabilities."""


@dataclass(frozen=True)
class Target:
    """A server to scan."""

    profile: TLSProfile
    port: int
    cafile: Path


@pytest.fixture
def targets(tmp_path: Path, engine: str) -> Iterator[dict[str, Target]]:
    """Run one server for each profile."""
    authority = certs.CertificateAuthority.generate(
        "scanned", crl_url="http://crl.test/scanned.crl"
    )
    cafile = tmp_path / "ca.pem"
    cafile.write_bytes(authority.certificate.to_pem())
    ecdsa = authority.issue_server("localhost", "127.0.0.1")
    rsa = authority.issue_server("localhost", "127.0.0.1", key_type=certs.KeyType.RSA_2048)
    modern = context.create_server_context(ecdsa, profile=MODERN)
    intermediate = context.create_server_context(ecdsa, rsa, profile=INTERMEDIATE)
    with (
        running(RecordingServer(modern)) as first,
        running(RecordingServer(intermediate)) as second,
    ):
        yield {
            "modern": Target(MODERN, first.server_port, cafile),
            "intermediate": Target(INTERMEDIATE, second.server_port, cafile),
        }


def needs(*programs: str) -> str:
    """Return the path of the first program there is, or skip the test by its name."""
    for program in programs:
        path = shutil.which(program)
        if path is not None:
            return path
    pytest.skip(f"{programs[0]} is not installed")


@pytest.mark.timeout(300 * UNIT)
@pytest.mark.parametrize("name", PROFILES)
def test_sslscan(targets: dict[str, Target], name: str, engine: str) -> None:
    """The scanner sees the versions and ciphers of the profile, no other, and no weakness."""
    program = needs("sslscan")
    target = targets[name]
    done = subprocess.run(
        [program, "--xml=-", "--timeout=60", f"127.0.0.1:{target.port}"],
        capture_output=True,
        timeout=280 * UNIT,
        check=True,
    )
    (found,) = ET.fromstring(done.stdout).findall("ssltest")
    versions = {
        f"{one.get('type')}{one.get('version')}"
        for one in found.iter("protocol")
        if one.get("enabled") == "1"
    }
    assert versions == ({"tls1.3"} if name == "modern" else {"tls1.2", "tls1.3"})
    ciphers = {one.get("cipher") for one in found.iter("cipher")}
    assert ciphers == {*target.profile.ciphersuites, *target.profile.ciphers}
    assert {one.get("strength") for one in found.iter("cipher")} <= {"strong", "acceptable"}
    assert {one.get("vulnerable") for one in found.iter("heartbleed")} <= {"0"}
    assert {one.get("supported") for one in found.iter("compression")} <= {"0"}
    if engine != "ssl" or enforcement(target.profile)["groups"]:
        numbers = {"0x11ec", "0x001d", "0x0017", "0x0018"}
        assert {one.get("id") for one in found.iter("group")} <= numbers


def scan(program: str, target: Target, folder: Path) -> list[dict[str, str]]:
    """Run testssl.sh; return its findings above INFO that have no reason to stay."""
    result = folder / f"{target.profile.name}.json"
    subprocess.run(
        [program, "--color", "0", "--quiet", "--warnings", "batch", "--nodns", "none",
         "--add-ca", str(target.cafile), "--ip", "127.0.0.1", *CHECKS,
         "--jsonfile", str(result), f"localhost:{target.port}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=880 * UNIT,
        check=False,  # its status is the number of findings
    )  # fmt: skip
    findings: list[dict[str, str]] = json.loads(result.read_text())
    looked_at = {one["id"].split()[0] for one in findings}
    assert looked_at >= {"TLS1_3", "heartbleed", "LUCKY13", "cert_notAfter"}
    return [
        one
        for one in findings
        if one["severity"] not in ("OK", "INFO") and one["id"].split()[0] not in NOT_OURS
    ]


@pytest.mark.timeout(900 * UNIT)
@pytest.mark.slow
def test_testssl(targets: dict[str, Target], tmp_path: Path) -> None:
    """testssl.sh has nothing above INFO to say of either profile that is ours to mend."""
    program = needs("testssl", "testssl.sh")
    with ThreadPoolExecutor(len(targets)) as pool:
        results = list(pool.map(lambda one: scan(program, one, tmp_path), targets.values()))
    assert results == [[], []]
