"""A run as a program: signals, several addresses, passwords, what is said and what is opened."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines import NEEDS_GROUPS
from tests.file_server.program import Program, Terminal
from tests.file_server.test_gate import basic
from tests.support import UNIT, wait_until
from tlshttp import TLSFileRequestHandler, certs, context
from tlshttp.__main__ import main
from tlshttp._binding import network_addresses
from tlshttp._command_line import parsing
from tlshttp._default_engine import default_engine
from tlshttp._file_server import qr_code
from tlshttp._file_server.listening import FileServer
from tlshttp._file_server.qr_code import qr_code as draw
from tlshttp._file_server.running import Actions
from tlshttp._file_server.running import run as run_servers
from tlshttp.errors import CertificateError, ConfigurationError

pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="signals and terminals as POSIX has them"
)

Run = Callable[..., Program]


@pytest.fixture
def run(public: Path, tmp_path: Path) -> Iterator[Run]:
    """Start programs that serve the folder, and end them."""
    started: list[Program] = []

    def start(*words: str, **environment: str) -> Program:
        environment = {"XDG_DATA_HOME": str(tmp_path / "data"), **environment}
        started.append(Program("0", "--directory", str(public), *words, **environment))
        return started[-1]

    yield start
    for program in started:
        program.end()


def fetch(url: str, **fields: str) -> int:
    """Return the status of a request; the certificate is not looked at."""
    request = urllib.request.Request(url, headers=fields)
    try:
        with urllib.request.urlopen(
            request, context=ssl._create_unverified_context(), timeout=50 * UNIT
        ) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def fingerprint(program: Program) -> str:
    """Return that of the certificate a program shows."""
    port = int(program.url.rsplit(":", 1)[1].rstrip("/"))
    return certs.load_chain(ssl.get_server_certificate(("127.0.0.1", port))).fingerprint()


# Signals ---------------------------------------------------------------------------------------


def test_people_u6_sighup_reloads_the_certificate(run: Run, tmp_path: Path) -> None:
    """As certbot's hook has it: the new one is shown, connections go on, and it is said."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    certs.self_signed("127.0.0.1").write(*files)
    program = run("-b", "127.0.0.1", "--tls-cert", str(files[0]), "--tls-key", str(files[1]))
    old = fingerprint(program)
    renewed = certs.self_signed("127.0.0.1")
    renewed.write(*files)
    program.send(signal.SIGHUP)
    assert program.more() == "Reloaded; the certificate is a new one.\n"
    assert old != fingerprint(program) == renewed.fingerprint()
    program.send(signal.SIGHUP)
    assert program.more() == "Reloaded; the certificate is the same.\n"
    assert program.end(signal.SIGINT)[0] == 0


def test_people_u6_sighup_keeps_what_can_be_used(run: Run, tmp_path: Path) -> None:
    """A certificate that is broken, or a password file that is empty, replaces nothing."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    certs.self_signed("127.0.0.1").write(*files)
    word = tmp_path / "word"
    word.write_text("first\n")
    program = run(
        "-b", "127.0.0.1", "--tls-cert", str(files[0]), "--tls-key", str(files[1]),
        "--auth", "me", "--auth-file", str(word), "--quiet",
    )  # fmt: skip
    shown = fingerprint(program)
    word.write_text("second\n")
    program.send(signal.SIGHUP)
    assert program.more() == "Reloaded; the certificate is the same.\n"
    assert fetch(program.url, Authorization=basic("me", "first")) == 401
    assert fetch(program.url, Authorization=basic("me", "second")) == 200
    word.write_text("")
    program.send(signal.SIGHUP)
    assert f"SIGHUP: the old one stays in use: there is no password in {str(word)!r}" in (
        program.complaint()
    )
    assert fetch(program.url, Authorization=basic("me", "second")) == 200
    files[0].write_text("broken")
    program.send(signal.SIGHUP)
    assert "SIGHUP: the old one stays in use" in program.complaint()
    assert fingerprint(program) == shown
    assert "Traceback" not in program.end()[2]


# Addresses -------------------------------------------------------------------------------------


@pytest.mark.skipif(not socket.has_ipv6, reason="this platform has no IPv6")
def test_people_u7_several_addresses(run: Run) -> None:
    """All of them are served, on one port, and named; one Ctrl-C ends all."""
    program = run("-b", "127.0.0.1", "-b", "[::1]", "-b", "127.0.0.2")
    urls = [program.url, *(program.more().removeprefix("Also at ").strip() for _ in range(2))]
    ports = {url.rpartition(":")[2] for url in urls}
    assert len(ports) == 1
    assert [url.rpartition(":")[0] for url in urls] == [
        "https://127.0.0.1", "https://[::1]", "https://127.0.0.2",
    ]  # fmt: skip
    assert [fetch(f"{url}hello.txt") for url in urls] == [200, 200, 200]
    assert "127.0.0.2" in program.more()  # of the certificate
    status, _, errors = program.end(signal.SIGINT)
    assert status == 0
    assert "Traceback" not in errors


def test_if_one_address_is_taken_none_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names it, and the others are free again."""
    ours, theirs = "127.7.7.1", "127.7.7.2"  # of which no other test has ports
    with socket.create_server((theirs, 0)) as other:
        port = other.getsockname()[1]
        assert main([str(port), "-b", ours, "-b", theirs]) == 2
        errors = capsys.readouterr().err
        assert f"port {port} of {theirs} is taken by another program" in errors
        socket.create_server((ours, port)).close()


def test_people_u8_requests_are_logged_with_ipv4(run: Run) -> None:
    """On a socket for both versions of IP, as on one for IPv4."""
    program = run()
    assert fetch(program.url.replace("localhost", "127.0.0.1")) == 200
    errors = program.end()[2]
    assert errors.startswith("127.0.0.1 - - [")
    assert "ffff" not in errors


def test_if_one_server_fails_all_end() -> None:
    """Nobody is left with half of the addresses that were asked for."""

    class Failing(FileServer):
        def serve_forever(self, poll_interval: float = 0.5) -> None:
            raise ZeroDivisionError

    certificate = certs.self_signed("localhost")
    failures: list[type[BaseException]] = []
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(
                kind(
                    ("127.0.0.1", 0), TLSFileRequestHandler,
                    ssl_context=context.create_server_context(certificate),
                )
            )
            for kind in (FileServer, Failing)
        ]  # fmt: skip
        hook = stack.enter_context(pytest.MonkeyPatch.context())
        hook.setattr(threading, "excepthook", lambda failed: failures.append(failed.exc_type))
        nothing = Actions(begin=lambda: None, reload=lambda: None)
        run_servers(servers, 1, nothing)  # and comes back
    assert failures == [ZeroDivisionError]


@pytest.mark.parametrize("name", ["ssl", pytest.param("pyopenssl", marks=NEEDS_GROUPS), None])
def test_the_engine_may_be_chosen(public: Path, name: str | None) -> None:
    """``--engine``; without, it is the default one."""
    body = (
        "import sys\n"
        "from tlshttp._file_server import serving\n"
        "from tlshttp.__main__ import main\n"
        "serving.run = lambda servers, *_: print(type(servers[0].ssl_context).__module__)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = [] if name is None else ["--engine", name]
    done = subprocess.run(
        [sys.executable, "-c", body, "localhost:0", "--directory", str(public), *words],
        capture_output=True, text=True, timeout=50 * UNIT, check=True,
    )  # fmt: skip
    module = "context" if (name or default_engine()) == "ssl" else "pyopenssl"
    assert f"tlshttp.{module}._server_context" in done.stdout.splitlines()


def test_certificates_f29_a_key_that_everybody_may_read_is_a_warning(
    run: Run, tmp_path: Path
) -> None:
    """The command serves it all the same, and says what to do; `certs.load` refuses it."""
    paths = tmp_path / "server.pem", tmp_path / "server.key"
    certs.self_signed("localhost").write(*paths)
    paths[1].chmod(0o644)
    with pytest.raises(CertificateError, match="chmod 600"):
        certs.load(*paths)
    program = run("--bind", "127.0.0.1", "--tls-cert", str(paths[0]), "--tls-key", str(paths[1]))
    assert fetch(program.url) == 200
    status, _, errors = program.end()
    assert status == 0
    assert f"chmod 600 {paths[1]}" in errors


# Passwords -------------------------------------------------------------------------------------


def test_the_password_may_be_in_the_environment_or_a_file(run: Run, public: Path) -> None:
    """And the file is never served, though it lies in the folder."""
    (public / "word.txt").write_text("s3cret\n")
    first = run("-b", "127.0.0.1", "--auth", "me", TLSHTTP_AUTH_PASSWORD="s3cret")
    second = run("-b", "127.0.0.1", "--auth", "me", "--auth-file", str(public / "word.txt"))
    for program in (first, second):
        assert fetch(program.url) == 401
        assert fetch(program.url, Authorization=basic("me", "guess")) == 401
        assert fetch(program.url, Authorization=basic("me", "s3cret")) == 200
    assert fetch(second.url + "word.txt", Authorization=basic("me", "s3cret")) == 404
    for program in (first, second):
        _, output, errors = program.end()
        assert "s3cret" not in program.banner + output + errors


def test_the_password_may_be_typed(public: Path) -> None:
    """At the terminal, unseen."""
    with Terminal("0", "-b", "127.0.0.1", "-d", str(public), "--auth", "me") as terminal:
        terminal.read_until(b"Password for me: ")
        terminal.type(b"s3cret\n")
        terminal.read_until(b"Ctrl-C ends")
        found = re.search(rb"https://\S+", terminal.shown)
        assert found
        url = found[0].decode()
        assert (fetch(url), fetch(url, Authorization=basic("me", "s3cret"))) == (401, 200)
        assert b"s3cret" not in terminal.shown


def test_without_a_terminal_nobody_is_asked(public: Path) -> None:
    """Status 2 and what to do, rather than a server that lets in everybody or waits for ever."""
    done = subprocess.run(
        [sys.executable, "-m", "tlshttp", "0", "-d", str(public), "--auth", "me"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no terminal to ask for a password: give --auth-file" in done.stderr


# What is said and opened -----------------------------------------------------------------------


def test_uploads_into_the_folder_of_the_key_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody may put files beside those the server trusts."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    certs.self_signed("localhost").write(*files)
    words = [
        "0",
        "--tls-cert",
        str(files[0]),
        "--tls-key",
        str(files[1]),
        "--upload",
        str(tmp_path),
    ]
    assert main(words) == 2
    assert "the server's own files are in there: 'cert.pem', 'key.pem'" in capsys.readouterr().err


def test_uploads_are_announced(run: Run, tmp_path: Path) -> None:
    """With the folder and the address."""
    program = run("-b", "127.0.0.1", "--upload", str(tmp_path))
    lines = [program.more() for _ in range(3)]
    assert lines[-1] == f"Uploads go to {tmp_path}: {program.url}.upload\n"
    assert fetch(program.url + ".upload") == 200


def test_open_shows_the_page(run: Run, tmp_path: Path) -> None:
    """The browser of the user's choice is given the address; here it writes it down."""
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho \"$1\" > '{tmp_path}/opened'\n")
    browser.chmod(0o700)
    program = run("-b", "127.0.0.1", "--open", BROWSER=str(browser))
    opened = tmp_path / "opened"
    assert wait_until(lambda: opened.exists() and opened.read_text() == program.url + "\n")


def test_people_u7_a_code_for_telephones(run: Run) -> None:
    """It is drawn for an address that others reach; for this machine alone there is none."""
    pytest.importorskip("segno")
    program = run("-b", "127.0.0.1", "--qr")
    lines = [program.more() for _ in range(3)]
    assert lines[-1] == "No QR code: only this machine itself can come to that address.\n"
    drawn = draw("https://192.0.2.1:8000/").splitlines()
    assert len(drawn) > 10
    assert len({len(line) for line in drawn}) == 1
    for encoding in ("ascii", "latin-1", "no encoding"):
        assert draw("https://192.0.2.1:8000/", encoding).isascii()
    if network_addresses():
        program = run("--qr", PYTHONIOENCODING="utf-8")
        lines = [program.more()]
        while not lines[-1].startswith("From the network: "):
            lines.append(program.more())
        url = lines[-1].split()[-1]
        while lines[-1].startswith("From the network: "):
            lines.append(program.more())
        assert lines[-1].strip("\n") == draw(url).split("\n")[0]


def test_a_code_needs_its_library(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the sentence has the command that installs it."""
    monkeypatch.setitem(sys.modules, "segno", None)
    with pytest.raises(ConfigurationError):
        qr_code.require_library()
    assert main(["0", "--qr"]) == 2
    assert "pip install 'tlshttp-server[qr]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/usr/bin/tlshttp", "tlshttp"),
        ("tlshttp-server.exe", "tlshttp-server"),
        ("/x/tlshttp/__main__.py", "python -m tlshttp"),
    ],
)
def test_it_calls_itself_as_it_was_called(
    called: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what it advises can be typed."""
    monkeypatch.setattr(sys, "argv", [called])
    assert parsing.program() == name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tlshttp --upl", {"--upload", "--upload-limit"}),
        ("tlshttp -p HTTP/1", {"HTTP/1.0", "HTTP/1.1"}),
        ("tlshttp certs sho", {"show"}),
        ("tlshttp certs issue --ca", {"--ca", "--ca-key", "--ca-password-file"}),
    ],
)
def test_the_shell_completes(line: str, words: set[str], tmp_path: Path) -> None:
    """Where argcomplete is installed, it is told which options there are."""
    pytest.importorskip("argcomplete")
    code = "import sys; sys.argv = ['tlshttp']; from tlshttp.__main__ import main; main()"
    answer = tmp_path / "answer"
    subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
            "COMP_LINE": line, "COMP_POINT": str(len(line)),
        },
        timeout=50 * UNIT, check=True,
    )  # fmt: skip
    assert {word.strip() for word in answer.read_text().split("\n")} == words
