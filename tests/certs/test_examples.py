from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import tlshttp.certs
from tlshttp import certs

pytestmark = pytest.mark.thorough

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGES = (
    "check-certificates.md",
    "issue-certificates.md",
    "reload-certificates.md",
    "trust-localhost.md",
)


@pytest.mark.parametrize("page", PAGES)
def test_examples_in_the_docs_run(page: str, tmp_path: Path) -> None:
    """Every example of the page does what the page says."""
    certs.self_signed("localhost").write(tmp_path / "cert.pem", tmp_path / "key.pem")
    failed, attempted = doctest.testfile(
        str(HOW_TO / page), module_relative=False, globs={"folder": tmp_path}, encoding="utf-8"
    )
    assert attempted > 0
    assert failed == 0


def test_examples_in_the_module_run() -> None:
    """The example at the head of the module does what it says."""
    failed, attempted = doctest.testmod(tlshttp.certs)
    assert attempted > 0
    assert failed == 0
