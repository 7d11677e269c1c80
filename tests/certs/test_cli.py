from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.certs import judges
from tests.certs.test_fetch import one_connection
from tests.context.support import refusing_port
from tlshttp import _certs_cli, certs
from tlshttp.certs._trust_steps import Step

COMMANDS = ("ca", "issue", "client", "show", "check", "trust", "folder")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the current one, with a home in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "TLSHTTP_AUTHORITY"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path


def run(*argv: str) -> int:
    """Run the command line."""
    return _certs_cli.main(argv)


def run_wrong(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run the command line wrongly and return what it says."""
    assert run(*argv) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of every command shows how it is called."""
    assert run(command, "--help") == 0
    assert f"example: python -m tlshttp certs {command} " in capsys.readouterr().out


def test_help_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """The help names every command, and no command at all is wrong use."""
    assert run("--help") == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n    {command} " in text
    assert "command" in run_wrong(capsys)
    assert "invalid choice" in run_wrong(capsys, "sell")


def test_authority_then_server_then_client(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The three files made with defaults belong together and convince OpenSSL."""
    assert run("ca", "Test CA") == 0
    authority = ("--ca", "ca.pem", "--ca-key", "ca-key.pem")
    assert run("issue", "localhost", "127.0.0.1", *authority, "--key-type", "ecdsa-p384") == 0
    assert run("client", "me@example.org", *authority, "--days", "3") == 0
    assert "written to client.pem, private key to client-key.pem" in capsys.readouterr().out
    root = certs.load_trust_anchors(place / "ca.pem")
    server = certs.load(place / "server.pem", place / "server-key.pem")
    client = certs.load(place / "client.pem", place / "client-key.pem")
    assert judges.openssl(judges.Question(server, root)) is None
    asked = judges.Question(client, root, purpose=certs.Purpose.CLIENT)
    assert judges.openssl(asked) is None
    assert client.expires_in < timedelta(days=3)


def test_local_authority_issues_without_any_setting_up(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --ca the local authority issues, for local names only."""
    assert run("issue", "localhost", "--certfile", "both.pem", "--keyfile", "both.pem") == 0
    issued = certs.load(place / "both.pem")
    root = certs.local_authority().certificate.leaf
    assert judges.openssl(judges.Question(issued, [root])) is None
    assert "may not issue for 'example.org'" in run_wrong(capsys, "issue", "example.org")
    assert "--ca-key needs --ca" in run_wrong(capsys, "issue", "a.test", "--ca-key", "x")


def test_files_are_spared(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files that exist are named and stay, unless replacing them is asked for."""
    assert run("ca", "One") == 0
    before = (place / "ca-key.pem").read_bytes()
    errors = run_wrong(capsys, "ca", "Two")
    assert "ca.pem exists" in errors
    assert "ca-key.pem exists" in errors
    assert (place / "ca-key.pem").read_bytes() == before
    assert run("ca", "Two", "--force") == 0
    assert (place / "ca-key.pem").read_bytes() != before


def test_passwords_are_asked_for(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key is encrypted with a password given twice, and issuing asks for it again."""
    answers = iter(["secret", "typo", "secret", "secret", "secret", "wrong"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert "differ" in run_wrong(capsys, "ca", "CA", "--encrypt")
    assert run("ca", "CA", "--encrypt") == 0
    assert b"ENCRYPTED" in (place / "ca-key.pem").read_bytes()
    authority = ("--ca", "ca.pem", "--ca-key", "ca-key.pem")
    assert run("issue", "localhost", *authority) == 0
    errors = run_wrong(capsys, "issue", "localhost", *authority, "--force")
    assert "password does not open" in errors
    assert "secret" not in capsys.readouterr().out + errors


def test_wrong_names_and_days(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every impossible name has a line of its own, and impossible lifetimes say why."""
    errors = run_wrong(capsys, "issue", "*", "a..b", "localhost")
    assert errors.count("\n") == 2
    assert "back-dating" in run_wrong(capsys, "issue", "localhost", "--days", "0")
    assert "too many" in run_wrong(capsys, "ca", "CA", "--days", "9999999999999")
    assert "9999" in run_wrong(capsys, "ca", "CA", "--days", "99999999")
    assert list(place.glob("*.pem")) == []


def test_show_and_check_a_file(
    place: Path, certificate: certs.Certificate, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file is shown for people; a good one passes the check and an expired one fails it."""
    certificate.write(place / "good.pem", place / "good-key.pem")
    assert run("show", "good.pem") == 0
    assert certificate.fingerprint() in capsys.readouterr().out
    assert run("check", "good.pem") == 0
    assert capsys.readouterr().out == "nothing to complain about\n"
    past = datetime.now(UTC) - timedelta(days=1)
    certs.self_signed("localhost", not_valid_after=past).write(place / "old.pem")
    assert run("check", "old.pem") == 1
    assert "error: 'localhost' expired" in capsys.readouterr().out
    assert run("check", "good.pem", "--purpose", "client") == 1
    assert "no-client-auth" in capsys.readouterr().out
    assert "cannot read 'missing.pem'" in run_wrong(capsys, "show", "missing.pem")


def test_warnings_alone_are_no_failure(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A certificate that some clients refuse is reported, with exit code 0."""
    certs.self_signed("*.localhost").write(place / "wide.pem")
    assert run("check", "wide.pem") == 0
    assert "warning: " in capsys.readouterr().out


def test_show_and_check_a_server(
    certificate: certs.Certificate, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server is asked for its certificate by host and port."""
    with one_connection(judges.server_context(certificate)) as port:
        assert run("check", f"127.0.0.1:{port}") == 0
    with one_connection(judges.server_context(certificate)) as port:
        assert run("show", f"127.0.0.1:{port}") == 0
    assert certificate.fingerprint() in capsys.readouterr().out
    with refusing_port() as port:
        assert "Connection refused" in run_wrong(capsys, "show", f"127.0.0.1:{port}")
        assert f"127.0.0.1:{port}: " in run_wrong(capsys, "check", f"https://127.0.0.1:{port}/x?y")
        assert "refused" in run_wrong(capsys, "show", f"[::ffff:127.0.0.1]:{port}")


linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="trust is for Linux")


@linux_only
def test_trust_dry_run_runs_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run prints every command with its purpose, and runs none."""
    monkeypatch.setattr("subprocess.run", lambda *arguments, **options: pytest.fail("ran"))
    monkeypatch.setattr("shutil.which", lambda tool: tool)
    assert run("trust", "--dry-run") == 0
    text = capsys.readouterr().out
    assert "# add the authority to the system's store\n" in text
    assert "certutil -A" in text
    assert run("trust", "--dry-run", "--only", "browsers", "--undo") == 0
    assert "system" not in capsys.readouterr().out


@linux_only
@pytest.mark.skipif(shutil.which("certutil") is None, reason="NSS's certutil is not installed")
def test_trust_and_undo_in_the_browsers_store(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Trusting adds the authority to the NSS database of this home, and undoing removes it."""
    database = f"sql:{place / 'home/.pki/nssdb'}"
    assert run("trust", "--only", "browsers") == 0
    listed = subprocess.check_output(["certutil", "-L", "-d", database], text=True)
    assert "tlshttp local authority" in listed
    assert run("trust", "--only", "browsers", "--undo") == 0
    assert not (place / "home/.pki").exists()
    assert run("trust", "--only", "browsers", "--undo") == 0
    assert "could not find" not in capfd.readouterr().err


@pytest.mark.parametrize("options", [("--dry-run",), ("--undo",), ("--undo", "--dry-run")])
def test_certificates_f25_looking_makes_nothing(
    options: tuple[str, ...], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run and an undo say that there is no authority, and make none, nor any folder."""
    assert run("trust", *options, "--only", "browsers") in {0, 1}  # 1 without certutil
    assert "there is no local authority" in capsys.readouterr().out
    assert list((place / "home").iterdir()) == []


@linux_only
def test_failed_step_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When a command fails, the exit code and one line say so."""
    step = Step("fail", ("false",))
    monkeypatch.setattr("tlshttp.certs._trust.plan_system", lambda *_, **__: [step])
    assert run("trust", "--only", "system") == 1
    assert "this failed with exit code 1" in capsys.readouterr().err


def test_instructions_for_other_platforms(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where asked, the instructions for every platform are printed."""
    assert run("trust", "--instructions") == 0
    assert "macOS" in capsys.readouterr().out


def test_trust_is_carried_out_on_macos(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On another platform its commands are planned; a dry run prints them."""
    monkeypatch.setattr("sys.platform", "darwin")
    assert run("trust", "--dry-run") == 0
    assert "add-trusted-cert" in capsys.readouterr().out


def test_place_of_the_authority(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is printed; the option is before the variable, and that before the usual one."""
    usual = place / "home/.local/share/tlshttp"
    assert run("folder") == 0
    assert capsys.readouterr().out == f"{usual}\n"
    monkeypatch.setenv("TLSHTTP_AUTHORITY", str(place / "by variable"))
    assert run("folder") == 0
    assert capsys.readouterr().out == f"{place / 'by variable'}\n"
    assert run("folder", "--authority-folder", "by option") == 0
    assert capsys.readouterr().out == f"{place / 'by option'}\n"
    assert not usual.exists()
    assert run("issue", "localhost") == 0
    assert run("client", "me@example.org", "--authority-folder", "by option") == 0
    assert {path.name for path in place.glob("by*")} == {"by variable", "by option"}
    assert not usual.exists()
