"""Both TLS engines for every test: `engine` is what a ``conftest.py`` takes into its folder.

A test that says ``context.create_server_context`` gets the engine that it runs for. What only one
of them has is marked ``only_engine("ssl", reason=...)``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.engine_of_program import VARIABLE
from tlshttp import _default_engine, context, pyopenssl
from tlshttp.pyopenssl import _library, _server_context
from tlshttp.pyopenssl._public import PublicWay

NEEDS_GROUPS = pytest.mark.skipif(
    not _library.has("SSL_CTX_set1_curves_list"),
    reason="cryptography before 47 cannot set groups, and there is no context of pyOpenSSL",
)

ENGINES = [
    pytest.param(name, marks=() if name == "ssl" else NEEDS_GROUPS)
    for name in os.environ.get("TLSHTTP_TEST_ENGINES", "ssl pyopenssl").split()
]
"""Those that tests run for; ``public`` is pyOpenSSL by its public methods alone."""

create_with_ssl = context.create_server_context


def create_with_public_methods(*arguments: Any, **named: Any) -> pyopenssl.ServerContext:
    """Do what `tlshttp.pyopenssl.create_server_context` does where bindings are missing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_server_context, "best_way", lambda: PublicWay)
        return pyopenssl.create_server_context(*arguments, **named)


CREATE: dict[str, Callable[..., Any]] = {
    "ssl": create_with_ssl,
    "pyopenssl": pyopenssl.create_server_context,
    "public": create_with_public_methods,
}

DEFAULTS = {"ssl": "ssl", "pyopenssl": "pyopenssl", "public": "pyopenssl"}
"""What ``certificate=`` is shown by."""


@pytest.fixture(scope="session", autouse=True, params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Have tests create their contexts with each engine."""
    name: str = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "create_server_context", CREATE[name])
        patch.setattr(_default_engine, "default_engine", lambda: DEFAULTS[name])
        patch.setenv(VARIABLE, name)
        yield name


def skip_on_other_engine(item: pytest.Item) -> None:
    """Skip a test on engines that it is not about."""
    mark = item.get_closest_marker("only_engine")
    name = getattr(item, "callspec", None) and item.callspec.params.get("engine")  # type: ignore[attr-defined]
    if mark and name and name not in mark.args:
        pytest.skip(mark.kwargs["reason"])
