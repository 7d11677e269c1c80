"""Fixtures for every test."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections import defaultdict
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.engine_of_program import VARIABLE
from tests.engines import create_with_ssl, skip_on_other_engine
from tests.support import nothing_left_behind
from tlshttp import context

with contextlib.suppress(ImportError):  # the sessions without it run no test of its
    import hypothesis

    # How long an example takes is the machine's business, and that of whoever else runs there.
    hypothesis.settings.register_profile(
        "any machine",
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("any machine")

_CASES = int(os.environ.get("TLSHTTP_TEST_CASES", "0"))
"""Of a test with more cases than that, so many are run; 0: all."""

_CASES_OF_SECOND_ENGINE = 2
"""Likewise on the second engine, where it is about what knows no engine; `exhaustive` has all."""

_KNOW_NO_ENGINE = ("machinery", "handler", "server")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out cases of many, where that is asked for, and say what is exhaustive."""
    if _CASES:
        kept = _some(items, _CASES)
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
        items[:] = [item for item in items if item.nodeid in kept]
    second = [item for item in items if _parameters(item).get("engine") == "pyopenssl"]
    kept = _some(second, _CASES_OF_SECOND_ENGINE)
    for item in second:
        if (
            (item.nodeid not in kept and item.path.parent.name in _KNOW_NO_ENGINE)
            or "ready_fd" in getattr(item, "fixturenames", ())
            or item.get_closest_marker("thorough")
        ):
            item.add_marker(pytest.mark.exhaustive)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the garbage collector leave the tests themselves alone, twenty thousand of them.

    It would pass over them again and again as they become more, and then for each test that asks
    for a collection: two thirds of a second each.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def _parameters(item: pytest.Item) -> dict[str, Any]:
    return getattr(getattr(item, "callspec", None), "params", {})


def _some(items: list[pytest.Item], count: int) -> set[str]:
    """Return the names of so many cases of each test, from all over its list.

    Of those marked exhaustive it is as many again, so that they take no other's place.
    """
    tests = defaultdict(list)
    for item in sorted(items, key=lambda item: item.nodeid):
        exhaustive = item.get_closest_marker("exhaustive") is not None
        tests[item.nodeid.partition("[")[0], exhaustive].append(item.nodeid)
    return {
        cases[number * (len(cases) - 1) // max(1, count - 1)]
        for cases in tests.values()
        for number in range(count)
    }


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
