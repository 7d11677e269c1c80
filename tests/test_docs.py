"""The documentation: that it is complete, and that its programs do what their pages say."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

import tlshttp
from tests.support import UNIT

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

_DIRECTIVE = re.compile(r"^\.\. (?:auto|py:)(\w+):: ([\w.]+)", re.MULTILINE)
_PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def public_names() -> Iterator[str]:
    """Yield every name in ``__all__`` of the package and of its public modules."""
    for name in tlshttp.__all__:
        yield f"tlshttp.{name}"
        module = getattr(tlshttp, name)
        if isinstance(module, ModuleType):
            yield from (f"tlshttp.{name}.{inner}" for inner in module.__all__)


def documented_names() -> Iterator[str]:
    """Yield what the pages of the reference describe, the members of whole modules included."""
    for page in (DOCS / "reference").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for directive in _DIRECTIVE.finditer(text):
            kind, name = directive.groups()
            yield name
            options = text[directive.end() :].partition("\n\n")[0]
            if kind == "module" and ":no-members:" not in options:
                module = getattr(tlshttp, name.removeprefix("tlshttp."))
                yield from (f"{name}.{inner}" for inner in module.__all__)


def programs(page: str) -> list[str]:
    """Return the Python programs of a page that its own doctests do not run."""
    return _PROGRAM.findall((ROOT / page).read_text(encoding="utf-8"))


@contextmanager
def running(program: str, folder: Path) -> Iterator[str]:
    """Run a program that prints its URL and serves; give the URL, and end it as Ctrl-C does."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("https://localhost:"), process.communicate()[1]
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20 * UNIT)


def output_of(program: str, folder: Path) -> str:
    """Run a program to its end and return what it prints."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20 * UNIT,
        check=True,
    ).stdout


def test_every_public_name_has_a_place_in_the_reference() -> None:
    """Public means documented."""
    missing = sorted(set(public_names()) - set(documented_names()))
    assert not missing


def test_the_reference_describes_only_what_there_is() -> None:
    """A name that was renamed or removed does not live on in the reference."""
    unknown = sorted(set(documented_names()) - set(public_names()) - {"tlshttp"})
    assert not unknown


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_first_program_serves(page: str, tmp_path: Path) -> None:
    """The program that a page begins with runs as it stands, but for its port, and answers."""
    program = programs(page)[0].replace("8443", "0")
    with running(program, tmp_path) as url:
        unverified = ssl._create_unverified_context()
        with urllib.request.urlopen(url, context=unverified, timeout=20 * UNIT) as response:
            assert response.read() == b"Hello over TLS\n"


def test_the_client_of_the_tutorial_verifies(tmp_path: Path) -> None:
    """The second program of the tutorial trusts the certificate the first one wrote."""
    server, client = programs("docs/tutorial.md")
    with running(server.replace("8443", "0"), tmp_path) as url:
        fetched = output_of(client.replace("https://localhost:8443", url), tmp_path)
    assert fetched == "b'Hello over TLS\\n'\n"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/how-to/embed-in-an-application.md",
        "docs/how-to/move-from-trustme-and-pytest-httpserver.md",
        "docs/how-to/test-https.md",
    ],
)
def test_the_tests_of_a_page_pass(page: str, tmp_path: Path) -> None:
    """Each test that a page shows passes, in a file of its own, as its reader would copy it."""
    tests = [program for program in programs(page) if "def test_" in program]
    for number, program in enumerate(tests):
        (tmp_path / f"test_example_{number}.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly",
         "-c", "/dev/null", "--rootdir", str(tmp_path), "--import-mode=importlib", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50 * UNIT,
        check=False,
    )  # fmt: skip
    passed = sum(program.count("def test_") for program in tests)
    assert f"{passed} passed" in done.stdout, done.stdout + done.stderr
