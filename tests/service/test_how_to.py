"""The program and the units of the how-to page work as they stand."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.machinery.peers import client_context, get
from tests.support import UNIT, free_port, wait_until
from tlshttp import certs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="systemd's protocols are of Unix")

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "how-to" / "run-as-a-service.md"
PROGRAM = DOCS / "examples" / "web.py"
CONTAINER = DOCS / "how-to" / "run-in-a-container.md"
KUBERNETES = DOCS / "how-to" / "run-in-kubernetes.md"


def blocks(language: str, page: Path = PAGE) -> list[str]:
    """Return the blocks of a page in one language."""
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run_and_drain(command: list[str], folder: Path, credentials: Path | None = None) -> None:
    """Run the program of the page; it must drain and end with 0.

    Args:
        command: How.
        folder: Where the program is, and where it runs.
        credentials: Where systemd has put certificate and key, under the names of the unit; `None`:
            they are in the folder.
    """
    port = free_port()
    (folder / "web.py").write_text(PROGRAM.read_text().replace("8443", str(port)))
    environ = dict(os.environ)
    if credentials is None:
        certs.self_signed("localhost").write(folder / "cert.pem", folder / "key.pem")
    else:
        environ["CREDENTIALS_DIRECTORY"] = str(credentials)
    command = [word.replace("8443", str(port)) for word in command]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        errors = drained(process, lambda: answers(port))
    assert "Traceback" not in errors


def drained(process: subprocess.Popen[str], ready: Callable[[], bool]) -> str:
    """Have SIGTERM end a program as soon as it is ready; return what it said on standard error.

    It must end with 0.
    """
    try:
        was_ready = wait_until(lambda: process.poll() is not None or ready(), timeout=120 * UNIT)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60 * UNIT)
    except BaseException:
        process.kill()
        raise
    assert was_ready, errors
    assert process.returncode == 0, errors
    return errors


def answers(port: int) -> bool:
    """Tell whether the program answers as it should."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return get(("127.0.0.1", port), client_context()).endswith(b"hello\n")
    except OSError:
        return False


def test_the_program_serves_and_drains(tmp_path: Path) -> None:
    """As one runs it in a shell."""
    run_and_drain([sys.executable, "web.py"], tmp_path)


def test_the_program_finds_what_the_unit_loads(tmp_path: Path) -> None:
    """As systemd runs it: certificate and key are among the credentials, nowhere else."""
    loaded = re.findall(r"(?m)^LoadCredential=(\S+?):(\S+)$", PAGE.read_text())
    assert [Path(source).name for _, source in loaded] == ["fullchain.pem", "privkey.pem"]
    folder, credentials = tmp_path / "program", tmp_path / "credentials"
    folder.mkdir()
    credentials.mkdir()
    certs.self_signed("localhost").write(*(credentials / name for name, _ in loaded))
    run_and_drain([sys.executable, "web.py"], folder, credentials)


@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is missing"
)
def test_the_program_is_started_by_its_socket(tmp_path: Path) -> None:
    """As the page tries it: the first request is served."""
    command = re.search(r"^(systemd-socket-activate .*)$", PAGE.read_text(), re.MULTILINE)
    assert command is not None
    words = [sys.executable if word == "python" else word for word in command[1].split()]
    run_and_drain(words, tmp_path)


def test_the_units_say_what_they_must() -> None:
    """They parse; the service waits for readiness and drains for less time than it has."""
    units = {}
    for text in blocks("ini"):
        unit = configparser.RawConfigParser(strict=False)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(text)
        units["socket" if unit.has_section("Socket") else "service"] = unit
    settings = dict(units["service"]["Service"])
    assert settings["Type"] == "notify"
    assert int(settings["TimeoutStopSec"]) > drain_timeout(PROGRAM.read_text()) + 5
    assert units["service"]["Unit"]["Requires"] == "web.socket"
    assert settings["CapabilityBoundingSet"] == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_systemd_knows_all_that_the_units_say(tmp_path: Path) -> None:
    """systemd-analyze finds no unknown or malformed setting."""
    socket_unit, service_unit = blocks("ini")
    (tmp_path / "web.socket").write_text(socket_unit)
    service_unit = re.sub(r"(?m)^ExecStart=.*$", f"ExecStart={sys.executable}", service_unit)
    (tmp_path / "web.service").write_text(service_unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / "web.service"),
         str(tmp_path / "web.socket")],
        capture_output=True,
        text=True,
        timeout=30 * UNIT,
        check=False,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if "web." in line]
    assert not complaints, done.stderr


def drain_timeout(program: str) -> int:
    """Return how long a program drains."""
    found = re.search(r"drain_timeout=(\d+)", program)
    assert found is not None
    return int(found[1])


# The container, and Kubernetes ------------------------------------------------------------------


def test_the_container_runs_and_probes_what_the_page_shows(tmp_path: Path) -> None:
    """The commands of the Dockerfile, run here: the probe is content, SIGTERM drains."""
    (dockerfile,) = blocks("dockerfile", CONTAINER)
    command = _words(dockerfile, r"^CMD (\[.*\])$")
    probe = _words(dockerfile, r"^HEALTHCHECK .* CMD (\[.*\])$")
    port = str(free_port())
    (tmp_path / "web.py").write_text(PROGRAM.read_text().replace("8443", port))
    (program,) = (text for text in blocks("python", CONTAINER) if text.startswith("# probe.py"))
    (tmp_path / "probe.py").write_text(program.replace("8443", port))
    certs.self_signed("localhost").write(tmp_path / "cert.pem", tmp_path / "key.pem")

    def probes() -> int:
        return subprocess.run(
            probe, cwd=tmp_path, stderr=subprocess.DEVNULL, timeout=60 * UNIT, check=False
        ).returncode

    assert probes() == 1
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        drained(process, lambda: probes() == 0)


def test_a_pod_has_the_time_that_it_needs_to_end() -> None:
    """What a pod is given covers preStop, the drain and five seconds for closing."""
    pod = blocks("yaml", KUBERNETES)[0]
    grace, before = (
        re.search(pattern, pod)
        for pattern in (r"terminationGracePeriodSeconds: (\d+)", r"sleep: \{seconds: (\d+)\}")
    )
    assert grace is not None
    assert before is not None
    drain = drain_timeout(KUBERNETES.read_text(encoding="utf-8"))
    assert int(grace[1]) >= int(before[1]) + drain + 5


def _words(dockerfile: str, pattern: str) -> list[str]:
    found = re.search(pattern, dockerfile, re.MULTILINE)
    assert found is not None
    return [sys.executable if word == "python" else word for word in json.loads(found[1])]
