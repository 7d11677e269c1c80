"""Trust stores: what is planned for each platform, and what really happens to NSS databases."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tlshttp import certs
from tlshttp._certs_cli._trusting import carry_out
from tlshttp.certs import _trust, _trust_browsers, _trust_linux
from tlshttp.certs._trust_steps import Anchor, Find, Step
from tlshttp.errors import CertificateError

needs_certutil = pytest.mark.skipif(
    shutil.which("certutil") is None or not sys.platform.startswith("linux"),
    reason="NSS's certutil is not installed",
)

NOTHING: Mapping[str, str] = {}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> certs.LocalAuthority:
    """Return a local authority in a folder of its own."""
    return certs.local_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def anchor(authority: certs.LocalAuthority) -> Anchor:
    """Return what trust stores are told of it."""
    return Anchor.of(authority)


def found(*tools: str) -> Find:
    """Find these tools only."""
    return lambda tool: f"/usr/bin/{tool}" if tool in tools else None


def has_no_folder(folder: str) -> bool:
    """Be a system that is not SUSE."""
    return False


@pytest.mark.parametrize(
    ("tool", "folder", "suse"),
    [
        ("update-ca-certificates", "/usr/local/share/ca-certificates/tlshttp-", False),
        ("update-ca-certificates", "/etc/pki/trust/anchors/tlshttp-", True),
        ("update-ca-trust", "/etc/pki/ca-trust/source/anchors/tlshttp-", False),
        ("trust", "/etc/ca-certificates/trust-source/anchors/tlshttp-", False),
    ],
)
def test_system_plan_and_its_undo(anchor: Anchor, tool: str, folder: str, suse: bool) -> None:
    """The plan copies into the folder of this distribution, and the undo removes that file."""

    def plan(*, undo: bool) -> list[Step]:
        return _trust_linux.plan_system(
            anchor, undo=undo, find=found(tool), has_folder=lambda folder: suse
        )

    copy, update = plan(undo=False)
    assert copy.command[-2] == str(anchor.certfile)
    assert copy.command[-1].startswith(folder)
    assert tool in update.command
    remove, again = plan(undo=True)
    assert remove.command[-1] == copy.command[-1]
    assert again == update


@pytest.mark.skipif(not hasattr(sys, "abiflags"), reason="users are POSIX")
def test_system_plan_asks_for_privilege_only_where_needed(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users other than root get sudo, or doas, where there is one; root never does."""
    for tool in ("sudo", "doas"):
        find = found("update-ca-certificates", tool)
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        plan = _trust_linux.plan_system(anchor, find=find, has_folder=has_no_folder)
        assert plan[0].command[0] == tool
        monkeypatch.setattr("os.geteuid", lambda: 0)
        plan = _trust_linux.plan_system(anchor, find=find, has_folder=has_no_folder)
        assert plan[0].command[0] == "install"


def machine(home: Path, platform: str = "linux", **options: object) -> _trust.Machine:
    """Return a machine that has nothing but what the options say."""
    fixed = {"environment": NOTHING, "find": found()}
    return _trust.Machine(platform=platform, home=home, **{**fixed, **options})  # type: ignore[arg-type]


def test_missing_tools_are_named(anchor: Anchor, tmp_path: Path) -> None:
    """Without the tools, each problem names them and their packages, and the rest is planned."""
    plan = _trust.plan(anchor, machine(tmp_path), ("system", "browsers", "java"))
    assert plan.steps == ()
    system, browsers, java = plan.problems
    assert "update-ca-certificates, update-ca-trust, trust" in system
    assert "libnss3-tools" in browsers
    assert "keytool" in java
    only_nss = machine(tmp_path, find=found("certutil"))
    plan = _trust.plan(anchor, only_nss, ("system", "browsers"))
    assert len(plan.problems) == 1
    assert plan.steps


@pytest.mark.parametrize(
    ("platform", "stores", "undo", "commands"),
    [
        (
            "darwin", ("system", "browsers"), False,
            ["security add-trusted-cert -r trustRoot -p ssl -p basic -k KEYCHAIN CERTFILE"],
        ),
        (
            "darwin", ("system", "browsers"), True,
            ["security remove-trusted-cert CERTFILE",
             "security delete-certificate -Z SHA1 KEYCHAIN"],
        ),
        ("darwin", ("browsers",), False, []),
        (
            "win32", ("system", "browsers"), False,
            [r"C:\Win\System32\certutil.exe -user -addstore Root CERTFILE"],
        ),
        (
            "win32", ("system", "browsers"), True,
            [r"C:\Win\System32\certutil.exe -user -delstore Root SHA1"],
        ),
        (
            "linux", ("java",), False,
            ["KEYTOOL -importcert -noprompt STORE -file CERTFILE"],
        ),
        (
            "linux", ("java",), True,
            ["KEYTOOL -delete STORE"],
        ),
    ],
)  # fmt: skip
def test_commands_of_other_platforms_are_run(
    anchor: Anchor,
    tmp_path: Path,
    platform: str,
    stores: Sequence[str],
    undo: bool,
    commands: list[str],
) -> None:
    """On macOS and Windows, and for Java, exactly these commands are run."""
    ran: list[tuple[str, ...]] = []

    def run(command: tuple[str, ...]) -> int:
        ran.append(command)
        return 0

    options = {
        "environment": {"SystemRoot": r"C:\Win", "JAVA_HOME": "/jdk"},
        "find": lambda tool: tool,
    }
    plan = _trust.plan(anchor, machine(tmp_path, platform, **options), stores, undo=undo)
    assert carry_out(plan.steps, run=run)
    words = {
        "KEYCHAIN": f"{tmp_path}/Library/Keychains/login.keychain-db",
        "CERTFILE": str(anchor.certfile),
        "SHA1": anchor.sha1,
        "KEYTOOL": "/jdk/bin/keytool",
        "STORE": f"-cacerts -storepass changeit -alias tlshttp-{anchor.fingerprint[:16]}",
    }
    for word, value in words.items():
        commands = [command.replace(word, value) for command in commands]
    assert [" ".join(command) for command in ran] == commands
    assert plan.problems == ()


def test_failures_do_not_stop_the_rest(anchor: Anchor, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that fails, or is not there, is told, and those after it are run."""
    steps = [
        Step("fails", ("false",)),
        Step("is not there", ("no-such-program-at-all",)),
        Step("may fail", ("false",), may_fail=True),
        Step("does not apply", ("false",), condition=lambda: False),
        Step("works", ("true",)),
    ]
    assert not carry_out(steps)
    captured = capsys.readouterr()
    assert "this failed with exit code 1" in captured.err
    assert "this cannot be run: 'no-such-program-at-all': No such file" in captured.err
    assert captured.out.endswith("# works\ntrue\n")
    assert "does not apply" not in captured.out
    assert carry_out(steps[2:])


def make_database(folder: Path, nickname: str | None = None, anchor: Anchor | None = None) -> None:
    """Make an NSS database, with a certificate that the user trusts."""
    folder.mkdir(parents=True, exist_ok=True)
    certutil("-N", "--empty-password", "-d", f"sql:{folder}")
    if nickname is not None and anchor is not None:
        certutil(
            "-A", "-d", f"sql:{folder}", "-t", "C,,", "-n", nickname, "-i", str(anchor.certfile)
        )


def certutil(*arguments: str) -> str:
    """Run NSS's tool."""
    return subprocess.check_output(["certutil", *arguments], text=True, timeout=60)


def listed(folder: Path) -> str:
    """List a database."""
    return certutil("-L", "-d", f"sql:{folder}")


def trust_browsers(
    anchor: Anchor, home: Path, *, undo: bool = False, environment: Mapping[str, str] = NOTHING
) -> list[Step]:
    """Make the browsers of a home trust an authority, or not."""
    here = machine(home, find=shutil.which, environment=environment)
    plan = _trust.plan(anchor, here, ("browsers",), undo=undo)
    assert carry_out(plan.steps)
    assert not plan.problems
    return list(plan.steps)


@needs_certutil
@pytest.mark.parametrize("places", [("data",), ("old",), ("old", "data"), ()])
def test_certificates_f5_no_database_of_the_user_is_hidden(
    anchor: Anchor, tmp_path: Path, places: Sequence[str]
) -> None:
    """Where there is a database at either place none is made; what was in it stays."""
    own = certs.CertificateAuthority.generate("The user's own")
    own.certificate.write(tmp_path / "own.pem", tmp_path / "own-key.pem")
    own_anchor = Anchor.load(tmp_path / "own.pem")
    folders = {"old": tmp_path / ".pki/nssdb", "data": tmp_path / ".local/share/pki/nssdb"}
    for place in places:
        make_database(folders[place], "mine", own_anchor)
    for _ in range(2):
        trust_browsers(anchor, tmp_path)
    for place, folder in folders.items():
        expected = place in places or (place == "old" and not places)
        assert folder.exists() == expected
        if expected:
            assert anchor.nickname in listed(folder)
    trust_browsers(anchor, tmp_path, undo=True)
    for place, folder in folders.items():
        assert folder.exists() == (place in places)
        if place in places:
            assert anchor.name not in listed(folder)
            assert "mine" in listed(folder)
    assert (tmp_path / ".pki").exists() == ("old" in places)


@needs_certutil
def test_certificates_f5_data_folder_of_the_environment(anchor: Anchor, tmp_path: Path) -> None:
    """$XDG_DATA_HOME says where today's database is; an empty folder there is filled."""
    environment = {"XDG_DATA_HOME": str(tmp_path / "data")}
    (tmp_path / "data/pki/nssdb").mkdir(parents=True)
    trust_browsers(anchor, tmp_path, environment=environment)
    assert anchor.nickname in listed(tmp_path / "data/pki/nssdb")
    assert not (tmp_path / ".pki").exists()


@needs_certutil
def test_undo_leaves_a_database_that_is_in_use_by_now(anchor: Anchor, tmp_path: Path) -> None:
    """What the user has added to the database that was made here is not removed with it."""
    trust_browsers(anchor, tmp_path)
    folder = tmp_path / ".pki/nssdb"
    certs.CertificateAuthority.generate("Added since").certificate.write(tmp_path / "since.pem")
    since = Anchor.load(tmp_path / "since.pem")
    certutil("-A", "-d", f"sql:{folder}", "-t", "C,,", "-n", "since", "-i", str(since.certfile))
    trust_browsers(anchor, tmp_path, undo=True)
    assert anchor.name not in listed(folder)
    assert "since" in listed(folder)
    certutil("-D", "-d", f"sql:{folder}", "-n", "since")
    trust_browsers(anchor, tmp_path, undo=True)
    assert not folder.exists()


@needs_certutil
def test_undo_knows_what_earlier_versions_called_it(anchor: Anchor, tmp_path: Path) -> None:
    """The name without a fingerprint, which was given before, is removed, too."""
    make_database(tmp_path / ".pki/nssdb", anchor.name, anchor)
    trust_browsers(anchor, tmp_path, undo=True)
    assert anchor.name not in listed(tmp_path / ".pki/nssdb")


FIREFOX = {
    "of old": ".mozilla/firefox/abc.default/",
    "of today": ".config/mozilla/firefox/abc.default/",
    "snap": "snap/firefox/common/.mozilla/firefox/abc.default/",
    "flatpak": ".var/app/org.mozilla.firefox/.mozilla/firefox/abc.default/",
    "flatpak of today": ".var/app/org.mozilla.firefox/config/mozilla/firefox/abc.default/",
    "LibreWolf": ".librewolf/abc.default/",
    "Chromium, snap": "snap/chromium/current/.pki/nssdb/",
    "Chromium, snap of today": "snap/chromium/current/.local/share/pki/nssdb/",
    "Chromium, flatpak": ".var/app/org.chromium.Chromium/.pki/nssdb/",
    "Chrome, flatpak": ".var/app/com.google.Chrome/data/pki/nssdb/",
}


@pytest.mark.parametrize("kind", FIREFOX)
def test_certificates_f6_databases_are_found(kind: str, tmp_path: Path) -> None:
    """Each browser's database is found where its package has it."""
    folder = tmp_path / FIREFOX[kind]
    folder.mkdir(parents=True)
    (folder / "cert9.db").touch()
    assert _trust_browsers.find_databases(tmp_path, NOTHING) == [folder]


def test_certificates_f6_configuration_folder_of_the_environment(tmp_path: Path) -> None:
    """$XDG_CONFIG_HOME says where Firefox 147 has its profiles; a relative one is ignored."""
    folder = tmp_path / "config/mozilla/firefox/abc.default"
    folder.mkdir(parents=True)
    (folder / "cert9.db").touch()
    find = _trust_browsers.find_databases
    assert find(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "config")}) == [folder]
    assert find(tmp_path, {"XDG_CONFIG_HOME": "config"}) == []


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("[Profile0]\nName=x\nIsRelative=0\nPath={}\n", True),
        ("[Profile0]\nIsRelative=1\nPath=../../far/profile\n", True),
        ("[Install4F96D1932A9F858E]\nDefault={}\nLocked=1\n", True),
        ("\ufeff[General]\nStartWithLastProfile=1\n\n[Profile1]\nName=a%b\nPath={}\n", True),
        ("[Profile0]\nPath={}\n[Profile0]\nPath={}\n", True),
        ("[Profile0]\nName=without path\n", False),
        ("[General]\nPath\n", False),
        ("no section\n", False),
        ("\0\xff[[", False),
    ],
)
def test_certificates_f6_profiles_elsewhere(section: str, expected: bool, tmp_path: Path) -> None:
    """A profile that only profiles.ini knows is found; a damaged profiles.ini does no harm."""
    far = tmp_path / "far/profile"
    usual = tmp_path / ".mozilla/firefox/abc.default"
    for folder in (far, usual):
        folder.mkdir(parents=True)
        (folder / "cert9.db").touch()
    (usual.parent / "profiles.ini").write_text(section.replace("{}", str(far)), encoding="utf-8")
    found = [folder.resolve() for folder in _trust_browsers.find_databases(tmp_path, NOTHING)]
    assert found == ([usual, far] if expected else [usual])


def test_a_database_by_two_names_is_told_once(tmp_path: Path) -> None:
    """A profile in profiles.ini that is at the usual place, too, is one."""
    usual = tmp_path / ".mozilla/firefox/abc.default"
    usual.mkdir(parents=True)
    (usual / "cert9.db").touch()
    (usual.parent / "profiles.ini").write_text("[Profile0]\nIsRelative=1\nPath=abc.default\n")
    assert len(_trust_browsers.find_databases(tmp_path, NOTHING)) == 1


@needs_certutil
def test_planned_commands_work_and_can_be_repeated(anchor: Anchor, tmp_path: Path) -> None:
    """Run twice in a throw-away home, the plan adds the authority for servers only."""
    for _ in range(2):
        trust_browsers(anchor, tmp_path)
    (line,) = (line for line in listed(tmp_path / ".pki/nssdb").splitlines() if "tlshttp" in line)
    assert line.split()[-1] == "C,,"


def test_any_authority_can_be_trusted(tmp_path: Path) -> None:
    """A file of an authority is taken; whatever else is refused with the way out."""
    root = certs.CertificateAuthority.generate("Any root")
    root.certificate.write(tmp_path / "root.pem", tmp_path / "key.pem")
    anchor = Anchor.load(tmp_path / "root.pem")
    assert anchor.name == "Any root"
    assert anchor.fingerprint == root.certificate.fingerprint().replace(":", "").lower()
    (tmp_path / "two.pem").write_bytes(root.certificate.to_pem() * 2)
    from cryptography.hazmat.primitives.serialization import Encoding

    (tmp_path / "root.der").write_bytes(root.certificate.leaf.public_bytes(Encoding.DER))
    root.issue_server("localhost").write(tmp_path / "leaf.pem")
    for name, reason in (
        ("two.pem", "give one"),
        ("root.der", "openssl x509 -inform der"),
        ("leaf.pem", "not the certificate of an authority"),
        ("key.pem", "there is no certificate"),
        ("missing.pem", "cannot read"),
    ):
        with pytest.raises(CertificateError, match=reason):
            Anchor.load(tmp_path / name)


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
