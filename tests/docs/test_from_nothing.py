"""README and tutorial, followed from the first line to the last with a wheel, as after a release.

The session ``build`` makes the wheel, and names it and those of its dependencies, so that no test
asks a package index.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, blocks, with_wheel
from tests.docs.reading import PATIENCE, lacking, read

WHEEL = os.environ.get("TLSHTTP_WHEEL", "")
WHEELS = os.environ.get("TLSHTTP_WHEELS", "")
NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


@pytest.mark.smoke
@pytest.mark.slow
@pytest.mark.timeout(3 * PATIENCE + 10)
@pytest.mark.skipif(not WHEEL, reason="there is no wheel: nox -s build")
@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "tutorial.md"], ids=lambda p: p.stem)
def test_people_u3_a_newcomer_gets_to_the_end(page: Path, tmp_path: Path) -> None:
    """In an empty folder with an empty home each line does what the page says, wheel for clone."""
    if lacking(page):
        pytest.skip(f"this machine lacks {', '.join(lacking(page))}")
    change = functools.partial(with_wheel, wheel=WHEEL)
    assert any(change(block.text) != block.text for block in blocks(page))
    done = read(page, tmp_path, change=change, environment=NO_INDEX, patience=3)
    assert done.returncode == 0, done.stdout + done.stderr
