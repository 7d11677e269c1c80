"""Commands under bad conditions: each ends with a status and a sentence, never a traceback."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from tests.support import UNIT, free_port, wait_until
from tlshttp import _certs_cli, certs
from tlshttp.__main__ import main
from tlshttp._audit_cli import main as audit
from tlshttp._command_line.servers import ServerAddress, host_of, parse_server
from tlshttp.errors import ConfigurationError

pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="terminals and streams as POSIX has them"
)

PASSWORD = "secret word"

# Each command that may ask for a password, and how often it asks.
PROMPTS: dict[str, tuple[str, ...]] = {
    "server": ("0", "--tls-cert", "ca.pem", "--tls-key", "ca-key.pem"),
    "certs ca": ("certs", "ca", "CA", "--encrypt", "--certfile", "n.pem", "--keyfile", "nk.pem"),
    "certs issue, authority's key": (
        "certs", "issue", "localhost", "--ca", "ca.pem", "--ca-key", "ca-key.pem",
    ),
    "certs issue, new key": (
        "certs", "issue", "localhost", "--ca", "ca.pem", "--ca-key", "open-key.pem", "--encrypt",
    ),
    "certs client": (
        "certs", "client", "me@example.org", "--ca", "ca.pem", "--ca-key", "ca-key.pem",
    ),
    "certs client --pkcs12": (
        "certs", "client", "me@example.org", "--ca", "ca.pem", "--ca-key", "open-key.pem",
        "--pkcs12", "n.pem",
    ),
    "certs issue --key": (
        "certs", "issue", "localhost", "--ca", "ca.pem", "--ca-key", "open-key.pem",
        "--key", "ca-key.pem",
    ),
    "certs ca below another": (
        "certs", "ca", "Below", "--ca", "ca.pem", "--ca-key", "ca-key.pem",
        "--certfile", "n.pem", "--keyfile", "nk.pem",
    ),
    "certs sign": (
        "certs", "sign", "request.pem", "--ca", "ca.pem", "--ca-key", "ca-key.pem",
    ),
    "certs pkcs12": ("certs", "pkcs12", "ca.pem", "open-key.pem", "--out", "n.pem"),
    "certs pkcs12, encrypted key": ("certs", "pkcs12", "ca.pem", "ca-key.pem", "--out", "n.pem"),
    "certs revoke": (
        "certs", "revoke", "--serial", "1", "--ca", "ca.pem", "--ca-key", "ca-key.pem",
        "--crl", "n.pem",
    ),
    "certs revoke, PKCS#12": (
        "certs", "revoke", "ca.p12", "--ca", "ca.pem", "--ca-key", "open-key.pem", "--crl", "n.pem",
    ),
    "certs show, PKCS#12": ("certs", "show", "ca.p12"),
    "certs check, PKCS#12": ("certs", "check", "ca.p12"),
    "certs verify, PKCS#12": (
        "certs", "verify", "ca.p12", "--ca", "ca.pem", "--host", "localhost",
    ),
    "certs crl": (
        "certs", "crl", "--ca", "ca.pem", "--ca-key", "ca-key.pem", "--crl", "n.pem",
    ),
}  # fmt: skip

# Each command that reads a file, with {} for the file.
READERS: dict[str, tuple[str, ...]] = {
    "server, --tls-cert": ("0", "--tls-cert", "{}"),
    "server, --tls-key": ("0", "--tls-cert", "ca.pem", "--tls-key", "{}"),
    "server, --tls-password-file": (
        "0", "--tls-cert", "ca.pem", "--tls-key", "ca-key.pem", "--tls-password-file", "{}",
    ),
    "certs show": ("certs", "show", "{}"),
    "certs check": ("certs", "check", "{}"),
    "certs issue --ca": ("certs", "issue", "localhost", "--ca", "{}"),
    "certs issue --ca-key": ("certs", "issue", "localhost", "--ca", "ca.pem", "--ca-key", "{}"),
    "certs client --ca-password-file": (
        "certs", "client", "a@example.org", "--ca", "ca.pem", "--ca-key", "ca-key.pem",
        "--ca-password-file", "{}",
    ),
    "certs ca --password-file": (
        "certs", "ca", "CA", "--encrypt", "--certfile", "n.pem", "--keyfile", "nk.pem",
        "--password-file", "{}",
    ),
    "certs issue --key": (
        "certs", "issue", "localhost", "--ca", "ca.pem", "--ca-key", "open-key.pem", "--key", "{}",
    ),
    "certs sign": ("certs", "sign", "{}", "--ca", "ca.pem", "--ca-key", "open-key.pem"),
    "certs pkcs12": ("certs", "pkcs12", "{}", "open-key.pem"),
    "certs pkcs12, key": ("certs", "pkcs12", "ca.pem", "{}"),
    "certs verify": ("certs", "verify", "{}", "--ca", "ca.pem", "--host", "localhost"),
    "certs verify --ca": ("certs", "verify", "ca.pem", "--ca", "{}", "--host", "localhost"),
    "certs revoke": ("certs", "revoke", "{}", "--ca", "ca.pem", "--ca-key", "open-key.pem"),
    "certs crl --ca": ("certs", "crl", "--ca", "{}", "--ca-key", "open-key.pem"),
    "certs trust": ("certs", "trust", "{}", "--dry-run"),
}  # fmt: skip

# Each command that asks a server, with {} for the server, and {seconds} that it may take.
ASKERS: dict[str, tuple[str, ...]] = {
    "certs show": ("certs", "show", "{}", "--timeout", "{seconds}"),
    "certs check": ("certs", "check", "{}", "--timeout", "{seconds}"),
    "certs verify": ("certs", "verify", "{}", "--ca", "ca.pem", "--timeout", "{seconds}"),
    "audit": ("audit", "{}", "--timeout", "{seconds}"),
}


def asking(command: str, server: str, seconds: float = 50) -> list[str]:
    """Return the words by which a command asks a server."""
    words = (word.replace("{seconds}", f"{seconds * UNIT:g}") for word in ASKERS[command])
    return [word.replace("{}", server) for word in words]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an authority, its key once open and once encrypted."""
    folder = tmp_path_factory.mktemp("authority")
    made = certs.CertificateAuthority.generate("CA")
    made.write(folder / "ca.pem", folder / "ca-key.pem", PASSWORD)
    made.write(folder / "ca.pem", folder / "open-key.pem")
    (folder / "ca.p12").write_bytes(made.certificate.to_pkcs12(PASSWORD))
    key = made.certificate.private_key
    request = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    )
    pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "request.pem").write_bytes(pem)
    return folder


@pytest.fixture
def place(tmp_path: Path, authority: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder: the authority's files, and a home, in it."""
    for file in authority.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / file.name).chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "TLSHTTP_AUTHORITY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def start(
    *arguments: str, closed: str = "", prefix: Sequence[str] = (), **options: Any
) -> subprocess.Popen[str]:
    """Start a command with no terminal.

    Args:
        *arguments: What follows ``python -m tlshttp``.
        closed: The streams to close, as the shell writes it.
        prefix: What to start it with.
        **options: Streams and environment other than usual.
    """
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    shell = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh"]
    return subprocess.Popen(
        [*shell, *prefix, sys.executable, "-m", "tlshttp", *arguments],
        text=True,
        start_new_session=True,
        **{**streams, **options},
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of a command; return status and errors, which hold no traceback."""
    _, errors = process.communicate(timeout=40 * UNIT)
    errors = errors or ""  # None where standard error is no pipe
    assert "Traceback" not in errors, errors
    assert "Exception ignored" not in errors, errors
    return process.returncode, errors


@pytest.mark.parametrize("command", PROMPTS)
def test_certificates_f10_no_terminal(command: str, place: Path) -> None:
    """Without a terminal a prompt is an error that names the option to use, and nothing is made."""
    status, errors = ended(start(*PROMPTS[command]))
    assert status == 2
    assert "there is no terminal" in errors
    assert "password-file" in errors
    assert (
        not list(place.glob("n*.pem")) + list(place.glob("server*")) + list(place.glob("client*"))
    )


@pytest.mark.parametrize("command", PROMPTS)
def test_certificates_f10_closed_streams(command: str, place: Path) -> None:
    """With standard input and output closed from the start, the same."""
    status, errors = ended(start(*PROMPTS[command], closed="<&- >&-"))
    assert status == 2
    assert "there is no terminal" in errors


@pytest.mark.parametrize(
    ("command", "key"),
    [
        *((command, key) for command in PROMPTS for key in ("ctrl-c", "ctrl-d")),
        # What follows is the same code for all.
        *((command, key) for command in list(PROMPTS)[:2] for key in ("enter", "hang-up")),
    ],
)
def test_certificates_f10_keys_at_the_prompt(command: str, key: str, place: Path) -> None:
    """Ctrl-C, Ctrl-D, Enter alone and a lost terminal at a prompt end with a sentence."""
    process, terminal = start_in_terminal(*PROMPTS[command])
    try:
        until(terminal, b"assword")
        if key == "hang-up":
            os.close(terminal)
            process.wait(40 * UNIT)
            return  # SIGHUP, or an error that nobody can be told
        pressed = {"ctrl-c": b"\x03", "ctrl-d": b"\x04", "enter": b"\r"}[key]
        os.write(terminal, pressed)
        # Python does not see a signal that comes just before it begins to read: press it again.
        said = until(terminal, None, again=pressed if key == "ctrl-c" else b"")
        assert process.wait(40 * UNIT) == (130 if key == "ctrl-c" else 2)
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            os.close(terminal)
    assert b"Traceback" not in said, said
    sentence = {"ctrl-c": b"stopped", "ctrl-d": b"no password was given", "enter": b"empty"}[key]
    assert sentence in said


def test_password_typed_at_the_terminal(place: Path) -> None:
    """A password that is typed is not shown, and opens the key."""
    process, terminal = start_in_terminal(*PROMPTS["certs issue, authority's key"])
    until(terminal, b"assword")
    os.write(terminal, f"{PASSWORD}\r".encode())
    said = until(terminal, None)
    os.close(terminal)
    assert process.wait(40 * UNIT) == 0, said
    assert PASSWORD.encode() not in said
    assert (place / "server.pem").exists()


def start_in_terminal(*arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command that has a terminal of its own; return it and our end of the terminal."""
    ours, theirs = os.openpty()
    program = (
        "import os, signal, sys; os.login_tty(0);"
        # A shell that starts a session in the background has it ignored.
        " signal.signal(signal.SIGINT, signal.SIG_DFL);"
        " os.execv(sys.executable, [sys.executable, '-m', 'tlshttp', *sys.argv[1:]])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    return process, ours


def until(terminal: int, word: bytes | None, again: bytes = b"") -> bytes:
    """Read what is shown until a word comes, or to the end; press keys again while none does."""
    shown = b""
    while word is None or word not in shown:
        while again and not select.select([terminal], [], [], 10 * UNIT)[0]:
            with contextlib.suppress(OSError):
                os.write(terminal, again)
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # what Linux says at the end of a terminal
            piece = b""
        if not piece:
            assert word is None, shown
            break
        shown += piece
    return shown


FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "a folder": lambda path: path.mkdir(),
    "below a file": lambda path: path.parent.joinpath("bad.pem").symlink_to("ca.pem/x"),
    "a loop of links": lambda path: path.symlink_to(path.name),
    "random bytes": lambda path: path.write_bytes(bytes(range(256)) * 8),
    "one line end": lambda path: path.write_bytes(b"\n"),
    "large": lambda path: path.write_bytes(b"x" * (1 << 21)),
}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (command, kind)
        for command in READERS
        for kind in FILES
        if "password" not in command or kind != "random bytes"  # these are a password
    ],
)
def test_bad_files(
    command: str, kind: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be used ends each command that reads it with 2 and the file's name."""
    FILES[kind](place / "bad.pem")
    assert main([word.replace("{}", "bad.pem") for word in READERS[command]]) == 2
    errors = capsys.readouterr().err
    assert "bad.pem" in errors
    assert "Errno" not in errors


@pytest.mark.parametrize("command", READERS)
def test_unreadable_files(command: str, place: Path) -> None:
    """A file that may not be read ends each command with 2 and the reason."""
    (place / "bad.pem").write_bytes((place / "ca.pem").read_bytes())
    (place / "bad.pem").chmod(0)
    arguments = [word.replace("{}", "bad.pem") for word in READERS[command]]
    status, errors = ended(start(*arguments, prefix=without_root_powers()))
    assert status == 2
    assert "bad.pem" in errors
    assert "Permission denied" in errors


def without_root_powers() -> list[str]:
    """Return what to start a program with so that modes of files count, for root, too."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root may read everything, and there is no setpriv")
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all"]


SWAPPED = {
    "server": ("0", "--tls-cert", "open-key.pem", "--tls-key", "ca.pem"),
    "certs issue": ("certs", "issue", "a.test", "--ca", "open-key.pem", "--ca-key", "ca.pem"),
    "certs show": ("certs", "show", "open-key.pem"),
    "certs check": ("certs", "check", "open-key.pem"),
}


@pytest.mark.parametrize("command", SWAPPED)
def test_swapped_files(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Key and certificate exchanged: the error says which file has no certificate, or is which."""
    assert main(list(SWAPPED[command])) == 2
    errors = capsys.readouterr().err
    assert "there is no certificate in 'open-key.pem'" in errors or "swapped" in errors


def refuses(listener: socket.socket) -> None:
    """Answer nothing and close."""
    listener.accept()[0].close()


def speaks_http(listener: socket.socket) -> None:
    """Answer as a web server without TLS does."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def greets(listener: socket.socket) -> None:
    """Speak first, as a mail server does."""
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"220 mail.example.org ESMTP\r\n")
        connection.recv(65_536)


def resets(listener: socket.socket) -> None:
    """Reset the connection."""
    connection, _ = listener.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@contextlib.contextmanager
def peer(behave: Callable[[socket.socket], None] | None) -> Iterator[int]:
    """Run a peer on a port; with `None` it accepts and stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: repeat(listener, behave))
        if behave is not None:
            thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            if behave is not None:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()


def repeat(listener: socket.socket, behave: Callable[[socket.socket], None] | None) -> None:
    """Behave so to each connection until the listening ends."""
    while behave is not None:
        try:
            behave(listener)
        except ConnectionError:
            continue
        except OSError:
            return


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (refuses, "perhaps it speaks no TLS"),
        (resets, "perhaps it speaks no TLS"),
        (speaks_http, "does not speak TLS"),
        (greets, "does not speak TLS"),
        (None, "does not answer within 0.3 seconds"),
    ],
)
# CPython leaks a socket that is reset while it is being wrapped.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("command", ASKERS)
def test_certificates_f11_f22_ports_that_speak_no_tls(
    command: str,
    behave: Callable[[socket.socket], None] | None,
    reason: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Status 2, and one line with host, port and reason."""
    with peer(behave) as port:
        assert main(asking(command, f"127.0.0.1:{port}", 50 if behave else 0.3)) == 2
    gc.collect()
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert f"127.0.0.1:{port}: " in line
    assert reason in line


@pytest.mark.parametrize("command", ASKERS)
def test_certificates_f22_nobody_listens(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused connection and an unknown host name host and port, without errno."""
    port = free_port()
    for server, reason in (
        (f"127.0.0.1:{port}", "Connection refused"),
        (f"https://127.0.0.1:{port}/page?query", "Connection refused"),
        ("no.such.host.invalid", "cannot be found"),
        ("a..b", "not the name of a host"),
    ):
        assert main(asking(command, server)) == 2
        errors = capsys.readouterr().err
        assert reason in errors
        assert "Errno" not in errors
        assert ":443" in errors or str(port) in errors


@pytest.mark.parametrize("command", ASKERS)
@pytest.mark.parametrize(
    "server", ["localhost:84006", "localhost:0", "localhost:-1", "localhost:http", "localhost:٤٤٣"]
)
def test_certificates_f22_ports_that_are_none(
    server: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port out of range is refused, not taken modulo 65536."""
    assert main(asking(command, server)) == 2
    assert "is not a port (1 to 65535)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.org", "example.org", 443),
        ("example.org:8443", "example.org", 8443),
        ("https://example.org", "example.org", 443),
        ("HTTPS://example.org:8443/path?query#part", "example.org", 8443),
        ("https://user@example.org/", "example.org", 443),
        ("https://example.org:/", "example.org", 443),
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("::1", "::1", 443),
        ("[::1]", "::1", 443),
        ("[::1]:65535", "::1", 65535),
        ("https://[::1]:8443/", "::1", 8443),
        ("fe80::1%eth0", "fe80::1%eth0", 443),
        ("[fe80::1%eth0]:8443", "fe80::1%eth0", 8443),
        ("https://[fe80::1%25eth0]:8443/", "fe80::1%eth0", 8443),
        (" example.org ", "example.org", 443),
    ],
)
def test_certificates_f22_servers_as_people_write_them(text: str, host: str, port: int) -> None:
    """Host and port, addresses with and without brackets, and URLs name the same servers."""
    assert parse_server(text) == ServerAddress(host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":443", "[", "[]", "[x]:1", "[127.0.0.1]:1", "a b", "http://localhost", "ftp://x", "a:1:2",
     "https://", "https:///x", "host/path", "a@b", "[::1]8443", "::1]:443"],
)  # fmt: skip
def test_what_is_no_server(text: str) -> None:
    """Everything else is refused with the text that was given."""
    with pytest.raises(ConfigurationError, match=r"is not|not TLS"):
        parse_server(text)


def test_host_of_leaves_names_alone() -> None:
    """Brackets go from addresses only."""
    assert [host_of(text) for text in ("[::1]", "::1", "localhost", "[x]", "")] == [
        "::1", "::1", "localhost", "[x]", "",
    ]  # fmt: skip


def test_output_that_nobody_reads(place: Path) -> None:
    """A reader that has gone (``| head``) and a full disk are no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    process = start("certs", "show", "ca.pem", stdout=writing)
    os.close(writing)
    assert ended(process)[0] == 1
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            status, errors = ended(start("certs", "show", "ca.pem", stdout=full))
        assert status == 2
        assert "the output cannot be written: No space left" in errors


@pytest.mark.parametrize(("file", "status"), [("ca.pem", 0), ("missing.pem", 2)])
def test_all_streams_closed(file: str, status: int, place: Path) -> None:
    """A command that has no stream at all still does its work, and its status tells of it."""
    assert ended(start("certs", "show", file, closed="<&- >&- 2>&-"))[0] == status


def test_output_in_an_encoding_without_the_letters(place: Path) -> None:
    """Names that the terminal's encoding lacks are escaped."""
    certs.CertificateAuthority.generate("Größe 大").write(place / "big.pem")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    process = start("certs", "show", "big.pem", env=environment)
    output, errors = process.communicate(timeout=40 * UNIT)
    assert process.returncode == 0, errors
    assert "Gr\\xf6\\xdfe" in output


def test_interrupt_while_a_server_is_asked() -> None:
    """Ctrl-C while waiting for a silent server ends with 130 and a word."""
    with peer(None) as port, socket.create_server(("127.0.0.1", 0)):
        process = start("certs", "check", f"127.0.0.1:{port}", "--timeout", "60")
        assert wait_for_connection(port)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            # Python does not see a signal that comes just before it begins to wait.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10 * UNIT)
        status, errors = ended(process)
    assert status == 130
    assert "stopped" in errors


def wait_for_connection(port: int) -> bool:
    """Wait until somebody is connected to a port of this machine."""
    wanted = f":{port:04X}"

    def connected() -> bool:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(line[2].endswith(wanted) and line[3] == "01" for line in lines)

    return wait_until(connected)


def test_certificates_f11_contexts(capsys: pytest.CaptureFixture[str]) -> None:
    """A context without certificate is told so, and one for clients is refused by name."""
    import ssl

    from tlshttp import context

    report = context.audit(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert report.deviations[0].code == "certificate-missing"
    with pytest.raises(ConfigurationError, match="client's context"):
        context.audit(ssl.create_default_context())
    assert audit(["127.0.0.1:0"]) == 2
    assert "is not a port" in capsys.readouterr().err


def commands_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the names of a parser's commands."""
    (choices,) = (action.choices for action in parser._actions if action.choices)
    return set(choices)


def test_no_command_is_left_out() -> None:
    """Each command of ``certs`` that reads a file, asks a server or a password is in the tables."""
    tables = {name.split()[1].rstrip(",") for name in (*PROMPTS, *READERS, *ASKERS) if " " in name}
    assert commands_of(_certs_cli.make_parser()) - tables == {"folder"}  # it only prints


CLOSED_STREAMS = {
    "certs folder": ("certs", "folder"),
    "certs show": ("certs", "show", "ca.pem"),
    "certs check": ("certs", "check", "ca.pem"),
    "certs trust": ("certs", "trust", "--dry-run", "--only", "browsers"),
    "certs issue": ("certs", "issue", "localhost", "--force"),
    "certs": ("certs",),
    "certs --help": ("certs", "--help"),
    "audit --help": ("audit", "--help"),
    "bad": ("bad",),
    "bad --help": ("bad", "--help"),
    "bad, what is none": ("bad", "no-such-fault"),
    "server --help": ("--help",),
    "server --version": ("--version",),
}


@pytest.mark.parametrize("command", CLOSED_STREAMS)
def test_closed_streams(command: str, place: Path) -> None:
    """Whatever streams are closed, the status is the usual one and nothing is thrown."""
    closed = ("", "<&- >&-", "<&- >&- 2>&-")
    running = [start(*CLOSED_STREAMS[command], closed=streams) for streams in closed]
    usual, *others = [ended(process)[0] for process in running]
    assert others == [usual] * len(others)
