"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import nothing_left_behind


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
