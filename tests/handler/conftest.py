"""Fixtures for the tests of the HTTP layer."""

from tests.handler.http_support import ready_fd

__all__ = ["ready_fd"]
