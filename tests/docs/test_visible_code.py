"""The code that pages show: that it is all there is, and that it runs as a reader copies it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import EXAMPLES, LANGUAGES, ROOT, Kind, blocks, pages
from tests.docs.reading import PATIENCE, lacking, read, to_run

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(PATIENCE + 10)]

HIDDEN = re.compile(r"^ *`{3,}\{(testsetup|testcode|testcleanup|testoutput|doctest|code-block)\}")
"""Directives whose code Sphinx runs, or that has no language for `LANGUAGES`."""


def page_id(page: Path) -> str:
    """Name a page in the name of a test."""
    return page.relative_to(ROOT).with_suffix("").as_posix()


@pytest.mark.parametrize("page", [p for p in pages() if to_run(p)], ids=page_id)
def test_people_u2_a_page_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    """What a page shows as Python or shell runs, in its order, and prints what the page says."""
    if lacking(page):
        pytest.skip(f"this machine lacks {', '.join(lacking(page))}")
    done = read(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_people_u2_a_page_hides_nothing(page: Path) -> None:
    """No page has code that its reader does not see, or in a language that nobody runs."""
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if HIDDEN.match(line)] == []
    known = {"python", *LANGUAGES}
    languages = {block.language for block in blocks(page)}
    assert {name for name in languages if not name.startswith("{")} <= known


@pytest.mark.parametrize("page", pages(), ids=page_id)
def test_a_named_file_is_used(page: Path) -> None:
    """A reader who is told to save a file is told what to do with it."""
    shown = list(blocks(page))
    for number, block in enumerate(shown):
        if block.kind is Kind.FILE:
            after = "".join(other.text for other in shown[number + 1 :])
            assert str(block.name) in after, block.place


def test_the_readme_begins_as_the_tutorial_does() -> None:
    """The README cannot include a file, so its program is compared with it."""
    (program,) = (b for b in blocks(ROOT / "README.md") if b.name == "hello.py")
    assert program.text == (EXAMPLES / "hello.py").read_text(encoding="utf-8")


def test_every_example_is_on_a_page() -> None:
    """The examples, which the type checkers see, are those that a page shows."""
    shown = {block.name for page in pages() for block in blocks(page)}
    assert {file.name for file in EXAMPLES.glob("*.py")} <= shown
