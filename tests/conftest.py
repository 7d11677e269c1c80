"""Fixtures for every test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.engine_of_program import VARIABLE
from tests.engines import create_with_ssl, skip_on_other_engine
from tests.support import nothing_left_behind
from tlshttp import context


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count as exhaustive, on the second engine, what is thorough, and what has no network."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if parameters.get("engine") != "pyopenssl":
            continue
        if "ready_fd" in getattr(item, "fixturenames", ()) or item.get_closest_marker("thorough"):
            item.add_marker(pytest.mark.exhaustive)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is not about the engine it would run on."""
    skip_on_other_engine(item)


@pytest.fixture(autouse=True)
def _own_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have tests that are not for both engines create their contexts with Python's own."""
    with pytest.MonkeyPatch.context() as patch:
        if "engine" not in request.fixturenames:
            patch.setattr(context, "create_server_context", create_with_ssl)
            patch.delenv(VARIABLE, raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _signals_arrive() -> None:
    """Let programs that tests start be ended by signals that this run was told to ignore.

    A shell without job control starts so what it leaves in the background (Ctrl-C), and nohup what
    is to outlive its terminal.
    """
    for name, default in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)


@pytest.fixture(scope="session", autouse=True)
def _session_leaves_nothing_behind() -> Iterator[None]:
    """Fail the run when fixtures shared by many tests leave something behind."""
    with nothing_left_behind():
        yield


@pytest.fixture(autouse=True)
def _test_leaves_nothing_behind() -> Iterator[None]:
    """Fail a test that leaves threads, open files, sockets or child processes behind."""
    with nothing_left_behind():
        yield
