"""The engine of a program that a test starts: that of the test, by way of the environment."""

from __future__ import annotations

import os
from typing import Any

VARIABLE = "TLSHTTP_TEST_ENGINE"


def create_server_context(*arguments: Any, **named: Any) -> Any:
    """Create a server's context with the engine of the test that has started this program."""
    from tlshttp import context

    if os.environ.get(VARIABLE, "ssl") == "ssl":
        return context.create_server_context(*arguments, **named)
    from tlshttp import pyopenssl

    return pyopenssl.create_server_context(*arguments, **named)
