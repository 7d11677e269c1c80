"""The servers of the machinery's tests."""

from __future__ import annotations

from tests.machinery.conftest import any_client, certificate, serve, server_class, server_context

__all__ = ["any_client", "certificate", "serve", "server_class", "server_context"]
