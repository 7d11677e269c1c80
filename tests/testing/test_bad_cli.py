"""``python -m tlshttp bad``, and the fixture ``bad_tls_server``, as users have them."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support import UNIT
from tlshttp import testing
from tlshttp.__main__ import main
from tlshttp.testing.plugin import BadServerFactory


@contextmanager
def program(*arguments: str) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    """Run the command; give the URL and the CA file that it prints, and the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tlshttp", "bad", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        printed = ""
        while "Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, printed + process.communicate()[1]
            printed += line
        url, ca_file = (
            re.search(rf"^{word}: +(.*)$", printed, re.MULTILINE) for word in ("URL", "CA file")
        )
        assert url
        assert ca_file
        yield url[1], ca_file[1], process
    finally:
        if process.returncode is None:
            process.kill()
        process.communicate(timeout=60 * UNIT)


def fetch(url: str, ca_file: str) -> bytes:
    """Make a request with the standard library's defaults."""
    context = ssl.create_default_context(cafile=ca_file)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    with opener.open(url, timeout=60 * UNIT) as response:
        body: bytes = response.read()
    return body


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_bad_server_for_clients_in_other_languages(number: signal.Signals) -> None:
    """It prints URL and CA file, serves the fault, and ends in good order by a signal."""
    with program("wrong-host") as (url, ca_file, process):
        with pytest.raises(urllib.error.URLError, match="Hostname mismatch"):
            fetch(url, ca_file)
        process.send_signal(number)
        out, err = process.communicate(timeout=60 * UNIT)
    assert (process.returncode, out, err) == (0, "Stopped.\n", "")


def test_the_honest_twin_is_served() -> None:
    """With --honest the same client is served."""
    with program("wrong-host", "--honest") as (url, ca_file, _):
        assert len(fetch(url, ca_file)) == 1024


def test_the_list_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a fault, each of them is listed under its kind, and lines stay short."""
    assert main(["bad"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if re.match(r"  \S", line)]
    assert listed == list(testing.FAULTS)
    assert [line for line in lines if line.endswith(":") and not line.startswith(" ")] == [
        "certificate:", "TLS:", "behaviour:",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 88


def test_who_reads_only_a_part_of_the_list_is_not_shown_a_traceback() -> None:
    """A pipe that is closed early ends the command quietly."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tlshttp", "bad"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    process.wait(30 * UNIT)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["expird"], "perhaps 'expired'?"),
        (["expired", "sha1"], "connection 1 cannot show two certificates"),
        (["expired", "--port", "70000"], "not a port"),
        (["--honest"], "--honest and --port need the name of a fault"),
        (["--port", "8443"], "--honest and --port need the name of a fault"),
    ],
)
def test_wrong_use(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said what is wrong, with status 2."""
    assert main(["bad", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    """The port is named by the system's own words, with status 2."""
    with testing.bad_server("silent") as server:
        assert main(["bad", "silent", "--port", str(server.port)]) == 2
    assert "in use" in capsys.readouterr().err


@pytest.mark.smoke
def test_the_fixture(bad_tls_server: BadServerFactory) -> None:
    """It starts any number of bad servers, and closes them: nothing is left behind."""
    expired = bad_tls_server("expired")
    reset = bad_tls_server(testing.Reset(testing.At.REQUEST), timeout=30.0)
    honest = bad_tls_server("expired", honest=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        expired.get("/")
    with pytest.raises(ConnectionResetError):
        reset.get("/")
    assert honest.get("/").status == 200
