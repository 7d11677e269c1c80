"""What all tests of servers in tests have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import UNIT
from tlshttp import testing
from tlshttp.testing._bad import conversation


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have servers and their clients wait for longer than the five seconds that users are given.

    So do bad servers for clients that are to close first, which users' have two seconds for.
    """
    functions: tuple[Any, ...] = (testing.serve, testing.bad_server)
    for function in functions:
        monkeypatch.setitem(function.__kwdefaults__, "timeout", 30 * UNIT)
    monkeypatch.setattr(conversation, "_LINGER_SECONDS", 30 * UNIT)
