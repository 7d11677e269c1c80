"""The servers of the front's tests."""

from __future__ import annotations

from tests.front.conftest import any_client, certificate, serve, server_class, server_context

__all__ = ["any_client", "certificate", "serve", "server_class", "server_context"]
