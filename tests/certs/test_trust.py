from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tlshttp import certs
from tlshttp.certs import _trust
from tlshttp.errors import CertificateError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the plans are for Linux")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> certs.LocalAuthority:
    """Return a local authority in a folder of its own."""
    return certs.local_authority(tmp_path_factory.mktemp("authority"))


def found(*tools: str) -> _trust._Find:
    """Find these tools only."""
    return lambda tool: f"/usr/bin/{tool}" if tool in tools else None


@pytest.mark.parametrize(
    ("tool", "folder"),
    [
        ("update-ca-certificates", "/usr/local/share/ca-certificates/tlshttp-"),
        ("update-ca-trust", "/etc/pki/ca-trust/source/anchors/tlshttp-"),
        ("trust", "/etc/ca-certificates/trust-source/anchors/tlshttp-"),
    ],
)
def test_system_plan_and_its_undo(authority: certs.LocalAuthority, tool: str, folder: str) -> None:
    """The plan copies into the folder of this distribution, and the undo removes that file."""
    copy, update = _trust.plan_system(authority, find=found(tool))
    assert copy.command[-2] == str(authority.certfile)
    assert copy.command[-1].startswith(folder)
    assert tool in update.command
    remove, again = _trust.plan_system(authority, undo=True, find=found(tool))
    assert remove.command[-1] == copy.command[-1]
    assert again == update


def test_system_plan_asks_for_privilege_only_where_needed(
    authority: certs.LocalAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users other than root get sudo where there is one; root never does."""
    find = found("update-ca-certificates", "sudo")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert _trust.plan_system(authority, find=find)[0].command[0] == "sudo"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert _trust.plan_system(authority, find=find)[0].command[0] == "install"


def test_missing_tools_are_named(authority: certs.LocalAuthority, tmp_path: Path) -> None:
    """Without the tools, the error names them and their packages."""
    with pytest.raises(CertificateError, match="update-ca-certificates, update-ca-trust, trust"):
        _trust.plan_system(authority, find=found())
    with pytest.raises(CertificateError, match="libnss3-tools"):
        _trust.plan_browsers(authority, tmp_path, find=found())


def test_browser_plan_finds_every_profile(authority: certs.LocalAuthority, tmp_path: Path) -> None:
    """Databases of Chromium and Firefox are found, and a missing standard one is created."""
    profiles = [
        tmp_path / ".mozilla/firefox/abc.default",
        tmp_path / "snap/chromium/current/.pki/nssdb",
    ]
    for profile in profiles:
        profile.mkdir(parents=True)
        (profile / "cert9.db").touch()
    plan = _trust.plan_browsers(authority, tmp_path, find=found("certutil"))
    text = "\n".join(map(str, plan))
    assert text.count("certutil -N") == 1
    assert text.count("certutil -A") == 3
    for folder in (*profiles, tmp_path / ".pki/nssdb"):
        assert f"sql:{folder}" in text
    undo = _trust.plan_browsers(authority, tmp_path, undo=True, find=found("certutil"))
    assert [step.command[1] for step in undo] == ["-D", "-D"]
    assert all(step.may_fail for step in undo)


@pytest.mark.skipif(shutil.which("certutil") is None, reason="NSS's certutil is not installed")
def test_planned_commands_work_and_can_be_repeated(
    authority: certs.LocalAuthority, tmp_path: Path
) -> None:
    """Run twice in a throw-away home, the plan adds the authority; undo removes it."""
    database = f"sql:{tmp_path / '.pki/nssdb'}"
    for _ in range(2):
        for step in _trust.plan_browsers(authority, tmp_path):
            subprocess.run(step.command, check=True, timeout=60, stdin=subprocess.DEVNULL)
    listed = subprocess.check_output(["certutil", "-L", "-d", database], text=True)
    (line,) = (line for line in listed.splitlines() if "tlshttp local authority" in line)
    assert line.split()[-1] == "C,,"
    for step in _trust.plan_browsers(authority, tmp_path, undo=True):
        subprocess.run(step.command, check=True, timeout=60, stdin=subprocess.DEVNULL)
    listed = subprocess.check_output(["certutil", "-L", "-d", database], text=True)
    assert "tlshttp" not in listed


def test_instructions_cover_every_platform(
    authority: certs.LocalAuthority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instructions have exact commands, with undo, for each platform, browser and client."""
    text = certs.trust_instructions(authority)
    for part in ("macOS", "Windows", "Firefox", "Debian", "Fedora", "Arch", "Chromium", "Node.js"):
        assert part in text
    for command in (
        f"login.keychain-db {authority.certfile}",
        f'certutil -user -addstore Root "{authority.certfile}"',
        "sudo update-ca-certificates",
        f"SSL_CERT_FILE={authority.certfile}",
        "python -m tlshttp certs trust --undo",
    ):
        assert command in text
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert str(tmp_path / "tlshttp" / "authority.pem") in certs.trust_instructions()
