"""The pytest plugin, in sessions of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import UNIT

pytestmark = pytest.mark.timeout(300 * UNIT)  # a session takes a second, or many on a busy machine

HEAD = """
import http.client, os, subprocess, sys, urllib.request
from http.server import BaseHTTPRequestHandler
import pytest

class Boom(BaseHTTPRequestHandler):
    def do_GET(self):
        raise ValueError("boom in a handler")
"""


def session(folder: Path, tests: str, *options: str) -> str:
    """Run tests in a session of their own and return its report."""
    (folder / "test_it.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--strict-markers",
         "-c", "/dev/null", "--rootdir", str(folder), *options, "test_it.py"],
        cwd=folder,
        # Where pytest sees that it runs in CI it repeats whole errors in its summary.
        env={name: value for name, value in os.environ.items() if name != "CI"},
        capture_output=True,
        text=True,
        timeout=250 * UNIT,
        check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def outcomes(report: str) -> dict[str, str]:
    """Return how each test of a report has ended; errors of its end count more than passing."""
    lines = re.findall(r"^(PASSED|FAILED|ERROR|SKIPPED) test_it.py::(\w+)", report, re.MULTILINE)
    return {name: outcome for outcome, name in sorted(lines, reverse=True)}


ENGINES = """
def test_group(tls_server, tls_server_factory):
    tls_server.get("/")
    another = tls_server_factory({"/": "hello"}, engine="ssl")
    another.get("/")
    print("groups:", tls_server.requests[0].tls.group, another.requests[0].tls.group)
"""


def test_the_engine_is_an_option(tmp_path: Path) -> None:
    """`--tls-engine` is for all servers of fixtures but those whose test says otherwise."""
    report = session(tmp_path, ENGINES, "--tls-engine", "pyopenssl")
    assert outcomes(report) == {"test_group": "PASSED"}
    assert re.search("groups: X25519\\w* None", report)


def test_fixtures(tmp_path: Path) -> None:
    """Servers, further servers, the authority, and trust by the environment, all without ado."""
    report = session(
        tmp_path,
        HEAD
        + """
def test_function(tls_server):
    tls_server.responses["/"] = "hello"
    assert tls_server.get("/").text == "hello"
    assert len(tls_server.requests) == 1

def test_another(tls_server):
    assert tls_server.get("/").status == 404

@pytest.mark.tls_server(served={"/": "marked"}, names=["api.example.test"])
def test_mark(tls_server, tls_server_factory, tls_ca):
    other = tls_server_factory({"/": "other"})
    assert (tls_server.get("/").text, other.get("/").text) == ("marked", "other")
    assert tls_server.ca_path == other.ca_path == tls_ca.ca_path

def test_trust(tls_server, tls_trust):
    tls_server.responses["/"] = "trusted"
    assert urllib.request.urlopen(tls_server.url).read() == b"trusted"
    assert os.environ["REQUESTS_CA_BUNDLE"] == str(tls_trust.ca_path)

@pytest.mark.parametrize("number", range(2))
def test_without(tls_server, number):
    assert os.environ.get("REQUESTS_CA_BUNDLE") != str(tls_server.ca_path)
    with pytest.raises(OSError, match="certificate verify failed"):
        urllib.request.urlopen(tls_server.url)
""",
        "-W",
        "error",
    )
    expected = ["function", "another", "mark", "trust", "without"]
    assert outcomes(report) == {f"test_{name}": "PASSED" for name in expected}, report


def test_a_handlers_exception_fails_its_test(tmp_path: Path) -> None:
    """The one that caused it and no other, with the traceback; whoever made the server."""
    report = session(
        tmp_path,
        HEAD
        + """
from tlshttp import testing

@pytest.fixture(scope="module")
def shared():
    with testing.serve({"/": "fine", "/boom": boom}) as server:
        yield server

def boom(request):
    raise KeyError("boom in a function")

@pytest.mark.tls_server(served=Boom)
def test_passes_alone(tls_server):
    tls_server.get("/")

@pytest.mark.tls_server(served=Boom)
def test_fails_alone(tls_server):
    assert tls_server.get("/").status == 200

@pytest.mark.tls_server(served=Boom)
def test_expects_it(tls_server):
    tls_server.get("/")
    tls_server.handler_errors.clear()

@pytest.mark.tls_server(served=Boom)
def test_skipped(tls_server):
    tls_server.get("/")
    tls_server.handler_errors.clear()
    pytest.skip("for a reason")

def test_shared_good(shared):
    assert shared.get("/").text == "fine"

def test_shared_bad(shared):
    shared.get("/boom")

def test_shared_good_again(shared):
    assert shared.get("/").text == "fine"
""",
    )
    assert outcomes(report) == {
        "test_passes_alone": "FAILED",
        "test_fails_alone": "FAILED",
        "test_expects_it": "PASSED",
        "test_shared_good": "PASSED",
        "test_shared_bad": "FAILED",
        "test_shared_good_again": "PASSED",
    }, report
    assert "SKIPPED [1]" in report
    assert report.count('raise ValueError("boom in a handler")') == 2
    assert 'raise KeyError("boom in a function")' in report
    assert "assert 500 == 200" in report
    assert "_recorder.py" not in report
    assert "plugin.py" not in report


def test_a_shared_server_s_error_is_of_whom_it_happened_to(tmp_path: Path) -> None:
    """In a fixture's setup, in a test that skips, and at a fixture's end; nobody else is blamed."""
    report = session(
        tmp_path,
        HEAD
        + """
from tlshttp import testing

@pytest.fixture(scope="module")
def shared():
    with testing.serve(Boom) as server:
        yield server

@pytest.fixture
def asks_before(shared):
    shared.get("/before")

@pytest.fixture
def asks_and_skips(shared):
    shared.get("/skips")
    pytest.skip("for a reason")

@pytest.fixture
def asks_and_fails(shared):
    shared.get("/fails")
    assert not "mine"

@pytest.fixture
def asks_after(shared):
    yield
    shared.get("/after")

def test_first(shared): pass
def test_setup(asks_before): pass
def test_second(shared): pass
def test_setup_skips(asks_and_skips): pass
def test_third(shared): pass
def test_setup_fails(asks_and_fails): pass
def test_fourth(shared): pass
def test_skips(shared):
    shared.get("/skips")
    pytest.skip("for a reason")
def test_fifth(shared): pass
def test_teardown(asks_after): pass
def test_sixth(shared): pass
def test_xfails(shared):
    shared.get("/xfails")
    pytest.xfail("for a reason")
def test_last(shared): pass
""",
        "-p",
        "no:randomly",
    )
    good = ["first", "second", "third", "fourth", "fifth", "sixth", "last"]
    assert outcomes(report) == {
        **{f"test_{name}": "PASSED" for name in good},
        "test_setup": "ERROR",
        "test_setup_skips": "ERROR",
        "test_setup_fails": "ERROR",
        "test_skips": "FAILED",
        "test_teardown": "ERROR",
    }, report
    assert "1 xfailed" in report
    assert "assert not 'mine'" in report
    for path in ("before", "skips", "fails", "after"):
        assert f"raised by the handler of a test's server, for GET /{path}" in report


def test_all_servers_are_closed_whatever_one_raises(tmp_path: Path) -> None:
    """Problems of several servers are told as a group, and every one has been closed."""
    report = session(
        tmp_path,
        HEAD
        + """
servers = []

@pytest.fixture
def checked():
    yield
    assert len(servers) == 3
    assert all("closed" in repr(server) for server in servers)
    print("all of them are closed")

def stuck(request):
    EVENT.wait()

import threading
EVENT = threading.Event()

def test_two(checked, tls_server_factory):
    for _ in range(2):
        servers.append(tls_server_factory({"/": stuck}, timeout=0.1))
        threading.Thread(target=ask, args=(servers[-1],), daemon=True).start()
        servers[-1].wait_for(1, timeout=30)
    servers.append(tls_server_factory({"/": "fine"}))

def ask(server):  # with a time of its own: the server's may be over before it is asked
    try:
        urllib.request.urlopen(server.url, context=server.client_context(), timeout=60)
    except OSError:
        pass

def test_bad(bad_tls_server):
    servers[:] = [bad_tls_server() for _ in range(3)]
    for server in servers[1:]:
        server._crew.failures.append(ValueError("of the server itself"))

def test_bad_is_over():
    assert all("closed" in repr(server) for server in servers)
""",
        "-p",
        "no:randomly",
    )
    assert outcomes(report) == {
        "test_two": "ERROR",
        "test_bad": "ERROR",
        "test_bad_is_over": "PASSED",
    }, report
    assert report.count("TimeoutError: close() has waited 0.1 s for") == 2, report
    assert report.count("ValueError: of the server itself") == 2, report
    assert "all of them are closed" in report


def test_a_mark_s_answers_are_the_test_s_own(tmp_path: Path) -> None:
    """What a test adds to the answers of a shared mark is gone for the next one."""
    report = session(
        tmp_path,
        HEAD
        + """
pytestmark = pytest.mark.tls_server(served={"/": "marked"})

@pytest.mark.parametrize("number", range(2))
def test_keyword(tls_server, number):
    assert list(tls_server.responses) == ["/"]
    tls_server.responses["/mine"] = ""

@pytest.mark.tls_server({"/a": "first"})
class TestPositional:
    @pytest.mark.parametrize("number", range(2))
    def test_positional(self, tls_server, number):
        assert list(tls_server.responses) == ["/a"]
        tls_server.responses["/mine"] = ""
""",
    )
    assert "4 passed" in report, report


def test_whoever_uses_nothing_imports_nothing(tmp_path: Path) -> None:
    """A session without our fixtures has the plugin and what names are found by, no more."""
    report = session(
        tmp_path,
        """
import sys

def test_it():
    ours = {name for name in sys.modules if name.partition(".")[0] == "tlshttp"}
    assert ours == {
        "tlshttp", "tlshttp._on_demand", "tlshttp._version", "tlshttp.testing",
        "tlshttp.testing.plugin",
    }
    assert not {"ssl", "cryptography", "http.server"} & set(sys.modules)
""",
        "-p",
        "no:randomly",
        "-p",
        "no:xdist",
        "-p",
        "no:pytest_httpserver",
        "-p",
        "no:anyio",
        "-p",
        "no:hypothesispytest",
    )
    assert outcomes(report) == {"test_it": "PASSED"}, report


def test_the_plugin_can_be_turned_off(tmp_path: Path) -> None:
    """``-p no:tlshttp`` leaves no fixture behind."""
    report = session(tmp_path, "def test_it(tls_server): pass", "-p", "no:tlshttp")
    assert "fixture 'tls_server' not found" in report


def test_fixtures_are_listed_with_what_they_do(tmp_path: Path) -> None:
    """``pytest --fixtures`` and ``--markers`` tell of ours."""
    fixtures = session(tmp_path, "", "--fixtures")
    for name in ("tls_server", "tls_server_factory", "tls_ca", "tls_trust"):
        assert re.search(rf"^{name}\b.*\n +\w", fixtures, re.MULTILINE), fixtures
    assert "@pytest.mark.tls_server(" in session(tmp_path, "", "--markers")
