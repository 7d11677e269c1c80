"""Handlers that do all their work in one go, as in the standard library."""

from __future__ import annotations

import ssl
from typing import Any

from tests.machinery.conftest import Serve
from tests.machinery.handlers import Plain
from tests.machinery.peers import get


def test_an_overridden_handle_is_called(serve: Serve, any_client: ssl.SSLContext) -> None:
    """A handler class with a ``handle()`` of its own has it called, once for its connection."""
    calls = []

    class Own(Plain):
        def handle(self) -> None:
            """Take note."""
            calls.append(self.client_address)
            super().handle()

    with serve(Own) as server:
        assert get(server.server_address, any_client).endswith(b"\r\n\r\n/")
    assert len(calls) == 1


def test_a_factory_function_is_called_once_for_a_connection(
    serve: Serve, any_client: ssl.SSLContext
) -> None:
    """A function that makes handlers is served with, although its handlers know nothing of us."""
    calls = []

    def make(*arguments: Any) -> Plain:
        calls.append(arguments)
        return Plain(*arguments)

    with serve(make) as server:
        assert get(server.server_address, any_client).endswith(b"\r\n\r\n/")
    assert len(calls) == 1
