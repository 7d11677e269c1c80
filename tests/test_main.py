"""``python -m tlshttp``, run as a user runs it and visited by the clients users have."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

import tlshttp
from tests.file_server.program import Program
from tests.support import UNIT, wait_until
from tlshttp import certs
from tlshttp.__main__ import main
from tlshttp._binding import network_addresses
from tlshttp._command_line.own_certificate import own_certificate

TEXT = "Served over TLS: äöü\n"

Run = Callable[..., "Program"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a file to serve."""
    folder = tmp_path / "public"
    folder.mkdir()
    (folder / "hello.txt").write_text(TEXT, encoding="utf-8")
    (folder / "page.html").write_text(
        '<!DOCTYPE html><title>t</title><p id="p">before</p>'
        "<script>document.getElementById('p').textContent = location.protocol + ' works'</script>"
    )
    return folder


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    """Start programs that serve the folder, and end them."""
    started: list[Program] = []

    def start(*arguments: str, **environment: str) -> Program:
        bind = () if "--bind" in arguments else ("--bind", "127.0.0.1")
        fixed = ("0", *bind, "--directory", str(folder))
        environment = {"XDG_DATA_HOME": str(folder.parent / "data"), **environment}
        started.append(Program(*fixed, *arguments, **environment))
        return started[-1]

    yield start
    for program in started:
        program.end()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its encrypted key."""
    folder = tmp_path_factory.mktemp("pair")
    certificate = certs.self_signed("localhost", "127.0.0.1")
    certificate.write(folder / "cert.pem", folder / "key.pem", password=b"secret word")
    (folder / "password").write_text("secret word\n")
    return folder / "cert.pem", folder / "key.pem"


def with_pair(pair: tuple[Path, Path]) -> tuple[str, ...]:
    """Return the options that name the pair."""
    certfile, keyfile = map(str, pair)
    password = str(pair[0].parent / "password")
    return "--tls-cert", certfile, "--tls-key", keyfile, "--tls-password-file", password


def needs(program: str) -> str:
    """Return the path of a program, or skip the test."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


@pytest.mark.smoke
def test_urllib_fetches_with_verification(run: Run, pair: tuple[Path, Path]) -> None:
    """Python's own client trusts the certificate it is given and reads the file."""
    program = run(*with_pair(pair))
    client = ssl.create_default_context(cafile=str(pair[0]))
    with urllib.request.urlopen(program.url + "hello.txt", context=client) as response:
        assert response.read().decode() == TEXT


def test_urllib_refuses_the_certificate_it_does_not_know(run: Run) -> None:
    """The certificate made on the spot is not trusted by anybody who was not told."""
    program = run()
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(program.url, context=ssl.create_default_context())


def test_curl_fetches_with_verification(run: Run, pair: tuple[Path, Path]) -> None:
    """The command-line client of most people reads the file."""
    curl = needs("curl")
    program = run(*with_pair(pair))
    fetched = subprocess.run(
        [curl, "--silent", "--show-error", "--cacert", str(pair[0]), program.url + "hello.txt"],
        capture_output=True,
        timeout=50 * UNIT,
        check=True,
    )
    assert fetched.stdout.decode() == TEXT


def test_openssl_fetches_and_sees_a_clean_end(run: Run, pair: tuple[Path, Path]) -> None:
    """``openssl s_client`` verifies the certificate, and its session ends with close_notify."""
    openssl = needs("openssl")
    program = run(*with_pair(pair))
    address = program.url.removeprefix("https://").rstrip("/")
    fetched = subprocess.run(
        [openssl, "s_client", "-connect", address, "-CAfile", str(pair[0]), "-ign_eof",
         "-verify_return_error", "-trace"],
        input=b"GET /hello.txt HTTP/1.0\r\n\r\n",
        capture_output=True,
        timeout=50 * UNIT,
        check=True,
    )  # fmt: skip
    assert TEXT.encode() in fetched.stdout
    assert b"Verify return code: 0 (ok)" in fetched.stdout
    assert b"close notify" in fetched.stdout


def test_chromium_renders_a_page(run: Run, tmp_path: Path) -> None:
    """A browser loads a page and runs its script over HTTPS."""
    chromium = needs("chromium")
    program = run()
    page = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--ignore-certificate-errors", f"--user-data-dir={tmp_path / 'profile'}",
         "--dump-dom", program.url + "page.html"],
        capture_output=True,
        timeout=50 * UNIT,
        check=True,
    )  # fmt: skip
    assert b"https: works" in page.stdout


def test_banner_tells_the_fingerprint_clients_see(run: Run) -> None:
    """Who compares the fingerprint compares it with the certificate that is really shown."""
    program = run()
    names, fingerprint = program.more(), program.more()
    assert "localhost, 127.0.0.1, ::1" in names
    port = int(program.url.rsplit(":", 1)[1].rstrip("/"))
    shown = ssl.get_server_certificate(("127.0.0.1", port))
    assert certs.load_chain(shown).fingerprint() in fingerprint


def test_the_local_authority_issues_where_there_is_one(run: Run, tmp_path: Path) -> None:
    """Who trusts the local authority gets a page without having been told of a certificate."""
    authority = certs.local_authority(tmp_path / "data" / "tlshttp")
    program = run()
    assert "local authority" in program.more()
    client = ssl.create_default_context(cafile=str(authority.certfile))
    with urllib.request.urlopen(program.url + "hello.txt", context=client) as response:
        assert response.read().decode() == TEXT


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_ends_with_status_0(run: Run, ending: int) -> None:
    """Ctrl-C and SIGTERM are the normal end: status 0 and no traceback."""
    status, output, errors = run().end(ending)
    assert status == 0
    assert "Stopped." in output
    assert errors == ""


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_protocol_is_the_one_asked_for(run: Run, pair: tuple[Path, Path], version: str) -> None:
    """``--protocol`` decides the version in the status line."""
    program = run(*with_pair(pair), "--protocol", version)
    client = ssl.create_default_context(cafile=str(pair[0]))
    with urllib.request.urlopen(program.url + "hello.txt", context=client) as response:
        assert response.version == {"HTTP/1.0": 10, "HTTP/1.1": 11}[version]


def test_port_taken_is_said_clearly(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the port and what to do, and the status is 2."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        assert main([str(port), "--bind", "127.0.0.1"]) == 2
    assert f"port {port} of 127.0.0.1 is taken by another program" in capsys.readouterr().err


def test_unreadable_key_is_said_clearly(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the file that cannot be read."""
    assert main(["0", "--tls-cert", str(pair[0]), "--tls-key", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_wrong_password_is_said_clearly(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is about the password, and does not repeat it."""
    (tmp_path / "password").write_text("guessed wrong")
    options = [*with_pair(pair)[:4], "--tls-password-file", str(tmp_path / "password")]
    assert main(["0", *options]) == 2
    message = capsys.readouterr().err
    assert "password" in message
    assert "guessed" not in message


def test_certificates_f15_empty_password_file_is_said_clearly(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A password file that is empty, or has only line ends, is called that, and not a damage."""
    for content in (b"", b"\n", b"\r\n", b"\xef\xbb\xbf"):
        (tmp_path / "password").write_bytes(content)
        options = [*with_pair(pair)[:4], "--tls-password-file", str(tmp_path / "password")]
        assert main(["0", *options]) == 2
        message = capsys.readouterr().err
        assert "password" in message
        assert "damaged" not in message


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_certificates_f19_f32_pkcs12_is_served(run: Run, tmp_path: Path, start: bytes) -> None:
    """A PKCS#12 file is served; a byte order mark is no part of the password that opens it."""
    certificate = certs.self_signed("localhost", "127.0.0.1")
    certfile, password = tmp_path / "pair.p12", tmp_path / "password"
    password.write_bytes(start + b"secret word\r\n")
    certfile.write_bytes(
        pkcs12.serialize_key_and_certificates(
            None, certificate.private_key, certificate.leaf, None,
            serialization.BestAvailableEncryption(b"secret word"),
        )
    )  # fmt: skip
    certfile.chmod(0o600)
    program = run("--tls-cert", str(certfile), "--tls-password-file", str(password))
    context = ssl.create_default_context(cadata=certificate.to_pem().decode())
    with urllib.request.urlopen(program.url + "hello.txt", context=context) as response:
        assert response.read().decode() == TEXT
    assert "tlshttp" not in program.end()[2]


def test_key_that_does_not_fit_is_said_clearly(
    tmp_path: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says that key and certificate are no pair."""
    certs.self_signed("localhost").write(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert main(["0", "--tls-cert", str(pair[0]), "--tls-key", str(tmp_path / "key.pem")]) == 2
    assert "does not belong to" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="modes of files as POSIX has them")
def test_people_u11_a_key_that_everybody_can_read_is_a_warning(run: Run, tmp_path: Path) -> None:
    """It is served all the same, and the warning advises nothing that has no option here."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    certs.self_signed("127.0.0.1").write(*files)
    files[1].chmod(0o644)
    program = run("--tls-cert", str(files[0]), "--tls-key", str(files[1]))
    told = program.end()[2]
    assert f"run 'chmod 600 {files[1]}'" in told
    assert "tolerate" not in told


@pytest.mark.parametrize("option", ["--tls-key", "--tls-password-file"])
def test_parts_of_a_certificate_need_the_rest(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key without a certificate is a mistake, not ignored."""
    assert main(["0", option, "somewhere"]) == 2
    assert f"{option} needs --tls-cert" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["70000"], "is not a port"),
        (["http"], "is not a port"),
        (["0", "--directory", "/nowhere/at/all"], "is not a directory"),
        (["0", "--protocol", "HTTP/3"], "invalid choice"),
    ],
)
def test_wrong_arguments_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What makes no sense is refused with the reason before anything is opened."""
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_certs_is_a_command_of_its_own(
    pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """``python -m tlshttp certs`` leads to the command line for certificates."""
    assert main(["certs", "show", str(pair[0])]) == 0
    assert "localhost" in capsys.readouterr().out


def test_audit_is_a_command_of_its_own(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m tlshttp audit`` finds our own server in order."""
    address = run().url.removeprefix("https://").rstrip("/")
    assert main(["audit", address]) == 0, capsys.readouterr().out
    assert "TLSv1.3" in capsys.readouterr().out


def test_a_renewed_certificate_is_shown_without_a_restart(run: Run, tmp_path: Path) -> None:
    """Files that are replaced while the program runs are picked up."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    certs.self_signed("localhost").write(certfile, keyfile)
    program = run("--tls-cert", str(certfile), "--tls-key", str(keyfile))
    renewed = certs.self_signed("localhost")
    renewed.write(certfile, keyfile)
    port = int(program.url.rsplit(":", 1)[1].rstrip("/"))

    def shown() -> str:
        pem = ssl.get_server_certificate(("127.0.0.1", port))
        return certs.load_chain(pem).fingerprint()

    assert wait_until(lambda: shown() == renewed.fingerprint(), timeout=50 * UNIT)


def test_unknown_host_is_said_clearly(capsys: pytest.CaptureFixture[str]) -> None:
    """An address that does not exist is named."""
    assert main(["0", "--bind", "no.such.host.invalid"]) == 2
    assert "--bind no.such.host.invalid" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ("192.0.2.9", "port 0 of 192.0.2.9: this machine has no such address"),
        ("[2001:db8::9]", "port 0 of [2001:db8::9]: this machine has no such address"),
        ("fe80::1%none", "there is no network interface 'none'"),
        ("a..b", "--bind a..b: that is not the name of a host"),
        ("[nonsense]", "--bind [nonsense]"),
    ],
)
def test_people_u7_addresses_that_cannot_be_bound(
    bind: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the address and says why, without a number of the system."""
    assert main(["0", "--bind", bind]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert "Errno" not in errors


@pytest.mark.skipif(not socket.has_ipv6, reason="this platform has no IPv6")
@pytest.mark.parametrize("bind", ["[::1]", "::1"])
def test_people_u7_addresses_as_in_urls(run: Run, bind: str) -> None:
    """An IPv6 address may have the brackets it has in URLs."""
    assert run("--bind", bind).url.startswith("https://[::1]:")


def test_people_u7_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` names program and version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tlshttp {tlshttp.__version__}\n"


def test_people_u7_console_scripts() -> None:
    """The package has a program of the name that pipx and uvx look for: that of the package."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["tlshttp"] == "tlshttp.__main__:main"
    assert project["scripts"][project["name"]] == "tlshttp.__main__:main"


def test_people_u7_a_colleague_can_come(run: Run) -> None:
    """On all addresses, those of the network are printed, and the certificate has them."""
    addresses = network_addresses()
    if not addresses:
        pytest.skip("this machine is on no network")
    program = run("--bind", "*")
    names, _ = program.more(), program.more()
    lines = [program.more() for _ in addresses]
    for address, line in zip(addresses, lines, strict=True):
        host = f"[{address}]" if ":" in address else address
        assert line.startswith(f"From the network: https://{host}:")
        assert address in names


def test_certificates_f26_what_is_not_certified_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of this machine that the authority may not issue for is named, not dropped."""
    certs.local_authority(tmp_path)
    monkeypatch.setattr("socket.gethostname", lambda: "raspberrypi")
    own = own_certificate(["127.0.0.1"], str(tmp_path))
    assert "raspberrypi.local" in own.store.current.names
    assert own.missing == ("raspberrypi",)
    assert own.describe()[-1].endswith("may not issue for it: raspberrypi")


def test_certificates_f27_a_folder_by_option(run: Run, tmp_path: Path) -> None:
    """The authority of ``--authority-folder`` certifies."""
    authority = certs.local_authority(tmp_path / "elsewhere")
    program = run("--authority-folder", str(tmp_path / "elsewhere"))
    assert "local authority" in program.more()
    client = ssl.create_default_context(cafile=str(authority.certfile))
    with urllib.request.urlopen(program.url + "hello.txt", context=client) as response:
        assert response.status == 200


def test_password_from_standard_input(folder: Path, pair: tuple[Path, Path]) -> None:
    """``--tls-password-file -`` reads the password from standard input."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tlshttp", "0", *with_pair(pair)[:4],
         "--tls-password-file", "-", "--bind", "127.0.0.1", "--directory", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("secret word\n")
    process.stdin.close()
    assert "https://" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.stdout.close()
    assert process.wait(50 * UNIT) == 0


def test_people_u1_its_own_files_are_not_served_and_it_says_so(
    run: Run, folder: Path, pair: tuple[Path, Path]
) -> None:
    """Certificate, key and password, in the folder that is served, stay there."""
    names = ("cert.pem", "key.pem", "password")
    for name in names:
        shutil.copy(pair[0].parent / name, folder / name)
    program = run(*with_pair((folder / "cert.pem", folder / "key.pem")))
    told = program.more()
    assert (
        told == "Not served, since they are the server's own: 'cert.pem', 'key.pem', 'password'\n"
    )
    client = ssl.create_default_context(cafile=str(pair[0]))
    for name in names:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(program.url + name, context=client)
    with urllib.request.urlopen(program.url, context=client) as response:
        page = response.read().decode()
    assert "hello.txt" in page
    assert not [name for name in names if name in page]


def test_people_u1_keys_of_other_programs_are_told_of(
    run: Run, folder: Path, pair: tuple[Path, Path]
) -> None:
    """What nobody means to publish, left there by a program that has ended, is named."""
    shutil.copy(pair[1], folder / "own.key")
    (folder / "LEFT.key").write_bytes(certs.self_signed("localhost").key_to_pem())
    (folder / "cert.pem").write_bytes(certs.self_signed("localhost").to_pem())
    (folder / ".hidden.key").write_bytes(certs.self_signed("localhost").key_to_pem())
    program = run(*with_pair((pair[0], folder / "own.key")))
    assert program.more() == "Not served, since they are the server's own: 'own.key'\n"
    assert program.more() == "Private keys of other programs ARE served: 'LEFT.key'\n"


@pytest.mark.parametrize("named", ["by option", "by variable"])
def test_the_authority_is_not_served_beside_another_certificate(
    named: str, run: Run, folder: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """People P1: ``--tls-cert`` needs no authority, and its key stays secret all the same."""
    authority = folder / "authority"
    certs.local_authority(authority)
    (folder / "link.txt").hardlink_to(authority / "authority-key.pem")
    words = ["--authority-folder", str(authority)] if named == "by option" else []
    if not words:
        monkeypatch.setenv("TLSHTTP_AUTHORITY", str(authority))
    program = run(*with_pair(pair), *words)
    assert program.more() == "Not served, since they are the server's own: 'authority'\n"
    client = ssl.create_default_context(cafile=str(pair[0]))
    for name in ("authority/authority-key.pem", "authority/", "link.txt"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(program.url + name, context=client)
    assert urllib.request.urlopen(program.url + "hello.txt", context=client).status == 200


@pytest.mark.parametrize("where", ["authority", "authority/sub", "."])
def test_uploads_do_not_go_to_the_authority(
    where: str,
    folder: Path,
    pair: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """People P1: not into its folder, not below, and not above."""
    (folder / "authority" / "sub").mkdir(parents=True)
    monkeypatch.setenv("TLSHTTP_AUTHORITY", str(folder / "authority"))
    assert main(["0", *with_pair(pair), "--upload", str(folder / where)]) == 2
    assert "the server's own" in capsys.readouterr().err
