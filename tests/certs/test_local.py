from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.certs import judges
from tlshttp import _user_folders, certs
from tlshttp.certs import _local
from tlshttp.certs._constraints import local_constraints
from tlshttp.errors import CertificateError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder that has nothing in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("TLSHTTP_AUTHORITY", raising=False)
    return tmp_path


def test_generated_once_and_kept(home: Path) -> None:
    """The first call generates an authority, the second one finds it, in another process, too."""
    first, second = certs.local_authority(), certs.local_authority()
    assert first.certificate == second.certificate
    program = "from tlshttp import certs; print(certs.local_authority().certificate.fingerprint())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == first.certificate.fingerprint()
    assert certs.load_trust_anchors(first.certfile) == [first.certificate.leaf]


def test_looking_for_it_makes_nothing(home: Path) -> None:
    """Where there is none, `find_local_authority` says so and leaves the folder alone."""
    assert certs.find_local_authority() is None
    assert list(home.iterdir()) == []
    authority = certs.local_authority()
    found = certs.find_local_authority()
    assert found is not None
    assert found.certificate == authority.certificate


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_owner_only(home: Path) -> None:
    """The folder has mode 0700, the key 0600, and the certificate alone has no key in it."""
    certfile = certs.local_authority().certfile
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (certfile.parent, *certfile.parent.iterdir())
    }
    assert modes == {"tlshttp": 0o700, "authority-key.pem": 0o600, "authority.pem": 0o644}
    assert b"PRIVATE" not in certfile.read_bytes()


def test_lost_certificate_file_comes_back(home: Path) -> None:
    """The certificate for trust stores is written again where it is missing."""
    authority = certs.local_authority()
    authority.certfile.unlink()
    certs.local_authority()
    assert certs.load_chain(authority.certfile).leaf == authority.certificate.leaf


def test_local_leaf_lives_a_week_and_is_accepted(home: Path) -> None:
    """A leaf is good for seven days, for local names, in the eyes of every judge."""
    authority = certs.local_authority()
    issued = authority.issue_server("localhost", "app.test", "127.0.0.1")
    assert timedelta(days=6) < issued.expires_in < timedelta(days=7)
    for name in issued.names:
        asked = judges.Question(issued, [authority.certificate.leaf], name)
        assert judges.openssl(asked) is None
        assert judges.pyca(asked) is None
        assert judges.python_client(asked) is None
    with pytest.raises(CertificateError, match="may not issue for"):
        authority.issue_server("localhost", "www.example.org")
    with pytest.raises(CertificateError, match="path length 0"):
        authority.issue_authority("Below")


def test_store_renews_in_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate of a store stays until a third of its life is left, then it is another."""
    store = certs.local_authority().store("localhost")
    first = store.current
    assert not store.poll(1e9)
    assert store.current is first
    monkeypatch.setattr(
        certs.Certificate, "expires_in", property(lambda self: timedelta(days=2, hours=7))
    )
    assert store.poll(2e9)
    assert store.current != first
    assert store.current.names == ("localhost",)
    with pytest.raises(CertificateError, match="may not issue"):
        certs.local_authority().store("example.org")


def test_processes_that_start_together_share_one_authority(tmp_path: Path) -> None:
    """Whoever loses the race for the key file uses what the winner has written."""
    winner = certs.local_authority(tmp_path / "shared")
    keyfile = tmp_path / "shared" / "authority-key.pem"
    before = keyfile.read_bytes()
    _local._generate(keyfile)
    assert keyfile.read_bytes() == before
    assert certs.local_authority(tmp_path / "shared").certificate == winner.certificate
    assert len(list((tmp_path / "shared").iterdir())) == 2


def test_damaged_or_forbidden(tmp_path: Path) -> None:
    """A damaged key file says what to delete, and a folder that cannot be made says so."""
    authority = certs.local_authority(tmp_path)
    (tmp_path / "authority-key.pem").write_bytes(b"nonsense")
    with pytest.raises(CertificateError, match="to begin anew, delete"):
        certs.local_authority(tmp_path)
    with pytest.raises(CertificateError, match="cannot keep the local authority"):
        certs.local_authority(authority.certfile / "below-a-file")


@pytest.mark.parametrize(
    ("system", "environment", "expected"),
    [
        ("linux", {}, ".local/share/tlshttp"),
        ("linux", {"XDG_DATA_HOME": "relative"}, ".local/share/tlshttp"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/tlshttp"),
        ("freebsd14", {}, ".local/share/tlshttp"),
        ("darwin", {}, "Library/Application Support/tlshttp"),
        ("win32", {"LOCALAPPDATA": "/Local"}, "/Local/tlshttp"),
        ("win32", {}, "AppData/Local/tlshttp"),
    ],
)
def test_user_data_folder(
    home: Path, system: str, environment: dict[str, str], expected: str
) -> None:
    """Each platform's own place for user data is taken."""
    assert _user_folders.user_data_folder(system, environment) == home / expected


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without home folder is told to give a folder."""

    def fail() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", fail)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("TLSHTTP_AUTHORITY", raising=False)
    with pytest.raises(CertificateError, match=r"no home folder.*TLSHTTP_AUTHORITY.*--authority-f"):
        certs.local_authority()
    assert certs.find_local_authority() is None


@pytest.mark.parametrize(
    "name",
    ["localhost", "app.test", "printer.local", "host.docker.internal", "nas.home.arpa",
     "my-laptop", "api.my-laptop", "127.0.0.1", "192.168.1.2", "fd00::1", "100.64.0.1",
     "100.127.255.254"],
)  # fmt: skip
def test_certificates_f26_local_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and addresses of local networks, and the machine's own name, are accepted."""
    monkeypatch.setattr("platform.node", lambda: "My-Laptop")
    authority = certs.local_authority(tmp_path)
    asked = judges.Question(authority.issue_server(name), [authority.certificate.leaf], name)
    for judge in (judges.openssl, judges.pyca, judges.python_client):
        assert judge(asked) is None


@pytest.mark.parametrize(
    ("own", "permitted"),
    [
        ("my-laptop", True),
        ("web3", True),
        ("laptop.corp.example.org", True),
        ("dev", False),  # a top-level domain
        ("raspberrypi", False),  # may be one, one day
        ("xn--p1ai", False),
        ("", False),
        ("*", False),
        ("a b", False),
        ("127.0.0.1", False),
        ("straße", False),
    ],
)
def test_certificates_f26_own_name_is_no_top_level_domain(own: str, permitted: bool) -> None:
    """The machine's name is permitted where nobody can have it as a domain of the Internet."""
    domains = local_constraints(own).permitted_subtrees or []
    assert (own in [domain.value for domain in domains]) == permitted


def test_certificates_f26_refusals_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal lists what may be issued, and how to get at what may not."""
    authority = certs.local_authority(tmp_path)
    with pytest.raises(CertificateError) as refused:
        authority.issue_server("raspberrypi", "www.example.org", "8.8.8.8")
    *each, advice = refused.value.findings
    assert len(each) == 3
    assert "it may for localhost and *.localhost" in each[0]
    assert "127.0.0.0/8" in each[2]
    assert "NAME.local" in advice
    assert "certs ca" in advice


def test_certificates_f26_an_authority_of_an_earlier_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was generated when less was local is told how to be replaced."""
    monkeypatch.setattr("tlshttp.certs._constraints.LOCAL_DOMAINS", ("localhost", "test", "local"))
    authority = certs.local_authority(tmp_path)
    monkeypatch.undo()
    with pytest.raises(CertificateError, match=r"a new one may: .*trust --undo.*authority-key.pem"):
        authority.issue_server("host.docker.internal")


def test_certificates_f27_a_file_system_without_permissions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where every file has mode 0777 and chmod does nothing, the key is used, with a warning."""
    certs.local_authority(tmp_path)
    keyfile = tmp_path / "authority-key.pem"
    keyfile.chmod(0o777)
    real = os.fstat
    with pytest.raises(CertificateError, match="chmod 600"):
        certs.local_authority(tmp_path)  # here chmod works: somebody has opened the file
    monkeypatch.setattr(
        "os.fstat",
        lambda number: os.stat_result((real(number).st_mode | 0o777, *real(number)[1:])),
    )
    certs.local_authority(tmp_path)
    assert "every user of this machine can read" in caplog.text


def test_certificates_f27_a_file_system_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT has no hard links: the authority is generated all the same, once."""

    def fail(*arguments: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", fail)
    first = certs.local_authority(tmp_path)
    before = first.certfile.with_name("authority-key.pem").read_bytes()
    _local._generate(first.certfile.with_name("authority-key.pem"))
    assert first.certfile.with_name("authority-key.pem").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_owner_is_named_even_without_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority names user and machine, as far as there are any, within 64 characters."""
    assert "at " in _local._describe_owner()

    def fail() -> str:
        raise OSError

    monkeypatch.setattr("getpass.getuser", fail)
    monkeypatch.setattr("platform.node", lambda: "x\n" * 80)
    text = _local._describe_owner()
    assert text.startswith("tlshttp local authority of somebody at xx")
    assert len(text) == 64
