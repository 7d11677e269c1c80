"""The command line as a service: several processes, draining, and logs for machines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.file_server.program import Program
from tests.file_server.test_gate import basic
from tests.machinery.peers import connect
from tests.support import UNIT, wait_until
from tlshttp.__main__ import main
from tlshttp.service import _restarts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and fork() as POSIX has them")

Run = Callable[..., Program]

LARGE = 16 << 20
"""More than two sockets keep of a response, and less than is sent in the time that a drain has."""


@pytest.fixture
def run(public: Path, tmp_path: Path) -> Iterator[Run]:
    """Start programs that serve the folder, and end them."""
    started: list[Program] = []
    with (public / "large").open("wb") as file:
        file.truncate(LARGE)

    def start(*words: str, **environment: str) -> Program:
        environment = {"XDG_DATA_HOME": str(tmp_path / "data"), **environment}
        folder = ("0", "-b", "127.0.0.1", "--directory", str(public))
        started.append(Program(*folder, *words, **environment))
        return started[-1]

    yield start
    for program in started:
        program.send(signal.SIGKILL)
        program.end()


def fetch(url: str, **fields: str) -> Any:
    """Return a response; the certificate is not looked at."""
    request = urllib.request.Request(url, headers=fields)
    with urllib.request.urlopen(
        request, context=ssl._create_unverified_context(), timeout=50 * UNIT
    ) as response:
        response.read()
        return response


def begun(program: Program) -> ssl.SSLSocket:
    """Begin a download, and read no more than its first bytes."""
    port = int(program.url.rsplit(":", 1)[1].rstrip("/"))
    plain = connect(("127.0.0.1", port), rcvbuf=1 << 16)
    sock = ssl._create_unverified_context().wrap_socket(plain)
    sock.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert sock.recv(12) == b"HTTP/1.1 200"
    return sock


def children(program: Program) -> set[int]:
    """Return the processes that it has started."""
    found: set[int] = set()
    for task in Path(f"/proc/{program.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            found |= set(map(int, (task / "children").read_text().split()))
    return found


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_download_under_way_is_finished(run: Run, workers: str, number: int) -> None:
    """The first signal loses no response; then the program ends with status 0."""
    program = run("--workers", workers, "--quiet")
    with begun(program) as sock:
        program.send(signal.Signals(number))
        size = 0
        while data := sock.recv(1 << 20):
            size += len(data)
    assert size > LARGE
    status, output, errors = program.end(0)
    assert status == 0, errors
    assert output.endswith("Stopped.\n")
    assert errors == ""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="there is no SIGUSR2")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigusr2_is_told_that_it_does_nothing(run: Run, workers: str) -> None:
    """It does not kill the program, which goes on."""
    program = run("--workers", workers)
    program.send(signal.SIGUSR2)
    assert fetch(program.url + "hello.txt").status == 200
    status, _, errors = program.end()
    assert status == 0, errors
    assert errors.count("SIGUSR2: this program is not replaced while it runs") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_ends_at_once(run: Run, workers: str) -> None:
    """Whoever does not want to wait for a download says it again."""
    program = run("--workers", workers)
    with begun(program):
        program.send(signal.SIGINT)
        assert any("Ctrl-C again ends at once" in program.more() for _ in range(5))
        program.send(signal.SIGINT)
        status, output, errors = program.end(0)
    assert status == 0, errors
    assert "Stopped." in output
    assert "Traceback" not in errors


def test_several_processes_serve_with_one_certificate(run: Run, tmp_path: Path) -> None:
    """All have the same password, also after a reload; a killed one is replaced."""
    word = tmp_path / "word"
    word.write_text("first")
    program = run("--workers", "2", "--auth", "me", "--auth-file", str(word), "--quiet")
    assert len(children(program)) == 2
    allowed = {"Authorization": basic("me", "first")}
    assert fetch(program.url, **allowed).status == 200
    victim, other = children(program)
    os.kill(victim, signal.SIGKILL)
    assert wait_until(lambda: len(children(program) - {victim}) == 2)
    assert other in children(program)
    before = children(program)
    word.write_text("second")
    program.send(signal.SIGHUP)
    assert wait_until(lambda: not children(program) & before, timeout=50 * UNIT)
    for _ in range(6):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(program.url, **allowed)
        caught.value.close()
        assert caught.value.code == 401
        assert fetch(program.url, Authorization=basic("me", "second")).status == 200
    status, output, errors = program.end()
    assert status == 0
    assert "Reloaded; the certificate is the same." in output
    assert errors.count("has ended by SIGKILL") == errors.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--workers", "0"], "'0' is not a number from 1 to 1024"),
        (["--workers", "two"], "'two' is not a number from 1 to 1024"),
        (["--workers", "2", "-b", "127.0.0.1", "-b", "127.0.0.2"], "--workers and several addr"),
        (["--log-format", "xml"], "invalid choice: 'xml'"),
        (["--log-level", "loud"], "invalid choice: 'loud'"),
    ],
)
def test_what_makes_no_sense_is_said(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, and status 2."""
    assert main(["0", *words]) == 2
    assert complaint in capsys.readouterr().err


def test_workers_that_cannot_live_are_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
    public: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The log says that the program ends, and why; its status is 1."""

    def fork() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(_restarts, "_MOST_QUICK_DEATHS", 2)
    monkeypatch.setattr(os, "fork", fork)
    assert main(["localhost:0", "--workers", "2", "--directory", str(public)]) == 1
    said = [record.getMessage() for record in caplog.records if record.name == "tlshttp.service"]
    assert [line.partition(":")[0] for line in said] == [
        "no worker can be started",
        "no worker can be started",
        "workers die as soon as they are started",
    ]
    assert "Traceback" not in capsys.readouterr().err


# Logs ------------------------------------------------------------------------------------------


def test_json_is_all_that_is_logged(run: Run) -> None:
    """Requests and failures alike; a request's id is in its line and in its response."""
    program = run("--log-format", "json")
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    answer = fetch(program.url + "hello.txt", X_Request_Id="u-1", Traceparent=parent)
    assert answer.headers["X-Request-Id"] != "u-1"  # X_Request_Id is another field
    kept = fetch(program.url + "hello.txt", **{"X-Request-Id": "u-2", "traceparent": parent})
    assert kept.headers["X-Request-Id"] == "u-2"
    port = int(program.url.rsplit(":", 1)[1].rstrip("/"))
    with socket.create_connection(("127.0.0.1", port), 50 * UNIT) as sock:
        sock.sendall(b"SSH-2.0-x\r\n")
        while sock.recv(4096):
            pass
    _, _, errors = program.end()
    lines = [json.loads(line) for line in errors.splitlines()]
    accesses = [line for line in lines if line["logger"] == "tlshttp.access"]
    # A line is written after its response, perhaps only after that of the next connection.
    assert sorted(line["request_id"] for line in accesses) == sorted(
        [answer.headers["X-Request-Id"], "u-2"]
    )
    assert {line["trace_id"] for line in accesses} == {"a" * 32}
    assert all(line["status"] == 200 for line in accesses)
    (failure,) = (line for line in lines if line["logger"] == "tlshttp.handshake")
    assert failure["reason"] == "not-tls"
    assert len(lines) == 3


def test_quiet_json_has_no_requests(run: Run) -> None:
    """And everything else from level ERROR on."""
    program = run("--log-format", "json", "--quiet")
    assert fetch(program.url).headers["X-Request-Id"]
    assert program.end()[2] == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_level_is_the_users(run: Run, form: str) -> None:
    """At INFO the service tells what it does; the variable does the same as the option."""
    program = run("--log-level", "info", TLSHTTP_LOG_FORMAT=form)
    errors = program.end()[2]
    assert "SIGTERM: draining" in errors
    assert errors.startswith("{") == (form == "json")
