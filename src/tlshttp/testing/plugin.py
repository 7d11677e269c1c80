"""The pytest plugin: fixtures, and handlers' exceptions as failures of their tests.

pytest loads this module in each session wherever tlshttp is installed. So it imports nothing of
ours until a fixture is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from tlshttp.testing import Authority, BadServer, Fault, RunningServer, Trait
    from tlshttp.testing._serve import Served

__all__ = [
    "BadServerFactory",
    "ServerFactory",
    "bad_tls_server",
    "tls_ca",
    "tls_server",
    "tls_server_factory",
    "tls_trust",
]

_MARKER = (
    "tls_server(*, served, **options): what the fixture tls_server serves,"
    " with the arguments of tlshttp.testing.serve"
)


class ServerFactory(Protocol):
    """What the fixture ``tls_server_factory`` gives."""

    def __call__(self, served: Served | None = None, **options: Any) -> RunningServer:
        """Start a server; the arguments are those of `tlshttp.testing.serve`."""


class BadServerFactory(Protocol):
    """What the fixture ``bad_tls_server`` gives."""

    def __call__(self, *faults: str | Fault | Trait, **options: Any) -> BadServer:
        """Start a bad server; the arguments are those of `tlshttp.testing.bad_server`."""


@pytest.fixture
def tls_server(request: pytest.FixtureRequest, tls_server_factory: ServerFactory) -> RunningServer:
    """An HTTPS server of the test's own, closed after it.

    It serves what the mark ``@pytest.mark.tls_server(served=...)`` names; without one, an empty
    mapping, to be filled by ``tls_server.responses``.
    """
    from tlshttp.testing._serve import own

    mark = request.node.get_closest_marker("tls_server")
    if mark is None:
        return tls_server_factory()
    return tls_server_factory(*map(own, mark.args), **{k: own(v) for k, v in mark.kwargs.items()})


@pytest.fixture
def tls_server_factory(pytestconfig: pytest.Config) -> Iterator[ServerFactory]:
    """A function that starts further HTTPS servers, all closed after the test."""
    from tlshttp.testing import serve
    from tlshttp.testing._running import close_all

    engine = pytestconfig.getoption("--tls-engine")
    servers = []

    def start(served: Served | None = None, **options: Any) -> RunningServer:
        if options.get("ssl_context") is None:
            options.setdefault("engine", engine)
        servers.append(serve(served, **options))
        return servers[-1]

    yield start
    close_all(reversed(servers))


@pytest.fixture
def bad_tls_server() -> Iterator[BadServerFactory]:
    """A function that starts servers that misbehave, all closed after the test."""
    from tlshttp.testing import bad_server
    from tlshttp.testing._running import close_all

    servers = []

    def start(*faults: str | Fault | Trait, **options: Any) -> BadServer:
        servers.append(bad_server(*faults, **options))
        return servers[-1]

    yield start
    close_all(reversed(servers))


@pytest.fixture(scope="session")
def tls_ca() -> Authority:
    """The authority that the servers' certificates come from."""
    from tlshttp.testing import authority

    return authority()


@pytest.fixture
def tls_trust(tls_ca: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The same, and clients that look into the environment trust it for the length of the test."""
    import urllib.request

    from tlshttp.testing._trust import trust_variables

    # urlopen() makes its opener once, and from Python 3.12 on that keeps whom it trusted then.
    monkeypatch.setattr(urllib.request, "_opener", None)
    for name, value in trust_variables(tls_ca).items():
        monkeypatch.setenv(name, value)
    return tls_ca


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell pytest of our option."""
    parser.getgroup("tlshttp").addoption(
        "--tls-engine",
        choices=["ssl", "pyopenssl"],
        default="ssl",
        help="what does the TLS of the servers that fixtures start: Python's own ssl (the default),"
        " or tlshttp.pyopenssl",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of our mark."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test whose fixtures have made a handler raise."""
    return (yield from _reporting())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test that has made a handler raise; a test that has failed gets the traceback."""
    return (yield from _reporting())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test whose fixtures have made a handler raise at their end."""
    return (yield from _reporting())


def _reporting() -> Generator[None, object, object]:
    """Report what handlers have raised meanwhile, before anybody else could be blamed for it."""
    __tracebackhide__ = True
    try:
        result = yield
    except pytest.skip.Exception:
        _report_handler_errors(None)
        raise
    except BaseException as failure:
        _report_handler_errors(failure)
        raise
    _report_handler_errors(None)
    return result


def _report_handler_errors(failure: BaseException | None) -> None:
    __tracebackhide__ = True
    running = sys.modules.get("tlshttp.testing._running")  # nobody has a server otherwise
    if running is not None:
        running.report_handler_errors(failure)
