from __future__ import annotations

import doctest

import pytest

import tlshttp.certs

pytestmark = pytest.mark.thorough


def test_examples_in_the_module_run() -> None:
    """The example at the head of the module does what it says."""
    failed, attempted = doctest.testmod(tlshttp.certs)
    assert attempted > 0
    assert failed == 0
